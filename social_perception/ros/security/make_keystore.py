"""Program make_keystore: creates keys and permissions for the programs of the package, with sros2.

If the keystore exists, all keys are kept and the permissions are updated. See docs/security.md.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from rclpy.exceptions import InvalidNamespaceException, InvalidTopicNameException
from rclpy.validate_namespace import validate_namespace
from rclpy.validate_topic_name import validate_topic_name

from social_perception.core.errors import ConfigurationError
from social_perception.ros.security.keystores import DOMAIN, make_keystore
from social_perception.ros.security.policies import (
    CONSUMER,
    OWN_ENCLAVES,
    PICTURE,
    Names,
    absolute,
    load_policy,
    merge,
    policies_folder,
    resolve_names,
)
from social_perception.ros.support.camera_topics import CAMERA, audio_info_of, topics_for
from social_perception.ros.support.runner import exit_status


def _names(options: argparse.Namespace) -> Names:
    image = options.image_topic
    _check([image], validate_topic_name)
    topics = {
        "image": image,
        "image/compressed": f"{image}/compressed",
        "camera_info": options.camera_info_topic or topics_for(image)["camera_info"],
        "depth": options.depth_topic or topics_for(image)["depth"],
    }
    if options.audio_topic:
        topics |= {"audio": options.audio_topic, "audio_info": audio_info_of(options.audio_topic)}
    topics |= _renamed("--remap", options.remap)
    nodes = {CONSUMER: options.consumer, **_renamed("--node", options.node)}
    names = Names(
        namespace=absolute(options.namespace, ""),
        topics=topics,
        humans=options.humans,
        nodes=nodes,
        enclaves=absolute(options.enclaves, ""),
    )
    # A wildcard in a name would permit many names.
    _check([*topics.values(), *nodes.values(), names.humans], validate_topic_name)
    _check([names.namespace, names.enclaves], validate_namespace)
    return names


def _renamed(option: str, values: Sequence[str]) -> dict[str, str]:
    pairs = {name: other for name, sign, other in (each.partition(":=") for each in values) if sign and other}
    if len(pairs) < len(values):
        raise ConfigurationError(f"{option} must be NAME:=OTHER, each name once, got {', '.join(values)}")
    return pairs


def _check(names: Iterable[str], validate: Callable[[str], object]) -> None:
    for name in names:
        try:
            validate(name)
        except (InvalidTopicNameException, InvalidNamespaceException) as error:  # noqa: PERF203
            reason = str(error).splitlines()[0]
            raise ConfigurationError(f"{name!r} is an invalid name in ROS: {reason}") from error


def _paths(options: argparse.Namespace) -> list[Path]:
    folder = policies_folder()
    own = sorted(path for path in folder.glob("*.xml") if path.stem != PICTURE)
    return [*own, *([folder / f"{PICTURE}.xml"] if options.picture else []), *options.policy]


def _run(options: argparse.Namespace) -> None:
    names = _names(options)
    policy = merge(resolve_names(load_policy(path), names) for path in _paths(options))
    if options.show:
        ET.indent(policy)
        print(ET.tostring(policy, encoding="unicode"))
        return
    for line in make_keystore(options.folder, policy, options.domain_id):
        print(line)
    print(f"keep {options.folder / 'private'} away from the robot: it needs only enclaves and public")


def main(args: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(args)
    return exit_status(lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make_keystore", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="the keystore, created if it does not exist")
    for name, default, help_text in (
        ("image-topic", CAMERA, "as for group_smile.launch.py (default: %(default)s)"),
        ("camera-info-topic", "", "by default camera_info beside the images"),
        ("depth-topic", "", "by default that of a RealSense"),
        ("audio-topic", "", "as for group_smile.launch.py; empty: the microphone"),
        ("namespace", "", "namespace of the nodes and their topics"),
        ("humans", "/humans", "base of the topics of ROS4HRI (default: %(default)s)"),
        ("consumer", "consumer", "name of the planner's node, which only subscribes (default: %(default)s)"),
        ("enclaves", OWN_ENCLAVES, "path of the enclaves in the keystore (default: %(default)s)"),
    ):
        parser.add_argument(f"--{name}", default=default, metavar="NAME", help=help_text)
    parser.add_argument(
        "--domain-id",
        type=int,
        default=int(os.environ.get(DOMAIN) or 0),
        help=f"the only domain for which the permissions are valid (default: {DOMAIN}, %(default)s)",
    )
    parser.add_argument(
        "--remap", action="append", default=[], metavar="NAME:=OTHER", help="a remapped topic of the nodes"
    )
    parser.add_argument(
        "--node", action="append", default=[], metavar="NAME:=OTHER", help="a node with another name"
    )
    parser.add_argument("--picture", action="store_true", help="permit the web page to show the images")
    parser.add_argument(
        "--policy", action="append", default=[], type=Path, metavar="FILE", help="an additional policy"
    )
    parser.add_argument(
        "--show", action="store_true", help="print the policy instead of creating the keystore"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
