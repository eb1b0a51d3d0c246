"""Program ros4hri_faces: starts the node of ros4hri_input, or says in a line that hri_msgs is missing."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.node import Node

from social_perception.ros.support.runner import run


def _make() -> Node:
    from social_perception.ros.nodes.ros4hri_input import Ros4HriFacesNode

    return Ros4HriFacesNode()


def main(args: Sequence[str] | None = None) -> int:
    return run([_make], args)


if __name__ == "__main__":
    raise SystemExit(main())
