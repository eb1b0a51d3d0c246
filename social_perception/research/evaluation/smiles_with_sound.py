"""The smiles of people who talk, once without the sound of their clips and once with it, in one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from social_perception.core.config import PipelineConfig, SmileConfig
from social_perception.core.types import Smile, SmileLevel, TrackedFaces
from social_perception.perception.hearing.listener import Listener
from social_perception.perception.pipeline import FaceEstimation, make_estimation
from social_perception.research.evaluation.clips import ClipTimeline, timelines, tracked_clips
from social_perception.research.evaluation.targets import (
    Candidate,
    Measure,
    clip_share,
    compare,
    neutral_levels,
    pearson_of_clips,
    pearson_of_frames,
    table,
)
from social_perception.research.training.laughter_sounds import RATE_HZ

FOLDER = "talking"

COLUMNS = ("without sound", "with sound")


def smile_table(files: str, listener: Listener) -> str:
    """The table of both columns, and their difference.

    Args:
        files: of weights, as of :meth:`.targets.Candidate.read`; each clip is scored by the first fold that
            was not trained on it, else by the first.
        listener: hears.

    Raises:
        ModelError: weights cannot be read.
        SourceError: a clip cannot be read.
    """
    candidate = Candidate.read(files)
    found = list(both(files.split(","), candidate, listener))
    trained = sum(candidate.fold(each[0].clip) is None for each in found)
    name = f"smiles, {FOLDER}" + (f", {trained} of {len(found)} clips in the training" if trained else "")
    return table(COLUMNS, list(compare([list(measures(name, column)) for column in zip(*found)])))


def both(
    models: Sequence[str], candidate: Candidate, listener: Listener
) -> Iterator[tuple[ClipTimeline, ...]]:
    """The timelines of each clip by the whole estimation, in the order of :data:`COLUMNS`."""
    configs = [PipelineConfig(smile=SmileConfig(model=each)) for each in models]
    folds = [(make_estimation(each), make_estimation(each, listener)) for each in configs]
    for clip, rows, frames in tracked_clips(FOLDER, RATE_HZ):
        estimations = folds[candidate.fold(clip) or 0]
        for each in estimations:
            each.reset()
        yield timelines(clip, rows, frames, [partial(_smiles, each) for each in estimations])


def _smiles(estimation: FaceEstimation, faces: TrackedFaces) -> list[Smile]:
    return [face[Smile] for face in estimation.process(faces).faces]


def measures(name: str, clips: Sequence[ClipTimeline]) -> Iterator[Measure]:
    """The measures of one column; the units are clips."""
    neutral = neutral_levels(clips)
    title = f"{name}: rated 0 by both, shown as"
    yield clip_share(f"{title} Low or above", "", neutral, SmileLevel.LOW)
    yield clip_share(f"{title} Medium or above", "<= 0.03", neutral, SmileLevel.MEDIUM)
    yield pearson_of_clips(name, ">= 0.85", clips, SmileLevel.LOW)
    yield pearson_of_frames(name, ">= 0.85", clips)
