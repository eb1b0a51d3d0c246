"""Node image_publisher: publishes a camera, video, image folder, stream or sample as sensor_msgs/Image."""

from __future__ import annotations

import argparse
import itertools
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from social_perception.core.errors import SocialPerceptionError, SourceError, SourceTimeout
from social_perception.core.types import Frame
from social_perception.ros.convert import nanoseconds_of
from social_perception.ros.support.clocks import JUMP_S
from social_perception.ros.support.images import encode, image_header
from social_perception.ros.support.qos import NEWEST_RESULT_QOS, RESULT_QOS
from social_perception.ros.support.rclpy_errors import own_arguments
from social_perception.ros.support.runner import exit_status, running
from social_perception.ros.support.transport import prefer_large_images
from social_perception.sources.factory import default_source, open_source
from social_perception.sources.source import Source

FRAME_ID = "camera_color_optical_frame"
DISCOVERY_S = 5.0
"""Time in s that the first image waits for a subscriber."""

_RESULT_TIMEOUT_S = 30.0
_WARM_UP_TIMEOUT_S = 0.5
_WARM_UP_AHEAD_S = JUMP_S + 0.1
"""A jump back of the stamps by this much resets the nodes."""
_WARM_UP_CLOCK_S = 0.2
"""Close enough to the stamps of the empty image and of the first one for the nodes to accept the clock."""


class ImagePublisher(Node):
    """Publishes images; reliably, so that subscriptions of either reliability are compatible.

    Args:
        topic: of the images.
        recorded_stamps: whether images keep the stamps of the source; otherwise they have the current time.
        clock: whether each stamp is published on /clock, for nodes with use_sim_time.
        expect_results: whether to subscribe to the results, for :meth:`wait_for_result`.
        expected: name of the node that must subscribe for :meth:`has_subscriber`; empty: any.
        node_options: passed on to rclpy.
    """

    def __init__(
        self,
        topic: str = "image",
        *,
        recorded_stamps: bool = False,
        clock: bool = False,
        expect_results: bool = False,
        expected: str = "",
        **node_options: Any,
    ) -> None:
        super().__init__("image_publisher", **node_options)
        self._publisher = self.create_publisher(Image, topic, NEWEST_RESULT_QOS)
        self._recorded_stamps, self._expected = recorded_stamps, expected
        self._clock_publisher = self.create_publisher(Clock, "/clock", NEWEST_RESULT_QOS) if clock else None
        self.last_stamp = Time()
        self._result_received = threading.Event()
        if expect_results:
            # Imported here: images alone need none of our messages.
            from social_perception.ros.support.messages import FaceAffectArray

            self.create_subscription(FaceAffectArray, "face_affect", self._on_result, RESULT_QOS)

    def has_subscriber(self) -> bool:
        """Whether the images have the expected subscriber."""
        subscribers = self.get_subscriptions_info_by_topic(self._publisher.topic_name)
        expected = any(self._expected in ("", each.node_name) for each in subscribers)
        return expected and self._publisher.get_subscription_count() > 0

    def publish(self, frame: Frame) -> None:
        """Publish an image."""
        stamp = stamp_message(frame.stamp_s) if self._recorded_stamps else self.get_clock().now().to_msg()
        self._publish_clock(stamp)
        self._send(frame, stamp)

    def wait_for_result(self, timeout_s: float) -> bool:
        """Wait for the result of the last image on face_affect; return whether it was received in time."""
        return self._result_received.wait(timeout_s)

    def warm_up(self, first: Frame, stopping: threading.Event, timeout_s: float) -> bool:
        """Send empty images until a result is received: then both directions of communication work.

        Their stamp is later than that of the first image, so that the first image resets the nodes.

        Returns:
            Whether a result was received within timeout_s.
        """
        deadline_s = time.monotonic() + timeout_s
        empty = replace(first, image=np.zeros_like(first.image))
        stamp = stamp_message(first.stamp_s + _WARM_UP_AHEAD_S)
        while not stopping.is_set() and time.monotonic() < deadline_s:
            self._publish_clock(stamp_message(first.stamp_s + _WARM_UP_CLOCK_S))
            self._send(empty, stamp)
            if self.wait_for_result(_WARM_UP_TIMEOUT_S):
                return True
        return False

    def _publish_clock(self, stamp: Time) -> None:
        if self._clock_publisher is not None:
            self._clock_publisher.publish(Clock(clock=stamp))

    def _send(self, frame: Frame, stamp: Time) -> None:
        self._result_received.clear()
        self.last_stamp = stamp
        self._publisher.publish(encode(frame.image, image_header(stamp, FRAME_ID)))

    def _on_result(self, message: Any) -> None:
        if message.header.stamp == self.last_stamp:
            self._result_received.set()


def stamp_message(stamp_s: float) -> Time:
    """The stamp of a frame as a message."""
    sec, nanosec = divmod(nanoseconds_of(stamp_s), 1_000_000_000)
    return Time(sec=sec, nanosec=nanosec)


class Player(threading.Thread):
    """Plays a source through a publisher at the rate of the source.

    Args:
        publisher: of the images.
        source: open; closed at the end.
        spec: of the source, to reopen it when it is repeated.
        loop: whether the source is repeated.
        rate_hz: images per second; None: as recorded. Ignored for live sources.
        wait_s: maximum time that the first image waits for a subscriber.
        lockstep: whether each image waits for the result of the previous one, so that none is dropped and
            a source always gives the same results.
    """

    def __init__(
        self,
        publisher: ImagePublisher,
        source: Source,
        spec: str,
        *,
        loop: bool,
        rate_hz: float | None,
        wait_s: float = DISCOVERY_S,
        lockstep: bool = False,
    ) -> None:
        super().__init__(name="player", daemon=True)
        self._publisher, self._source, self._spec = publisher, source, spec
        self._loop, self._rate_hz, self._wait_s = loop, rate_hz, wait_s
        self._lockstep, self._warm = lockstep, False
        self._stopping = threading.Event()
        # Ctrl-C during Thread.join() marks a running thread as ended (bpo-45274): wait for this.
        self.ended = threading.Event()
        self.error: SocialPerceptionError | None = None
        self.unread = 0

    def stop(self) -> None:
        """Stop before the end of the source."""
        self._stopping.set()
        self.ended.wait(timeout=10.0)

    def run(self) -> None:
        try:
            self._wait_for_subscriber()
            for turn in itertools.count():
                source = self._source if turn == 0 else open_source(self._spec)
                with source:
                    self._play(source)
                    self.unread = source.unread
                if self._stopping.is_set() or not self._loop or source.live:
                    return
        except SocialPerceptionError as error:
            self.error = error
        finally:
            self.ended.set()

    def _wait_for_subscriber(self) -> None:
        deadline = time.monotonic() + self._wait_s
        while not self._publisher.has_subscriber() and time.monotonic() < deadline:
            if self._stopping.wait(0.05):
                return

    def _play(self, source: Source) -> None:
        begun: float | None = None
        first_s = 0.0
        while not self._stopping.is_set():
            frame = self._next(source)
            if frame is None:
                return
            if self._lockstep:
                self._publish_in_lockstep(frame)
                continue
            if not source.live:
                due_s = frame.index / self._rate_hz if self._rate_hz else frame.stamp_s
                if begun is None:
                    begun, first_s = time.monotonic(), due_s
                self._stopping.wait(max(0.0, begun + due_s - first_s - time.monotonic()))
            self._publisher.publish(frame)

    def _publish_in_lockstep(self, frame: Frame) -> None:
        if not self._warm:
            self._warm = True
            if not self._publisher.warm_up(frame, self._stopping, max(self._wait_s, DISCOVERY_S)):
                raise SourceError("no results are received on face_affect: are the nodes running?")
        self._publisher.publish(frame)
        deadline_s = time.monotonic() + _RESULT_TIMEOUT_S
        while not self._publisher.wait_for_result(0.1) and not self._stopping.is_set():
            if time.monotonic() > deadline_s:
                self._publisher.get_logger().warning(
                    f"no result for image {frame.index} within {_RESULT_TIMEOUT_S:g} s: sending the next one"
                )
                return

    def _next(self, source: Source) -> Frame | None:
        while not self._stopping.is_set():
            try:
                return next(source)
            except StopIteration:  # noqa: PERF203
                return None
            except SourceTimeout as error:
                self._publisher.get_logger().warning(str(error))
        return None


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that image_publisher and demo have in common."""
    parser.add_argument(
        "--source",
        metavar="S",
        help="camera index, video, folder, tcp://HOST:PORT, bag, sample (default: first camera, else sample)",
    )
    parser.add_argument("--rate", type=float, metavar="HZ", help="images per second (default: as recorded)")
    parser.add_argument("--loop", action="store_true", help="repeat the source")


def parse(parser: argparse.ArgumentParser, args: Sequence[str] | None) -> argparse.Namespace:
    """Parse the arguments without those of ROS, and check the rate."""
    options = parser.parse_args(own_arguments(args))
    if options.rate is not None and not 0.0 < options.rate <= 1000.0:
        parser.error(f"--rate must be in (0, 1000], got {options.rate:g}")
    return options


def main(args: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="image_publisher", description=__doc__)
    add_source_options(parser)
    parser.add_argument("--topic", default="image", help="topic of the images (default: %(default)s)")
    parser.add_argument(
        "--wait",
        type=float,
        default=DISCOVERY_S,
        metavar="SECONDS",
        help="maximum time that the first image waits for a subscriber (default: %(default)g)",
    )
    parser.add_argument(
        "--wait-for",
        default="",
        metavar="NODE",
        help="name of the node that must subscribe, among others that watch (default: any node)",
    )
    parser.add_argument(
        "--stamps",
        choices=("now", "recorded"),
        default="now",
        help="stamps of the images (default: %(default)s)",
    )
    parser.add_argument(
        "--clock", action="store_true", help="publish the stamps on /clock, for nodes with use_sim_time"
    )
    parser.add_argument(
        "--lockstep",
        action="store_true",
        help="send each image after the result of the previous one on face_affect, with recorded stamps: the "
        "same results in every run, if face_tracker has reproducible:=true and reliability:=reliable",
    )
    options = parse(parser, args)
    return exit_status(lambda: _publish(options, args))


def _publish(options: argparse.Namespace, args: Sequence[str] | None) -> None:
    spec = options.source or default_source()
    source = open_source(spec)
    prefer_large_images()

    def make() -> ImagePublisher:
        return ImagePublisher(
            options.topic,
            recorded_stamps=options.lockstep or options.stamps == "recorded",
            clock=options.clock,
            expect_results=options.lockstep,
            expected=options.wait_for,
        )

    with source, running([make], args) as program:
        publisher = program.nodes[0]
        player = Player(
            publisher,
            source,
            spec,
            loop=options.loop,
            rate_hz=options.rate,
            wait_s=options.wait,
            lockstep=options.lockstep,
        )
        publisher.get_logger().info(f"publishing {source.name}")
        player.start()
        try:
            while not player.ended.wait(timeout=0.2) and not program.ended.is_set():
                pass
        finally:
            player.stop()
        if player.error is not None:
            raise player.error
        if player.unread:
            raise SourceError(f"{player.unread} images of {source.name} were skipped")


if __name__ == "__main__":
    raise SystemExit(main())
