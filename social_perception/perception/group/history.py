"""Sliding window of intensities, with trend and synchrony of the group."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from social_perception.perception.group.correlation import FloatArray, correlation_matrix

MIN_SPAN_S = 0.5
"""Minimum duration of the window for a trend."""

MIN_COMMON_SAMPLES = 8
"""Minimum number of common frames for the correlation of two people."""


class History:
    """Intensities of each person and of the group over the last seconds.

    Rows are frames, columns people; NaN where a person is not visible. People without a value in the window
    are removed.
    """

    def __init__(self) -> None:
        self._stamps: FloatArray = np.zeros(0)
        self._group: FloatArray = np.zeros(0)
        self._ids: list[str] = []
        self._people: FloatArray = np.zeros((0, 0))

    def add(
        self, stamp_s: float, ids: Sequence[str], intensities: FloatArray, group: float, window_s: float
    ) -> None:
        """Append a frame and drop frames older than the window.

        A repeated stamp replaces its frame.
        """
        first = np.searchsorted(self._stamps, stamp_s - window_s)
        last = np.searchsorted(self._stamps, stamp_s)
        self._add_people(ids)
        row = np.full(len(self._ids), math.nan)
        row[[self._ids.index(name) for name in ids]] = intensities
        self._stamps = np.append(self._stamps[first:last], stamp_s)
        self._group = np.append(self._group[first:last], group)
        self._people = np.vstack([self._people[first:last], row])
        self._remove_absent_people()

    def _add_people(self, ids: Sequence[str]) -> None:
        new = [name for name in ids if name not in self._ids]
        if new:
            unseen = np.full((len(self._stamps), len(new)), math.nan)
            self._people = np.hstack([self._people, unseen])
            self._ids = [*self._ids, *new]

    def _remove_absent_people(self) -> None:
        seen = np.asarray(~np.isnan(self._people).all(axis=0))
        if not seen.all():
            self._people = self._people[:, seen]
            self._ids = [name for name, present in zip(self._ids, seen) if present]

    @property
    def stamps_s(self) -> FloatArray:
        """Times of the frames in s, (F,), increasing."""
        return self._stamps

    @property
    def newest_s(self) -> float:
        """Time of the newest frame in s; 0 before the first."""
        return float(self._stamps[-1]) if len(self._stamps) else 0.0

    @property
    def ids(self) -> tuple[str, ...]:
        """The people visible in the window."""
        return tuple(self._ids)

    @property
    def people(self) -> FloatArray:
        """Intensities, shape (F, N): a row for each frame, a column for each of ``ids``."""
        return self._people

    @property
    def span_s(self) -> float:
        """Time in s from the first to the last frame of the window."""
        return float(self._stamps[-1] - self._stamps[0]) if len(self._stamps) else 0.0

    def trend(self) -> float:
        """Return the least-squares slope of the group's intensity in 1/s; NaN if the history is too short."""
        known = ~np.isnan(self._group)
        times, values = self._stamps[known], self._group[known]
        if len(times) < 3 or times[-1] - times[0] < MIN_SPAN_S:
            return math.nan
        times = times - times.mean()
        return float((times * values).sum() / (times * times).sum())

    def synchrony(self) -> float:
        """Return the mean Pearson correlation over all pairs of people, in [-1, 1]; NaN if no pair has one.

        Each pair is correlated over its common frames.
        """
        pairs = np.triu_indices(len(self._ids), k=1)
        correlations = correlation_matrix(self._people, self._people, MIN_COMMON_SAMPLES)[pairs]
        known = correlations[~np.isnan(correlations)]
        return float(known.mean()) if len(known) else math.nan
