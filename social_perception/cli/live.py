"""The pipeline in one process on a camera, video, folder, stream, bag or the sample."""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from social_perception.cli.options import (
    add_pipeline_settings,
    add_settings,
    given_settings,
    pipeline_settings,
    positive,
)
from social_perception.cli.privacy import add_privacy_options, check_privacy, view_of
from social_perception.cli.recording import Tolerant, add_recording_options, open_recording
from social_perception.cli.secrecy import warn_if_seen
from social_perception.core.config import SourceConfig, WebConfig
from social_perception.core.errors import MissingDependencyError, SocialPerceptionError, SourceTimeout
from social_perception.core.types import Frame, FrameAffect, ImageArray
from social_perception.views.blur import HeadWatch, hide

if TYPE_CHECKING:
    from social_perception.perception.pipeline import Pipeline
    from social_perception.sources.source import Source
    from social_perception.views.web.server import Dashboard

_logger = logging.getLogger(__name__)

_WEB = "web_"
"""Before the names of the web page's settings, where they are flags."""

Show = Callable[[FrameAffect, str], None]


class Publisher(Protocol):
    """Passes on what the pipeline says, for example to ROS 2."""

    def publish(self, affect: FrameAffect, frame: Frame | None) -> None:
        """Publish; frame is None when none came for too long."""

    def close(self) -> None:
        """Publish no more."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source",
        metavar="S",
        help="0 (a camera), a video, a folder of images, tcp://HOST:PORT (listen there), a bag, or sample; "
        "default: the first camera, or the sample where there is none",
    )
    parser.add_argument(
        "--topic", metavar="TOPIC", help="images to take from a bag that has several (default: the first)"
    )
    parser.add_argument("--duration", type=positive, metavar="S", help="end after this time in s")
    parser.add_argument(
        "--web", type=_port, metavar="PORT", help="serve a live web page on this port; 0: any that is free"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="EVENTS.CSV",
        help="write a row per face and frame; with --anonymous a row of the group per frame",
    )
    add_recording_options(parser)
    add_privacy_options(parser, "recorded pictures and on the web page")
    parser.add_argument("--no-ros", action="store_true", help="do not publish on ROS 2")
    add_settings(parser, [SourceConfig])
    add_settings(parser, [WebConfig], leave_out=frozenset({"port"}), prefix=_WEB)
    add_pipeline_settings(parser)


def run(options: argparse.Namespace) -> int:
    # Imported here: torch takes seconds to load, and --help must not.
    from social_perception.perception.pipeline import make_pipeline
    from social_perception.sinks.tables import FaceTable, GroupTable
    from social_perception.sources.factory import default_source, open_source, with_topic
    from social_perception.sources.pacing import PacedSource
    from social_perception.views.terminal import live_display

    config, pipeline_config = given_settings(options, SourceConfig), pipeline_settings(options)
    warn_if_seen("--tcp-token", config.tcp_token)
    picture = given_settings(options, WebConfig, prefix=_WEB).picture
    check_privacy(options, {"--record-images": options.record_images, "--web-picture": picture})
    people = not options.anonymous
    table = recording = None
    try:
        with ExitStack() as stack:
            spec = with_topic(options.source or default_source(config), options.topic)
            source = stack.enter_context(open_source(spec, config, sound=pipeline_config.hearing.needs_sound))
            dashboard = None if options.web is None else stack.enter_context(_dashboard(options, source.name))
            pipeline = stack.enter_context(make_pipeline(pipeline_config, live=True))
            kind = FaceTable if people else GroupTable
            if options.output:
                table = stack.enter_context(Tolerant(kind(options.output, in_place=True)))
            recording = open_recording(options, people=people, blur=options.blur_faces)
            if recording is not None:
                stack.enter_context(recording)
            publisher = None if options.no_ros else _ros_publisher(live=source.live, people=people)
            if publisher is not None:
                stack.callback(publisher.close)
            show = stack.enter_context(live_display())
            # Who wants the same results again gets every picture, however long it takes.
            as_is = source.live or pipeline_config.detection.reproducible
            paced = source if as_is else PacedSource(source)
            outputs = (table, recording, publisher, dashboard, show)
            session = _Session(pipeline, *outputs, view=view_of(options), blur=options.blur_faces)
            session.run(paced, options.duration)
    except KeyboardInterrupt:
        pass
    return int(any(output is not None and output.failed for output in (table, recording)))


@dataclass(slots=True)
class _Session:
    """One run: takes frames, passes on what is said of them, and keeps count.

    Attributes:
        view: what of a frame's affect is passed on.
        blur: whether faces are hidden on the web page.
    """

    pipeline: Pipeline
    table: Any
    recording: Tolerant | None
    publisher: Publisher | None
    dashboard: Dashboard | None
    show: Show
    view: Callable[[FrameAffect], FrameAffect] = lambda affect: affect
    blur: bool = False
    heads: HeadWatch = field(default_factory=HeadWatch)
    frames: int = 0
    begun_s: float = 0.0
    last: FrameAffect | None = None
    failure: str = ""

    def run(self, source: Source, duration_s: float | None) -> None:
        self.begun_s = time.monotonic()
        silence_s = 0.0
        while duration_s is None or time.monotonic() - self.begun_s < duration_s:
            asked_s = time.monotonic()
            try:
                frame = next(source)
            except StopIteration:
                return
            except SourceTimeout as error:
                silence_s += time.monotonic() - asked_s
                self._silent(silence_s, error)
                continue
            silence_s = 0.0
            self._process(frame, source.name)

    def _process(self, frame: Frame, name: str) -> None:
        try:
            affect = self.view(self.pipeline.process(frame))
        except SocialPerceptionError as error:
            # The next frame may succeed; the same failure is told once.
            if str(error) != self.failure:
                self.failure = str(error)
                _logger.warning("frame %d: %s", frame.index, error)
            return
        self.frames += 1
        self._pass_on(affect, frame)
        self.show(affect, f"{name}  {self.frames / max(1e-3, time.monotonic() - self.begun_s):.1f} fps")

    def _pass_on(self, affect: FrameAffect, frame: Frame | None) -> None:
        self.last = affect
        if self.table is not None and frame is not None:
            self.table.add(affect)
        if self.recording is not None:
            self.recording.add(affect, None if frame is None else frame.image)
        if self.publisher is not None:
            self.publisher.publish(affect, frame)
        if self.dashboard is not None and frame is not None:
            self.dashboard.show(affect, self._shown(affect, frame))

    def _shown(self, affect: FrameAffect, frame: Frame) -> ImageArray | None:
        """The picture for the web page; where faces are to be hidden, only if a browser wants it."""
        if not self.blur:
            return frame.image
        heads = self.heads.update(affect)
        wanted = self.dashboard is not None and self.dashboard.wants_image
        return hide(frame.image, heads) if wanted else None

    def _silent(self, silence_s: float, error: SourceTimeout) -> None:
        """Nothing came: say so, and let the group be stale."""
        _logger.warning("%s; waiting", error)
        last = self.last or FrameAffect(0.0, 0, 0, 0)
        group = self.pipeline.aggregation.current(silence_s)
        stale = self.view(replace(last, faces=(), group=group))
        if self.last is not None and self.publisher is not None:
            self.publisher.publish(stale, None)
        if self.last is not None and self.recording is not None:
            self.recording.add(stale, None)
        if self.dashboard is not None:
            self.dashboard.show_stale(str(error))
        self.show(stale, str(error))


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"must be in [0, 65535], got {text}")
    return port


def _dashboard(options: argparse.Namespace, source_name: str) -> Dashboard:
    """The web page; says where it is to be seen."""
    from social_perception.views.web.server import Dashboard

    config = given_settings(options, WebConfig, prefix=_WEB, port=options.web)
    warn_if_seen("--web-token", config.token)
    # Browsers need not know in which folder a recording lies.
    told = source_name if "://" in source_name else Path(source_name).name
    dashboard = Dashboard(config, told, people=not options.anonymous)
    # A token that was given is known already, and need not stand in a log.
    print(f"web page: {dashboard.url if dashboard.has_new_token else dashboard.public_url}", flush=True)
    if config.picture:
        hidden = ", with the faces that are found hidden" if options.blur_faces else ""
        _logger.warning("the web page shows the camera's picture to every browser that asks for it%s", hidden)
    return dashboard


def _ros_publisher(*, live: bool, people: bool) -> Publisher | None:
    """The publisher, where ROS 2 and the messages are there."""
    try:
        from social_perception.ros.support.live_publisher import LivePublisher
    except (ImportError, MissingDependencyError) as error:
        _logger.info("not publishing on ROS 2: %s", error)
        return None
    publisher = LivePublisher(stamps_are_now=live, people=people)
    print(f"publishing on ROS 2: {', '.join(publisher.topics)}", flush=True)
    return publisher
