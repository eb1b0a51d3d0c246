"""Plays a stream into the nodes through real topics and prints the figures as JSON.

Part of ``social-perception bench``. The nodes run in a process of their own, all in one; this one
stands for the camera and for a planner that listens. The topics lie in a namespace of their own, so
that a robot's are not disturbed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.node import Node
from sensor_msgs.msg import Image

from social_perception.benchmarks.loop import Loop
from social_perception.benchmarks.report import Stream, to_json
from social_perception.benchmarks.stream import (
    PROGRESS_S,
    START_S,
    TOPICS,
    Pace,
    Record,
    StreamRequest,
)
from social_perception.benchmarks.usage import UsageWatch
from social_perception.core.errors import SocialPerceptionError
from social_perception.nodes.images import encode, image_header
from social_perception.nodes.messages import FaceAffectArray, GroupAffectMessage, nanoseconds
from social_perception.nodes.qos import NEWEST_RESULT_QOS, RESULT_QOS
from social_perception.nodes.runner import exit_status, running
from social_perception.nodes.transport import prefer_large_images

_DRAIN_S = 1.0
_ENDING_S = 30.0
_FRAME_ID = "camera"


class Stage(Node):
    """The camera, and who listens; messages are made beforehand, only the stamp changes."""

    def __init__(self, loop: Loop, record: Record, **node_options: Any) -> None:
        super().__init__("benchmark", **node_options)
        self._record = record
        self._loop = loop
        empty = image_header(Time(), _FRAME_ID)
        self._messages = [encode(picture, empty) for picture in loop.pictures]
        loop.release()  # the messages hold the pictures now
        self._images = self.create_publisher(Image, "image", NEWEST_RESULT_QOS)
        self.create_subscription(FaceAffectArray, "face_affect", self._on_faces, RESULT_QOS)
        self.create_subscription(GroupAffectMessage, "group_affect", self._on_group, RESULT_QOS)

    def has_listener(self) -> bool:
        """Whether the nodes subscribe the images."""
        return bool(self._images.get_subscription_count() > 0)

    def send(self, number: int, *, counted: bool) -> int:
        """Send the number-th picture of the stream, stamped now; return the stamp in ns."""
        message = self._messages[self._loop.place(number)]
        stamp_ns = time.time_ns()
        message.header.stamp = Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
        if counted:
            self._record.sent(stamp_ns)
        self._images.publish(message)
        return stamp_ns

    def _on_faces(self, message: FaceAffectArray) -> None:
        self._record.faces(
            nanoseconds(message.header.stamp), time.time_ns(), [face.id for face in message.faces]
        )

    def _on_group(self, message: GroupAffectMessage) -> None:
        if message.header.frame_id:  # empty until the first image has come
            self._record.group(nanoseconds(message.header.stamp), time.time_ns(), message.group_size)


class Player:
    """Sends the stream at its pace, and watches both processes meanwhile."""

    def __init__(self, stage: Stage, record: Record, nodes: subprocess.Popen[bytes], rate_hz: float) -> None:
        self._stage, self._record, self._nodes = stage, record, nodes
        self._pace = Pace(rate_hz, time.monotonic())

    def warm_up(self, seconds: float) -> None:
        """Send for so long, and until the nodes have found somebody.

        Raises:
            SocialPerceptionError: the nodes ended, or found nobody in START_S.
        """
        deadline_s = time.monotonic() + START_S
        _wait(self._stage.has_listener, deadline_s, self._nodes)
        begun_s = time.monotonic()
        self._pace = Pace(self._pace.rate_hz, begun_s)
        while time.monotonic() < begun_s + seconds or not self._record.people:
            self._send(counted=False)
            if time.monotonic() > deadline_s:
                raise SocialPerceptionError(
                    f"the nodes found nobody ({self._record.answered} images answered)"
                )

    def play(self, seconds: float) -> tuple[float, UsageWatch, UsageWatch]:
        """Send for so long; return how long it was, and the watches of the nodes and of this process."""
        self._record.clear()
        watches = UsageWatch(self._nodes.pid), UsageWatch()
        begun_s = noted_s = told_s = time.monotonic()
        while (now_s := time.monotonic()) < begun_s + seconds:
            self._send(counted=True)
            if now_s - noted_s >= 1.0:
                noted_s = now_s
                for watch in watches:
                    watch.sample()
            if now_s - told_s >= PROGRESS_S:
                told_s = now_s
                answered, memory_mb = self._record.answered, watches[0].memory_mb
                print(f"{now_s - begun_s:.0f} s: {answered} images answered, {memory_mb:.0f} MB", flush=True)
        return now_s - begun_s, *watches

    def _send(self, *, counted: bool) -> int:
        if self._nodes.poll() is not None:
            raise SocialPerceptionError("the nodes ended early")
        time.sleep(self._pace.wait_s(time.monotonic()))
        return self._stage.send(self._pace.number, counted=counted)


def play(request: StreamRequest) -> Stream:
    """Play a stream into the nodes and return its figures.

    Raises:
        SocialPerceptionError: the nodes do not start, or answer nothing.
    """
    prefer_large_images()
    loop = Loop(request.people, request.frames, coming_and_going=request.coming_and_going)
    record = Record()
    ros = ["--ros-args", "-r", f"__ns:=/social_perception_bench_{os.getpid()}"]
    with running([lambda: Stage(loop, record)], ros) as program, _nodes(ros, request.device) as nodes:
        player = Player(program.nodes[0], record, nodes, loop.rate_hz)
        player.warm_up(request.warm_up_s)
        seconds, pipeline, sender = player.play(request.seconds)
        usages = pipeline.usage(), sender.usage()
        time.sleep(_DRAIN_S)  # what was sent last is still on its way
    return record.figures(TOPICS, request, seconds, *usages)


@contextmanager
def _nodes(ros: Sequence[str], device: str) -> Iterator[subprocess.Popen[bytes]]:
    """The nodes in one process of their own; what they print goes to stderr, as stdout has the figures."""
    command = [sys.executable, "-m", "social_perception.nodes.social_perception_all", *ros]
    process = subprocess.Popen([*command, "-p", f"device:={device}"], stdout=sys.stderr)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_ENDING_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(condition: Callable[[], bool], deadline_s: float, nodes: subprocess.Popen[bytes]) -> None:
    while not condition():
        if nodes.poll() is not None:
            raise SocialPerceptionError("the nodes did not start")
        if time.monotonic() > deadline_s:
            raise SocialPerceptionError("the nodes did not subscribe the images in time")
        time.sleep(0.05)


def main(args: Sequence[str] | None = None) -> int:
    request = StreamRequest.parse("benchmark", args)

    def work() -> None:
        print(" ".join(to_json(play(request)).split()), flush=True)

    return exit_status(work)


if __name__ == "__main__":
    raise SystemExit(main())
