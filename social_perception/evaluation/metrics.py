"""The measures of agreement, over plain arrays.

Levels are 0 to 3; NaN means not rated. Where no value can be computed the result is NaN.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import stats
from sklearn import metrics

FloatArray = npt.NDArray[np.float64]


def auc(positive: npt.NDArray[np.bool_], score: FloatArray) -> float:
    """Area under the ROC curve of a score (N,) for the positives (N,)."""
    if positive.all() or not positive.any():
        return math.nan
    return float(metrics.roc_auc_score(positive, score))


def weighted_kappa(first: FloatArray, second: FloatArray) -> float:
    """Quadratic-weighted kappa of two ratings (N,) in whole or half levels (J. Cohen, 1968)."""
    known = ~(np.isnan(first) | np.isnan(second))
    # Counting in half levels lets a mean of two raters stand as it is, without rounding.
    halves = [np.rint(2 * values[known]).astype(int) for values in (first, second)]
    if not known.any():
        return math.nan
    return float(metrics.cohen_kappa_score(*halves, labels=range(7), weights="quadratic"))


def pearson(first: FloatArray, second: FloatArray) -> float:
    """Pearson's correlation of two series (N,), over where both are known."""
    return _correlation(stats.pearsonr, first, second)


def spearman(first: FloatArray, second: FloatArray) -> float:
    """Spearman's rank correlation of two series (N,), over where both are known."""
    return _correlation(stats.spearmanr, first, second)


def false_smile_rate(levels: FloatArray, raters: FloatArray) -> float:
    """The share of frames rated 0 by every rater, (N, raters), whose level (N,) is Medium or High."""
    neutral = (raters == 0).all(axis=1) & ~np.isnan(levels)
    return float((levels[neutral] >= 2).mean()) if neutral.any() else math.nan


def _correlation(measure: object, first: FloatArray, second: FloatArray) -> float:
    known = ~(np.isnan(first) | np.isnan(second))
    first, second = first[known], second[known]
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    return float(measure(first, second).statistic)  # type: ignore[operator]
