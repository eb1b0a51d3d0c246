"""Everybody's smile intensity over the last seconds, for views that show it."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import numpy.typing as npt

from social_perception.core.types import FrameAffect, Smile

DEFAULT_SPAN_S = 4.0
MAX_SAMPLES = 512
"""Per person, whatever the rate: a trace has at most this many samples."""


class Traces:
    """Keeps the intensities of the last seconds and drops people who left.

    Everybody in a frame has its stamp, so there is one list of stamps; a person's intensities end
    with the newest stamp and are NaN where no smile was valid.

    Args:
        span_s: length of a trace.
    """

    def __init__(self, span_s: float = DEFAULT_SPAN_S) -> None:
        self.span_s = span_s
        self._stamps_s: deque[float] = deque(maxlen=MAX_SAMPLES)
        self._intensities: dict[str, deque[float]] = {}
        self._epoch = 0

    @property
    def face_ids(self) -> tuple[str, ...]:
        """The faces that have a trace."""
        return tuple(self._intensities)

    def add(self, affect: FrameAffect) -> None:
        """Add the faces of a frame; one that is not newer than the last is dropped."""
        if affect.epoch != self._epoch:
            self._epoch = affect.epoch
            self._stamps_s.clear()
            self._intensities.clear()
        if self._stamps_s and affect.stamp_s <= self._stamps_s[-1]:
            return
        self._stamps_s.append(affect.stamp_s)
        seen = {face.track.id: face[Smile].intensity for face in affect.faces if face[Smile].valid}
        for face_id in seen.keys() - self._intensities.keys():
            self._intensities[face_id] = deque(maxlen=MAX_SAMPLES)
        for face_id, values in self._intensities.items():
            values.append(seen.get(face_id, math.nan))
        self._forget()

    def curve(self, face_id: str) -> npt.NDArray[np.float64]:
        """A person's trace.

        Returns:
            (N, 2), the oldest first: the time as a share of the span, 1 now; the intensity in [0, 1],
            NaN where it was unknown. Empty for a face without a trace.
        """
        values = self._intensities.get(face_id)
        if not values:
            return np.empty((0, 2))
        stamps_s = np.array(self._stamps_s)[-len(values) :]
        return np.column_stack([1.0 + (stamps_s - stamps_s[-1]) / self.span_s, values])

    def _forget(self) -> None:
        oldest_s = self._stamps_s[-1] - self.span_s
        while self._stamps_s[0] < oldest_s:
            self._stamps_s.popleft()
        for values in self._intensities.values():
            while len(values) > len(self._stamps_s):
                values.popleft()
        gone = [face_id for face_id, values in self._intensities.items() if all(map(math.isnan, values))]
        for face_id in gone:
            del self._intensities[face_id]
