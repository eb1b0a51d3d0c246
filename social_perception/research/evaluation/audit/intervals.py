"""Confidence intervals and tests, 95 % and two-sided unless said otherwise.

Shares: E. B. Wilson, 1927, and for a difference of two R. G. Newcombe, 1998 (method 10). Means: the
bootstrap, bias-corrected and accelerated (B. Efron, 1987), by percentiles for large groups, where it is the
same. AUC: Newcombe, 2006. Several tests: S. Holm, 1979.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from social_perception.research.evaluation.metrics import FloatArray

# The jackknife of the accelerated bootstrap grows with the square of the group.
_LARGE = 1000
_BATCH = 200
# The value itself solves the equation of its limits where it is 0 or 1.
_NEXT = 1e-9
_Z = float(stats.norm.ppf(0.975))


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with the limits of its 95 % interval; NaN where it cannot be known."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


UNKNOWN = Interval(math.nan, math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class Draws:
    """How many resamples, and the seed: the same question always gets the same answer."""

    resamples: int
    seed: int

    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)


def share(hits: int, of: int) -> Interval:
    """Wilson's interval of a share."""
    if not of:
        return UNKNOWN
    limits = stats.binomtest(hits, of).proportion_ci(method="wilson")
    return Interval(hits / of, float(limits.low), float(limits.high))


def share_difference(hits: int, of: int, other_hits: int, other_of: int) -> Interval:
    """Newcombe's interval of the difference of two shares."""
    one, two = share(hits, of), share(other_hits, other_of)
    return _from_both(one, two)


def _from_both(one: Interval, two: Interval) -> Interval:
    """The interval of a difference from those of both sides (Newcombe's method 10)."""
    difference = one.value - two.value
    return Interval(
        difference,
        difference - math.hypot(one.value - one.low, two.high - two.value),
        difference + math.hypot(one.high - one.value, two.value - two.low),
    )


def mean(values: FloatArray, draws: Draws) -> Interval:
    """The bootstrap's interval of the mean of values (N,)."""
    if not len(values):
        return UNKNOWN
    value = float(values.mean())
    if len(values) < 2 or np.ptp(values) == 0:
        # Nothing to resample: one value says nothing of its own spread.
        return Interval(value, math.nan, math.nan) if len(values) < 2 else Interval(value, value, value)
    method = "BCa" if len(values) < _LARGE else "percentile"
    return _bootstrap((values,), np.mean, draws, method)


def mean_difference(values: FloatArray, other: FloatArray, draws: Draws) -> Interval:
    """The bootstrap's interval of the difference of two groups' means."""
    if not len(values) or not len(other):
        return UNKNOWN
    if np.ptp(values) == 0 and np.ptp(other) == 0:
        return UNKNOWN
    return _bootstrap((values, other), _difference_of_means, draws, "percentile")


def auc(positive: FloatArray, negative: FloatArray) -> float:
    """Area under the ROC curve: how often a score of a positive is above one of a negative."""
    if not len(positive) or not len(negative):
        return math.nan
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left") + np.searchsorted(ordered, positive, "right")
    return float(below.mean() / 2 / len(ordered))


def auc_interval(positive: FloatArray, negative: FloatArray) -> Interval:
    """Newcombe's interval of an AUC (2006, method 5); of 1.0, too, where a bootstrap says nothing."""
    sizes = (len(positive), len(negative))
    if not min(sizes):
        return UNKNOWN
    value = auc(positive, negative)

    def beyond(theta: float) -> float:
        return (value - theta) ** 2 - _Z**2 * _auc_variance(theta, *sizes)

    low = 0.0 if value <= 0 else optimize.brentq(beyond, 0.0, value - _NEXT)
    high = 1.0 if value >= 1 else optimize.brentq(beyond, value + _NEXT, 1.0)
    return Interval(value, float(low), float(high))


def auc_difference(samples: Sequence[FloatArray]) -> tuple[Interval, float]:
    """Interval (from both AUCs' intervals, as Newcombe's for shares) and p of the difference of two AUCs.

    Args:
        samples: scores of the positives and negatives of the one group, then of the other.
    """
    if not min(map(len, samples)):
        return UNKNOWN, math.nan
    one, two = auc_interval(*samples[:2]), auc_interval(*samples[2:])
    pairs = [len(samples[0]) * len(samples[1]), len(samples[2]) * len(samples[3])]
    common = (one.value * pairs[0] + two.value * pairs[1]) / sum(pairs)
    variance = sum(_auc_variance(common, len(samples[at]), len(samples[at + 1])) for at in (0, 2))
    difference = one.value - two.value
    p = 2 * float(stats.norm.sf(abs(difference) / math.sqrt(variance))) if variance > 0 else math.nan
    return _from_both(one, two), p


def _auc_variance(theta: float, positives: int, negatives: int) -> float:
    """J. A. Hanley and B. J. McNeil, 1982, with the same sizes of both kinds, as Newcombe takes it."""
    more = (positives + negatives) / 2 - 1
    spread = 1 + more * ((1 - theta) / (2 - theta) + theta / (1 + theta))
    return theta * (1 - theta) * spread / (positives * negatives)


def shares_differ(hits: int, of: int, other_hits: int, other_of: int) -> float:
    """Fisher's exact test of two shares: p."""
    if not of or not other_of:
        return math.nan
    return float(stats.fisher_exact([[hits, of - hits], [other_hits, other_of - other_hits]])[1])


def means_differ(values: FloatArray, other: FloatArray) -> float:
    """Welch's test of two means: p."""
    if min(len(values), len(other)) < 2 or (np.ptp(values) == 0 and np.ptp(other) == 0):
        return math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of groups whose values are almost all the same
        return float(stats.ttest_ind(values, other, equal_var=False).pvalue)


def holm(p_values: npt.ArrayLike) -> FloatArray:
    """Holm's adjusted p values (N,); NaN stays NaN and does not count."""
    p = np.asarray(p_values, float)
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known])]
    factors = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return adjusted


def _difference_of_means(one: FloatArray, two: FloatArray, axis: int = -1) -> FloatArray:
    return np.asarray(one.mean(axis=axis) - two.mean(axis=axis))


def _bootstrap(samples: tuple[FloatArray, ...], statistic: object, draws: Draws, method: str) -> Interval:
    limits = _run(samples, statistic, draws, method).confidence_interval
    if method == "BCa" and math.isnan(limits.low):  # too few different values for its correction
        limits = _run(samples, statistic, draws, "percentile").confidence_interval
    value = statistic(*samples)  # type: ignore[operator]
    return Interval(float(value), float(limits.low), float(limits.high))


def _run(samples: tuple[FloatArray, ...], statistic: object, draws: Draws, method: str) -> object:
    with warnings.catch_warnings():
        # A statistic that is the same in all resamples is said by its interval, not by a warning.
        warnings.simplefilter("ignore", RuntimeWarning)
        return stats.bootstrap(
            samples, statistic, n_resamples=draws.resamples, method=method, vectorized=True,
            batch=_BATCH, random_state=draws.rng(),
        )  # fmt: skip
