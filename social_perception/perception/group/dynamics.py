"""Who smiles with whom: lagged correlation of all pairs of people over a sliding window.

Source: S. M. Boker, M. Xu, J. L. Rotondo, K. King, "Windowed cross-correlation and peak picking for
the analysis of variability in the association between behavioral time series", Psychological
Methods 7(3), 2002. For the lag tau the intensities x of one person and y of another correlate as

    r(tau) = mean((x(t) - mx) (y(t + tau) - my)) / (sx sy)

over all t of the window for which x(t) and y(t + tau) are both known; mx, my, sx, sy are the means and
standard deviations over just these t. With a positive lag the second person follows the first. As in the
source, the pair's lag is that of a peak of r(tau), a value above both neighbors; a pair with monotonic r has
none. Boker et al. use the peak nearest to lag 0; here it is the highest, because noise causes small peaks
anywhere in the curve of a short window.

Independent people reach high peaks, too: the peak is the maximum over many lags, and the samples of a window
are correlated, because smiles last for seconds. Of independent random curves (noise smoothed by a Gaussian
of 1 s, about the rate of smiles) 5 % of the pairs have a peak above 0.94 over a window of 10 s, 0.74 over 20
s, 0.61 over 30 s and 0.46 over 60 s. A single window is a hint; only repeated peaks are a finding.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import numpy as np

from social_perception.core.config import DynamicsConfig
from social_perception.core.types import FaceAffect, FrameAffect, GroupDynamics, PairDynamics, Smile
from social_perception.perception.group.correlation import FloatArray, correlation_matrix
from social_perception.perception.group.history import History
from social_perception.perception.group.laughter import SharedLaughter

GRID_STEP_S = 0.1
"""Interval of the correlated samples; lags are integer multiples of it."""

MAX_GAP_S = 0.5
"""Intensities are not interpolated between frames farther apart than this."""

MAX_PEOPLE = 300
"""Maximum number of people for pairs: 300 take a third of a second, 1024 would take five seconds."""


class DynamicsEstimator:
    """Stores the people's intensities and correlates them on demand; it reads no clock."""

    def __init__(self, config: DynamicsConfig) -> None:
        self.config = config
        self.reset()

    def reset(self) -> None:
        """Clear the history."""
        self._history = History()
        self._laughter = SharedLaughter()
        self._present: tuple[str, ...] = ()
        self._epoch = 0

    def add(self, faces: Sequence[FaceAffect], stamp_s: float, epoch: int = 0) -> None:
        """Add the faces of one frame; only valid smiles are used. A new epoch clears the history."""
        if epoch != self._epoch:
            self.reset()
            self._epoch = epoch
        valid = [face for face in faces if face[Smile].valid]
        intensities = np.array([face[Smile].intensity for face in valid], dtype=float)
        ids = [face.track.id for face in valid]
        self._history.add(stamp_s, ids, intensities, math.nan, self.config.dynamics_window_s)
        self._laughter.add(faces, stamp_s)
        self._present = tuple(sorted(face.track.id for face in faces))

    def snapshot(self) -> DynamicsEstimator:
        """A copy that later frames do not change, to be estimated in another thread."""
        copied = copy.copy(self)
        copied._history = copy.copy(self._history)
        copied._laughter = copy.copy(self._laughter)
        return copied

    def estimate(self) -> GroupDynamics:
        """Return the dynamics of the people in the newest frame over the window; stale before the first
        frame.

        ``synchrony`` is the mean of r(0) over all pairs where it is known, as in :class:`GroupAffect`, over a
        longer window and with equally spaced samples. With more than ``MAX_PEOPLE`` there are no pairs and no
        synchrony.
        """
        if len(self._present) > MAX_PEOPLE:
            return self._dynamics((), math.nan)
        people = self._resampled()
        overlap_s = self.config.min_overlap * self.config.dynamics_window_s
        lags_s, curves = lagged_correlations(people, GRID_STEP_S, self.config.max_lag_s, overlap_s)
        rows, columns = np.triu_indices(len(self._present), k=1)
        curves = curves[:, rows, columns]
        peaks, peak_lags_s = highest_peaks(curves, lags_s)
        together = curves[len(lags_s) // 2]
        known = together[~np.isnan(together)]
        pairs = self._pairs(rows, columns, peaks, peak_lags_s, together)
        return self._dynamics(pairs, float(known.mean()) if len(known) else math.nan)

    def _dynamics(self, pairs: tuple[PairDynamics, ...], synchrony: float) -> GroupDynamics:
        lags_s = self._laughter.lags(self._history.newest_s - self.config.dynamics_window_s)
        return GroupDynamics(
            stamp_s=self._history.newest_s,
            face_ids=self._present,
            pairs=pairs,
            synchrony=synchrony,
            window_s=self._history.span_s,
            stale=not len(self._history.stamps_s),
            laughing_ids=tuple(lags_s),
            laughing_lags_s=tuple(lags_s.values()),
        )

    def _resampled(self) -> FloatArray:
        """Return the intensities of the present people on the regular grid, (T, N)."""
        column = {name: index for index, name in enumerate(self._history.ids)}
        table = np.full((len(self._history.stamps_s), len(self._present)), math.nan)
        for index, name in enumerate(self._present):
            if name in column:
                table[:, index] = self._history.people[:, column[name]]
        return resample(self._history.stamps_s, table, GRID_STEP_S)

    def _pairs(
        self,
        rows: np.ndarray,
        columns: np.ndarray,
        peaks: FloatArray,
        lags_s: FloatArray,
        together: FloatArray,
    ) -> tuple[PairDynamics, ...]:
        order = np.argsort(-peaks, kind="stable")  # NaN last
        names = self._present
        return tuple(
            PairDynamics(names[row], names[column], peak, lag_s, now)
            for row, column, peak, lag_s, now in zip(
                rows[order].tolist(),
                columns[order].tolist(),
                peaks[order].tolist(),
                lags_s[order].tolist(),
                together[order].tolist(),
            )
        )


class PeriodicDynamics:
    """Receives each frame and returns the dynamics at the configured rate, by the frames' stamps."""

    def __init__(self, config: DynamicsConfig) -> None:
        self._estimator = DynamicsEstimator(config)
        self._period_s = 1.0 / config.dynamics_rate_hz
        self._last_s: float | None = None

    def __call__(self, affect: FrameAffect) -> GroupDynamics | None:
        """Take in a frame; None: the dynamics are not due yet."""
        self._estimator.add(affect.faces, affect.stamp_s, affect.epoch)
        # Stamps may go back: a bag that is played again.
        if self._last_s is not None and abs(affect.stamp_s - self._last_s) < self._period_s:
            return None
        self._last_s = affect.stamp_s
        return self._estimator.estimate()


def resample(stamps_s: FloatArray, people: FloatArray, step_s: float) -> FloatArray:
    """Return each person's mean intensity in each interval of a regular grid that ends at the newest stamp.

    Between two frames the intensity is the mean of the two; it is unknown if a person is missing
    in either, or if they are more than ``MAX_GAP_S`` apart. At least half of an interval must be known.

    Args:
        stamps_s: (F,) increasing times of the frames in s.
        people: (F, N) intensities; NaN where a person is not visible.
        step_s: length of an interval in s.

    Returns:
        (T, N) means; NaN where unknown. Empty for fewer than two frames.
    """
    if len(stamps_s) < 2:
        return np.zeros((0, people.shape[1]))
    steps = np.diff(stamps_s)[:, None]
    middles = (people[1:] + people[:-1]) / 2
    known = ~np.isnan(middles) & (steps <= MAX_GAP_S)
    start = np.zeros((1, people.shape[1]))
    covered = np.vstack([start, np.cumsum(np.where(known, steps, 0.0), axis=0)])
    area = np.vstack([start, np.cumsum(np.where(known, steps * middles, 0.0), axis=0)])
    count = math.floor((stamps_s[-1] - stamps_s[0]) / step_s + 1e-6)
    edges = stamps_s[-1] - step_s * np.arange(count, -1, -1)
    left = np.clip(np.searchsorted(stamps_s, edges, side="right") - 1, 0, len(stamps_s) - 2)
    share = ((edges - stamps_s[left])[:, None] / steps[left]).clip(0.0, 1.0)
    length = np.diff(covered[left] + share * (covered[left + 1] - covered[left]), axis=0)
    amount = np.diff(area[left] + share * (area[left + 1] - area[left]), axis=0)
    enough = length >= step_s / 2
    return np.where(enough, amount / np.where(enough, length, 1.0), math.nan)


def lagged_correlations(
    people: FloatArray, step_s: float, max_lag_s: float, min_overlap_s: float
) -> tuple[FloatArray, FloatArray]:
    """Return r(tau) of all pairs of people.

    Args:
        people: (T, N) intensities at equal intervals; NaN where unknown.
        step_s: the interval in s.
        max_lag_s: longest lag in s. One more lag is computed on either side, so that the longest
            can be a peak.
        min_overlap_s: minimum common time in s of two people at a lag.

    Returns:
        The lags in s, shape (L,), from negative to positive, and r, shape (L, N, N) in [-1, 1]:
        ``r[k, i, j]`` correlates i with what j does ``lags[k]`` later. NaN where unknown.
    """
    longest = round(max_lag_s / step_s) + 1
    min_samples = max(2, round(min_overlap_s / step_s))
    samples, count = people.shape
    curves = np.full((2 * longest + 1, count, count), math.nan)
    for lag in range(min(longest, max(samples - 1, 0)) + 1):
        later = correlation_matrix(people[: samples - lag], people[lag:], min_samples)
        curves[longest + lag] = later
        curves[longest - lag] = later.T  # j after i by tau is i after j by -tau
    return step_s * np.arange(-longest, longest + 1, dtype=np.float64), curves


def highest_peaks(curves: FloatArray, lags_s: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the highest value above both neighbors, and its lag; of equal ones that nearest to lag 0.

    Args:
        curves: (L, P) one curve per column; NaN where unknown.
        lags_s: (L,) in s.

    Returns:
        Values and lags in s, each of shape (P,); NaN for a curve without a peak.
    """
    inner = curves[1:-1]
    with np.errstate(invalid="ignore"):
        is_peak = (inner >= curves[:-2]) & (inner >= curves[2:])
        is_peak &= (inner > curves[:-2]) | (inner > curves[2:])
    candidates = np.where(is_peak, inner, -np.inf)
    nearest = np.argsort(np.abs(lags_s[1:-1]), kind="stable")
    best = nearest[np.argmax(candidates[nearest], axis=0)]
    values = np.take_along_axis(candidates, best[None], axis=0)[0]
    found = np.isfinite(values)
    return np.where(found, values, math.nan), np.where(found, lags_s[1:-1][best], math.nan)
