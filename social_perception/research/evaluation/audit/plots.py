"""The plots of an audit: groups with their intervals, and the effects of image changes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from social_perception.core.errors import OutputError
from social_perception.research.evaluation.audit.changes import CHANGES, Change
from social_perception.research.evaluation.audit.groups import GroupResult
from social_perception.research.evaluation.audit.measures import MEASURES
from social_perception.research.evaluation.audit.run import SetResult
from social_perception.research.evaluation.audit.scoring import Effect

# Distinguishable with color blindness: Okabe and Ito, "Color Universal Design", 2008.
KIND_COLORS = {"neutral": "#0072B2", "smiling": "#D55E00"}
DIFFERENT = "#D55E00"
_COLUMNS = 5
_NOT_PLOTTED = frozenset({"intensity", "told_smile"})


def write_figures(folder: Path, results: Sequence[SetResult]) -> list[Path]:
    """Plot one figure per attribute and two on the changes for each set, and return their paths.

    Raises:
        OutputError: a file cannot be written.
    """
    figures: dict[str, Figure] = {}
    for result in results:
        for attribute in dict.fromkeys(row.attribute for row in result.comparison.groups):
            figure = forest_figure(result, attribute)
            if figure is not None:
                figures[_file_name(f"groups_{result.name}_{attribute}")] = figure
        if result.effects:
            figures[_file_name(f"changes_{result.name}")] = changes_figure(result)
            figures[_file_name(f"lost_{result.name}")] = lost_figure(result)
    for name, figure in figures.items():
        FigureCanvasAgg(figure)
        try:
            figure.savefig(folder / name, dpi=110)
        except OSError as error:
            raise OutputError(f"cannot write {folder / name}: {error.strerror}") from error
    return [folder / name for name in figures]


def forest_figure(result: SetResult, attribute: str) -> Figure | None:
    """Plot the groups of an attribute with 95 % intervals, a panel per measure; the line is the overall
    value.
    """
    rows = [row for row in result.comparison.groups if row.attribute == attribute]
    large_enough = [row.measure for row in rows if not row.too_small]
    # A single group cannot be compared.
    measures = [m for m in MEASURES if m.name not in _NOT_PLOTTED and large_enough.count(m.name) > 1]
    if not measures:
        return None
    groups = list(dict.fromkeys(row.group for row in rows))
    overall = {row.measure: row.figure.value for row in result.comparison.overall}
    width = 1.9 + 2.1 * len(measures)
    figure = Figure(figsize=(width, 1.5 + 0.34 * len(groups)), layout="constrained")
    panels = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
    for axes, measure in zip(panels, measures):
        cells = {row.group: row for row in rows if row.measure == measure.name}
        _forest(axes, [cells[group] for group in groups], overall[measure.name])
        axes.set_title(measure.title.replace(", ", ",\n"), fontsize=9)
    panels[0].set_yticks(range(len(groups)), groups, fontsize=9)
    panels[0].set_ylim(len(groups) - 0.4, -0.6)
    by = attribute.replace("_", " ").replace(" ita", " ITA")
    figure.suptitle(f"{result.name}, by {by}; orange: significantly different from the rest", fontsize=10)
    return figure


def _forest(axes: Any, rows: Sequence[GroupResult], overall: float) -> None:
    if not np.isnan(overall):
        axes.axvline(overall, color="0.7", lw=1, zorder=0)
    for place, row in enumerate(rows):
        if row.too_small:
            axes.text(0.5, place, f"too small ({row.pictures})", transform=axes.get_yaxis_transform(),
                      ha="center", va="center", fontsize=7, color="0.5")  # fmt: skip
            continue
        color = DIFFERENT if row.differs else "black"
        axes.plot([row.figure.low, row.figure.high], [place, place], color=color, lw=1.6)
        axes.plot(row.figure.value, place, "o", color=color, ms=5)
    axes.locator_params(axis="x", nbins=4)
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", color="0.93")


def changes_figure(result: SetResult) -> Figure:
    """Plot the change of intensity over the strength of each change, with 95 % bands."""
    return _grid(
        result,
        "difference",
        f"{result.name}: change of intensity (mean of the same faces, 95 % band)",
        "change of intensity",
    )


def lost_figure(result: SetResult) -> Figure:
    """Plot the share of lost faces over the strength of each change, with 95 % bands."""
    return _grid(
        result,
        "lost",
        f"{result.name}: share of faces no longer detected (95 % band)",
        "share no longer detected",
    )


def _grid(result: SetResult, field: str, title: str, label: str) -> Figure:
    names = {effect.change for effect in result.effects}
    changes = [change for change in CHANGES if change.name in names]
    rows = -(-len(changes) // _COLUMNS)
    figure = Figure(figsize=(13.5, 2.5 * rows + 0.6), layout="constrained")
    panels = figure.subplots(rows, _COLUMNS, sharey=True, squeeze=False).ravel()
    for axes, change in zip(panels, changes):
        for kind, color in KIND_COLORS.items():
            own = [e for e in result.effects if e.change == change.name and e.kind == kind]
            _curve(axes, change, own, field, color, kind)
        axes.axhline(0, color="0.75", lw=0.8, zorder=0)
        axes.set_title(change.title, fontsize=10)
        axes.set_xlabel(change.unit, fontsize=8)
        axes.tick_params(labelsize=8)
        axes.grid(color="0.93")
    for axes in panels[len(changes) :]:
        axes.set_axis_off()
    for axes in panels[::_COLUMNS]:
        axes.set_ylabel(label, fontsize=8)
    figure.suptitle(title, fontsize=11)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower right", ncols=2, frameon=False)
    return figure


def _curve(axes: Any, change: Change, effects: Sequence[Effect], field: str, color: str, kind: str) -> None:
    points = sorted(
        (e.strength, *_limits(e, field)) for e in effects if not np.isnan(getattr(e, field).value)
    )
    if change.unchanged is not None:
        points = sorted([*points, (change.unchanged, 0.0, 0.0, 0.0)])
    if not points:
        return
    strength, value, low, high = np.array(points, float).T
    axes.plot(strength, value, color=color, lw=1.4, marker="o", ms=3, label=f"{kind} faces")
    axes.fill_between(strength, low, high, color=color, alpha=0.2, lw=0)
    if len(points) <= 2:  # a band between two points is hard to see
        sides = np.maximum(0.0, [value - low, high - value])
        axes.errorbar(strength, value, sides, color=color, capsize=3, lw=0, elinewidth=1.2)


def _limits(effect: Effect, field: str) -> tuple[float, float, float]:
    interval = getattr(effect, field)
    return interval.value, interval.low, interval.high


def _file_name(name: str) -> str:
    return re.sub(r"[^\w-]+", "_", name).strip("_") + ".png"
