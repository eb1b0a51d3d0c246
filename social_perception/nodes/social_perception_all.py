"""The nodes of the package in one process, so that the camera's images cross DDS once.

Those for people who watch cost nothing while nobody does, and can be left out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rclpy.utilities import remove_ros_args

from social_perception.nodes.affect_markers import AffectMarkersNode
from social_perception.nodes.affect_overlay import AffectOverlayNode
from social_perception.nodes.face_tracker import FaceTrackerNode
from social_perception.nodes.group_affect import GroupAffectNode
from social_perception.nodes.runner import NodeFactory, run
from social_perception.nodes.smile_intensity import SmileIntensityNode

VIEWS: dict[str, NodeFactory] = {"markers": AffectMarkersNode, "overlay": AffectOverlayNode}
"""For people who watch; by the options' names."""

NODES: tuple[NodeFactory, ...] = (*VIEWS.values(), GroupAffectNode, SmileIntensityNode, FaceTrackerNode)
"""Those that listen come first, so that nothing is said before somebody hears it."""


def main(args: Sequence[str] | None = None) -> int:
    left_out = _left_out(remove_ros_args(sys.argv if args is None else ["", *args])[1:])
    return run([node for node in NODES if node not in left_out], args)


def _left_out(args: Sequence[str]) -> list[NodeFactory]:
    parser = argparse.ArgumentParser(prog="social_perception_all", description=__doc__)
    for name in VIEWS:
        parser.add_argument(
            f"--{name}",
            type=str.lower,
            choices=("true", "false"),
            default="true",
            help=f"whether affect_{name} runs, too (default: %(default)s)",
        )
    wanted = vars(parser.parse_args(args))
    return [node for name, node in VIEWS.items() if wanted[name] == "false"]


if __name__ == "__main__":
    raise SystemExit(main())
