"""Node image_publisher: plays a camera, video, folder, stream or the sample as sensor_msgs/Image."""

from __future__ import annotations

import argparse
import itertools
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.node import Node
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import Image

from social_perception.core.errors import SocialPerceptionError, SourceTimeout
from social_perception.core.types import Frame
from social_perception.nodes.images import encode, image_header
from social_perception.nodes.qos import NEWEST_RESULT_QOS
from social_perception.nodes.runner import exit_status, running
from social_perception.nodes.transport import prefer_large_images
from social_perception.sources.factory import default_source, open_source
from social_perception.sources.source import Source

FRAME_ID = "camera_color_optical_frame"
DISCOVERY_S = 5.0
"""Time in s that the first picture waits for somebody who subscribes it."""


class ImagePublisher(Node):
    """Publishes pictures; reliable, so that subscribers of either reliability match."""

    def __init__(self, topic: str = "image", **node_options: Any) -> None:
        super().__init__("image_publisher", **node_options)
        self._publisher = self.create_publisher(Image, topic, NEWEST_RESULT_QOS)
        self.last_stamp = Time()

    def has_listener(self) -> bool:
        """Whether somebody subscribes the images."""
        return bool(self._publisher.get_subscription_count() > 0)

    def publish(self, frame: Frame) -> None:
        """Publish one picture, stamped now."""
        self.last_stamp = self.get_clock().now().to_msg()
        self._publisher.publish(encode(frame.image, image_header(self.last_stamp, FRAME_ID)))


class Player(threading.Thread):
    """Plays a source through a publisher, at the source's own pace.

    Args:
        publisher: of the pictures.
        source: open; closed at the end.
        spec: of the source, to open it again for the next round.
        loop: whether it begins again at its end.
        rate_hz: pictures per second; None: as recorded. Live sources have their own.
        patience_s: how long the first picture waits for somebody who subscribes it.
    """

    def __init__(
        self,
        publisher: ImagePublisher,
        source: Source,
        spec: str,
        *,
        loop: bool,
        rate_hz: float | None,
        patience_s: float = DISCOVERY_S,
    ) -> None:
        super().__init__(name="player", daemon=True)
        self._publisher, self._source, self._spec = publisher, source, spec
        self._loop, self._rate_hz, self._patience_s = loop, rate_hz, patience_s
        self._stopping = threading.Event()
        # Ctrl-C during Thread.join() marks a running thread as ended (bpo-45274): wait for this.
        self.ended = threading.Event()
        self.error: SocialPerceptionError | None = None

    def stop(self) -> None:
        """End before the source does."""
        self._stopping.set()
        self.ended.wait(timeout=10.0)

    def run(self) -> None:
        try:
            self._await_listener()
            for turn in itertools.count():
                source = self._source if turn == 0 else open_source(self._spec)
                with source:
                    self._play(source)
                if self._stopping.is_set() or not self._loop or source.live:
                    return
        except SocialPerceptionError as error:
            self.error = error
        finally:
            self.ended.set()

    def _await_listener(self) -> None:
        deadline = time.monotonic() + self._patience_s
        while not self._publisher.has_listener() and time.monotonic() < deadline:
            if self._stopping.wait(0.05):
                return

    def _play(self, source: Source) -> None:
        begun: float | None = None
        first_s = 0.0
        while not self._stopping.is_set():
            frame = self._next(source)
            if frame is None:
                return
            if not source.live:
                due_s = frame.index / self._rate_hz if self._rate_hz else frame.stamp_s
                if begun is None:
                    begun, first_s = time.monotonic(), due_s
                self._stopping.wait(max(0.0, begun + due_s - first_s - time.monotonic()))
            self._publisher.publish(frame)

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
    """The options that image_publisher and demo share."""
    parser.add_argument(
        "--source",
        metavar="S",
        help="camera index, video, folder, tcp://HOST:PORT, bag, sample (default: first camera, else sample)",
    )
    parser.add_argument("--rate", type=float, metavar="HZ", help="pictures per second (default: as recorded)")
    parser.add_argument("--loop", action="store_true", help="begin again at the end")


def parse(parser: argparse.ArgumentParser, args: Sequence[str] | None) -> argparse.Namespace:
    """Parse what is not meant for ROS; check the rate."""
    options = parser.parse_args(remove_ros_args(sys.argv if args is None else ["", *args])[1:])
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
        help="how long the first picture waits for somebody who subscribes it (default: %(default)g)",
    )
    options = parse(parser, args)
    return exit_status(lambda: _publish(options, args))


def _publish(options: argparse.Namespace, args: Sequence[str] | None) -> None:
    spec = options.source or default_source()
    source = open_source(spec)
    prefer_large_images()
    with source, running([lambda: ImagePublisher(options.topic)], args) as program:
        publisher = program.nodes[0]
        player = Player(
            publisher, source, spec, loop=options.loop, rate_hz=options.rate, patience_s=options.wait
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


if __name__ == "__main__":
    raise SystemExit(main())
