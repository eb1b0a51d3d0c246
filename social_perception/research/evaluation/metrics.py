"""The measures of agreement, over plain arrays.

Levels are 0 to 3; NaN means not rated. Where no value can be computed the result is NaN.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import stats
from sklearn import metrics

LEVELS = 4

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


def kappa(first: FloatArray, second: FloatArray) -> float:
    """Cohen's kappa of two ratings (N,) in whole levels (J. Cohen, 1960)."""
    first, second = _known(first, second)
    if not len(first) or len(np.union1d(first, second)) < 2:
        return math.nan
    return float(metrics.cohen_kappa_score(first.astype(int), second.astype(int)))


def smile_kappa(first: FloatArray, second: FloatArray) -> float:
    """Cohen's kappa of smile / no smile: Low and above against Neutral."""
    first, second = _known(first, second)
    return kappa((first >= 1).astype(float), (second >= 1).astype(float))


def confusion(truth: FloatArray, guess: FloatArray) -> npt.NDArray[np.int64]:
    """Counts of the levels, (4, 4): rows are the truth, columns the guess."""
    truth, guess = _known(truth, guess)
    table = np.zeros((LEVELS, LEVELS), np.int64)
    np.add.at(table, (truth.astype(int), guess.astype(int)), 1)
    return table


def accuracy(truth: FloatArray, guess: FloatArray) -> float:
    """The share of equal levels."""
    truth, guess = _known(truth, guess)
    return float((truth == guess).mean()) if len(truth) else math.nan


def precision_recall(table: npt.NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """Precision and recall of each class, (4,), from a confusion matrix; NaN for a class without any."""
    with np.errstate(invalid="ignore"):
        return table.diagonal() / table.sum(axis=0), table.diagonal() / table.sum(axis=1)


def macro_f1(table: npt.NDArray[np.int64]) -> float:
    """The mean F1 over the classes that the truth has, from a confusion matrix."""
    found = table.sum(axis=1) > 0
    f1 = 2 * table.diagonal() / np.maximum(1, table.sum(axis=0) + table.sum(axis=1))
    return float(f1[found].mean()) if found.any() else math.nan


def icc(first: FloatArray, second: FloatArray) -> float:
    """Intraclass correlation of two raters, single and absolute: ICC(2,1) of Shrout and Fleiss, 1979."""
    first, second = _known(first, second)
    if len(first) < 2:
        return math.nan
    table = np.column_stack([first, second])
    faces, raters = table.shape
    grand = table.mean()
    between_faces = raters * ((table.mean(axis=1) - grand) ** 2).sum() / (faces - 1)
    between_raters = faces * ((table.mean(axis=0) - grand) ** 2).sum() / (raters - 1)
    rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + grand
    residual = (rest**2).sum() / ((faces - 1) * (raters - 1))
    whole = between_faces + (raters - 1) * residual + raters * (between_raters - residual) / faces
    return float((between_faces - residual) / whole) if whole > 0 else math.nan


def calibration_error(truth: FloatArray, probabilities: FloatArray, bins: int = 10) -> float:
    """Expected calibration error of the surest class (C. Guo et al., 2017), bins of equal width.

    Args:
        truth: levels (N,).
        probabilities: (N, 4).
        bins: into which the surest class's probability is put.
    """
    known = ~np.isnan(truth) & ~np.isnan(probabilities).any(axis=1)
    truth, probabilities = truth[known], probabilities[known]
    if not len(truth):
        return math.nan
    sureness, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    place = np.minimum((sureness * bins).astype(int), bins - 1)
    gaps = [abs(sureness[place == b].sum() - right[place == b].sum()) for b in range(bins)]
    return float(sum(gaps) / len(truth))


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


def _known(first: FloatArray, second: FloatArray) -> tuple[FloatArray, FloatArray]:
    known = ~(np.isnan(first) | np.isnan(second))
    return first[known], second[known]


def _correlation(measure: object, first: FloatArray, second: FloatArray) -> float:
    first, second = _known(first, second)
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    return float(measure(first, second).statistic)  # type: ignore[operator]
