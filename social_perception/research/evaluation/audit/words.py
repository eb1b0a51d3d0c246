"""The results of an audit for people: audit.md and the lines on the console."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from social_perception.research.evaluation.audit.changes import CHANGES
from social_perception.research.evaluation.audit.effects import Effect
from social_perception.research.evaluation.audit.groups import GroupFigure, criteria
from social_perception.research.evaluation.audit.intervals import Interval
from social_perception.research.evaluation.audit.measures import MEASURES
from social_perception.research.evaluation.audit.run import SetResult
from social_perception.research.evaluation.audit.settings import AuditConfig

TITLES = {measure.name: measure.title for measure in MEASURES}
_SHARES = frozenset(measure.name for measure in MEASURES if measure.share)
_SIGNED = frozenset(measure.name for measure in MEASURES if measure.signed)
# These differ between groups that really smile more or less often.
_OF_TRUTH = frozenset({"intensity", "told_smile"})

_HOW = """\
Faces were found and scored as `social-perception score` does it; figures other than the faces found are of
the pictures in which a face was found. In brackets: 95 % intervals (shares: Wilson; their differences and the
AUC: Newcombe; all others: bootstrap, seed {seed}, {resamples} resamples). A face is told to smile from level
{level}; labelled smiling from level Low. Groups of fewer than {least} pictures are too small to judge.

Many comparisons find something by chance. **Bold** differences are beyond that: Holm's adjusted p over all
differences of the set is below 0.05. The gap between the two groups farthest apart is never zero; beside it
stands what 95 of 100 random assignments of the pictures to groups stay below. A difference between groups
need not come from what they are called after: groups differ in other things, too. Mean intensity and the
share told to smile also differ where the groups really smile more or less."""


def markdown(results: Sequence[SetResult], config: AuditConfig) -> str:
    """The whole of audit.md."""
    level = ("", "Low", "Medium", "High")[config.smiling_level]
    how = _HOW.format(seed=config.seed, resamples=config.resamples, level=level, least=config.min_group)
    lines = ["# Audit", "", how, ""]
    for result in results:
        lines += [f"## {result.name}", "", *_about(result), ""]
        attributes = dict.fromkeys(row.attribute for row in result.comparison.groups)
        lines += _group_table("all pictures", result.comparison.overall)
        for attribute in attributes:
            rows = [row for row in result.comparison.groups if row.attribute == attribute]
            lines += _group_table(attribute, rows)
            lines += _differences(result, attribute)
        if result.effects:
            lines += _changes(result)
    return "\n".join(lines) + "\n"


def _about(result: SetResult) -> list[str]:
    unread = f"; {result.unread} more cannot be read" if result.unread else ""
    counted = (
        f"{result.pictures} pictures, {result.found} with a face{unread}; {result.seconds / 60:.1f} minutes."
    )
    return [f"{result.about[0].upper()}{result.about[1:]}. {counted}" if result.about else counted]


def _group_table(title: str, rows: Sequence[GroupFigure]) -> list[str]:
    measures = [measure.name for measure in MEASURES if any(row.measure == measure.name for row in rows)]
    lines = [f"### {title}", "", "| group | " + " | ".join(TITLES[name] for name in measures) + " |"]
    lines.append("|---" * (len(measures) + 1) + "|")
    for group in dict.fromkeys(row.group for row in rows):
        cells = {row.measure: row for row in rows if row.group == group}
        texts = [_cell(cells[name]) if name in cells else "" for name in measures]
        lines.append(f"| {_escaped(group)} | " + " | ".join(texts) + " |")
    return [*lines, ""]


def _cell(row: GroupFigure) -> str:
    if row.too_small:
        return f"too small ({row.pictures})"
    return f"{_told(row.figure, row.measure)}, n {row.pictures}"


def _differences(result: SetResult, attribute: str) -> list[str]:
    rows = [row for row in result.comparison.groups if row.attribute == attribute and not math.isnan(row.p)]
    gaps = [gap for gap in result.comparison.gaps if gap.attribute == attribute]
    if not gaps:
        return ["Too few pictures to compare the groups.", ""]
    lines = ["| measure | difference to the rest | largest gap | by chance below |", "|---|---|---|---|"]
    for gap in gaps:
        own = [row for row in rows if row.measure == gap.measure]
        told = "; ".join(
            f"{_escaped(row.group)}: {_bold(_told(row.difference, row.measure, sign=True), row.differs)}"
            for row in own
        )
        ends = f"{_escaped(gap.highest)} over {_escaped(gap.lowest)}: {_told(gap.difference, gap.measure)}"
        chance = _number(gap.by_chance, gap.measure)
        lines.append(f"| {TITLES[gap.measure]} | {told} | {_bold(ends, gap.differs)} | {chance} |")
    named = [
        f"- {name}: {value:.3f}" for which, name, value in criteria(result.comparison) if which == attribute
    ]
    return [*lines, "", *named, ""]


def _changes(result: SetResult) -> list[str]:
    lines = [
        "### Controlled changes", "",
        f"On {result.changed_pictures} of the pictures; before: mean of the same faces unchanged.", "",
        "| change | faces | no longer found | intensity before | after | difference | another level |",
        "|---" * 7 + "|",
    ]  # fmt: skip
    for change in CHANGES:
        lines += [
            f"| {change.title} {effect.strength:g} {change.unit} | {_effect_cells(effect)} |"
            for effect in result.effects
            if effect.change == change.name and effect.kind != "all"
        ]
    return [*lines, ""]


def _effect_cells(effect: Effect) -> str:
    means = "– | –" if math.isnan(effect.after) else f"{effect.before:.2f} | {effect.after:.2f}"
    return (
        f"{effect.pictures} {effect.kind} | {_told(effect.lost, 'found')} | {means} | "
        f"{_told(effect.difference, 'bias')} | {_told(effect.level_changed, 'found')}"
    )


def console(results: Sequence[SetResult]) -> Iterator[str]:
    """A short table: what differs beyond chance, and what the strongest changes do."""
    for result in results:
        yield f"{result.name}: {result.found} of {result.pictures} pictures have a face"
        for row in result.comparison.overall:
            text = "too small" if row.too_small else _told(row.figure, row.measure)
            yield f"  {TITLES[row.measure]:<32} {text:<24} n {row.pictures}"
        different = [row for row in result.comparison.groups if row.differs and row.measure not in _OF_TRUTH]
        yield f"  groups that differ from the rest beyond chance: {len(different) or 'none'}"
        for row in different:
            group, apart = f"{row.attribute} {row.group}", _told(row.difference, row.measure, sign=True)
            yield f"    {group:<36} {TITLES[row.measure]:<30} {_told(row.figure, row.measure)}, by {apart}"
        yield from _console_changes(result)


def _console_changes(result: SetResult) -> Iterator[str]:
    if result.effects:
        yield f"  {'change':<46} {'neutral':>9} {'smiling':>9} {'lost':>7}"
    for change in CHANGES:
        own = [effect for effect in result.effects if effect.change == change.name]
        for strength in dict.fromkeys(effect.strength for effect in own):
            kinds = {effect.kind: effect for effect in own if effect.strength == strength}
            moved = [
                f"{kinds[kind].difference.value:+.2f}"
                if kind in kinds and not math.isnan(kinds[kind].after)
                else "-"
                for kind in ("neutral", "smiling")
            ]
            name = f"{change.title} {strength:g} {change.unit}".strip()
            yield f"  {name:<46} {moved[0]:>9} {moved[1]:>9} {kinds['all'].lost.value:>7.1%}"


def _bold(text: str, yes: bool) -> str:
    return f"**{text}**" if yes else text


def _told(interval: Interval, measure: str, *, sign: bool = False) -> str:
    value = _number(interval.value, measure, sign=sign)
    if math.isnan(interval.low):
        return value
    low, high = (_number(limit, measure, sign=sign) for limit in (interval.low, interval.high))
    return f"{value} ({low} to {high})"


def _number(value: float, measure: str, *, sign: bool = False) -> str:
    if math.isnan(value):
        return "–"
    plus = "+" if sign or measure in _SIGNED else ""
    return f"{100 * value:{plus}.1f} %" if measure in _SHARES else f"{value:{plus}.3f}"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
