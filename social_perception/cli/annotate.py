"""Annotate videos offline: tables, an ELAN file, an annotated video and a plot for each."""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from social_perception.cli.options import add_pipeline_settings, pipeline_settings
from social_perception.core.config import PipelineConfig
from social_perception.core.errors import (
    ConfigurationError,
    DetectionError,
    OutputError,
    SocialPerceptionError,
    SourceError,
)
from social_perception.core.types import Frame, FrameAffect

if TYPE_CHECKING:
    from social_perception.pipeline import Pipeline
    from social_perception.sources.source import Source
    from social_perception.views.video import VideoWriter

_logger = logging.getLogger(__name__)

FACES, GROUP, VIDEO, PLOT = "faces.csv", "group.csv", "annotated.mp4", "timeline.png"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to be made of each video."""

    video: bool
    plot: bool


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("videos", nargs="+", type=Path, metavar="VIDEO")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="each video's results go to DIR/STEM/"
    )
    parser.add_argument("--no-video", action="store_true", help="make no annotated video")
    parser.add_argument("--no-plot", action="store_true", help="make no plot")
    add_pipeline_settings(parser)


def run(options: argparse.Namespace) -> int:
    _check_stems(options.videos)
    config = pipeline_settings(options)
    wanted = _Wanted(video=not options.no_video, plot=not options.no_plot)
    done = [_succeeds(video, options.output, config, wanted) for video in options.videos]
    return 0 if all(done) else 1


def _succeeds(video: Path, output: Path, config: PipelineConfig, wanted: _Wanted) -> bool:
    """Annotate a video; a broken one among good ones is reported, because the others are still wanted."""
    try:
        _annotate(video, output, config, wanted)
    except (SourceError, DetectionError) as error:
        print(f"social-perception: error: {error}", file=sys.stderr)
        return False
    return True


def _check_stems(videos: list[Path]) -> None:
    for stem, count in Counter(video.stem for video in videos).items():
        if count > 1:
            same = ", ".join(str(video) for video in videos if video.stem == stem)
            raise ConfigurationError(f"{same} would all be written to {stem}: rename them or run one by one")


def _annotate(video: Path, output: Path, config: PipelineConfig, wanted: _Wanted) -> None:
    # Imported here: torch takes seconds to load, and --help must not.
    from social_perception.pipeline import make_pipeline
    from social_perception.sources.video import VideoSource

    begun_s = time.monotonic()
    with VideoSource(video) as source, make_pipeline(config, live=False) as pipeline:
        part = _fresh_folder(output, f".{video.stem}.part")
        try:
            frames, faces = _write_frames(source, pipeline, part, wanted)
            _write_views(video, part, wanted)
        except BaseException:
            _logger.warning("%s was not completed; what there is lies in %s", video, part)
            raise
    folder = _publish(part, output / video.stem)
    took_s = time.monotonic() - begun_s
    print(f"{video}: frames {frames}, faces {faces}, {frames / took_s:.1f} fps -> {folder}", flush=True)


def _fresh_folder(output: Path, name: str) -> Path:
    folder = output / name
    try:
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror or error}") from error
    return folder


def _write_frames(source: Source, pipeline: Pipeline, folder: Path, wanted: _Wanted) -> tuple[int, int]:
    """Walk through the video; return how many frames were processed and how many faces seen."""
    from social_perception.views.tables import FaceTable, GroupTable
    from social_perception.views.video import VideoWriter

    frames = 0
    people: set[str] = set()
    with ExitStack() as stack:
        face_table = stack.enter_context(FaceTable(folder / FACES, in_place=True))
        group_table = stack.enter_context(GroupTable(folder / GROUP, in_place=True))
        drawing = None
        if wanted.video:
            writer = stack.enter_context(VideoWriter(folder / VIDEO, source.rate_hz))
            drawing = stack.enter_context(_Drawing(writer))
        for frame, affect in _processed(source, pipeline):
            face_table.add(affect)
            group_table.add(affect)
            if drawing is not None:
                drawing.add(frame, affect)
            frames += 1
            people.update(face.track.id for face in affect.faces)
    return frames, len(people)


class _Drawing:
    """Draws and encodes each frame while the next one is processed; at most one waits."""

    def __init__(self, writer: VideoWriter) -> None:
        self._writer = writer
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="drawing")
        self._running: Future[None] | None = None

    def add(self, frame: Frame, affect: FrameAffect) -> None:
        """Hand over a frame; raises what the one before it met with."""
        self._finish()
        self._running = self._executor.submit(self._draw, frame, affect)

    def _draw(self, frame: Frame, affect: FrameAffect) -> None:
        from social_perception.views.overlay import draw_overlay

        self._writer.add(draw_overlay(frame.image, affect), frame.stamp_s)

    def _finish(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.result()

    def __enter__(self) -> _Drawing:
        return self

    def __exit__(self, *unused: object) -> None:
        try:
            self._finish()
        finally:
            self._executor.shutdown()


def _processed(source: Source, pipeline: Pipeline) -> Iterator[tuple[Frame, FrameAffect]]:
    from tqdm import tqdm

    failed = processed = 0
    last_error: SocialPerceptionError | None = None
    # None: no bar where nobody sees it.
    bar = tqdm(source, total=source.frame_count, desc=Path(source.name).stem, unit="frame", disable=None)
    for frame in bar:
        try:
            affect = pipeline.process(frame)
        except SocialPerceptionError as error:
            failed, last_error = failed + 1, error
            continue
        processed += 1
        yield frame, affect
    if last_error is not None and not processed:
        raise last_error
    if failed:
        _logger.warning("%s: %d frames failed and were left out: %s", source.name, failed, last_error)


def _write_views(video: Path, folder: Path, wanted: _Wanted) -> None:
    from social_perception.views.elan import write_elan
    from social_perception.views.plots import plot_timeline
    from social_perception.views.tables import read_timelines

    faces = read_timelines(folder / FACES)
    group = next(iter(read_timelines(folder / GROUP)), None)
    write_elan(folder / f"{video.stem}.eaf", faces, group, video)
    if wanted.plot:
        plot_timeline(folder / PLOT, faces, group, title=video.name)


def _publish(part: Path, folder: Path) -> Path:
    """Move the results, each in one step, over those of an earlier run; files of others stay."""
    annotations = f"{folder.name}.eaf"
    try:
        folder.mkdir(exist_ok=True)
        for name in (VIDEO, PLOT):
            if not (part / name).exists():
                (folder / name).unlink(missing_ok=True)
        if (folder / annotations).exists():
            # Somebody may have corrected it by hand.
            (folder / annotations).replace(folder / f"{annotations}.bak")
        for path in part.iterdir():
            path.replace(folder / path.name)
        part.rmdir()
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}; see {part}") from error
    return folder
