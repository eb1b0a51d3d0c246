"""Thresholds and dwell times by tables."""

from __future__ import annotations

import math

import pytest

from social_perception.behaviours.hysteresis import Hysteresis, Switch
from social_perception.core.errors import ConfigurationError

NAN = math.nan


def answers(hysteresis: Hysteresis, values, step_s=0.1, times_s=None) -> str:
    switch = Switch(hysteresis)
    times_s = times_s or [100.0 + step_s * index for index in range(len(values))]
    return "".join("+" if switch.update(value, now) else "-" for value, now in zip(values, times_s))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.4, 0.5, 0.6], "-++"),
        ([0.6, 0.4, 0.3, 0.29, 0.4, 0.49, 0.5], "+++---+"),
        ([0.49, 0.31, 0.49], "---"),
        ([0.6, NAN, 0.4, 0.6], "+--+"),
    ],
    ids=["on at the threshold", "off below the other", "between them: as before", "unknown: no, and anew"],
)
def test_two_thresholds(values, expected) -> None:
    assert answers(Hysteresis(on=0.5, off=0.3), values) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 1, 1, 1, 1], "---++"),
        ([1, 1, 1, 0, 1, 1, 1, 1], "-------+"),
        ([1, 0.5, 0.5, 0.5], "---+"),
        ([1, 1, 1, 1, 0, 1, 0, 1, 0, 0, 0], "---+++++++-"),
        ([1, 1, NAN, 1, 1, 1, 1], "------+"),
    ],
    ids=["held", "interrupted", "held between the thresholds", "short dips are bridged", "unknown between"],
)
def test_dwell_times(values, expected) -> None:
    assert answers(Hysteresis(on=0.9, off=0.4, on_dwell_s=0.3, off_dwell_s=0.2), values) == expected


def test_a_value_that_flickers_at_the_threshold_gives_one_answer() -> None:
    values = [0.5 + 0.05 * (-1) ** index for index in range(40)]
    assert answers(Hysteresis(on=0.5, off=0.4, on_dwell_s=0.5), values).count("-+") == 1
    assert answers(Hysteresis(on=0.5, off=0.5), values).count("-+") == 19, "without a hysteresis"


@pytest.mark.parametrize(
    ("times_s", "expected"),
    [([0.0, 0.5, 1.0, 1.5], "--++"), ([0.0, 5.0, 5.5, 6.0], "---+"), ([3.0, 3.5, 1.0, 2.0], "---+")],
    ids=["steadily", "not read for long", "time goes back"],
)
def test_what_nobody_saw_does_not_count(times_s, expected) -> None:
    assert answers(Hysteresis(1.0, 1.0, on_dwell_s=1.0), [1.0] * 4, times_s=times_s) == expected


def test_a_gap_ends_a_yes() -> None:
    assert answers(Hysteresis(1.0, 0.0, max_gap_s=2.0), [1.0, 0.5, 0.5], times_s=[0.0, 2.0, 4.1]) == "++-"


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ((0.3, 0.5), r"off must not be above on \(0.3\), got 0.5"),
        ((NAN, 0.5), "on must be finite, got nan"),
        ((0.5, -math.inf), "off must be finite, got -inf"),
        ((0.5, 0.3, -1.0), "on_dwell_s must not be negative, got -1"),
        ((0.5, 0.3, 0.0, NAN), "off_dwell_s must not be negative, got nan"),
        ((0.5, 0.3, 0.0, 0.0, -0.1), "max_gap_s must not be negative, got -0.1"),
    ],
)
def test_what_is_wrong_is_named(values, problem) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        Hysteresis(*values)
