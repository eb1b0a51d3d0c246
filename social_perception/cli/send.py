"""Send images over TCP to a program that listens with ``--source tcp://HOST:PORT``."""

from __future__ import annotations

import argparse
import itertools
import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from social_perception.cli.options import add_settings, not_negative, positive, settings_from, warn_if_plain
from social_perception.core.config import SourceConfig
from social_perception.core.errors import SourceTimeout
from social_perception.core.secret import read_secret
from social_perception.core.types import Frame, ImageArray

if TYPE_CHECKING:
    from social_perception.sources.source import Source

_logger = logging.getLogger(__name__)

_Image = tuple[ImageArray, float, float]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="a video, a folder of images, a camera or sample")
    parser.add_argument("address", metavar="tcp://HOST:PORT", help="where the receiver listens")
    parser.add_argument(
        "--rate", type=positive, metavar="HZ", help="images per second (default: as recorded)"
    )
    parser.add_argument("--loop", action="store_true", help="start again at the end")
    parser.add_argument("--duration", type=positive, metavar="S", help="end after this time in s")
    parser.add_argument(
        "--wait",
        type=not_negative,
        default=10.0,
        metavar="S",
        help="time in s for which the connection is retried while nobody listens (default 10)",
    )
    add_settings(parser, [SourceConfig], leave_out=frozenset({"max_message_bytes", "peer_timeout_s"}))


def run(options: argparse.Namespace) -> int:
    from social_perception.sources.tcp_protocol import parse_address
    from social_perception.sources.tcp_sender import TcpSender

    address = parse_address(options.address)
    secret = settings_from(options, SourceConfig).tcp_token
    warn_if_plain("--tcp-token", secret)
    token = read_secret("tcp_token", secret)
    opened: list[Source] = []
    images = _images(options, opened)
    # Before anything is sent: a source that fails to open must not disturb the receiver.
    first = next(images)
    sent = 0
    try:
        with TcpSender(address, wait_s=options.wait, token=token) as sender:
            begun_s = time.monotonic()
            for image, stamp_s, due_s in itertools.chain([first], images):
                elapsed_s = time.monotonic() - begun_s
                if options.duration is not None and max(elapsed_s, due_s) >= options.duration:
                    break
                time.sleep(max(0.0, due_s - elapsed_s))
                sender.send(image, stamp_s)
                sent += 1
    finally:
        print(f"{sent} images sent to {address}", flush=True)
    return int(any(source.unread for source in opened))


def _images(options: argparse.Namespace, opened: list[Source]) -> Iterator[_Image]:
    """The images with their stamps and the times at which they are due, in s; time continues in each loop.

    The source is in ``opened``, with each loop another one.
    """
    from social_perception.sources.factory import open_source

    config = settings_from(options, SourceConfig)
    begins_s = due_s = 0.0
    while True:
        with open_source(options.source, config) as source:
            opened[:] = [source]
            first_s = None
            for frame in _frames(source):
                if source.live and not options.rate:
                    yield frame.image, frame.stamp_s, 0.0
                    continue
                time_s = frame.index / options.rate if options.rate else frame.stamp_s
                first_s = time_s if first_s is None else first_s
                due_s = begins_s + time_s - first_s
                yield frame.image, due_s, due_s
            if not options.loop or source.live:
                return
            begins_s = due_s + 1.0 / (options.rate or source.rate_hz or 30.0)


def _frames(source: Source) -> Iterator[Frame]:
    """The frames of a source; logs and waits while a live source has none."""
    while True:
        try:
            yield next(source)
        except StopIteration:  # noqa: PERF203
            return
        except SourceTimeout as error:
            _logger.warning("%s; waiting", error)
