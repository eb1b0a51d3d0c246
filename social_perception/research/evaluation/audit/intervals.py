"""Confidence intervals and tests: 95 % and two-sided.

Shares: E. B. Wilson, 1927, and for a difference of two R. G. Newcombe, 1998 (method 10). Means: the
bias-corrected and accelerated bootstrap (B. Efron, 1987), the percentile bootstrap for large groups, where
both agree. AUC: Newcombe, 2006. Multiple tests: S. Holm, 1979.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from social_perception.research.evaluation.metrics import FloatArray

# The cost of the accelerated bootstrap's jackknife grows with the square of the group size.
_LARGE = 1000
_BATCH = 200
# An AUC of 0 or 1 itself solves the equation of its limits: the search starts beside it.
_EPSILON = 1e-9
_Z = float(stats.norm.ppf(0.975))


Statistic = Callable[..., Any]
"""Maps samples (N,), with ``axis``, to a number."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with the limits of its 95 % interval; NaN where unknown."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


UNKNOWN = Interval(math.nan, math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class Resampling:
    """Number of resamples, and the seed, so that results are reproducible."""

    resamples: int
    seed: int

    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)


def share(hits: int, of: int) -> Interval:
    """Return Wilson's interval of a share."""
    if not of:
        return UNKNOWN
    limits = stats.binomtest(hits, of).proportion_ci(method="wilson")
    return Interval(hits / of, float(limits.low), float(limits.high))


def share_difference(hits: int, of: int, other_hits: int, other_of: int) -> Interval:
    """Return Newcombe's interval of the difference of two shares."""
    one, two = share(hits, of), share(other_hits, other_of)
    return _from_both(one, two)


def _from_both(one: Interval, two: Interval) -> Interval:
    """Return the interval of a difference from those of both operands (Newcombe's method 10)."""
    difference = one.value - two.value
    return Interval(
        difference,
        difference - math.hypot(one.value - one.low, two.high - two.value),
        difference + math.hypot(one.high - one.value, two.value - two.low),
    )


def mean(values: FloatArray, resampling: Resampling) -> Interval:
    """Return the bootstrap interval of the mean of values (N,)."""
    if not len(values):
        return UNKNOWN
    value = float(values.mean())
    if len(values) < 2 or np.ptp(values) == 0:
        # Nothing to resample: a single value has no known spread.
        return Interval(value, math.nan, math.nan) if len(values) < 2 else Interval(value, value, value)
    method = "BCa" if len(values) < _LARGE else "percentile"
    return _bootstrap((values,), np.mean, resampling, method)


def mean_difference(values: FloatArray, other: FloatArray, resampling: Resampling) -> Interval:
    """Return the bootstrap interval of the difference of two means; values are (N,) and (M,)."""
    if not len(values) or not len(other):
        return UNKNOWN
    if np.ptp(values) == 0 and np.ptp(other) == 0:
        return UNKNOWN
    return _bootstrap((values, other), _difference_of_means, resampling, "percentile")


def auc(positive: FloatArray, negative: FloatArray) -> float:
    """Return the area under the ROC curve: the probability that a positive has a higher score than a
    negative.
    """
    if not len(positive) or not len(negative):
        return math.nan
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left") + np.searchsorted(ordered, positive, "right")
    return float(below.mean() / 2 / len(ordered))


def auc_interval(positive: FloatArray, negative: FloatArray) -> Interval:
    """Return Newcombe's interval of an AUC (2006, method 5); unlike a bootstrap, it works for an AUC of 1,
    too.
    """
    sizes = (len(positive), len(negative))
    if not min(sizes):
        return UNKNOWN
    value = auc(positive, negative)

    def excess(theta: float) -> float:
        return (value - theta) ** 2 - _Z**2 * _auc_variance(theta, *sizes)

    low = 0.0 if value <= 0 else optimize.brentq(excess, 0.0, value - _EPSILON)
    high = 1.0 if value >= 1 else optimize.brentq(excess, value + _EPSILON, 1.0)
    return Interval(value, float(low), float(high))


def auc_difference(samples: Sequence[FloatArray]) -> tuple[Interval, float]:
    """Return the interval and the p value of the difference of two AUCs.

    The interval is derived from those of both AUCs, as Newcombe's for shares.

    Args:
        samples: scores of the positives and the negatives of the first group, then of the second.
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
    """Return the variance of an AUC: J. A. Hanley and B. J. McNeil, 1982, with Newcombe's equal class
    sizes.
    """
    more = (positives + negatives) / 2 - 1
    spread = 1 + more * ((1 - theta) / (2 - theta) + theta / (1 + theta))
    return theta * (1 - theta) * spread / (positives * negatives)


def shares_differ(hits: int, of: int, other_hits: int, other_of: int) -> float:
    """Return p of Fisher's exact test of two shares."""
    if not of or not other_of:
        return math.nan
    return float(stats.fisher_exact([[hits, of - hits], [other_hits, other_of - other_hits]])[1])


def means_differ(values: FloatArray, other: FloatArray) -> float:
    """Return p of Welch's test of two means."""
    if min(len(values), len(other)) < 2 or (np.ptp(values) == 0 and np.ptp(other) == 0):
        return math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # for groups with almost constant values
        return float(stats.ttest_ind(values, other, equal_var=False).pvalue)


def holm(p_values: npt.ArrayLike) -> FloatArray:
    """Return Holm's adjusted p values (N,); NaN stays NaN and is not counted."""
    p = np.asarray(p_values, float)
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known])]
    factors = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return adjusted


def _difference_of_means(one: FloatArray, two: FloatArray, axis: int = -1) -> FloatArray:
    return np.asarray(one.mean(axis=axis) - two.mean(axis=axis))


def _bootstrap(
    samples: tuple[FloatArray, ...], statistic: Statistic, resampling: Resampling, method: str
) -> Interval:
    low, high = _bootstrap_limits(samples, statistic, resampling, method)
    if method == "BCa" and math.isnan(low):  # too few distinct values for the correction
        low, high = _bootstrap_limits(samples, statistic, resampling, "percentile")
    return Interval(float(statistic(*samples)), low, high)


def _bootstrap_limits(
    samples: tuple[FloatArray, ...], statistic: Statistic, resampling: Resampling, method: str
) -> tuple[float, float]:
    with warnings.catch_warnings():
        # A statistic that is constant over all resamples shows in the interval; no warning is needed.
        warnings.simplefilter("ignore", RuntimeWarning)
        limits = stats.bootstrap(
            samples, statistic, n_resamples=resampling.resamples, method=method, vectorized=True,
            batch=_BATCH, random_state=resampling.rng(),
        ).confidence_interval  # fmt: skip
    return float(limits.low), float(limits.high)
