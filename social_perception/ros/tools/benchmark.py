"""Sends a stream to the nodes through real topics and prints the measurements as JSON.

Part of ``social-perception bench``. All nodes run in one separate process; this process is both the camera
and a subscriber such as a planner. The topics are in a separate namespace, so that those of a robot are not
affected.
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
from social_perception.ros.tools.benchmark_watch import DiagnosticsMonitor, QueueMonitor

_DRAIN_S = 1.0
_ENDING_S = 30.0
_LAST_RESULTS_S = 5.0
_DIAGNOSTICS_S = 0.25
"""Period of the reports: two equal ones show that the nodes are idle before and after the measurement."""
_FRAME_ID = "camera"


class BenchmarkNode(Node):
    """The camera and the subscriber. Messages are built in advance; only their stamp changes."""

    def __init__(self, loop: Loop, record: Record, **node_options: Any) -> None:
        super().__init__("benchmark", **node_options)
        self._record = record
        self._loop = loop
        empty = image_header(Time(), _FRAME_ID)
        self._messages = [encode(image, empty) for image in loop.images]
        loop.release()  # the messages hold the images now
        self._images = self.create_publisher(Image, "image", NEWEST_RESULT_QOS)
        # It counts the results that this process loses, which is no fault of the nodes.
        self.results = TopicInput(
            self,
            FaceAffectArray,
            "face_affect",
            RESULT_QOS,
            self._on_faces,
            noun="results",
            origin="smile_intensity",
        )
        self.create_subscription(GroupAffectMessage, "group_affect", self._on_group, RESULT_QOS)

    def has_subscriber(self) -> bool:
        """Whether the nodes have subscribed to the images."""
        return bool(self._images.get_subscription_count() > 0)

    def send(self, number: int, *, counted: bool) -> int:
        """Send an image of the stream with the current stamp; return the stamp in ns."""
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
        if message.header.frame_id:  # empty before the first image
            self._record.group(nanoseconds(message.header.stamp), time.time_ns(), message.group_size)


class StreamSender:
    """Sends the stream at its rate while it measures both processes; stops early when ``stopping`` is set."""

    def __init__(
        self,
        node: BenchmarkNode,
        record: Record,
        nodes: subprocess.Popen[bytes],
        rate_hz: float,
        stopping: threading.Event,
    ) -> None:
        self._node, self._record, self._nodes, self._stopping = node, record, nodes, stopping
        self._pace = Pace(rate_hz, time.monotonic())

    def warm_up(self, seconds: float) -> None:
        """Send for this time, and until the nodes have detected a face.

        Raises:
            SocialPerceptionError: the nodes ended, or detected no face within START_S.
        """
        deadline_s = time.monotonic() + START_S
        _wait(self._node.has_subscriber, deadline_s, self._nodes)
        start_s = time.monotonic()
        self._pace = Pace(self._pace.rate_hz, start_s)
        while time.monotonic() < start_s + seconds or not self._record.people:
            self._send(counted=False)
            if self._stopping.is_set():
                raise SocialPerceptionError("stopped before the measurement")
            if time.monotonic() > deadline_s:
                results = self._record.answered
                raise SocialPerceptionError(f"the nodes detected no face (results of {results} images)")

    def play(self, seconds: float) -> tuple[float, UsageMonitor, UsageMonitor]:
        """Send for this time; return the actual time, and the usage of the nodes and of this process."""
        self._record.clear()
        # After a pause, the images that were not sent meanwhile are not due.
        self._pace = Pace(self._pace.rate_hz, time.monotonic(), self._pace.number)
        monitors = UsageMonitor(self._nodes.pid), UsageMonitor()
        start_s = noted_s = reported_s = time.monotonic()
        while (now_s := time.monotonic()) < start_s + seconds and not self._stopping.is_set():
            self._send(counted=True)
            if now_s - noted_s >= 1.0:
                noted_s = now_s
                for monitor in monitors:
                    monitor.sample()
            if now_s - reported_s >= PROGRESS_S:
                reported_s = now_s
                memory_mb = monitors[0].memory_mb
                print(f"{now_s - start_s:.0f} s: {self._record.progress()}, {memory_mb:.0f} MB", flush=True)
        return now_s - start_s, *monitors

    def send_one(self, *, counted: bool) -> None:
        """Send one image to idle nodes: only a next message shows that messages before it were lost."""
        self._send(counted=counted)

    def _send(self, *, counted: bool) -> int:
        if self._nodes.poll() is not None:
            raise SocialPerceptionError("the nodes ended early")
        time.sleep(self._pace.wait_s(time.monotonic()))
        return self._node.send(self._pace.number, counted=counted)


def play(request: StreamRequest) -> Stream:
    """Send a stream to the nodes and return the measurements.

    Raises:
        SocialPerceptionError: the nodes do not start, or publish no results.
    """
    prefer_large_images()
    loop = Loop(request.people, request.frames, coming_and_going=request.coming_and_going)
    record = Record()
    ros = ["--ros-args", "-r", f"__ns:=/social_perception_bench_{os.getpid()}"]
    with (
        running([lambda: BenchmarkNode(loop, record)], ros) as program,
        _nodes(ros, request.device, watched=request.parts > 0) as nodes,
        stop_on_signal() as stopping,
    ):
        node = program.nodes[0]
        sender = StreamSender(node, record, nodes, request.rate_hz, stopping)
        # Subscribes from the start: discovery takes time.
        monitor = StabilityMonitor(node, record, nodes, request) if request.parts else None
        sender.warm_up(request.warm_up_s)
        if monitor is not None:
            monitor.begin(sender)
        seconds, pipeline, own = sender.play(request.seconds)
        usages = pipeline.usage(), own.usage()
        if monitor is None:
            time.sleep(_DRAIN_S)  # the last images are still in transit
        stability = None if monitor is None else monitor.stability(sender, seconds, pipeline)
    figures = record.figures(TOPICS, request, seconds, *usages)
    return replace(figures, stability=stability, interrupted=stopping.is_set())


class StabilityMonitor:
    """Monitors a stream over time and accounts for all its images.

    It begins and ends while the nodes are idle, so that all nodes have counted the same images.
    """

    def __init__(
        self, node: BenchmarkNode, record: Record, nodes: subprocess.Popen[bytes], request: StreamRequest
    ) -> None:
        self._node, self._record, self._request = node, record, request
        self._diagnostics = DiagnosticsMonitor(node)
        self._queues = QueueMonitor(nodes, record.sent_before, request.rate_hz)
        self._queues.start()
        self._before: tuple[Step, ...] = ()
        self._lost_before = 0

    def begin(self, sender: StreamSender) -> None:
        """Wait until the nodes are idle, and start counting."""
        self._before = self._settle(sender, counted=False)
        self._lost_before = self._node.results.lost
        self._record.clear()
        self._queues.begin()
        self._diagnostics.begin()

    def stability(self, sender: StreamSender, seconds: float, usage: UsageMonitor) -> Stability:
        """Return what happened in this time; waits until the last images are processed or dropped."""
        still_behind = self._diagnostics.end()
        trends, depths = self._queues.end()
        after, record = self._settle(sender, counted=True), self._record
        steps = tuple(now.since(then) for now, then in zip(after, self._before))
        # The last results may still be on their way here; those that do not come are reported.
        deadline_s = time.monotonic() + _LAST_RESULTS_S
        while record.answered < steps[-1].processed and time.monotonic() < deadline_s:
            time.sleep(0.05)
        flow = Flow(
            record.sent_before(time.time_ns()),
            steps,
            self._node.results.lost - self._lost_before,
            record.answered,
            self._diagnostics.warned_after_s,
            still_behind,
            self._diagnostics.warning,
        )
        return record.stability(
            self._request, seconds, trends=(*usage.trends(), *trends), depths=depths, flow=flow
        )

    def _settle(self, sender: StreamSender, *, counted: bool) -> tuple[Step, ...]:
        """Return the counts of the idle nodes, with the last messages that were lost."""
        self._diagnostics.wait_until_idle()
        sender.send_one(counted=counted)
        return self._diagnostics.wait_until_idle()


@contextmanager
def _nodes(ros: Sequence[str], device: str, *, watched: bool) -> Iterator[subprocess.Popen[bytes]]:
    """The nodes in one separate process; its output goes to stderr, because stdout has the measurements.

    Watched nodes print snapshots on their stdout. They do not receive a Ctrl-C of the terminal, and continue
    until the measurements are complete.
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
            raise SocialPerceptionError("the nodes did not subscribe to the images in time")
        time.sleep(0.05)


def main(args: Sequence[str] | None = None) -> int:
    request = StreamRequest.parse("benchmark", args)

    def work() -> None:
        print(to_line(play(request)), flush=True)

    return exit_status(work)


if __name__ == "__main__":
    raise SystemExit(main())
