"""The seam between the pipeline and whatever scores smiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from social_perception.core.config import SmileConfig
from social_perception.core.types import ImageArray, Smile, Track


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
