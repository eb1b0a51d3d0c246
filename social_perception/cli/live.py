"""The pipeline in one process on a camera, video, folder, stream, bag or the sample."""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from social_perception.cli.live_sinks import (
    WEB,
    add_sink_options,
    add_web_settings,
    open_files,
    open_publisher,
    open_web_page,
)
from social_perception.cli.options import (
    add_pipeline_settings,
    add_settings,
    pipeline_settings,
    positive,
    settings_from,
    warn_if_plain,
)
from social_perception.cli.privacy import add_privacy_options, check_privacy, view_of, without_sound
from social_perception.core.config import PipelineConfig, SourceConfig, WebConfig
from social_perception.core.errors import SocialPerceptionError, SourceTimeout
from social_perception.core.types import Frame, FrameAffect
from social_perception.sinks.sink import FailSafeSink, Sink

if TYPE_CHECKING:
    from social_perception.perception.pipeline import Pipeline
    from social_perception.perception.scene.pipeline import ScenePipeline
    from social_perception.sources.source import Source

_logger = logging.getLogger(__name__)

Show = Callable[[FrameAffect, str], None]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source",
        metavar="S",
        help="0 (a camera), a video, a folder of images, tcp://HOST:PORT (listen there), a bag, or sample; "
        "default: the first camera, or the sample where there is none",
    )
    parser.add_argument(
        "--topic", metavar="TOPIC", help="topic of the images in a bag that has several (default: the first)"
    )
    parser.add_argument("--duration", type=positive, metavar="S", help="end after this time in s")
    add_sink_options(parser)
    add_privacy_options(parser, "recorded images and on the web page")
    add_settings(parser, [SourceConfig])
    add_web_settings(parser)
    add_pipeline_settings(parser, live=True)


def run(options: argparse.Namespace) -> int:
    from social_perception.sources.factory import default_source, open_source, with_topic
    from social_perception.sources.pacing import PacedSource
    from social_perception.views.terminal import live_display

    config, pipeline_config = settings_from(options, SourceConfig), pipeline_settings(options)
    warn_if_plain("--tcp-token", config.tcp_token)
    picture = settings_from(options, WebConfig, prefix=WEB).picture
    check_privacy(options, {"--record-images": options.record_images, "--web-picture": picture})
    files: tuple[FailSafeSink, ...] = ()
    source: Source | None = None
    try:
        with ExitStack() as stack:
            spec = with_topic(options.source or default_source(config), options.topic)
            hearing = pipeline_config.hearing
            needs_sound = hearing.sound if options.group_only else hearing.needs_sound
            source = stack.enter_context(
                open_source(spec, config, sound=needs_sound, microphone=hearing.sound)
            )
            if hearing.sound and source.sound_rate_hz is None:
                _logger.warning(
                    "%s has no sound: %s", source.name, without_sound(group_only=options.group_only)
                )
            page = open_web_page(options, source.name)
            sinks: list[Sink] = [] if page is None else [stack.enter_context(page)]
            pipeline = _open_pipeline(pipeline_config, stack, group_only=options.group_only)
            files = open_files(options, stack)
            publisher = None
            if not options.no_ros:
                people, scene = not options.anonymous, options.group_only
                publisher = open_publisher(source, people=people, scene=scene)
            if publisher is not None:
                sinks.insert(0, stack.enter_context(publisher))
            show = stack.enter_context(live_display())
            # Reproducible results need every frame, however long it takes.
            paced = source if source.live or pipeline_config.detection.reproducible else PacedSource(source)
            _Session(pipeline, [*files, *sinks], show, view_of(options)).run(paced, options.duration)
    except KeyboardInterrupt:
        pass
    return int((source is not None and source.unread > 0) or any(each.failed for each in files))


def _open_pipeline(config: PipelineConfig, stack: ExitStack, *, group_only: bool) -> Pipeline | ScenePipeline:
    # Imported here: torch takes seconds to load, and --help must not. Where no single people are processed,
    # nothing that does is imported.
    if group_only:
        from social_perception.perception.scene.pipeline import make_scene_pipeline

        return stack.enter_context(make_scene_pipeline(config.scene))
    from social_perception.perception.pipeline import make_pipeline

    return stack.enter_context(make_pipeline(config, live=True))


@dataclass(slots=True)
class _Session:
    """One run: processes the frames of a source and passes the results to the sinks.

    Attributes:
        show: shows a frame's results and a message in the terminal.
        view: what of a frame's results is reported.
    """

    pipeline: Pipeline | ScenePipeline
    sinks: Sequence[Sink]
    show: Show
    view: Callable[[FrameAffect], FrameAffect] = lambda affect: affect
    frames: int = 0
    begun_s: float = 0.0
    last: FrameAffect | None = None
    failure: str = ""

    def run(self, source: Source, duration_s: float | None) -> None:
        self.begun_s = time.monotonic()
        silence_s = 0.0
        while duration_s is None or time.monotonic() - self.begun_s < duration_s:
            requested_s = time.monotonic()
            try:
                frame = next(source)
            except StopIteration:
                return
            except SourceTimeout as error:
                silence_s += time.monotonic() - requested_s
                self._wait(silence_s, error)
                continue
            silence_s = 0.0
            self._process(frame, source.name)

    def _process(self, frame: Frame, name: str) -> None:
        try:
            result = self.pipeline.process(frame)
            self.pipeline.note_usage(time.monotonic(), time.process_time())
        except SocialPerceptionError as error:
            # The next frame may succeed; the same failure is logged once.
            if str(error) != self.failure:
                self.failure = str(error)
                _logger.warning("frame %d: %s", frame.index, error)
            return
        if result is None:
            return
        affect = self.view(result)
        self.frames += 1
        self.last = affect
        for sink in self.sinks:
            sink.add(frame, affect)
        self.show(affect, f"{name}  {self.frames / max(1e-3, time.monotonic() - self.begun_s):.1f} fps")

    def _wait(self, silence_s: float, error: SourceTimeout) -> None:
        """Report that no frames come, and that the values become stale."""
        _logger.warning("%s; waiting", error)
        affect = self.view(self.pipeline.without_images(self.last, silence_s))
        for sink in self.sinks:
            sink.stale(None if self.last is None else affect, str(error))
        self.show(affect, str(error))
