"""Compares groups: results per group, differences to the rest, and the largest gap per attribute."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from social_perception.research.evaluation.audit import intervals
from social_perception.research.evaluation.audit.intervals import UNKNOWN, Interval, Resampling
from social_perception.research.evaluation.audit.measures import (
    EQUALIZED_ODDS,
    MEASURES,
    PARITY_RATIO,
    Measure,
    auc_values,
)
from social_perception.research.evaluation.audit.settings import AuditConfig
from social_perception.research.evaluation.metrics import FloatArray

SIGNIFICANCE = 0.05

# An AUC needs at least this number of faces of either class.
_MIN_PER_CLASS = 10


@dataclass(frozen=True, slots=True)
class GroupResult:
    """One measure of one group and its difference to the rest; unknown if there are too few images.

    ``p`` is the p value of the difference, ``p_adjusted`` that after Holm over all differences of the set.
    """

    attribute: str
    group: str
    measure: str
    pictures: int
    figure: Interval
    difference: Interval
    p: float = math.nan
    p_adjusted: float = math.nan

    @property
    def too_small(self) -> bool:
        return math.isnan(self.figure.value)

    @property
    def differs(self) -> bool:
        """Whether the difference to the rest is significant, corrected for all comparisons of the set."""
        return self.p_adjusted < SIGNIFICANCE


@dataclass(frozen=True, slots=True)
class Gap:
    """The largest difference of a measure between two groups of an attribute.

    Selecting the two extreme groups makes any gap look large. ``by_chance`` is the 95 % quantile of the gap
    over random permutations of the group labels; ``p`` is the p value of the two groups times the number of
    pairs (Bonferroni), ``p_adjusted`` that after Holm over all gaps of the set.
    """

    attribute: str
    measure: str
    lowest: str
    highest: str
    difference: Interval
    by_chance: float
    p: float
    p_adjusted: float = math.nan

    @property
    def differs(self) -> bool:
        return self.p_adjusted < SIGNIFICANCE


Comparable = TypeVar("Comparable", GroupResult, Gap)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The results of all groups of one set."""

    overall: tuple[GroupResult, ...]
    groups: tuple[GroupResult, ...]
    gaps: tuple[Gap, ...]


def compare(
    results: pd.DataFrame, groups: pd.DataFrame, config: AuditConfig, of_faces: Sequence[str] = ()
) -> Comparison:
    """Compare the groups of all attributes by all measures.

    Args:
        results: N rows with ``found`` (bool), the predicted ``intensity`` and ``level`` (NaN without a face),
            and ``true_intensity``, ``true_level`` and ``true_smile`` (NaN where unknown).
        groups: N rows, a categorical column per attribute.
        config: minimum group size, resamples and seed.
        of_faces: attributes known for detected faces only; detection is not compared by them.
    """
    resampling = Resampling(config.resamples, config.seed)
    overall: list[GroupResult] = []
    rows: list[GroupResult] = []
    gaps: list[Gap] = []
    for measure in MEASURES:
        numbers = _numbers(results, measure, config)
        if np.isnan(numbers).all():
            continue
        overall.append(_figure("all", "all", measure, numbers, numbers[:0], config, resampling))
        for attribute in groups:
            if measure.name == "found" and attribute in of_faces:
                continue
            group_results = _attribute(attribute, groups[attribute], measure, numbers, config, resampling)
            rows += group_results
            gap = _gap(groups[attribute], measure, numbers, group_results, resampling)
            gaps += [gap] if gap is not None else []
    return Comparison(tuple(overall), _adjust(rows), _adjust(gaps))


def _numbers(results: pd.DataFrame, measure: Measure, config: AuditConfig) -> FloatArray:
    if measure.values is None:
        return auc_values(results)
    return measure.values(results, config.smiling_level).to_numpy(float)[:, None]


def _attribute(
    attribute: str,
    column: pd.Series,
    measure: Measure,
    numbers: FloatArray,
    config: AuditConfig,
    resampling: Resampling,
) -> list[GroupResult]:
    known = column.notna().to_numpy()
    rows = []
    for group in column.cat.categories:
        inside = (column == group).to_numpy()
        rest = numbers[known & ~inside]
        rows.append(_figure(attribute, str(group), measure, numbers[inside], rest, config, resampling))
    return rows


def _figure(
    attribute: str, group: str, measure: Measure, numbers: FloatArray, rest: FloatArray, config: AuditConfig,
    resampling: Resampling,
) -> GroupResult:  # fmt: skip
    own, other = _known(numbers), _known(rest)
    blank = GroupResult(attribute, group, measure.name, len(own), UNKNOWN, UNKNOWN)
    if not _enough(own, measure, config.min_group):
        return blank
    row = replace(blank, figure=_interval(own, measure, resampling))
    if not _enough(other, measure, config.min_group):
        return row
    difference, p = _difference(own, other, measure, resampling)
    return replace(row, difference=difference, p=p)


def _enough(numbers: FloatArray, measure: Measure, minimum: int) -> bool:
    if len(numbers) < minimum or not len(numbers):
        return False
    if measure.values is not None:
        return True
    positives = int(numbers[:, 1].sum())
    return min(positives, len(numbers) - positives) >= min(minimum, _MIN_PER_CLASS)


def _known(numbers: FloatArray) -> FloatArray:
    return numbers[~np.isnan(numbers[:, 0])]


def _interval(numbers: FloatArray, measure: Measure, resampling: Resampling) -> Interval:
    if measure.values is None:
        return intervals.auc_interval(*_scores(numbers))
    if measure.share:
        return intervals.share(int(numbers.sum()), len(numbers))
    return intervals.mean(numbers[:, 0], resampling)


def _difference(
    own: FloatArray, other: FloatArray, measure: Measure, resampling: Resampling
) -> tuple[Interval, float]:
    if measure.values is None:
        return intervals.auc_difference([*_scores(own), *_scores(other)])
    if measure.share:
        counts = (int(own.sum()), len(own), int(other.sum()), len(other))
        return intervals.share_difference(*counts), intervals.shares_differ(*counts)
    one, two = own[:, 0], other[:, 0]
    return intervals.mean_difference(one, two, resampling), intervals.means_differ(one, two)


def _scores(numbers: FloatArray) -> tuple[FloatArray, FloatArray]:
    positive = numbers[:, 1] == 1
    return numbers[positive, 0], numbers[~positive, 0]


def _gap(
    column: pd.Series,
    measure: Measure,
    numbers: FloatArray,
    rows: Sequence[GroupResult],
    resampling: Resampling,
) -> Gap | None:
    large_enough = [row for row in rows if not row.too_small]
    if len(large_enough) < 2:
        return None
    lowest = min(large_enough, key=lambda row: row.figure.value)
    # reversed: two different groups, even if all values are equal.
    highest = max(reversed(large_enough), key=lambda row: row.figure.value)
    high, low = (_known(numbers[(column == row.group).to_numpy()]) for row in (highest, lowest))
    difference, p = _difference(high, low, measure, resampling)
    difference = replace(difference, value=highest.figure.value - lowest.figure.value)
    codes = (
        column.map({row.group: number for number, row in enumerate(large_enough)}).astype(float).to_numpy()
    )
    known = ~np.isnan(codes) & ~np.isnan(numbers[:, 0])
    chance = _permuted_gaps(codes[known].astype(int), numbers[known], len(large_enough), measure, resampling)
    p = min(1.0, p * math.comb(len(large_enough), 2))
    return Gap(
        rows[0].attribute, measure.name, lowest.group, highest.group, difference,
        float(np.quantile(chance, 0.95)), p,
    )  # fmt: skip


def _permuted_gaps(
    codes: npt.NDArray[np.int64], numbers: FloatArray, groups: int, measure: Measure, resampling: Resampling
) -> FloatArray:
    """Return the largest gap between groups for random permutations of the group labels, one per resample."""
    rng = resampling.rng()
    gaps = np.empty(resampling.resamples)
    sizes = np.bincount(codes, minlength=groups)
    for number in range(len(gaps)):
        permuted = rng.permutation(codes)
        if measure.values is None:
            values = np.array(
                [intervals.auc(*_scores(numbers[permuted == group])) for group in range(groups)]
            )
        else:
            values = np.bincount(permuted, weights=numbers[:, 0], minlength=groups) / sizes
        gaps[number] = np.nanmax(values) - np.nanmin(values)
    return gaps


def _adjust(rows: Sequence[Comparable]) -> tuple[Comparable, ...]:
    adjusted = intervals.holm([row.p for row in rows])
    return tuple(replace(row, p_adjusted=float(p)) for row, p in zip(rows, adjusted))


def criteria(comparison: Comparison) -> Iterator[tuple[str, str, float]]:
    """Yield the common fairness criteria: attribute, name with source, value."""
    for attribute in dict.fromkeys(row.attribute for row in comparison.groups):
        gaps = {gap.measure: gap for gap in comparison.gaps if gap.attribute == attribute}
        for measure in MEASURES:
            if measure.criterion and measure.name in gaps:
                yield attribute, measure.criterion, gaps[measure.name].difference.value
        rates = [gaps[name].difference.value for name in ("false_smile", "missed_smile") if name in gaps]
        if len(rates) == 2:
            yield attribute, EQUALIZED_ODDS, max(rates)
        smile_rates = [
            row.figure.value for row in comparison.groups
            if row.attribute == attribute and row.measure == "told_smile" and not row.too_small
        ]  # fmt: skip
        if len(smile_rates) > 1 and max(smile_rates) > 0:
            yield attribute, PARITY_RATIO, min(smile_rates) / max(smile_rates)
