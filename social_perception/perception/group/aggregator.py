"""From single smiles to the group's affect."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from social_perception.core.config import GroupConfig
from social_perception.core.signals import Signals
from social_perception.core.types import FaceAffect, GroupAffect, Smile, SmileLevel
from social_perception.perception.group.history import History
from social_perception.perception.group.weights import person_weights

NOTHING_SEEN = GroupAffect.unknown()
"""The group before the first image: all values are unknown."""


class GroupAggregator:
    """Keeps the group's state from frame to frame; it reads no clock."""

    def __init__(self, config: GroupConfig) -> None:
        self.config = config
        self.reset()

    def reset(self) -> None:
        """Forget the history, as if no frame had ever come."""
        self._history = History()
        self._latest = NOTHING_SEEN

    def update(
        self, faces: Sequence[FaceAffect], stamp_s: float, signals: Signals | None = None
    ) -> GroupAffect:
        """Take in the faces of one frame (none is an empty room) and return the group's affect.

        Only faces whose smile is valid enter the numbers; all faces count in ``group_size``.

        Args:
            faces: of the frame.
            stamp_s: time of the frame.
            signals: the group's further signals.
        """
        valid = [face for face in faces if face[Smile].valid]
        intensities = np.array([face[Smile].intensity for face in valid], dtype=float)
        weights = person_weights(valid, self.config.size_exponent, self.config.center_weight)
        intensity = float(weights @ intensities) if valid else math.nan
        ids = [face.track.id for face in valid]
        self._history.add(stamp_s, ids, intensities, intensity, self.config.window_s)
        smiling = [face[Smile].level >= self.config.smiling_level for face in valid]
        self._latest = GroupAffect(
            stamp_s=stamp_s,
            group_size=len(faces),
            valid_faces=len(valid),
            intensity=intensity,
            mean_intensity=float(intensities.mean()) if valid else math.nan,
            dispersion=float(intensities.std()) if valid else math.nan,
            smiling_fraction=sum(smiling) / len(valid) if valid else math.nan,
            level=SmileLevel.of_intensity(intensity),
            trend=self._history.trend(),
            synchrony=self._history.synchrony(),
            window_s=self._history.span_s,
            face_ids=tuple(face.track.id for face in faces),
            stale=False,
            signals=signals or Signals(),
        )
        return self._latest

    def current(self, silence_s: float) -> GroupAffect:
        """The latest affect; stale if nothing has come for ``stale_after_s``, or ever.

        Args:
            silence_s: time in s since the last update, by the caller's clock.
        """
        stale = self._latest.stale or silence_s > self.config.stale_after_s
        return dataclasses.replace(self._latest, stale=stale)
