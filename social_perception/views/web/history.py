"""The last minute, for a page that is opened late."""

from __future__ import annotations

import math
from collections import deque

from social_perception.core.types import FrameAffect
from social_perception.views.web.snapshot import moment_text

LENGTH_S = 60.0
RATE_HZ = 5.0


class History:
    """The moments of the last minute of the stream, five a second, ready as JSON.

    A moment knows only who was there then, so that many people who come and go do not make it grow.
    """

    def __init__(self) -> None:
        self._moments: deque[tuple[float, str]] = deque(maxlen=round(LENGTH_S * RATE_HZ))
        self._epoch, self._place = 0, 0

    def __len__(self) -> int:
        return len(self._moments)

    def add(self, affect: FrameAffect) -> None:
        """Keep the results of a frame, if the last one kept is old enough; a new epoch starts empty."""
        if affect.epoch != self._epoch:
            self._epoch = affect.epoch
            self._moments.clear()
        place = math.floor(affect.stamp_s * RATE_HZ)
        if self._moments and place == self._place:
            return
        self._place = place
        self._moments.append((affect.stamp_s, moment_text(affect)))
        while self._moments[0][0] < affect.stamp_s - LENGTH_S:
            self._moments.popleft()

    def text(self) -> str:
        """The moments as a JSON list, the oldest first."""
        return f"[{','.join(text for _, text in self._moments)}]"
