"""The measures, on cases whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from social_perception.research.evaluation.metrics import (
    auc,
    false_smile_rate,
    pearson,
    spearman,
    weighted_kappa,
)

LEVELS = np.array([0.0, 1, 2, 3, 0, 1, 2, 3])


@pytest.mark.parametrize(
    "second",
    [
        LEVELS,
        LEVELS[::-1],
        np.array([0.0, 1, 2, 3, 1, 2, 3, 3]),
        np.array([0.5, 1, 2, 3, 0, 1, 2, np.nan]),
    ],
)
def test_weighted_kappa_is_one_minus_squared_difference_over_chance(second: np.ndarray) -> None:
    known = ~np.isnan(second)
    first, other = LEVELS[known], second[known]
    by_hand = 1 - np.mean((first - other) ** 2) / np.mean((first[:, None] - other[None, :]) ** 2)
    assert weighted_kappa(LEVELS, second) == pytest.approx(by_hand)


def test_auc() -> None:
    positive = np.array([True, True, False, False])
    assert auc(positive, np.array([0.9, 0.4, 0.5, 0.1])) == 0.75
    assert math.isnan(auc(np.array([True, True]), np.array([0.1, 0.2])))


@pytest.mark.parametrize("measure", [pearson, spearman])
def test_correlations(measure: object) -> None:
    x = np.array([0.0, 1, 2, np.nan, 3])
    assert measure(x, 2 * x + 1) == pytest.approx(1.0)  # type: ignore[operator]
    assert measure(x, -x) == pytest.approx(-1.0)  # type: ignore[operator]
    assert math.isnan(measure(x, np.zeros(5)))  # type: ignore[operator]


def test_false_smiles_count_only_frames_that_all_rated_neutral() -> None:
    raters = np.array([[0, 0], [0, 0], [0, 1], [np.nan, 0], [0, 0], [2, 2]], float)
    levels = np.array([2.0, 1, 3, 3, np.nan, 3])
    assert false_smile_rate(levels, raters) == 0.5
    assert math.isnan(false_smile_rate(levels[2:4], raters[2:4]))
