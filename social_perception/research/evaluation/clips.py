"""Evaluates the smile intensity over the rated clips with the complete pipeline."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from social_perception.core.config import PipelineConfig, SmileConfig
from social_perception.core.types import FrameAffect, Smile, SmileLevel
from social_perception.perception.pipeline import make_pipeline
from social_perception.research.evaluation.metrics import FloatArray, false_smile_rate, pearson, spearman
from social_perception.research.tables import read_table
from social_perception.research.training.stills import data_folder
from social_perception.sources.video import VideoSource

SMILE_FROM = 2
"""A clip has a smile if a rater rated one of its frames Medium or above."""


@dataclass(frozen=True, slots=True, eq=False)
class ClipTimeline:
    """Ratings and predictions of the N rated frames of a clip, and the intensity in all M frames.

    ``stamps_s`` (N,), ``raters`` (N, 2), ``intensity`` (N,) and ``level`` (N,) are for the rated frames,
    ``all_stamps_s`` (M,) and ``all_intensity`` (M,) for all frames; NaN where unknown.
    """

    clip: str
    stamps_s: FloatArray
    raters: FloatArray
    intensity: FloatArray
    level: FloatArray
    all_stamps_s: FloatArray
    all_intensity: FloatArray

    @property
    def has_smile(self) -> bool:
        return bool(np.nanmax(self.raters) >= SMILE_FROM)

    @property
    def pearson(self) -> float:
        return pearson(self.intensity, self.raters.mean(axis=1))


def clip_timelines(model: str = "") -> list[ClipTimeline]:
    """Run each rated clip through the pipeline; the largest face is evaluated.

    Args:
        model: file with the weights; empty: the shipped network.

    Raises:
        SourceError: a clip cannot be read.
    """
    columns = ["clip", "frame", "stamp_s", "rater1", "rater2"]
    table = read_table(data_folder() / "clips" / "clip_levels.csv", columns)
    return [_timeline(clip, rows, model) for clip, rows in table.groupby("clip")]


def clip_figures(timelines: list[ClipTimeline]) -> dict[str, object]:
    """Return correlations per clip, their mean over the clips with a smile, and false smile rates."""
    smiling = [timeline for timeline in timelines if timeline.has_smile]
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


def _timeline(clip: str, rows: pd.DataFrame, model: str) -> ClipTimeline:
    config = PipelineConfig(smile=SmileConfig(model=model))
    with VideoSource(data_folder() / "clips" / clip) as source, make_pipeline(config, live=False) as pipeline:
        frames = itertools.islice(source, int(rows["frame"].max()) + 1)
        scored = [(frame.stamp_s, *_largest(pipeline.process(frame))) for frame in frames]
    every = np.array(scored, float).reshape(-1, 3)
    # Rated frames beyond the last decodable one have no score.
    rated = np.full((len(rows), 3), math.nan)
    decoded = rows["frame"].to_numpy() < len(every)
    rated[decoded] = every[rows["frame"].to_numpy()[decoded]]
    levels = rows[["rater1", "rater2"]].to_numpy(float)
    stamps_s = rows["stamp_s"].to_numpy(float)
    return ClipTimeline(clip, stamps_s, levels, rated[:, 1], rated[:, 2], every[:, 0], every[:, 1])


def _largest(affect: FrameAffect) -> tuple[float, float]:
    faces = [face for face in affect.faces if face.track.visible and face[Smile].level != SmileLevel.UNKNOWN]
    if not faces:
        return math.nan, math.nan
    smile = max(faces, key=lambda face: face.track.box.area)[Smile]
    return smile.intensity, float(smile.level)
