"""Annotates one video: its results go into a folder of its own."""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
import os
import random
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from social_perception import __version__
from social_perception.cli.manifest import Origin, fingerprint
from social_perception.cli.privacy import without_sound
from social_perception.cli.result_folder import (
    PLOT,
    REPORT,
    Job,
    Outcome,
    OutputOptions,
    begin,
    publish,
)
from social_perception.core.config import DynamicsConfig, PipelineConfig, SourceConfig
from social_perception.core.errors import (
    MissingDependencyError,
    SocialPerceptionError,
    SourceError,
)
from social_perception.core.timelines import Timelines
from social_perception.core.types import Frame, FrameAffect, ImageArray
from social_perception.perception.group.anonymity import frame_without_people
from social_perception.perception.group.dynamics import PeriodicDynamics
from social_perception.sinks.registry import FACES, GROUP, SCENE, Run, SinkFormat, formats
from social_perception.sinks.sink import Draw, FailSafeSink, Sink, failure_text, output_error

if TYPE_CHECKING:
    from social_perception.perception.pipeline import Pipeline
    from social_perception.perception.scene.pipeline import ScenePipeline
    from social_perception.sources.source import Source

_logger = logging.getLogger(__name__)

_FRAMES_AHEAD = 3
"""Of each thread; with a detection, a frame takes several times as long as without."""

_OTHERS_ARE_MADE = "the other results are made"

Timed = TypeVar("Timed", Frame, FrameAffect)

Progress = Callable[[int, "int | None"], None]
"""Called after each frame with the number of frames done and the approximate number of all."""


class Annotator:
    """Annotates one video after the other; the networks are loaded once, with the first.

    Args:
        config: of the pipeline.
        output: the results that are made.
        origin: what the results depend on besides the video, for the manifests.
        threads: for the arithmetic; 0: as many as the libraries choose.
    """

    def __init__(
        self, config: PipelineConfig, output: OutputOptions, origin: Origin, threads: int = 0
    ) -> None:
        self._config = config
        self._output = output
        self._origin = origin
        self._pipeline: Pipeline | ScenePipeline | None = None
        if threads:
            _use_threads(threads)

    def __call__(self, job: Job, progress: Progress) -> Outcome:
        """Annotate a video.

        Raises:
            SourceError: the video cannot be read or processed.
            SocialPerceptionError: an error that every other video would meet, too.
        """
        begun_s = time.monotonic()
        video_hash = fingerprint(job.video)
        hearing, group_only = self._config.hearing, self._output.group_only
        with _open(job, self._output, sound=hearing.sound if group_only else hearing.needs_sound) as source:
            if hearing.sound and source.sound_rate_hz is None:
                _logger.warning("%s has no sound: %s", job.video, without_sound(group_only=group_only))
            pipeline = self._restarted(video_hash)
            begin(job)
            try:
                outcome = self._write(job, source, pipeline, progress)
            except BaseException:
                _logger.warning("%s was not completed; its results so far are in %s", job.video, job.part)
                raise
        outcome = dataclasses.replace(outcome, seconds=time.monotonic() - begun_s)
        publish(job, video_hash, outcome, self._origin)
        return outcome

    def _write(
        self, job: Job, source: Source, pipeline: Pipeline | ScenePipeline, progress: Progress
    ) -> Outcome:
        output = self._output
        scene = output.group_only
        timelines = Timelines(
            job.part / FACES if output.people else None,
            None if scene else job.part / GROUP,
            job.part / SCENE if scene else None,
        )
        run = _run_of(job, source, output, self._origin, timelines)
        run = dataclasses.replace(run, sound=self._config.hearing.sound and not scene, scene=scene)
        errors: list[str] = []
        with closing(_processed(source, pipeline, progress)) as processed:
            frames, people, start_s = _write_frames(processed, job, output, run, errors)
        _write_views(job, timelines, output, errors)
        figures = _figures(timelines)
        return Outcome(frames, people, *figures, seconds=0.0, start_s=start_s, errors=tuple(errors))

    def _restarted(self, seed: str) -> Pipeline | ScenePipeline:
        # Imported here: torch takes seconds to load, and --help must not. Where no single people are
        # processed, nothing that does is imported.
        if self._output.group_only:
            from social_perception.perception.scene.pipeline import make_scene_pipeline

            self._pipeline = self._pipeline or make_scene_pipeline(self._config.scene)
            self._pipeline.restart()
            return self._pipeline
        from social_perception.perception.pipeline import make_pipeline
        from social_perception.perception.tracking.ids import RandomIds

        self._pipeline = self._pipeline or make_pipeline(self._config, live=False)
        # A video has the same names in every run and worker, and no other video has them.
        self._pipeline.restart(RandomIds(random.Random(seed)))
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


def _open(job: Job, output: OutputOptions, *, sound: bool = False) -> Source:
    from social_perception.sources.bag_names import is_bag
    from social_perception.sources.factory import open_recording

    return open_recording(job.video, output.topic if is_bag(job.video) else "", SourceConfig(), sound=sound)


def _use_threads(threads: int) -> None:
    import cv2

    cv2.setNumThreads(threads)
    # Read when torch is loaded, which it is not yet in a worker.
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def _run_of(job: Job, source: Source, output: OutputOptions, origin: Origin, timelines: Timelines) -> Run:
    """What the sinks need to know of the work on a video."""
    from social_perception.sources.bag_names import is_bag
    from social_perception.views.blur import LookBack

    return Run(
        people=output.people,
        rate_hz=source.rate_hz,
        draw=_overlay(),
        make_hider=LookBack if output.blur else None,
        dynamics=PeriodicDynamics(DynamicsConfig()),
        video=job.video,
        # ELAN cannot play bags: it plays the annotated video.
        media=job.folder.resolve() / formats(people=True)["video"].file if is_bag(job.video) else None,
        annotations=(job.folder / f"{job.stem}.eaf", job.video.with_suffix(".eaf")),
        shortest_s=output.shortest_s,
        settings={"version": __version__, "settings": json.dumps(origin.settings, sort_keys=True)},
        timelines=timelines,
    )


def _overlay() -> Draw:
    from social_perception.views.overlay import draw_overlay
    from social_perception.views.traces import Traces

    traces = Traces()

    def draw(frame: Frame, affect: FrameAffect) -> ImageArray:
        traces.add(affect)
        return draw_overlay(frame.image, affect, traces=traces)

    return draw


class _FileSink(FailSafeSink):
    """A sink whose failure costs its own file, in a folder of results, and nothing else."""

    def __init__(self, sink: Sink, path: Path) -> None:
        super().__init__(sink, _OTHERS_ARE_MADE)
        self.path = path

    def abort(self) -> None:
        self._sink.abort()


def _write_frames(
    processed: Iterator[tuple[Frame, FrameAffect]],
    job: Job,
    output: OutputOptions,
    run: Run,
    errors: list[str],
) -> tuple[int, int, float]:
    """Pass each frame to the sinks; return the number of frames, the number of people, and the start in s.

    The errors of sinks that failed are appended to ``errors``. The tables must not fail: all else is made
    of them.

    A bag's stamps are times of day. Its tables and its annotated video begin at 0, as ELAN needs it.
    """
    from social_perception.sources.bag_names import is_bag

    frames = 0
    start_s: float | None = None if is_bag(job.video) else 0.0
    people: set[str] = set()
    with ExitStack() as stack:
        sinks = [(each, stack.enter_context(sink)) for each, sink in _sinks(job, output, run, errors)]
        for frame, affect in processed:
            people.update(face.track.id for face in affect.faces)
            if output.min_group_size:
                affect = frame_without_people(affect, output.min_group_size)
            start_s = affect.stamp_s if start_s is None else start_s
            as_it_is = frame, affect
            since_start = (_since(start_s, frame), _since(start_s, affect)) if start_s else as_it_is
            for each, sink in sinks:
                sink.add(*(as_it_is if each.keeps_stamps else since_start))
            frames += 1
    for _, sink in sinks:
        if isinstance(sink, _FileSink) and sink.error:
            errors.append(sink.error)
            _remove(sink.path)
    return frames, len(people), start_s or 0.0


def _sinks(job: Job, output: OutputOptions, run: Run, errors: list[str]) -> Iterator[tuple[SinkFormat, Sink]]:
    for each in output.formats:
        path = job.part / each.file.format(stem=job.stem)
        try:
            sink = each.make(path, run)
        except MissingDependencyError as error:
            if not each.is_optional:
                raise
            _warn_once(f"{error}; the other files are written")
        except Exception as error:
            if each.file in (FACES, GROUP, SCENE):
                raise
            _report(error, errors)
            _remove(path)
        else:
            yield each, sink if each.file in (FACES, GROUP, SCENE) else _FileSink(sink, path)


def _report(error: Exception, errors: list[str]) -> None:
    errors.append(failure_text(error))
    _logger.error("%s; %s", errors[-1], _OTHERS_ARE_MADE)


def _remove(path: Path) -> None:
    """Remove a file that is incomplete."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


@functools.cache
def _warn_once(text: str) -> None:
    """Log a warning once per process, not once per video."""
    _logger.warning("%s", text)


def _since(start_s: float, timed: Timed) -> Timed:
    # Tables cannot hold a stamp that went back before the start.
    # The pipeline has used the sound, whose stamps stay.
    moved = dataclasses.replace(timed, stamp_s=max(0.0, timed.stamp_s - start_s), sound=None)
    if isinstance(moved, FrameAffect) and moved.sound_events:
        events = (dataclasses.replace(each, stamp_s=each.stamp_s - start_s) for each in moved.sound_events)
        moved = dataclasses.replace(moved, sound_events=tuple(events))
    return moved


def _processed(
    source: Source, pipeline: Pipeline | ScenePipeline, progress: Progress
) -> Generator[tuple[Frame, FrameAffect]]:
    """Decode and track in a thread each, and estimate."""
    failed = processed = 0
    last_error: SocialPerceptionError | None = None
    # Only that of people has two.
    track, estimate = getattr(pipeline, "halves", (lambda frame: frame, pipeline.process))
    frames = ((frame, frame) for frame in source)
    with closing(_ahead(frames)) as decoded, closing(_ahead(_results(track, decoded))) as tracked:
        for count, (frame, affect) in enumerate(_results(estimate, tracked), 1):
            progress(count, source.frame_count)
            if isinstance(affect, SocialPerceptionError):
                failed, last_error = failed + 1, affect
                continue
            processed += 1
            if affect is not None:
                yield frame, affect
    if last_error is not None and not processed:
        raise SourceError(f"{source.name}: no frame could be processed: {last_error}") from last_error
    if failed:
        _logger.warning("%s: %d frames failed and were dropped: %s", source.name, failed, last_error)


def _results(step: Callable[[Any], Any], items: Iterable[tuple[Frame, Any]]) -> Iterator[tuple[Frame, Any]]:
    """Replace each frame's value by what a step makes of it, or by its error; errors stay."""
    for frame, value in items:
        try:
            result = value if isinstance(value, SocialPerceptionError) else step(value)
        except SocialPerceptionError as error:
            result = error
        yield frame, result


def _ahead(items: Iterator[tuple[Frame, Any]]) -> Generator[tuple[Frame, Any]]:
    """Iterate in a thread, a few items ahead."""
    executor = ThreadPoolExecutor(max_workers=1)
    try:
        waiting = deque(executor.submit(next, items, None) for _ in range(_FRAMES_AHEAD))
        while (item := waiting.popleft().result()) is not None:
            waiting.append(executor.submit(next, items, None))
            yield item
    finally:
        executor.shutdown(cancel_futures=True)


def _write_views(job: Job, timelines: Timelines, output: OutputOptions, errors: list[str]) -> None:
    views = {PLOT: _write_plot} if output.plot else {}
    if output.report:
        views[REPORT] = _write_report
    for name, write in views.items():
        try:
            write(job, timelines, output)
        except MissingDependencyError:  # noqa: PERF203
            raise
        except Exception as error:
            _report(output_error(job.part / name, error) if isinstance(error, OSError) else error, errors)
            _remove(job.part / name)


def _write_plot(job: Job, timelines: Timelines, output: OutputOptions) -> None:
    from social_perception.views.plots import plot_scene, plot_timeline

    if output.group_only:
        plot_scene(job.part / PLOT, timelines.scene, title=job.video.name)
        return
    people = timelines.faces if output.people else None
    plot_timeline(job.part / PLOT, people, timelines.group, title=job.video.name)


def _write_report(job: Job, timelines: Timelines, output: OutputOptions) -> None:
    if output.group_only:
        from social_perception.views.report.scene import write_scene_report

        write_scene_report(job.part / REPORT, timelines.scene, video=job.video)
        return
    from social_perception.views.report.page import write_report
    from social_perception.views.report.thumbnails import Thumbnail, make_thumbnails

    people, group = timelines.faces, timelines.group
    thumbnails: tuple[Thumbnail, ...] = ()
    if output.thumbnails:
        with _open(job, output) as source:
            thumbnails = make_thumbnails(source, job.part / FACES, people, group, blur=output.blur)
    write_report(job.part / REPORT, people, group, video=job.video, thumbnails=thumbnails)


def _figures(timelines: Timelines) -> tuple[float, float]:
    """The video's length in s and the mean intensity over all faces and frames, or that of the group.

    The intensity of a scene is not known.
    """
    people, group = timelines.faces, timelines.group or timelines.scene
    duration_s = 0.0
    if group is not None:
        steps_s = np.diff(group.stamps_s)
        duration_s = float(group.stamps_s[-1] + (np.median(steps_s) if len(steps_s) else 0.0))
    seen = np.concatenate([face.intensities for face in people]) if people else np.empty(0)
    if not people and timelines.group is not None:
        seen = timelines.group.values["mean_intensity"]
    seen = seen[~np.isnan(seen)]
    return duration_s, float(seen.mean()) if len(seen) else float("nan")
