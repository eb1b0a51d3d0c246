"""The seam between the pipeline and whatever scores smiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from social_perception.core.config import PipelineConfig, SmileConfig
from social_perception.core.types import ImageArray, Smile, Track, TrackedFaces


class Scorer(Protocol):
    """Scores all faces of one frame in one call and keeps each track's temporal state.

    Attributes:
        config: settings; the dynamic ones may be changed between two frames.
    """

    config: SmileConfig

    def score(self, tracks: Sequence[Track], crops: ImageArray, stamp_s: float) -> tuple[Smile, ...]:
        """Return one Smile per track, in order; no tracks is legal.

        Args:
            tracks: the N faces of the frame. A face that is not visible keeps its last smile, with
                ``valid`` false, and its crop does not enter its state.
            crops: (N, 96, 96, 3) uint8, RGB, in the order of the tracks.
            stamp_s: the frame's time; states not seen for ``SmileConfig.max_gap_s`` are forgotten.
        """

    def reset(self) -> None:
        """Forget every track."""


class SmileEstimator:
    """Scores the smiles of a frame's faces, as a step of the pipeline."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer

    def estimate(self, faces: TrackedFaces) -> tuple[Smile, ...]:
        """Return one Smile per track; see :meth:`Scorer.score`."""
        return self.scorer.score(faces.tracks, faces.crops, faces.stamp_s)

    def configure(self, config: PipelineConfig) -> None:
        """Apply the dynamic settings, between two frames."""
        self.scorer.config = config.smile

    def reset(self) -> None:
        """Forget every track."""
        self.scorer.reset()
