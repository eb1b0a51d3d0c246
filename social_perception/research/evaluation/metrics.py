"""Measures of agreement over arrays.

Levels are 0 to 3; NaN means not rated. The result is NaN if it is undefined.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats
from sklearn import metrics

LEVELS = 4

FloatArray = npt.NDArray[np.float64]


def auc(positive: npt.NDArray[np.bool_], score: FloatArray) -> float:
    """Return the area under the ROC curve of a score (N,) for the positives (N,)."""
    if positive.all() or not positive.any():
        return math.nan
    return float(metrics.roc_auc_score(positive, score))


def weighted_kappa(first: FloatArray, second: FloatArray) -> float:
    """Return the quadratic-weighted kappa of two ratings (N,) in whole or half levels (J. Cohen, 1968)."""
    known = ~(np.isnan(first) | np.isnan(second))
    # In units of half levels the mean of two raters needs no rounding.
    halves = [np.rint(2 * values[known]).astype(int) for values in (first, second)]
    if not known.any():
        return math.nan
    return float(metrics.cohen_kappa_score(*halves, labels=range(7), weights="quadratic"))


def kappa(first: FloatArray, second: FloatArray) -> float:
    """Return Cohen's kappa of two ratings (N,) in whole levels (J. Cohen, 1960)."""
    first, second = _known(first, second)
    if not len(first) or len(np.union1d(first, second)) < 2:
        return math.nan
    return float(metrics.cohen_kappa_score(first.astype(int), second.astype(int)))


def smile_kappa(first: FloatArray, second: FloatArray) -> float:
    """Return Cohen's kappa of smile / no smile: Low and above against Neutral."""
    first, second = _known(first, second)
    return kappa((first >= 1).astype(float), (second >= 1).astype(float))


def confusion(truth: FloatArray, predicted: FloatArray) -> npt.NDArray[np.int64]:
    """Return the confusion matrix (4, 4): rows are the true, columns the predicted levels."""
    truth, predicted = _known(truth, predicted)
    table = np.zeros((LEVELS, LEVELS), np.int64)
    np.add.at(table, (truth.astype(int), predicted.astype(int)), 1)
    return table


def accuracy(truth: FloatArray, predicted: FloatArray) -> float:
    """Return the share of equal levels."""
    truth, predicted = _known(truth, predicted)
    return float((truth == predicted).mean()) if len(truth) else math.nan


def precision_recall(table: npt.NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """Return precision and recall of each class, (4,) each, from a confusion matrix; NaN for an empty
    class.
    """
    with np.errstate(invalid="ignore"):
        return table.diagonal() / table.sum(axis=0), table.diagonal() / table.sum(axis=1)


def macro_f1(table: npt.NDArray[np.int64]) -> float:
    """Return the mean F1 over the classes present in the truth, from a confusion matrix."""
    present = table.sum(axis=1) > 0
    f1 = 2 * table.diagonal() / np.maximum(1, table.sum(axis=0) + table.sum(axis=1))
    return float(f1[present].mean()) if present.any() else math.nan


def icc(first: FloatArray, second: FloatArray) -> float:
    """Return the intraclass correlation of two raters, ICC(2,1) of Shrout and Fleiss, 1979."""
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
    """Return the expected calibration error of the most probable class (C. Guo et al., 2017).

    Args:
        truth: levels (N,).
        probabilities: (N, 4).
        bins: number of bins of equal width.
    """
    known = ~np.isnan(truth) & ~np.isnan(probabilities).any(axis=1)
    truth, probabilities = truth[known], probabilities[known]
    if not len(truth):
        return math.nan
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(confidence[bin_of == b].sum() - correct[bin_of == b].sum()) for b in range(bins)]
    return float(sum(gaps) / len(truth))


def expected_chance_error(probabilities: FloatArray, draws: int = 20) -> float:
    """Return the mean calibration error of levels that are drawn with the probabilities (N, 4).

    A perfectly calibrated classifier has this error: with few faces, the share of correct ones in a bin
    differs by chance from its confidence.
    """
    rng = np.random.default_rng(0)
    known = probabilities[~np.isnan(probabilities).any(axis=1)]
    if not len(known):
        return math.nan
    reached = known.cumsum(axis=1)[:, :-1]
    truths = [(reached < rng.random((len(known), 1))).sum(axis=1) for _ in range(draws)]
    return float(np.mean([calibration_error(each.astype(float), known) for each in truths]))


def pearson(first: FloatArray, second: FloatArray) -> float:
    """Return Pearson's correlation of two series (N,) where both are known."""
    return _correlation(stats.pearsonr, first, second)


def spearman(first: FloatArray, second: FloatArray) -> float:
    """Return Spearman's rank correlation of two series (N,) where both are known."""
    return _correlation(stats.spearmanr, first, second)


def false_smile_rate(levels: FloatArray, raters: FloatArray) -> float:
    """Return the share of frames rated 0 by all raters (N, raters) whose level (N,) is Medium or High."""
    neutral = (raters == 0).all(axis=1) & ~np.isnan(levels)
    return float((levels[neutral] >= 2).mean()) if neutral.any() else math.nan


def _known(first: FloatArray, second: FloatArray) -> tuple[FloatArray, FloatArray]:
    known = ~(np.isnan(first) | np.isnan(second))
    return first[known], second[known]


def _correlation(
    measure: Callable[[FloatArray, FloatArray], Any], first: FloatArray, second: FloatArray
) -> float:
    first, second = _known(first, second)
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    return float(measure(first, second).statistic)
