"""Correlation of all pairs of people over their common samples."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

MIN_DEVIATION = 0.01
"""Intensities that vary less than this are constant: their correlation is undefined."""


def correlation_matrix(first: FloatArray, second: FloatArray, min_samples: int) -> FloatArray:
    """Return Pearson's r of each column of one table with each column of another, (N, M).

    Args:
        first: (T, N) values; NaN where a person is not visible.
        second: (T, M) values, at the same times as ``first``.
        min_samples: minimum number of common rows.

    Returns:
        r in [-1, 1]. NaN with fewer common rows, or if a column is constant (standard deviation up to
        ``MIN_DEVIATION``) over the common rows.
    """
    mask_a, mask_b = ~np.isnan(first), ~np.isnan(second)
    a, b = np.where(mask_a, first, 0.0), np.where(mask_b, second, 0.0)
    mask_a, mask_b = mask_a.astype(float), mask_b.astype(float)
    # One product yields, for each pair, the number of common rows, their sum and the sum of their squares.
    count, total_a, square_a = np.split(np.hstack([mask_a, a, a * a]).T @ mask_b, 3)
    total_b, square_b = np.split(mask_a.T @ np.hstack([b, b * b]), 2, axis=1)
    safe = np.maximum(count, 1.0)
    mean_a, mean_b = total_a / safe, total_b / safe
    covariance = a.T @ b / safe - mean_a * mean_b
    deviation_a = np.sqrt(np.maximum(square_a / safe - mean_a**2, 0.0))
    deviation_b = np.sqrt(np.maximum(square_b / safe - mean_b**2, 0.0))
    known = (count >= min_samples) & (deviation_a > MIN_DEVIATION) & (deviation_b > MIN_DEVIATION)
    result = np.full(count.shape, math.nan)
    result[known] = covariance[known] / (deviation_a * deviation_b)[known]
    return np.clip(result, -1.0, 1.0)
