"""Program make_keystore: keys and permissions for the programs of the package, made by sros2.

Run again, it keeps every key and brings the permissions up to date. See docs/security.md.
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
    settle,
)
from social_perception.ros.support.camera_topics import CAMERA, beside
from social_perception.ros.support.runner import exit_status


def _names(options: argparse.Namespace) -> Names:
    image = options.image_topic
    _check([image], validate_topic_name)
    topics = {
        "image": image,
        "image/compressed": f"{image}/compressed",
        "camera_info": options.camera_info_topic or beside(image)["camera_info"],
        "depth": options.depth_topic or beside(image)["depth"],
    }
    topics |= _renamed("--remap", options.remap)
    nodes = {CONSUMER: options.consumer, **_renamed("--node", options.node)}
    names = Names(
        namespace=absolute(options.namespace, ""),
        topics=topics,
        humans=options.humans,
        nodes=nodes,
        enclaves=absolute(options.enclaves, ""),
    )
    # A star in a name would be a permission for many.
    _check([*topics.values(), *nodes.values(), names.humans], validate_topic_name)
    _check([names.namespace, names.enclaves], validate_namespace)
    return names


def _renamed(option: str, given: Sequence[str]) -> dict[str, str]:
    pairs = {name: other for name, sign, other in (each.partition(":=") for each in given) if sign and other}
    if len(pairs) < len(given):
        raise ConfigurationError(f"{option} must be NAME:=OTHER, each name once, got {', '.join(given)}")
    return pairs


def _check(names: Iterable[str], validate: Callable[[str], object]) -> None:
    for name in names:
        try:
            validate(name)
        except (InvalidTopicNameException, InvalidNamespaceException) as error:  # noqa: PERF203
            reason = str(error).splitlines()[0]
            raise ConfigurationError(f"{name!r} cannot be a name in ROS: {reason}") from error


def _paths(options: argparse.Namespace) -> list[Path]:
    folder = policies_folder()
    own = sorted(path for path in folder.glob("*.xml") if path.stem != PICTURE)
    return [*own, *([folder / f"{PICTURE}.xml"] if options.picture else []), *options.policy]


def _make(options: argparse.Namespace) -> None:
    names = _names(options)
    policy = merge(settle(load_policy(path), names) for path in _paths(options))
    if options.show:
        ET.indent(policy)
        print(ET.tostring(policy, encoding="unicode"))
        return
    for line in make_keystore(options.folder, policy, options.domain_id):
        print(line)
    print(f"keep {options.folder / 'private'} away from the robot: the robot needs enclaves and public alone")


def main(args: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(args)
    return exit_status(lambda: _make(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make_keystore", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="the keystore, made where it is missing")
    for name, default, help_text in (
        ("image-topic", CAMERA, "as for group_smile.launch.py (default: %(default)s)"),
        ("camera-info-topic", "", "by default that beside the images"),
        ("depth-topic", "", "by default that of a RealSense, beside the images"),
        ("namespace", "", "namespace of the nodes and their topics"),
        ("humans", "/humans", "base of the topics of ROS4HRI (default: %(default)s)"),
        ("consumer", "consumer", "name of the planner's node, which only reads (default: %(default)s)"),
        ("enclaves", OWN_ENCLAVES, "where the enclaves lie in the keystore (default: %(default)s)"),
    ):
        parser.add_argument(f"--{name}", default=default, metavar="NAME", help=help_text)
    parser.add_argument(
        "--domain-id",
        type=int,
        default=int(os.environ.get(DOMAIN) or 0),
        help=f"the one domain that the permissions hold for (default: {DOMAIN}, %(default)s)",
    )
    parser.add_argument(
        "--remap", action="append", default=[], metavar="NAME:=OTHER", help="a topic that the nodes remap"
    )
    parser.add_argument(
        "--node", action="append", default=[], metavar="NAME:=OTHER", help="a node that is called otherwise"
    )
    parser.add_argument("--picture", action="store_true", help="the web page may show the picture")
    parser.add_argument(
        "--policy", action="append", default=[], type=Path, metavar="FILE", help="another policy, of yours"
    )
    parser.add_argument("--show", action="store_true", help="print the policy instead, and make nothing")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
