"""The nodes of the package in one process: images cross DDS once, and no node needs another one's messages.

affect_markers runs unless it is disabled; it costs nothing while nobody subscribes to the markers.
affect_overlay runs only on request: it subscribes to the images too, and a process with two subscriptions
of an image topic was seen to block (docs/decisions.md).
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.node import Node

from social_perception.ros.nodes.affect_markers import AffectMarkersNode
from social_perception.ros.nodes.affect_overlay import AffectOverlayNode
from social_perception.ros.nodes.face_tracker import FaceTrackerNode
from social_perception.ros.nodes.group_affect import GroupAffectNode
from social_perception.ros.nodes.smile_intensity import SmileIntensityNode
from social_perception.ros.nodes.sound_events import SoundEventsNode
from social_perception.ros.support.intra_process import IntraProcess
from social_perception.ros.support.rclpy_errors import own_arguments
from social_perception.ros.support.runner import NodeFactory, run

VIEWS: dict[str, NodeFactory] = {"markers": AffectMarkersNode, "overlay": AffectOverlayNode}
"""For people who watch; by the options' names."""

_NAMES = {"markers": "affect_markers", "overlay": "affect_overlay", "sound": "sound_events"}
_ENABLED = {"markers": "true", "overlay": "false", "sound": "false"}


def pipeline(*, sound: bool = False, **of_sound: Any) -> tuple[NodeFactory, ...]:
    """The nodes of the pipeline, which hand each other their results as they are.

    Subscribers come first, so that no result is lost.

    Args:
        sound: whether sound_events is one of them.
        of_sound: options of that node.
    """
    intra_process = IntraProcess()
    nodes: tuple[Callable[..., Node], ...] = (GroupAffectNode, SmileIntensityNode, FaceTrackerNode)
    if sound:
        nodes += (functools.partial(SoundEventsNode, **of_sound),)
    return tuple(functools.partial(node, intra_process=intra_process) for node in nodes)


def main(args: Sequence[str] | None = None) -> int:
    enabled = _enabled(own_arguments(args))
    views = [node for name, node in VIEWS.items() if name in enabled]
    return run([*views, *pipeline(sound="sound" in enabled)], args)


def _enabled(args: Sequence[str]) -> set[str]:
    parser = argparse.ArgumentParser(prog="social_perception_all", description=__doc__)
    for name, node in _NAMES.items():
        parser.add_argument(
            f"--{name}",
            type=str.lower,
            choices=("true", "false"),
            default=_ENABLED[name],
            help=f"whether {node} runs, too (default: %(default)s)",
        )
    return {name for name, value in vars(parser.parse_args(args)).items() if value == "true"}


if __name__ == "__main__":
    raise SystemExit(main())
