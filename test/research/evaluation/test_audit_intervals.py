"""Intervals and tests of the audit on cases with known results."""

from __future__ import annotations

import math

import numpy as np
import pytest

from social_perception.research.evaluation.audit import intervals
from social_perception.research.evaluation.audit.intervals import Resampling

DRAWS = Resampling(400, 0)


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    # The examples of R. G. Newcombe, "Two-sided confidence intervals for the single proportion", 1998.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_of_a_share_is_wilsons(hits: int, of: int, low: float, high: float) -> None:
    result = intervals.share(hits, of)
    assert result.value == hits / of
    assert (result.low, result.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    # The examples of R. G. Newcombe, "Interval estimation for the difference ...", 1998, method 10.
    [((56, 70, 48, 80), 0.0524, 0.3339), ((9, 10, 3, 10), 0.1705, 0.8090), ((10, 10, 0, 20), 0.6791, 1.0)],
)
def test_the_interval_of_a_difference_of_shares_is_newcombes(counts, low: float, high: float) -> None:
    result = intervals.share_difference(*counts)
    assert (result.low, result.high) == pytest.approx((low, high), abs=5e-5)


def test_intervals_of_means_cover_the_mean_95_times_in_100() -> None:
    rng = np.random.default_rng(1)
    result = [intervals.mean(rng.exponential(1.0, 40), DRAWS) for _ in range(200)]
    covered = np.mean([each.low <= 1.0 <= each.high for each in result])
    assert 0.90 <= covered <= 0.98
    pairs = [
        intervals.mean_difference(rng.normal(0.3, 1, 40), rng.normal(0, 2, 50), DRAWS) for _ in range(200)
    ]
    assert 0.90 <= np.mean([each.low <= 0.3 <= each.high for each in pairs]) <= 0.98


def test_intervals_of_the_auc_cover_it_and_are_not_empty_when_it_is_perfect() -> None:
    rng = np.random.default_rng(2)
    true = 0.8413  # the normal distribution's value at 1: means sqrt(2) apart
    result = [
        intervals.auc_interval(rng.normal(math.sqrt(2), 1, 30), rng.normal(0, 1, 40)) for _ in range(300)
    ]
    assert 0.92 <= np.mean([each.low <= true <= each.high for each in result]) <= 0.99
    perfect = intervals.auc_interval(np.arange(10, 30.0), np.arange(0, 10.0))
    assert perfect.value == perfect.high == 1.0
    assert 0.7 < perfect.low < 0.95
    worst = intervals.auc_interval(np.arange(0, 10.0), np.arange(10, 30.0))
    assert (worst.value, worst.low) == (0.0, 0.0)
    assert worst.high == pytest.approx(
        1 - intervals.auc_interval(np.arange(20, 30.0), np.arange(0, 20.0)).low
    )


def test_aucs_differ_where_they_do() -> None:
    rng = np.random.default_rng(3)
    good = [rng.normal(2, 1, 100), rng.normal(0, 1, 100)]
    poor = [rng.normal(0.5, 1, 100), rng.normal(0, 1, 100)]
    difference, p = intervals.auc_difference([*good, *poor])
    assert difference.low > 0.1
    assert p < 0.001
    p_values = [
        intervals.auc_difference([rng.normal(1, 1, 40), rng.normal(0, 1, 40),
            rng.normal(1, 1, 30), rng.normal(0, 1, 30)])[1] for _ in range(200)
    ]  # fmt: skip
    assert 0.01 <= np.mean(np.array(p_values) < 0.05) <= 0.10


def test_holm_is_the_textbook_example() -> None:
    adjusted = intervals.holm([0.01, 0.04, math.nan, 0.03, 0.005])
    np.testing.assert_allclose(adjusted, [0.03, 0.06, math.nan, 0.06, 0.02])
    assert intervals.holm([]).shape == (0,)


def test_undefined_results_are_nan() -> None:
    nothing = np.array([])
    one, same = np.array([0.4]), np.full(5, 0.4)
    assert math.isnan(intervals.share(0, 0).value)
    assert math.isnan(intervals.mean(nothing, DRAWS).value)
    assert intervals.mean(one, DRAWS).value == 0.4
    assert math.isnan(intervals.mean(one, DRAWS).low)
    assert math.isnan(intervals.auc_interval(nothing, same).value)
    assert math.isnan(intervals.means_differ(same, same))
    assert math.isnan(intervals.shares_differ(0, 0, 1, 2))


def test_results_are_reproducible() -> None:
    values = np.random.default_rng(0).random(30)
    assert intervals.mean(values, DRAWS) == intervals.mean(values, DRAWS)
    assert intervals.mean(values, DRAWS) != intervals.mean(values, Resampling(400, 1))
