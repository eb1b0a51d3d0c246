"""The nodes of the package in one process, so that the camera's images cross DDS once."""

from __future__ import annotations

from collections.abc import Sequence

from social_perception.nodes.face_tracker import FaceTrackerNode
from social_perception.nodes.group_affect import GroupAffectNode
from social_perception.nodes.runner import NodeFactory, run
from social_perception.nodes.smile_intensity import SmileIntensityNode

NODES: tuple[NodeFactory, ...] = (GroupAffectNode, SmileIntensityNode, FaceTrackerNode)
"""Those that listen come first, so that nothing is said before somebody hears it."""


def main(args: Sequence[str] | None = None) -> int:
    return run(NODES, args)


if __name__ == "__main__":
    raise SystemExit(main())
