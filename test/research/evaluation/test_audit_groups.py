"""Comparison of groups on simulated results: a simulated bias is detected, and nothing without one."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from social_perception.research.evaluation.audit import intervals
from social_perception.research.evaluation.audit.groups import Comparison, compare, criteria
from social_perception.research.evaluation.audit.settings import AuditConfig

CONFIG = AuditConfig(resamples=200)


def simulate(
    seed: int,
    sizes: dict[str, int],
    bias: dict[str, float] | None = None,
    lost: dict[str, float] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Simulate images of groups of the given sizes, half of them smiling, with a bias per group."""
    rng = np.random.default_rng(seed)
    group = np.repeat(list(sizes), list(sizes.values()))
    smile = rng.integers(0, 2, len(group)).astype(float)
    truth = np.where(smile == 1, rng.uniform(0.4, 0.9, len(group)), rng.uniform(0, 0.08, len(group)))
    wrong = np.array([(bias or {}).get(name, 0.0) for name in group])
    result = np.clip(truth + wrong + rng.normal(0, 0.06, len(group)), 0, 1)
    found = rng.random(len(group)) >= [(lost or {}).get(name, 0.02) for name in group]
    results = pd.DataFrame(
        {"found": found, "intensity": np.where(found, result, np.nan),
         "level": np.where(found, np.floor(3 * result + 0.5), np.nan),
         "true_intensity": truth, "true_level": np.floor(3 * truth + 0.5), "true_smile": smile}
    )  # fmt: skip
    return results, pd.DataFrame({"who": pd.Categorical(group, list(sizes), ordered=True)})


def rows(comparison: Comparison, measure: str) -> dict[str, object]:
    return {row.group: row for row in comparison.groups if row.measure == measure}


SIZES = {"a": 120, "b": 90, "c": 60}


def test_a_simulated_bias_is_detected_and_measured() -> None:
    comparison = compare(*simulate(0, SIZES, bias={"c": -0.25}), CONFIG)
    bias = rows(comparison, "bias")
    assert {group for group, row in bias.items() if row.differs} >= {"c"}
    assert bias["c"].difference.low < -0.18 < bias["c"].difference.high
    assert bias["a"].figure.excludes_zero is False or abs(bias["a"].figure.value) < 0.03
    gap = next(gap for gap in comparison.gaps if gap.measure == "bias")
    assert gap.lowest == "c"
    assert gap.differs
    assert gap.difference.value > 3 * gap.by_chance
    assert rows(comparison, "intensity_smiling")["c"].differs
    assert not any(row.differs for row in rows(comparison, "found").values())


def test_the_gap_is_corrected_for_the_number_of_pairs() -> None:
    results, groups = simulate(6, SIZES)
    gap = next(gap for gap in compare(results, groups, CONFIG).gaps if gap.measure == "bias")
    error = results["intensity"] - results["true_intensity"]
    ends = [error[groups["who"] == name].dropna().to_numpy() for name in (gap.highest, gap.lowest)]
    assert gap.difference.value == pytest.approx(ends[0].mean() - ends[1].mean())
    assert gap.p == pytest.approx(min(1.0, 3 * intervals.means_differ(*ends)))
    assert gap.p_adjusted >= gap.p


def test_missed_faces_of_a_group_are_detected() -> None:
    comparison = compare(*simulate(1, SIZES, lost={"b": 0.35}), CONFIG)
    found = rows(comparison, "found")
    assert [group for group, row in found.items() if row.differs] == ["a", "b"]
    assert found["b"].difference.value == pytest.approx(-0.33, abs=0.1)
    assert found["b"].pictures == 90
    assert rows(comparison, "intensity")["b"].pictures < 75


@pytest.fixture(scope="module")
def without_bias() -> list[Comparison]:
    config = AuditConfig(resamples=100)
    return [compare(*simulate(seed, SIZES), config) for seed in range(10, 26)]


def test_no_bias_is_not_reported(without_bias: list[Comparison]) -> None:
    # Holm keeps the probability of a false positive in a set below 5 %.
    assert sum(any(row.differs for row in comparison.groups) for comparison in without_bias) <= 2
    assert sum(any(gap.differs for gap in comparison.gaps) for comparison in without_bias) <= 2


def test_gaps_by_chance_are_what_chance_gives(without_bias: list[Comparison]) -> None:
    gaps = [gap for each in without_bias for gap in each.gaps if gap.measure in {"bias", "found"}]
    assert np.mean([gap.difference.value > gap.by_chance for gap in gaps]) <= 0.15
    assert all(0 < gap.by_chance < 0.15 for gap in gaps)


def test_small_groups_have_no_results() -> None:
    comparison = compare(*simulate(2, {"many": 100, "few": 29}), CONFIG)
    few = rows(comparison, "found")["few"]
    assert few.too_small
    assert few.pictures == 29
    assert math.isnan(few.difference.value)
    assert math.isnan(rows(comparison, "found")["many"].difference.value)  # no other group to compare with
    assert not comparison.gaps
    assert not any(row.differs for row in comparison.groups)
    missed = rows(compare(*simulate(2, {"many": 100, "few": 40}), CONFIG), "missed_smile")["few"]
    assert missed.too_small  # about twenty of the forty smile
    assert 10 < missed.pictures < 30


def test_measures_have_their_documented_values() -> None:
    results = pd.DataFrame(
        {"found": [True, True, True, True, False], "intensity": [0.1, 0.5, 0.1, 0.9, np.nan],
         "level": [0.0, 2, 0, 3, np.nan], "true_intensity": [0, 0, 1, 1, 1.0],
         "true_level": [0.0, 0, 3, 3, 3], "true_smile": [0.0, 0, 1, 1, 1]}
    )  # fmt: skip
    groups = pd.DataFrame({"who": pd.Categorical(["x"] * 5)})
    result = {
        row.measure: row
        for row in compare(results, groups, AuditConfig(min_group=2, resamples=100)).overall
    }  # fmt: skip
    values = {name: row.figure.value for name, row in result.items()}
    assert values == pytest.approx(
        {"found": 0.8, "intensity": 0.4, "intensity_neutral": 0.3, "intensity_smiling": 0.5, "bias": -0.1,
         "mae": 0.4, "within_one": 0.5, "told_smile": 0.5, "false_smile": 0.5, "missed_smile": 0.5,
         "auc": 0.625}
    )  # fmt: skip
    assert {name: row.pictures for name, row in result.items() if row.pictures != 4} == {
        "found": 5, "intensity_neutral": 2, "intensity_smiling": 2, "false_smile": 2, "missed_smile": 2,
    }  # fmt: skip
    from_high = compare(results, groups, AuditConfig(min_group=2, resamples=100, smiling_level=3)).overall
    assert next(row for row in from_high if row.measure == "false_smile").figure.value == 0


def test_images_without_a_group_are_ignored_and_detection_is_not_compared_by_face_groups() -> None:
    results, groups = simulate(3, SIZES)
    groups["who"] = groups["who"].where(groups["who"] != "a")
    groups["who"] = groups["who"].cat.remove_unused_categories()
    comparison = compare(results, groups, CONFIG, of_faces=["who"])
    assert set(rows(comparison, "intensity")) == {"b", "c"}
    assert not rows(comparison, "found")
    bias = rows(comparison, "bias")
    assert bias["b"].difference.value == pytest.approx(-bias["c"].difference.value)


def test_smile_labels_only_yield_no_intensity_errors() -> None:
    results, groups = simulate(4, SIZES)
    results["true_intensity"] = results["true_level"] = np.nan
    comparison = compare(results, groups, CONFIG)
    assert {row.measure for row in comparison.overall}.isdisjoint({"bias", "mae", "within_one"})
    assert "auc" in {row.measure for row in comparison.overall}


def test_criteria_are_the_gaps_by_their_names() -> None:
    comparison = compare(*simulate(5, SIZES, bias={"c": 0.3}), CONFIG)
    result = {name: value for _, name, value in criteria(comparison)}
    gaps = {gap.measure: gap.difference.value for gap in comparison.gaps}
    named = {name.split(" (")[0]: value for name, value in result.items()}
    assert named["equal opportunity"] == gaps["missed_smile"]
    assert named["predictive equality"] == gaps["false_smile"]
    assert named["equalized odds"] == max(gaps["missed_smile"], gaps["false_smile"])
    assert named["demographic parity"] == gaps["told_smile"]
    share = {row.group: row.figure.value for row in comparison.groups if row.measure == "told_smile"}
    assert named["ratio of the shares scored as smiling"] == min(share.values()) / max(share.values())
