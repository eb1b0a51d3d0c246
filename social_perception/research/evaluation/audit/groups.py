"""Compares groups: each one's figures, its difference to the rest, and the largest gap of an attribute."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from social_perception.research.evaluation.audit import intervals
from social_perception.research.evaluation.audit.intervals import UNKNOWN, Draws, Interval
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

# So many faces of either kind at least, before an AUC is told.
_LEAST_OF_A_KIND = 10


@dataclass(frozen=True, slots=True)
class GroupFigure:
    """One measure of one group, and its difference to the rest; unknown where there are too few pictures.

    ``p`` is of the difference to the rest, ``p_adjusted`` by Holm over all differences of the set.
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
        """Whether it differs from the rest beyond chance, all comparisons of the set together."""
        return self.p_adjusted < SIGNIFICANCE


@dataclass(frozen=True, slots=True)
class Gap:
    """The largest difference of a measure between two groups of an attribute.

    Picking the two farthest apart makes any gap look large. ``by_chance`` is what 95 of 100 random
    assignments of the pictures to groups of these sizes stay below; ``p`` is that of the two groups times
    the number of pairs there were to pick from (Bonferroni), ``p_adjusted`` by Holm over all gaps of the set.
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


@dataclass(frozen=True, slots=True)
class Comparison:
    """All figures of one set."""

    overall: tuple[GroupFigure, ...]
    groups: tuple[GroupFigure, ...]
    gaps: tuple[Gap, ...]


def compare(
    seen: pd.DataFrame, groups: pd.DataFrame, config: AuditConfig, of_faces: Sequence[str] = ()
) -> Comparison:
    """Compare the groups of all attributes by all measures.

    Args:
        seen: N rows with ``found`` (bool), ``intensity`` and ``level`` as told, NaN without a face, and
            ``true_intensity``, ``true_level`` and ``true_smile``, NaN where unknown.
        groups: N rows, a categorical column per attribute.
        config: sizes, resamples and seed.
        of_faces: attributes that are only known of found faces, so that they say nothing of misses.
    """
    draws = Draws(config.resamples, config.seed)
    overall, rows, gaps = [], [], []
    for measure in MEASURES:
        numbers = _numbers(seen, measure, config)
        if np.isnan(numbers).all():
            continue
        overall.append(_figure("all", "all", measure, numbers, numbers[:0], config, draws))
        for attribute in groups:
            if measure.name == "found" and attribute in of_faces:
                continue
            of_attribute = _attribute(attribute, groups[attribute], measure, numbers, config, draws)
            rows += of_attribute
            gap = _gap(groups[attribute], measure, numbers, of_attribute, draws)
            gaps += [gap] if gap is not None else []
    return Comparison(tuple(overall), _adjusted(rows), _adjusted(gaps))


def _numbers(seen: pd.DataFrame, measure: Measure, config: AuditConfig) -> FloatArray:
    if measure.values is None:
        return auc_values(seen)
    return measure.values(seen, config.smiling_level).to_numpy(float)[:, None]


def _attribute(
    attribute: str,
    column: pd.Series,
    measure: Measure,
    numbers: FloatArray,
    config: AuditConfig,
    draws: Draws,
) -> list[GroupFigure]:
    known = column.notna().to_numpy()
    rows = []
    for group in column.cat.categories:
        inside = (column == group).to_numpy()
        rest = numbers[known & ~inside]
        rows.append(_figure(attribute, str(group), measure, numbers[inside], rest, config, draws))
    return rows


def _figure(
    attribute: str, group: str, measure: Measure, numbers: FloatArray, rest: FloatArray, config: AuditConfig,
    draws: Draws,
) -> GroupFigure:  # fmt: skip
    own, other = _known(numbers), _known(rest)
    blank = GroupFigure(attribute, group, measure.name, len(own), UNKNOWN, UNKNOWN)
    if not _enough(own, measure, config.min_group):
        return blank
    row = replace(blank, figure=_interval(own, measure, draws))
    if not _enough(other, measure, config.min_group):
        return row
    difference, p = _difference(own, other, measure, draws)
    return replace(row, difference=difference, p=p)


def _enough(numbers: FloatArray, measure: Measure, least: int) -> bool:
    if len(numbers) < least or not len(numbers):
        return False
    if measure.values is not None:
        return True
    positives = int(numbers[:, 1].sum())
    return min(positives, len(numbers) - positives) >= min(least, _LEAST_OF_A_KIND)


def _known(numbers: FloatArray) -> FloatArray:
    return numbers[~np.isnan(numbers[:, 0])]


def _interval(numbers: FloatArray, measure: Measure, draws: Draws) -> Interval:
    if measure.values is None:
        return intervals.auc_interval(*_scores(numbers))
    if measure.share:
        return intervals.share(int(numbers.sum()), len(numbers))
    return intervals.mean(numbers[:, 0], draws)


def _difference(own: FloatArray, other: FloatArray, measure: Measure, draws: Draws) -> tuple[Interval, float]:
    if measure.values is None:
        return intervals.auc_difference([*_scores(own), *_scores(other)])
    if measure.share:
        counts = (int(own.sum()), len(own), int(other.sum()), len(other))
        return intervals.share_difference(*counts), intervals.shares_differ(*counts)
    one, two = own[:, 0], other[:, 0]
    return intervals.mean_difference(one, two, draws), intervals.means_differ(one, two)


def _scores(numbers: FloatArray) -> tuple[FloatArray, FloatArray]:
    positive = numbers[:, 1] == 1
    return numbers[positive, 0], numbers[~positive, 0]


def _gap(
    column: pd.Series, measure: Measure, numbers: FloatArray, rows: Sequence[GroupFigure], draws: Draws
) -> Gap | None:
    judged = [row for row in rows if not row.too_small]
    if len(judged) < 2:
        return None
    lowest = min(judged, key=lambda row: row.figure.value)
    # Where all are equal, the two are different groups all the same.
    highest = max(reversed(judged), key=lambda row: row.figure.value)
    ends = [_known(numbers[(column == row.group).to_numpy()]) for row in (highest, lowest)]
    difference, p = _difference(*ends, measure, draws)
    difference = replace(difference, value=highest.figure.value - lowest.figure.value)
    codes = column.map({row.group: number for number, row in enumerate(judged)}).astype(float).to_numpy()
    use = ~np.isnan(codes) & ~np.isnan(numbers[:, 0])
    chance = _gaps_by_chance(codes[use].astype(int), numbers[use], len(judged), measure, draws)
    p = min(1.0, p * math.comb(len(judged), 2))
    return Gap(
        rows[0].attribute, measure.name, lowest.group, highest.group, difference,
        float(np.quantile(chance, 0.95)), p,
    )  # fmt: skip


def _gaps_by_chance(
    codes: npt.NDArray[np.int64], numbers: FloatArray, groups: int, measure: Measure, draws: Draws
) -> FloatArray:
    """The largest gap between groups when pictures belong to groups at random, once per resample."""
    rng = draws.rng()
    gaps = np.empty(draws.resamples)
    sizes = np.bincount(codes, minlength=groups)
    for number in range(len(gaps)):
        drawn = rng.permutation(codes)
        if measure.values is None:
            values = np.array([intervals.auc(*_scores(numbers[drawn == group])) for group in range(groups)])
        else:
            values = np.bincount(drawn, weights=numbers[:, 0], minlength=groups) / sizes
        gaps[number] = np.nanmax(values) - np.nanmin(values)
    return gaps


def _adjusted(rows: Sequence[GroupFigure] | Sequence[Gap]) -> tuple:  # type: ignore[type-arg]
    adjusted = intervals.holm([row.p for row in rows])
    return tuple(replace(row, p_adjusted=float(p)) for row, p in zip(rows, adjusted))


def criteria(comparison: Comparison) -> Iterator[tuple[str, str, float]]:
    """The well-known criteria of fairness: attribute, name with source, value."""
    for attribute in dict.fromkeys(row.attribute for row in comparison.groups):
        gaps = {gap.measure: gap for gap in comparison.gaps if gap.attribute == attribute}
        for measure in MEASURES:
            if measure.criterion and measure.name in gaps:
                yield attribute, measure.criterion, gaps[measure.name].difference.value
        rates = [gaps[name].difference.value for name in ("false_smile", "missed_smile") if name in gaps]
        if len(rates) == 2:
            yield attribute, EQUALIZED_ODDS, max(rates)
        told = [
            row.figure.value for row in comparison.groups
            if row.attribute == attribute and row.measure == "told_smile" and not row.too_small
        ]  # fmt: skip
        if len(told) > 1 and max(told) > 0:
            yield attribute, PARITY_RATIO, min(told) / max(told)
