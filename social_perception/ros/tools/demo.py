"""The pipeline as ROS nodes on a camera, a video or the sample, with a live table.

The table shows what a robot receives: it subscribes to face_affect and group_affect.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rclpy.node import Node

from social_perception.core.sound import Sound, join_sounds
from social_perception.core.types import Frame, FrameAffect
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
_JUMP_S = 0.1

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


class SoundOfFrames:
    """The sound of the published frames, in place of a microphone of sound_events."""

    name, problem = "the source's sound", ""

    def __init__(self) -> None:
        self._blocks: deque[Sound] = deque()
        self._shift_s = float("inf")

    def put(self, sound: Sound, shift_s: float) -> None:
        """Add the sound of a frame whose stamp is ``shift_s`` later than recorded."""
        # The same shift for all, as long as the source does not jump: the sound has no gaps.
        if not abs(shift_s - self._shift_s) < _JUMP_S:
            self._shift_s = shift_s
        self._blocks.append(sound.moved(self._shift_s))

    def until(self, time_s: float) -> Sound:
        """The sound since the last call."""
        blocks = [self._blocks.popleft() for _ in range(len(self._blocks))]
        return join_sounds(blocks) if blocks else Sound.empty(1, time_s)

    def close(self) -> None:
        """Nothing is open."""


class SoundingPublisher(ImagePublisher):
    """Publishes images, and passes their sound on."""

    def __init__(self, sound: SoundOfFrames, **options: Any) -> None:
        self._sound = sound
        super().__init__(**options)

    def publish(self, frame: Frame) -> None:
        super().publish(frame)
        if frame.sound is not None:
            self._sound.put(frame.sound, seconds(self.last_stamp) - frame.stamp_s)


def main(args: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__.splitlines()[0])
    add_source_options(parser)
    parser.add_argument("--duration", type=float, metavar="SECONDS", help="stop after this time")
    parser.add_argument(
        "--sound",
        action="store_true",
        help="estimate who speaks and laughs from the sound of the source, of a microphone with a camera",
    )
    options = parse(parser, args)
    if options.sound and options.rate is not None:
        parser.error("--sound excludes --rate")
    return exit_status(lambda: _demo(options, args))


def _demo(options: argparse.Namespace, args: Sequence[str] | None) -> None:
    spec = options.source or default_source()
    source = open_source(spec, sound=options.sound, microphone=options.sound)
    print(f"Starting the nodes on {source.name}; Ctrl-C stops.", flush=True)
    hears = source.sound_rate_hz is not None
    if options.sound and not hears:
        print(f"{source.name} has no sound: nobody is reported to speak or to laugh", flush=True)
    sound = SoundOfFrames()
    nodes = pipeline(sound=hears, open_microphone=lambda *_, **__: sound)
    factories: list[NodeFactory] = [ResultNode, AffectMarkersNode, *nodes, partial(SoundingPublisher, sound)]
    if hears:
        args = [*(sys.argv[1:] if args is None else args), "--ros-args", "-p", "sound:=true"]
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
