"""The pipeline as ROS nodes on a camera, a video or the sample, with a live table.

The table shows what a robot receives: it subscribes to face_affect and group_affect.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.node import Node

from social_perception.core.types import FrameAffect
from social_perception.ros.convert import faces_of, group_of, seconds
from social_perception.ros.nodes.affect_markers import AffectMarkersNode
from social_perception.ros.nodes.image_publisher import ImagePublisher, Player, add_source_options, parse
from social_perception.ros.nodes.social_perception_all import pipeline
from social_perception.ros.support.messages import FaceAffectArray
from social_perception.ros.support.messages import GroupAffect as GroupAffectMessage
from social_perception.ros.support.qos import RESULT_QOS
from social_perception.ros.support.runner import NodeFactory, Running, exit_status, running
from social_perception.sources.factory import default_source, open_source
from social_perception.sources.source import Source
from social_perception.views.terminal import live_display

_REFRESH_S = 0.1
_DRAIN_S = 3.0

Show = Callable[[], None]


class ResultNode(Node):
    """Keeps the newest results, as a planner on the robot would receive them."""

    def __init__(self, **node_options: Any) -> None:
        super().__init__("demo", **node_options)
        self.faces: FaceAffectArray | None = None
        self.group: GroupAffectMessage | None = None
        self.images = 0
        self.create_subscription(FaceAffectArray, "face_affect", self._on_faces, RESULT_QOS)
        self.create_subscription(GroupAffectMessage, "group_affect", self._on_group, RESULT_QOS)

    def affect(self) -> FrameAffect | None:
        """The newest results; None before the first."""
        if self.faces is None and self.group is None:
            return None
        faces = self.faces or FaceAffectArray()
        group = group_of(self.group) if self.group is not None else None
        size = (faces.image_width, faces.image_height)
        return FrameAffect(seconds(faces.header.stamp), self.images, *size, faces_of(faces), group)

    def _on_faces(self, message: FaceAffectArray) -> None:
        self.faces = message
        self.images += 1

    def _on_group(self, message: GroupAffectMessage) -> None:
        self.group = message


def main(args: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__.splitlines()[0])
    add_source_options(parser)
    parser.add_argument("--duration", type=float, metavar="SECONDS", help="stop after this time")
    options = parse(parser, args)
    return exit_status(lambda: _demo(options, args))


def _demo(options: argparse.Namespace, args: Sequence[str] | None) -> None:
    spec = options.source or default_source()
    source = open_source(spec)
    print(f"Starting the nodes on {source.name}; Ctrl-C stops.", flush=True)
    factories: list[NodeFactory] = [ResultNode, AffectMarkersNode, *pipeline(), ImagePublisher]
    with source, running(factories, args) as program:
        results, publisher = program.nodes[0], program.nodes[-1]
        assert isinstance(results, ResultNode)
        assert isinstance(publisher, ImagePublisher)
        player = Player(publisher, source, spec, loop=options.loop, rate_hz=options.rate)
        start_s = time.monotonic()
        player.start()
        try:
            with live_display() as display:

                def show() -> None:
                    display(results.affect(), source.name)

                _watch(program, player, show, options.duration)
                _drain(publisher, results, show)
        finally:
            player.stop()
            _summary(source, results, time.monotonic() - start_s)
        if player.error is not None:
            raise player.error


def _watch(program: Running[Node], player: Player, show: Show, duration_s: float | None) -> None:
    end_s = time.monotonic() + duration_s if duration_s is not None else float("inf")
    while (
        not player.ended.wait(timeout=_REFRESH_S) and not program.ended.is_set() and time.monotonic() < end_s
    ):
        show()


def _drain(publisher: ImagePublisher, results: ResultNode, show: Show) -> None:
    """Wait for the result of the last image, which is never dropped."""
    end_s = time.monotonic() + _DRAIN_S
    while time.monotonic() < end_s:
        if results.faces is not None and results.faces.header.stamp == publisher.last_stamp:
            break
        time.sleep(_REFRESH_S / 2)
    show()


def _summary(source: Source, results: ResultNode, duration_s: float) -> None:
    rate = results.images / duration_s if duration_s > 0 else 0.0
    print(f"{source.name}: {results.images} images in {duration_s:.0f} s, {rate:.1f} per second", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
