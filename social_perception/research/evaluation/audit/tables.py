"""The results of an audit as JSON and as one tidy table."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from social_perception.research.evaluation.audit.groups import Gap, GroupFigure, criteria
from social_perception.research.evaluation.audit.intervals import Interval
from social_perception.research.evaluation.audit.measures import MEASURES
from social_perception.research.evaluation.audit.run import SetResult

COLUMNS = (
    "set", "kind", "attribute", "group", "measure", "pictures", "value", "low", "high", "difference",
    "difference_low", "difference_high", "by_chance", "p", "p_adjusted", "differs", "too_small",
)  # fmt: skip
"""Of audit.csv. ``kind`` is overall, group (difference: to the rest), gap (value: between the two groups
farthest apart, which ``group`` names) or change (``attribute``: the change, ``group``: its strength,
``measure`` ends with the kind of faces)."""


def write_csv(path: Path, results: Sequence[SetResult]) -> None:
    """One row per figure."""
    table = pd.DataFrame([row for result in results for row in _rows(result)], columns=list(COLUMNS))
    # A gap has no number of pictures of its own, and without this every number would get a decimal point.
    table.astype({"pictures": "Int64"}).to_csv(path, index=False)


def write_json(path: Path, results: Sequence[SetResult], settings: Mapping[str, object]) -> None:
    """Everything, with the settings and the meaning of the measures; null is what cannot be known."""
    content = {
        "settings": dict(settings),
        "measures": {m.name: {"title": m.title, "criterion": m.criterion or None} for m in MEASURES},
        "sets": [
            {**dataclasses.asdict(result), "criteria": _criteria(result)}
            for result in results
        ],
    }  # fmt: skip
    path.write_text(json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _criteria(result: SetResult) -> list[dict[str, object]]:
    return [dict(zip(("attribute", "criterion", "value"), each)) for each in criteria(result.comparison)]


def _plain(value: object) -> object:
    """The same, with null for what is not known: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
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


def _group_row(figure: GroupFigure) -> dict[str, object]:
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
