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
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.node import Node
from sensor_msgs.msg import Image

from social_perception.core.errors import SocialPerceptionError
from social_perception.research.benchmarks.ending import stop_on_signal
from social_perception.research.benchmarks.image_loop import Loop
from social_perception.research.benchmarks.process_usage import UsageMonitor
from social_perception.research.benchmarks.recording import (
    PROGRESS_S,
    START_S,
    TOPICS,
    Pace,
    Record,
    StreamRequest,
)
from social_perception.research.benchmarks.report import Stream, to_line
from social_perception.research.benchmarks.stability import Flow, Stability, Step
from social_perception.ros.convert import nanoseconds
from social_perception.ros.support.images import encode, image_header
from social_perception.ros.support.messages import FaceAffectArray
from social_perception.ros.support.messages import GroupAffect as GroupAffectMessage
from social_perception.ros.support.qos import NEWEST_RESULT_QOS, RESULT_QOS
from social_perception.ros.support.runner import exit_status, running
from social_perception.ros.support.topic_input import TopicInput
from social_perception.ros.support.transport import prefer_large_images
from social_perception.ros.tools.benchmark_watch import Diagnosis, Looks

_DRAIN_S = 1.0
_ENDING_S = 30.0
_DIAGNOSTICS_S = 0.25
"""From one report to the next: rest, before and after the measurement, is seen in two of them."""
_FRAME_ID = "camera"


class Stage(Node):
    """The camera, and who listens; messages are made beforehand, only the stamp changes."""

    def __init__(self, loop: Loop, record: Record, **node_options: Any) -> None:
        super().__init__("benchmark", **node_options)
        self._record = record
        self._loop = loop
        empty = image_header(Time(), _FRAME_ID)
        self._messages = [encode(picture, empty) for picture in loop.images]
        loop.release()  # the messages hold the pictures now
        self._images = self.create_publisher(Image, "image", NEWEST_RESULT_QOS)
        # It counts the answers that it misses, which are not the nodes' fault.
        self.answers = TopicInput(
            self,
            FaceAffectArray,
            "face_affect",
            RESULT_QOS,
            self._on_faces,
            noun="answers",
            origin="smile_intensity",
        )
        self.create_subscription(GroupAffectMessage, "group_affect", self._on_group, RESULT_QOS)

    def has_listener(self) -> bool:
        """Whether the nodes subscribe the images."""
        return bool(self._images.get_subscription_count() > 0)

    def send(self, number: int, *, counted: bool) -> int:
        """Send the number-th picture of the stream, stamped now; return the stamp in ns."""
        message = self._messages[self._loop.index(number)]
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
    """Sends the stream at its pace, and watches both processes meanwhile.

    It ends before its time when ``stopping`` is set.
    """

    def __init__(
        self,
        stage: Stage,
        record: Record,
        nodes: subprocess.Popen[bytes],
        rate_hz: float,
        stopping: threading.Event,
    ) -> None:
        self._stage, self._record, self._nodes, self._stopping = stage, record, nodes, stopping
        self._pace = Pace(rate_hz, time.monotonic())

    def warm_up(self, seconds: float) -> None:
        """Send for so long, and until the nodes have found somebody.

        Raises:
            SocialPerceptionError: the nodes ended, or found nobody in START_S.
        """
        deadline_s = time.monotonic() + START_S
        _wait(self._stage.has_listener, deadline_s, self._nodes)
        start_s = time.monotonic()
        self._pace = Pace(self._pace.rate_hz, start_s)
        while time.monotonic() < start_s + seconds or not self._record.people:
            self._send(counted=False)
            if self._stopping.is_set():
                raise SocialPerceptionError("ended before anything was measured")
            if time.monotonic() > deadline_s:
                raise SocialPerceptionError(
                    f"the nodes found nobody ({self._record.answered} images answered)"
                )

    def play(self, seconds: float) -> tuple[float, UsageMonitor, UsageMonitor]:
        """Send for so long; return how long it was, and the watches of the nodes and of this process."""
        self._record.clear()
        # After a rest, nothing is due that was not sent meanwhile.
        self._pace = Pace(self._pace.rate_hz, time.monotonic(), self._pace.number)
        watches = UsageMonitor(self._nodes.pid), UsageMonitor()
        start_s = noted_s = reported_s = time.monotonic()
        while (now_s := time.monotonic()) < start_s + seconds and not self._stopping.is_set():
            self._send(counted=True)
            if now_s - noted_s >= 1.0:
                noted_s = now_s
                for watch in watches:
                    watch.sample()
            if now_s - reported_s >= PROGRESS_S:
                reported_s = now_s
                memory_mb = watches[0].memory_mb
                print(f"{now_s - start_s:.0f} s: {self._record.progress()}, {memory_mb:.0f} MB", flush=True)
        return now_s - start_s, *watches

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
    with (
        running([lambda: Stage(loop, record)], ros) as program,
        _nodes(ros, request.device, watched=request.parts > 0) as nodes,
        stop_on_signal() as stopping,
    ):
        stage = program.nodes[0]
        player = Player(stage, record, nodes, request.rate_hz, stopping)
        # Listens from the start: discovery takes its time.
        monitor = StabilityMonitor(stage, record, nodes, request) if request.parts else None
        player.warm_up(request.warm_up_s)
        if monitor is not None:
            monitor.begin()
        seconds, pipeline, sender = player.play(request.seconds)
        usages = pipeline.usage(), sender.usage()
        if monitor is None:
            time.sleep(_DRAIN_S)  # what was sent last is still in transit
        stability = None if monitor is None else monitor.stability(seconds, pipeline)
    figures = record.figures(TOPICS, request, seconds, *usages)
    return replace(figures, stability=stability, interrupted=stopping.is_set())


class StabilityMonitor:
    """Follows a stream over time and accounts for its images.

    It begins and ends at rest, so that what each node has counted is of the same images.
    """

    def __init__(
        self, stage: Stage, record: Record, nodes: subprocess.Popen[bytes], request: StreamRequest
    ) -> None:
        self._stage, self._record, self._request = stage, record, request
        self._diagnosis = Diagnosis(stage)
        self._looks = Looks(nodes, record.sent_before, request.rate_hz)
        self._looks.start()
        self._before: tuple[Step, ...] = ()
        self._unheard = 0

    def begin(self) -> None:
        """Wait for rest; what happens from then on counts."""
        self._before = self._diagnosis.at_rest()
        self._unheard = self._stage.answers.lost
        self._record.clear()
        self._looks.begin()
        self._diagnosis.begin()

    def stability(self, seconds: float, usage: UsageMonitor) -> Stability:
        """How it went for so long; waits until what was sent last is answered or given up."""
        still_behind = self._diagnosis.end()
        trends, depths = self._looks.end()
        after, record = self._diagnosis.at_rest(), self._record
        flow = Flow(
            record.sent_before(time.time_ns()),
            tuple(now.since(then) for now, then in zip(after, self._before)),
            self._stage.answers.lost - self._unheard,
            record.answered,
            self._diagnosis.warned_after_s,
            still_behind,
            self._diagnosis.warning,
        )
        return record.stability(
            self._request, seconds, trends=(*usage.trends(), *trends), depths=depths, flow=flow
        )


@contextmanager
def _nodes(ros: Sequence[str], device: str, *, watched: bool) -> Iterator[subprocess.Popen[bytes]]:
    """The nodes in one process of their own; what they print goes to stderr, as stdout has the figures.

    Those that are watched say on their stdout what is seen. A Ctrl-C at the terminal does not reach them:
    they go on until the figures are complete.
    """
    program = "tools.watched" if watched else "nodes.social_perception_all"
    command = [sys.executable, "-m", f"social_perception.ros.{program}", *ros, "-p", f"device:={device}"]
    if watched:
        command += ["-p", f"diagnostics_period_s:={_DIAGNOSTICS_S}"]
    output: Any = subprocess.PIPE if watched else sys.stderr
    process = subprocess.Popen(command, stdout=output, start_new_session=watched)
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
        print(to_line(play(request)), flush=True)

    return exit_status(work)


if __name__ == "__main__":
    raise SystemExit(main())
