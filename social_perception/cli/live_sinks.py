"""The sinks of ``live``: the table, the recording, ROS 2 and the web page."""

from __future__ import annotations

import argparse
import logging
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from social_perception.cli.options import add_settings, settings_from, warn_if_plain
from social_perception.core.config import DynamicsConfig, HearingConfig, WebConfig
from social_perception.core.errors import ConfigurationError, MissingDependencyError
from social_perception.core.types import Frame, FrameAffect, ImageArray
from social_perception.perception.group.dynamics import PeriodicDynamics
from social_perception.sinks.registry import SINKS, Run, table_format
from social_perception.sinks.sink import FailSafeSink, Sink
from social_perception.views.blur import HeadWatch, LookBack, hide

if TYPE_CHECKING:
    from social_perception.sources.source import Source
    from social_perception.views.web.server import Dashboard

_logger = logging.getLogger(__name__)

WEB = "web_"
"""The prefix of the web page's settings, where they are flags."""


def add_sink_options(parser: argparse.ArgumentParser) -> None:
    """The flags of the sinks, except the settings of the web page."""
    parser.add_argument(
        "--web", type=_port, metavar="PORT", help="serve a live web page on this port; 0: any that is free"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="EVENTS.CSV",
        help="write a row per face and frame; with --anonymous or --group-only a row of the group; "
        "EVENTS.JSONL: a line of JSON per frame",
    )
    parser.add_argument(
        "--record",
        type=Path,
        metavar="FILE.mcap",
        help="record face_affect, group_affect and group_dynamics, or scene_affect, as ROS 2 messages, for "
        "Foxglove and ros2 bag; a name without .mcap: as a rosbag2 folder (needs rosbags)",
    )
    parser.add_argument(
        "--record-images", action="store_true", help="record the images, too: everybody in them can be seen"
    )
    parser.add_argument("--no-ros", action="store_true", help="do not publish on ROS 2")


def add_web_settings(parser: argparse.ArgumentParser) -> None:
    """The flags of the web page's settings."""
    add_settings(parser, [WebConfig], leave_out=frozenset({"port"}), prefix=WEB)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"must be in [0, 65535], got {text}")
    return port


def open_web_page(options: argparse.Namespace, source_name: str) -> WebPageSink | None:
    """The web page, where ``--web`` requests it; its address is printed.

    Raises:
        ConfigurationError: a setting is invalid.
        WebError: it cannot be served.
    """
    if options.web is None:
        return None
    from social_perception.views.web.server import Dashboard

    config = settings_from(options, WebConfig, prefix=WEB, port=options.web)
    warn_if_plain("--web-token", config.token)
    # Browsers need not know the folder of a recording.
    shown_name = source_name if "://" in source_name else Path(source_name).name
    people = not (options.anonymous or options.group_only)
    dashboard = Dashboard(config, shown_name, people=people)
    # A token that the user passed is known already, and need not stand in a log.
    print(f"web page: {dashboard.url if dashboard.has_new_token else dashboard.public_url}", flush=True)
    if config.picture:
        hidden = ", with the faces that are found hidden" if options.blur_faces else ""
        _logger.warning("the web page shows the camera's image to every browser that requests it%s", hidden)
    return WebPageSink(dashboard, blur=options.blur_faces)


def open_files(options: argparse.Namespace, stack: ExitStack) -> tuple[FailSafeSink, ...]:
    """The table and the recording, where they are requested; a full disk ends them and not the run.

    Raises:
        ConfigurationError: images without a recording.
        OutputError: a file cannot be opened.
        MissingDependencyError: rosbags is not installed.
    """
    if options.record_images and options.record is None:
        raise ConfigurationError("--record-images needs --record FILE.mcap")
    people = not options.anonymous
    run = Run(
        people=people,
        scene=options.group_only,
        images=options.record_images,
        sound=settings_from(options, HearingConfig).sound and not options.group_only,
        make_hider=LookBack if options.blur_faces else None,
        dynamics=PeriodicDynamics(DynamicsConfig()),
    )
    requested = []
    if options.output:
        requested.append(
            (table_format(options.output, people=people, scene=options.group_only), options.output)
        )
    if options.record is not None:
        requested.append((SINKS["mcap"], options.record))
    if options.record_images:
        hidden = "the camera's images, with the faces that are found hidden"
        shown = hidden if options.blur_faces else "everybody in front of the camera"
        _logger.warning("%s will show %s", options.record, shown)
    return tuple(stack.enter_context(FailSafeSink(each.make(path, run))) for each, path in requested)


def open_publisher(source: Source, *, people: bool, scene: bool = False) -> Sink | None:
    """What publishes on ROS 2; None where ROS 2 or the messages are not installed."""
    try:
        from social_perception.ros.support.live_publisher import LivePublisher
    except (ImportError, MissingDependencyError) as error:
        _logger.info("not publishing on ROS 2: %s", error)
        return None
    publisher = LivePublisher(stamps_are_now=source.live, people=people, scene=scene)
    print(f"publishing on ROS 2: {', '.join(publisher.topics)}", flush=True)
    return publisher


class WebPageSink(Sink):
    """Shows each frame on the web page.

    Args:
        dashboard: the page.
        blur: whether faces are hidden in its image.
    """

    def __init__(self, dashboard: Dashboard, *, blur: bool = False) -> None:
        self._dashboard = dashboard
        self._heads = HeadWatch() if blur else None

    def add(self, frame: Frame, affect: FrameAffect) -> None:
        self._dashboard.show(affect, self._image(frame, affect))

    def _image(self, frame: Frame, affect: FrameAffect) -> ImageArray | None:
        """The image for the page; where faces are hidden in it, only while a browser requests it."""
        if self._heads is None:
            return frame.image
        heads = self._heads.update(affect)
        return hide(frame.image, heads) if self._dashboard.wants_image else None

    def stale(self, affect: FrameAffect | None, reason: str) -> None:
        self._dashboard.show_stale(reason)

    def close(self) -> None:
        self._dashboard.close()
