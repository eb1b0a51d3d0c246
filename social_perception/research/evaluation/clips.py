"""Evaluates the smile intensity over the rated clips: detection, tracking and smiles, frame by frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from social_perception.core.config import PipelineConfig
from social_perception.core.types import Smile, SmileLevel, TrackedFaces
from social_perception.perception.pipeline import make_tracking
from social_perception.perception.smile.scorer import Scorer, SmileEstimator
from social_perception.research.evaluation.metrics import FloatArray, false_smile_rate, pearson, spearman
from social_perception.research.tables import read_table
from social_perception.research.training.stills import data_folder
from social_perception.sources.video import VideoSource

Estimate = Callable[[TrackedFaces], Sequence[Smile]]
"""Gives one smile per track."""

RATED = {"clips": "clip_levels.csv", "talking": "levels.csv"}
"""The folders of rated clips, and the table of levels in each."""


@dataclass(frozen=True, slots=True, eq=False)
class ClipTimeline:
    """Ratings and predictions of the N rated frames of a clip, and the intensity in all M frames.

    ``stamps_s`` (N,), ``raters`` (N, 2), ``intensity`` (N,), ``level`` (N,) and ``probabilities`` (N, 4)
    are for the rated frames, ``all_stamps_s`` (M,) and ``all_intensity`` (M,) for all frames; NaN where
    unknown.
    """

    clip: str
    stamps_s: FloatArray
    raters: FloatArray
    intensity: FloatArray
    level: FloatArray
    probabilities: FloatArray
    all_stamps_s: FloatArray
    all_intensity: FloatArray

    def has_smile(self, lowest: SmileLevel = SmileLevel.MEDIUM) -> bool:
        """Tell whether a rater saw this level or a higher one in a frame."""
        return bool(np.nanmax(self.raters) >= lowest)

    def without_predictions(self) -> ClipTimeline:
        """Return the ratings alone, as of a clip that a network was trained on."""
        unknown = np.full(len(self.level), math.nan)
        return replace(
            self,
            intensity=unknown,
            level=unknown,
            probabilities=np.full_like(self.probabilities, math.nan),
            all_intensity=np.full(len(self.all_stamps_s), math.nan),
        )

    @property
    def pearson(self) -> float:
        return pearson(self.intensity, self.raters.mean(axis=1))


def clip_timelines(scorers: Sequence[Scorer], folder: str = "clips") -> Iterator[tuple[ClipTimeline, ...]]:
    """Track the largest face of each rated clip once, and score it with every scorer.

    Args:
        scorers: the smile networks; their states are reset.
        folder: one of :data:`RATED`.

    Yields:
        For each clip, one timeline per scorer.

    Raises:
        SourceError: a clip cannot be read.
    """
    for clip, rows, frames in tracked_clips(folder):
        for scorer in scorers:
            scorer.reset()
        yield timelines(clip, rows, frames, [SmileEstimator(scorer).estimate for scorer in scorers])


def tracked_clips(
    folder: str, sound_rate_hz: int | None = None
) -> Iterator[tuple[str, pd.DataFrame, Iterator[TrackedFaces]]]:
    """Track the faces of each rated clip.

    Args:
        folder: one of :data:`RATED`.
        sound_rate_hz: rate of the frames' sound; None: without sound.

    Yields:
        The name of each clip, the rows of its ratings, and its frames, to be read before the next clip.

    Raises:
        SourceError: a clip cannot be read.
    """
    table = _levels(folder)
    with closing(make_tracking(PipelineConfig(), live=False)) as tracking:
        for clip, rows in tqdm(table.groupby("clip"), desc=f"rated {folder}", mininterval=5):
            tracking.restart()
            with VideoSource(data_folder() / folder / clip, sound_rate_hz) as source:
                yield clip, rows, map(tracking.process, source)


def rated_clips(folder: str) -> list[str]:
    """Return the names of the rated clips of a folder.

    Raises:
        SourceError: the table of their levels cannot be read.
    """
    return sorted(set(_levels(folder)["clip"]))


def _levels(folder: str) -> pd.DataFrame:
    return read_table(data_folder() / folder / RATED[folder], ["clip", "stamp_s", "rater1", "rater2"])


def clip_figures(timelines: Sequence[ClipTimeline]) -> dict[str, object]:
    """Return correlations per clip, their mean over the clips with a smile, and false smile rates."""
    smiling = [timeline for timeline in timelines if timeline.has_smile()]
    levels = np.concatenate([timeline.level for timeline in timelines])
    raters = np.concatenate([timeline.raters for timeline in timelines])
    intensities = np.concatenate([timeline.intensity for timeline in timelines])
    return {
        "pearson": {timeline.clip: timeline.pearson for timeline in timelines},
        "pearson_mean_over_clips_with_a_smile": float(np.mean([timeline.pearson for timeline in smiling])),
        "spearman_all_frames": spearman(intensities, raters.mean(axis=1)),
        "false_smile_rate": false_smile_rate(levels, raters),
        "false_smile_rate_per_clip": {t.clip: false_smile_rate(t.level, t.raters) for t in timelines},
        "frames": len(levels),
        "frames_without_a_scored_face": int(np.isnan(levels).sum()),
    }


def timelines(
    clip: str, rows: pd.DataFrame, frames: Iterable[TrackedFaces], estimates: Sequence[Estimate]
) -> tuple[ClipTimeline, ...]:
    """The timelines of a clip, one for each way of estimating its smiles.

    Args:
        clip: name.
        rows: its ratings.
        frames: all of its frames, in order.
        estimates: called with each frame.
    """
    stamps: list[float] = []
    smiles: list[list[tuple[float, ...]]] = []
    for faces in frames:
        stamps.append(faces.stamp_s)
        smiles.append([_largest(faces, each(faces)) for each in estimates])
    every = np.array(smiles, float).reshape(len(stamps), len(estimates), 6)
    all_stamps_s, stamps_s = np.array(stamps), rows["stamp_s"].to_numpy(float)
    rated = every[_frames(rows, all_stamps_s)]
    levels = rows[["rater1", "rater2"]].to_numpy(float)
    return tuple(
        ClipTimeline(
            clip,
            stamps_s,
            levels,
            rated[:, i, 0],
            rated[:, i, 1],
            rated[:, i, 2:],
            all_stamps_s,
            every[:, i, 0],
        )
        for i in range(len(estimates))
    )


def _frames(rows: pd.DataFrame, stamps_s: FloatArray) -> npt.NDArray[np.intp]:
    """Return the frame of each rating: the named one, else the nearest in time."""
    if "frame" in rows:  # clips of varying rate have ratings at the stamps of a constant one
        return np.minimum(rows["frame"].to_numpy(np.intp), len(stamps_s) - 1)
    return np.abs(rows["stamp_s"].to_numpy(float)[:, None] - stamps_s).argmin(axis=1)


def _largest(faces: TrackedFaces, smiles: Sequence[Smile]) -> tuple[float, ...]:
    """Return intensity, level and probabilities of the largest face, NaN if there is none."""
    scored = [
        (track.box.area, smile)
        for track, smile in zip(faces.tracks, smiles)
        if track.visible and smile.level != SmileLevel.UNKNOWN
    ]
    if not scored:
        return (math.nan,) * 6
    smile = max(scored, key=lambda each: each[0])[1]
    return smile.intensity, float(smile.level), *smile.probabilities
