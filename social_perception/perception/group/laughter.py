"""Shared laughter: who laughs together, and how much later than the first each person joins in."""

from __future__ import annotations

import math
from collections.abc import Sequence

from social_perception.core.types import FaceAffect, Voice

LAUGHS_FROM = 0.5
"""From this value of ``Voice.laughing`` on a person laughs."""

MIN_LAUGH_S = 0.3
"""What is shorter is no laugh."""

MAX_PAUSE_S = 2.0
"""After so long without a laugh the next one begins another laughter."""


class SharedLaughter:
    """Follows the newest laughter of the group; it reads no clock."""

    def __init__(self) -> None:
        self._onsets: dict[str, float] = {}
        self._since: dict[str, float] = {}
        self._last_s = -math.inf

    def add(self, faces: Sequence[FaceAffect], stamp_s: float) -> None:
        """Take in the faces of a frame."""
        laughing = [face.track.id for face in faces if face[Voice].laughing >= LAUGHS_FROM]
        self._since = {name: self._since.get(name, stamp_s) for name in laughing}
        for name, since_s in self._since.items():
            if stamp_s - since_s < MIN_LAUGH_S - 1e-6:
                continue
            if since_s - self._last_s > MAX_PAUSE_S:
                self._onsets = {}
            self._onsets = {name: since_s} | self._onsets
            self._last_s = stamp_s

    def lags(self, oldest_s: float) -> dict[str, float]:
        """Return who laughed in the newest laughter, in the order of joining in, and how many seconds after
        the first; empty if it ended before ``oldest_s``.
        """
        if self._last_s < oldest_s:
            return {}
        ordered = sorted(self._onsets.items(), key=lambda onset: onset[1])
        return {name: since_s - ordered[0][1] for name, since_s in ordered}
