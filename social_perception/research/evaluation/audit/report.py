"""Writes the results of an audit: audit.json, audit.csv, audit.md and a summary for the console."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from social_perception.research.evaluation.audit.changes import CHANGES
from social_perception.research.evaluation.audit.groups import Gap, GroupResult, criteria
from social_perception.research.evaluation.audit.intervals import Interval
from social_perception.research.evaluation.audit.measures import MEASURES
from social_perception.research.evaluation.audit.run import SetResult
from social_perception.research.evaluation.audit.scoring import Effect
from social_perception.research.evaluation.audit.settings import AuditConfig

COLUMNS = (
    "set", "kind", "attribute", "group", "measure", "pictures", "value", "low", "high", "difference",
    "difference_low", "difference_high", "by_chance", "p", "p_adjusted", "differs", "too_small",
)  # fmt: skip
"""Columns of audit.csv. ``kind`` is overall, group (difference: to the rest), gap (value: between the two
extreme groups, which ``group`` names) or change (``attribute``: the change, ``group``: its strength,
``measure`` ends with the kind of faces)."""

TITLES = {measure.name: measure.title for measure in MEASURES}
_SHARES = frozenset(measure.name for measure in MEASURES if measure.share)
_SIGNED = frozenset(measure.name for measure in MEASURES if measure.signed)
# These also differ between groups that truly smile more or less often.
_DEPENDS_ON_TRUTH = frozenset({"intensity", "told_smile"})

_METHOD = """\
Faces were detected and scored as by `social-perception score`; all values except the share of detected
faces are for the images with a detected face. Brackets: 95 % intervals (shares: Wilson; differences of
shares and AUC: Newcombe; others: bootstrap, seed {seed}, {resamples} resamples). A face counts as scored
as smiling from level {level}, and as labelled smiling from level Low. Groups of fewer than {minimum}
images are too small.

Among many comparisons some differ by chance. **Bold** differences are significant: Holm's adjusted p over
all differences of the set is below 0.05. The gap between the two extreme groups is never zero; the 95 %
quantile of the gap over random permutations of the group labels is given for comparison. A difference
between groups need not be caused by their attribute: groups differ in other properties, too. Mean
intensity and the share scored as smiling also differ if the groups truly smile more or less."""


def write_csv(path: Path, results: Sequence[SetResult]) -> None:
    """Write one row per result.

    Raises:
        OSError: the file cannot be written.
    """
    table = pd.DataFrame([row for result in results for row in _rows(result)], columns=list(COLUMNS))
    # A gap has no image count; with a missing value, pandas would write all counts as floats.
    table.astype({"pictures": "Int64"}).to_csv(path, index=False)


def write_json(path: Path, results: Sequence[SetResult], settings: Mapping[str, object]) -> None:
    """Write all results with the settings and the titles of the measures; unknown values are null.

    Raises:
        OSError: the file cannot be written.
    """
    content = {
        "settings": dict(settings),
        "measures": {m.name: {"title": m.title, "criterion": m.criterion or None} for m in MEASURES},
        "sets": [
            {**dataclasses.asdict(result), "criteria": _criteria(result)}
            for result in results
        ],
    }  # fmt: skip
    path.write_text(json.dumps(_nan_to_none(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _criteria(result: SetResult) -> list[dict[str, object]]:
    return [dict(zip(("attribute", "criterion", "value"), each)) for each in criteria(result.comparison)]


def _nan_to_none(value: object) -> object:
    """Replace NaN and infinity by None: JSON has neither."""
    if isinstance(value, dict):
        return {key: _nan_to_none(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_nan_to_none(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _rows(result: SetResult) -> Iterator[dict[str, object]]:
    for figure in result.comparison.overall:
        yield {"set": result.name, "kind": "overall", **_group_row(figure)}
    for figure in result.comparison.groups:
        yield {"set": result.name, "kind": "group", **_group_row(figure)}
    for gap in result.comparison.gaps:
        yield {"set": result.name, "kind": "gap", **_gap_row(gap)}
    for effect in result.effects:
        common = {
            "set": result.name,
            "kind": "change",
            "attribute": effect.change,
            "group": f"{effect.strength:g}",
        }
        for name, interval, count in (
            ("lost", effect.lost, effect.pictures),
            ("intensity_change", effect.difference, effect.still_found),
            ("level_changed", effect.level_changed, effect.still_found),
        ):
            yield {**common, "measure": f"{name}_{effect.kind}", "pictures": count, **_limits(interval)}


def _group_row(figure: GroupResult) -> dict[str, object]:
    return {
        "attribute": figure.attribute, "group": figure.group, "measure": figure.measure,
        "pictures": figure.pictures, **_limits(figure.figure), **_limits(figure.difference, "difference"),
        "p": figure.p, "p_adjusted": figure.p_adjusted, "differs": figure.differs,
        "too_small": figure.too_small,
    }  # fmt: skip


def _gap_row(gap: Gap) -> dict[str, object]:
    return {
        "attribute": gap.attribute, "group": f"{gap.highest} - {gap.lowest}", "measure": gap.measure,
        **_limits(gap.difference), "by_chance": gap.by_chance, "p": gap.p, "p_adjusted": gap.p_adjusted,
        "differs": gap.differs,
    }  # fmt: skip


def _limits(interval: Interval, prefix: str = "") -> dict[str, object]:
    names = (f"{prefix}_low", f"{prefix}_high") if prefix else ("low", "high")
    return {prefix or "value": interval.value, names[0]: interval.low, names[1]: interval.high}


def markdown(results: Sequence[SetResult], config: AuditConfig) -> str:
    """Format the results as the content of audit.md."""
    level = ("", "Low", "Medium", "High")[config.smiling_level]
    method = _METHOD.format(
        seed=config.seed, resamples=config.resamples, level=level, minimum=config.min_group
    )
    lines = ["# Audit", "", method, ""]
    for result in results:
        lines += [f"## {result.name}", "", *_summary(result), ""]
        attributes = dict.fromkeys(row.attribute for row in result.comparison.groups)
        lines += _group_table("all images", result.comparison.overall)
        for attribute in attributes:
            rows = [row for row in result.comparison.groups if row.attribute == attribute]
            lines += _group_table(attribute, rows)
            lines += _differences(result, attribute)
        if result.effects:
            lines += _changes(result)
    return "\n".join(lines) + "\n"


def _summary(result: SetResult) -> list[str]:
    unread = f"; {result.unread} more cannot be read" if result.unread else ""
    counted = (
        f"{result.pictures} images, {result.found} with a face{unread}; {result.seconds / 60:.1f} minutes."
    )
    return [f"{result.about[0].upper()}{result.about[1:]}. {counted}" if result.about else counted]


def _group_table(title: str, rows: Sequence[GroupResult]) -> list[str]:
    measures = [measure.name for measure in MEASURES if any(row.measure == measure.name for row in rows)]
    lines = [f"### {title}", "", "| group | " + " | ".join(TITLES[name] for name in measures) + " |"]
    lines.append("|---" * (len(measures) + 1) + "|")
    for group in dict.fromkeys(row.group for row in rows):
        cells = {row.measure: row for row in rows if row.group == group}
        texts = [_cell(cells[name]) if name in cells else "" for name in measures]
        lines.append(f"| {_escaped(group)} | " + " | ".join(texts) + " |")
    return [*lines, ""]


def _cell(row: GroupResult) -> str:
    if row.too_small:
        return f"too small ({row.pictures})"
    return f"{_format(row.figure, row.measure)}, n {row.pictures}"


def _differences(result: SetResult, attribute: str) -> list[str]:
    rows = [row for row in result.comparison.groups if row.attribute == attribute and not math.isnan(row.p)]
    gaps = [gap for gap in result.comparison.gaps if gap.attribute == attribute]
    if not gaps:
        return ["Too few images to compare the groups.", ""]
    lines = ["| measure | difference to the rest | largest gap | gap by chance (95 %) |", "|---|---|---|---|"]
    for gap in gaps:
        own = [row for row in rows if row.measure == gap.measure]
        differences = "; ".join(
            f"{_escaped(row.group)}: {_bold(_format(row.difference, row.measure, sign=True), row.differs)}"
            for row in own
        )
        ends = f"{_escaped(gap.highest)} over {_escaped(gap.lowest)}: {_format(gap.difference, gap.measure)}"
        chance = _number(gap.by_chance, gap.measure)
        lines.append(f"| {TITLES[gap.measure]} | {differences} | {_bold(ends, gap.differs)} | {chance} |")
    lines_of_criteria = [
        f"- {name}: {value:.3f}" for which, name, value in criteria(result.comparison) if which == attribute
    ]
    return [*lines, "", *lines_of_criteria, ""]


def _changes(result: SetResult) -> list[str]:
    lines = [
        "### Controlled changes", "",
        f"On {result.changed_pictures} of the images; before: mean of the same faces, unchanged.", "",
        "| change | faces | no longer detected | intensity before | after | difference | level changed |",
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
        f"{effect.pictures} {effect.kind} | {_format(effect.lost, 'found')} | {means} | "
        f"{_format(effect.difference, 'bias')} | {_format(effect.level_changed, 'found')}"
    )


def console(results: Sequence[SetResult]) -> Iterator[str]:
    """Yield the lines of a summary: overall results, significant differences and the effects of the
    changes.
    """
    for result in results:
        yield f"{result.name}: {result.found} of {result.pictures} images have a face"
        for row in result.comparison.overall:
            text = "too small" if row.too_small else _format(row.figure, row.measure)
            yield f"  {TITLES[row.measure]:<32} {text:<24} n {row.pictures}"
        different = [
            row for row in result.comparison.groups if row.differs and row.measure not in _DEPENDS_ON_TRUTH
        ]
        yield f"  groups that differ significantly from the rest: {len(different) or 'none'}"
        for row in different:
            group, difference = (
                f"{row.attribute} {row.group}",
                _format(row.difference, row.measure, sign=True),
            )
            value = _format(row.figure, row.measure)
            yield f"    {group:<36} {TITLES[row.measure]:<30} {value}, by {difference}"
        yield from _console_changes(result)


def _console_changes(result: SetResult) -> Iterator[str]:
    if result.effects:
        yield f"  {'change':<46} {'neutral':>9} {'smiling':>9} {'lost':>7}"
    for change in CHANGES:
        own = [effect for effect in result.effects if effect.change == change.name]
        for strength in dict.fromkeys(effect.strength for effect in own):
            kinds = {effect.kind: effect for effect in own if effect.strength == strength}
            differences = [
                f"{kinds[kind].difference.value:+.2f}"
                if kind in kinds and not math.isnan(kinds[kind].after)
                else "-"
                for kind in ("neutral", "smiling")
            ]
            name = f"{change.title} {strength:g} {change.unit}".strip()
            yield f"  {name:<46} {differences[0]:>9} {differences[1]:>9} {kinds['all'].lost.value:>7.1%}"


def _bold(text: str, bold: bool) -> str:
    return f"**{text}**" if bold else text


def _format(interval: Interval, measure: str, *, sign: bool = False) -> str:
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
