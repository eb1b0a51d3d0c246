"""Follows the smile over the rated clips, through the whole pipeline."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from social_perception.core.config import PipelineConfig, SmileConfig
from social_perception.core.errors import SourceError
from social_perception.core.types import Frame, FrameAffect, SmileLevel
from social_perception.evaluation.metrics import FloatArray, false_smile_rate, pearson, spearman
from social_perception.pipeline import make_pipeline
from social_perception.training.stills import data_folder

SMILE_FROM = 2
"""A clip has a smile if a rater saw Medium or more in one of its frames."""


@dataclass(frozen=True, slots=True, eq=False)
class ClipTimeline:
    """The rated frames of one clip: raters (N, 2), intensity (N,) and level (N,); NaN where unknown."""

    clip: str
    raters: FloatArray
    intensity: FloatArray
    level: FloatArray

    @property
    def has_smile(self) -> bool:
        return bool(np.nanmax(self.raters) >= SMILE_FROM)

    @property
    def pearson(self) -> float:
        return pearson(self.intensity, self.raters.mean(axis=1))


def clip_timelines(model: str = "") -> list[ClipTimeline]:
    """Run each rated clip through detection, tracking and scoring; the largest face counts."""
    table = pd.read_csv(data_folder() / "clips" / "clip_levels.csv")
    return [_timeline(clip, rows, model) for clip, rows in table.groupby("clip")]


def clip_figures(timelines: list[ClipTimeline]) -> dict[str, object]:
    """Correlations per clip, their mean over the clips with a smile, and the false smiles."""
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
    wanted = {int(frame): place for place, frame in enumerate(rows["frame"])}
    intensity, level = np.full(len(rows), math.nan), np.full(len(rows), math.nan)
    with make_pipeline(PipelineConfig(smile=SmileConfig(model=model)), live=False) as pipeline:
        for frame in _frames(data_folder() / "clips" / clip, max(wanted)):
            affect = pipeline.process(frame)
            if frame.index in wanted:
                intensity[wanted[frame.index]], level[wanted[frame.index]] = _largest(affect)
    return ClipTimeline(clip, rows[["rater1", "rater2"]].to_numpy(float), intensity, level)


def _largest(affect: FrameAffect) -> tuple[float, float]:
    faces = [face for face in affect.faces if face.track.visible and face.smile.level != SmileLevel.UNKNOWN]
    if not faces:
        return math.nan, math.nan
    smile = max(faces, key=lambda face: face.track.box.area).smile
    return smile.intensity, float(smile.level)


def _frames(path: Path, last: int) -> Iterator[Frame]:
    video = cv2.VideoCapture(str(path))
    rate = video.get(cv2.CAP_PROP_FPS)
    if not video.isOpened() or rate <= 0:
        raise SourceError(f"cannot read the clip {path}")
    for index in range(last + 1):
        read, image = video.read()
        if not read:
            return
        yield Frame(np.ascontiguousarray(image[:, :, ::-1]), index / rate, index)
