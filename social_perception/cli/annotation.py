"""The work on one video: tables, an ELAN file, an annotated video, a plot and a report, in its own folder."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from social_perception import __version__
from social_perception.cli.manifest import MANIFEST, Manifest, Origin, fingerprint, write_manifest
from social_perception.cli.recording import Recording
from social_perception.core.config import PipelineConfig, SourceConfig
from social_perception.core.errors import (
    MissingDependencyError,
    OutputError,
    SocialPerceptionError,
    SourceError,
)
from social_perception.core.types import Frame, FrameAffect
from social_perception.perception.group.anonymity import frame_without_people

if TYPE_CHECKING:
    from social_perception.core.timelines import Timeline
    from social_perception.perception.pipeline import Pipeline
    from social_perception.sinks.video import VideoWriter
    from social_perception.sources.source import Source

_logger = logging.getLogger(__name__)

FACES, GROUP, VIDEO, PLOT = "faces.csv", "group.csv", "annotated.mp4", "timeline.png"
REPORT, RECORDING = "report.html", "results.mcap"
PARQUET = {FACES: "faces.parquet", GROUP: "group.parquet"}

Timed = TypeVar("Timed", Frame, FrameAffect)

Progress = Callable[[int, "int | None"], None]
"""Called after each frame with the number of frames done and about how many there are."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be made of each video besides the tables and the ELAN file.

    Attributes:
        thumbnails: pictures of the people in the report.
        shortest_s: annotations of the ELAN file that are shorter are given to their neighbours.
        mcap: the results as ROS 2 messages.
        topic: of the images in bags; empty: the first.
        blur: whether faces are hidden in the annotated video and in the thumbnails.
        min_group_size: people from which the group's values are told where nothing is told of single
            people; 0: all is told.
    """

    video: bool = True
    plot: bool = True
    report: bool = True
    thumbnails: bool = False
    shortest_s: float = 0.0
    mcap: bool = False
    topic: str = ""
    blur: bool = False
    min_group_size: int = 0

    @property
    def people(self) -> bool:
        """Whether single people are told of."""
        return self.min_group_size == 0


@dataclass(frozen=True, slots=True)
class Job:
    """A video or bag and the folder that its results go to; number counts the videos of a run from 0."""

    number: int
    video: Path
    folder: Path

    @property
    def part(self) -> Path:
        """Where the results are until they are complete."""
        return self.folder.with_name(f".{self.folder.name}.part")

    @property
    def stem(self) -> str:
        """What the video is called: a file without its ending; a folder's name may have any dots."""
        return self.video.resolve().name if self.video.is_dir() else self.video.stem


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found in a video.

    Attributes:
        mean_intensity: over all faces and frames, NaN without a valid one.
        start_s: the stamp of a bag's first image, from which the tables count; 0 for videos.
    """

    frames: int
    faces: int
    duration_s: float
    mean_intensity: float
    seconds: float
    start_s: float = 0.0


class Annotator:
    """Annotates one video after the other; the networks are loaded once, with the first.

    Args:
        config: of the way of one frame.
        wanted: what is to be made.
        origin: what besides the video the results depend on, for the manifests.
        threads: for the arithmetic; 0: as many as the libraries take by themselves.
    """

    def __init__(self, config: PipelineConfig, wanted: Wanted, origin: Origin, threads: int = 0) -> None:
        self._config = config
        self._wanted = wanted
        self._origin = origin
        self._pipeline: Pipeline | None = None
        if threads:
            _use_threads(threads)

    def __call__(self, job: Job, progress: Progress) -> Outcome:
        """Annotate a video.

        Raises:
            SourceError: the video cannot be read or processed.
            SocialPerceptionError: what would hinder every other video, too.
        """
        begun_s = time.monotonic()
        mark = fingerprint(job.video)
        needs_sound = self._config.hearing.needs_sound
        with _open(job, self._wanted, SourceConfig().sound_rate_hz if needs_sound else None) as source:
            pipeline = self._restarted(mark)
            _make_fresh(job)
            try:
                frames, faces, start_s = _write_frames(source, pipeline, job, self._wanted, progress)
                outcome = _write_views(job, frames, faces, self._wanted, self._origin)
            except BaseException:
                _logger.warning("%s was not completed; what there is lies in %s", job.video, job.part)
                raise
        outcome = dataclasses.replace(outcome, seconds=time.monotonic() - begun_s, start_s=start_s)
        _publish(job, mark, outcome, self._origin)
        return outcome

    def _restarted(self, mark: str) -> Pipeline:
        # Imported here: torch takes seconds to load, and --help must not.
        from social_perception.perception.pipeline import make_pipeline
        from social_perception.perception.tracking.ids import RandomIds

        if self._pipeline is None:
            self._pipeline = make_pipeline(self._config, live=False)
        # The same video gives the same names, in whatever run and worker, and no other does.
        self._pipeline.restart(RandomIds(random.Random(mark)))
        return self._pipeline

    def close(self) -> None:
        """Release the networks."""
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            pipeline.close()

    def __enter__(self) -> Annotator:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()


def _open(job: Job, wanted: Wanted, sound_rate_hz: int | None = None) -> Source:
    from social_perception.sources.bag import BagSource
    from social_perception.sources.bag_files import is_bag
    from social_perception.sources.video import VideoSource

    if is_bag(job.video):
        return BagSource(job.video, wanted.topic, sound_rate_hz)
    return VideoSource(job.video, sound_rate_hz)


def _use_threads(threads: int) -> None:
    import cv2

    cv2.setNumThreads(threads)
    # Read when torch is loaded, which it is not yet in a worker.
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def _make_fresh(job: Job) -> None:
    try:
        if job.part.exists():
            _logger.warning("%s was interrupted earlier and begins anew", job.video)
            shutil.rmtree(job.part)
        job.part.mkdir(parents=True)
    except OSError as error:
        raise OutputError(f"{job.part} cannot be made: {error.strerror or error}") from error


def _write_frames(
    source: Source, pipeline: Pipeline, job: Job, wanted: Wanted, progress: Progress
) -> tuple[int, int, float]:
    """Walk through the video; return how many frames were processed, how many faces seen, and its start.

    A bag's stamps are times of day. Its tables and its annotated video begin at 0, as ELAN needs it.
    """
    from social_perception.sinks.tables import FaceTable, GroupTable
    from social_perception.sinks.video import VideoWriter
    from social_perception.sources.bag_files import is_bag

    frames = 0
    start_s: float | None = None if is_bag(job.video) else 0.0
    people: set[str] = set()
    folder = job.part
    with ExitStack() as stack:
        face_table = stack.enter_context(FaceTable(folder / FACES, in_place=True)) if wanted.people else None
        group_table = stack.enter_context(GroupTable(folder / GROUP, in_place=True))
        recording = None
        if wanted.mcap:
            recording = stack.enter_context(Recording(folder / RECORDING, people=wanted.people))
        drawing = None
        if wanted.video:
            writer = stack.enter_context(VideoWriter(folder / VIDEO, source.rate_hz))
            drawing = stack.enter_context(_Drawing(writer, blur=wanted.blur))
        for frame, affect in _processed(source, pipeline, progress):
            people.update(face.track.id for face in affect.faces)
            if not wanted.people:
                affect = frame_without_people(affect, wanted.min_group_size)
            if recording is not None:
                recording.add(affect, frame.image)
            if start_s is None:
                start_s = affect.stamp_s
            if start_s:
                frame, affect = _since(start_s, frame), _since(start_s, affect)
            if face_table is not None:
                face_table.add(affect)
            group_table.add(affect)
            if drawing is not None:
                drawing.add(frame, affect)
            frames += 1
    return frames, len(people), start_s or 0.0


def _since(start_s: float, timed: Timed) -> Timed:
    # A stamp that went back before the start cannot be told in a table.
    # The sound, which has its own time, was used before.
    return dataclasses.replace(timed, stamp_s=max(0.0, timed.stamp_s - start_s), sound=None)


class _Drawing:
    """Draws and encodes each frame while the next one is processed; at most one waits.

    Args:
        writer: of the video.
        blur: whether faces are hidden; frames then wait until it is known who was in them.
    """

    def __init__(self, writer: VideoWriter, *, blur: bool = False) -> None:
        from social_perception.views.blur import LookBack
        from social_perception.views.traces import Traces

        self._look_back = LookBack() if blur else None

        self._writer = writer
        self._traces = Traces()
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="drawing")
        self._running: Future[None] | None = None

    def add(self, frame: Frame, affect: FrameAffect) -> None:
        """Hand over a frame; raises what the one before it met with."""
        ready = [(frame, affect)] if self._look_back is None else self._look_back.add(frame, affect)
        for each in ready:
            self._submit(*each)

    def _submit(self, frame: Frame, affect: FrameAffect) -> None:
        self._finish()
        self._running = self._executor.submit(self._draw, frame, affect)

    def _draw(self, frame: Frame, affect: FrameAffect) -> None:
        from social_perception.views.overlay import draw_overlay

        self._traces.add(affect)
        self._writer.add(draw_overlay(frame.image, affect, traces=self._traces), frame.stamp_s)

    def _finish(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.result()

    def __enter__(self) -> _Drawing:
        return self

    def __exit__(self, kind: type[BaseException] | None, *unused: object) -> None:
        try:
            # Of a run that fails the video is not completed.
            for each in self._look_back.finish() if self._look_back is not None and kind is None else ():
                self._submit(*each)
            self._finish()
        finally:
            self._executor.shutdown()


def _processed(source: Source, pipeline: Pipeline, progress: Progress) -> Iterator[tuple[Frame, FrameAffect]]:
    failed = processed = 0
    last_error: SocialPerceptionError | None = None
    for count, frame in enumerate(source, 1):
        progress(count, source.frame_count)
        try:
            affect = pipeline.process(frame)
        except SocialPerceptionError as error:
            failed, last_error = failed + 1, error
            continue
        processed += 1
        yield frame, affect
    if last_error is not None and not processed:
        raise SourceError(f"{source.name}: no frame could be processed: {last_error}") from last_error
    if failed:
        _logger.warning("%s: %d frames failed and were left out: %s", source.name, failed, last_error)


def _write_views(job: Job, frames: int, faces: int, wanted: Wanted, origin: Origin) -> Outcome:
    from social_perception.core.timelines import read_group, read_timelines

    people = read_timelines(job.part / FACES) if wanted.people else ()
    group = read_group(job.part / GROUP)
    try:
        _draw_views(job, people, group, wanted)
        _write_parquet(job.part, origin, wanted)
    except OSError as error:
        raise OutputError(f"{job.part} cannot be written: {error.strerror or error}") from error
    return Outcome(frames, faces, *_figures(people, group), seconds=0.0)


def _draw_views(job: Job, people: tuple[Timeline, ...], group: Timeline | None, wanted: Wanted) -> None:
    from social_perception.sinks.elan import write_elan
    from social_perception.sources.bag_files import is_bag
    from social_perception.views.plots import plot_timeline

    # ELAN knows no bags: it plays what was drawn into the images.
    media = job.folder.resolve() / VIDEO if is_bag(job.video) else None
    if wanted.people:
        write_elan(job.part / f"{job.stem}.eaf", people, group, job.video, wanted.shortest_s, media)
    if wanted.plot:
        plot_timeline(job.part / PLOT, people if wanted.people else None, group, title=job.video.name)
    if wanted.report:
        _write_report(job, people, group, wanted)


def _write_report(job: Job, people: tuple[Timeline, ...], group: Timeline | None, wanted: Wanted) -> None:
    from social_perception.views.report.page import write_report
    from social_perception.views.report.thumbnails import Thumbnail, take_thumbnails

    pictures: tuple[Thumbnail, ...] = ()
    if wanted.thumbnails:
        with _open(job, wanted) as source:
            pictures = take_thumbnails(source, job.part / FACES, people, group, blur=wanted.blur)
    write_report(job.part / REPORT, people, group, video=job.video, thumbnails=pictures)


def _write_parquet(folder: Path, origin: Origin, wanted: Wanted) -> None:
    from social_perception.sinks.parquet import write_parquet

    metadata = {"version": __version__, "settings": json.dumps(origin.settings, sort_keys=True)}
    try:
        for table, name in PARQUET.items():
            if table == FACES and not wanted.people:
                continue
            write_parquet(folder / table, folder / name, metadata)
    except MissingDependencyError as error:
        # Said once per process, not once per video.
        if not _write_parquet.__dict__.setdefault("said", False):
            _write_parquet.__dict__["said"] = True
            _logger.warning("%s; the other files are written", error)


def _figures(people: tuple[Timeline, ...], group: Timeline | None) -> tuple[float, float]:
    """The video's length in s and the mean intensity over all faces and frames, or what the group tells."""
    duration_s = 0.0
    if group is not None:
        steps_s = np.diff(group.stamps_s)
        duration_s = float(group.stamps_s[-1] + (np.median(steps_s) if len(steps_s) else 0.0))
    seen = np.concatenate([face.intensities for face in people]) if people else np.empty(0)
    if not people and group is not None:
        seen = group.values["mean_intensity"]
    seen = seen[~np.isnan(seen)]
    return duration_s, float(seen.mean()) if len(seen) else float("nan")


def _publish(job: Job, mark: str, outcome: Outcome, origin: Origin) -> None:
    """Move the results, each in one step, over those of an earlier run; files of others stay."""
    part, folder = job.part, job.folder
    annotations = f"{job.stem}.eaf"
    made = tuple(sorted(path.name for path in part.iterdir()))
    try:
        folder.mkdir(exist_ok=True)
        # Written anew at the very end: while it is missing the results are not complete.
        (folder / MANIFEST).unlink(missing_ok=True)
        for name in (FACES, VIDEO, PLOT, REPORT, RECORDING, *PARQUET.values()):
            if name not in made:
                (folder / name).unlink(missing_ok=True)
        earlier = folder / annotations
        fresh = (part / annotations).read_bytes() if annotations in made else b""
        if earlier.exists() and earlier.read_bytes() != fresh:
            # Somebody may have corrected it by hand.
            earlier.replace(folder / f"{annotations}.bak")
        for name in made:
            (part / name).replace(folder / name)
        part.rmdir()
        write_manifest(folder, Manifest.of(job.video, mark, origin, made, dataclasses.asdict(outcome)))
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}; see {part}") from error
