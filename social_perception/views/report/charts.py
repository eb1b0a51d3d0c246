"""Curves over time as SVG paths, thinned so that hours stay small and short smiles visible.

A plot is 1000 units wide and 1000 high, whatever its size on the screen: the page stretches it, and
lines keep their width (``vector-effect``). Text is HTML beside it, so that it keeps its size, too.
Coordinates are integers and absolute: the page's script reads the values back from the path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from social_perception.views.report.measures import Clock, Stretch, stretches

SIZE = 1000
"""Width and height of a plot in its own units."""

MAX_COLUMNS = 500
"""A curve shows each column's mean, lowest and highest value."""

_MIN_COLUMNS = 100
_COLUMNS_IN_TOTAL = 60000
_MAX_TICKS = 8
_TICK_STEPS_S = (
    0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30,
    60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800,
)  # fmt: skip

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def columns_for(people: int) -> int:
    """Columns of each person's curve: fewer for hundreds of people, to keep the page small."""
    return int(np.clip(_COLUMNS_IN_TOTAL // max(1, people), _MIN_COLUMNS, MAX_COLUMNS))


@dataclass(frozen=True, slots=True)
class Axis:
    """The time axis that all plots share, in s."""

    start_s: float
    end_s: float

    def units(self, times_s: FloatArray) -> IntArray:
        """Times as whole units of the plot, in [0, 1000]."""
        span_s = self.end_s - self.start_s
        share = (times_s - self.start_s) / span_s if span_s > 0 else np.zeros_like(times_s)
        return np.rint(np.clip(share, 0.0, 1.0) * SIZE).astype(np.int64)

    def ticks_s(self) -> tuple[float, ...]:
        """Round times along the axis, eight at most."""
        span_s = self.end_s - self.start_s
        step_s = next((step for step in _TICK_STEPS_S if span_s / step <= _MAX_TICKS), span_s / _MAX_TICKS)
        if step_s <= 0:
            return (self.start_s,)
        first, last = np.ceil(self.start_s / step_s - 1e-9), np.floor(self.end_s / step_s + 1e-9)
        return tuple(float(number * step_s) for number in np.arange(first, last + 1))


@dataclass(frozen=True, slots=True)
class Curve:
    """The paths of a curve: the mean of each column, and areas under its lowest and highest value.

    ``high`` is empty where it would equal ``low``: nothing was thinned. Each path has one point per
    column, at the same x, besides those that close an area at 0.
    """

    mean: str = ""
    low: str = ""
    high: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The points of a curve: a value per column of each unbroken section, all (C,)."""

    sections: IntArray
    times_s: FloatArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray


def cells(sections: IntArray, columns: IntArray, times_s: FloatArray, values: FloatArray) -> Cells:
    """Gather the points of a curve by section and column.

    Args:
        sections: (N,) index of each point's unbroken section, not decreasing.
        columns: (N,) the column of each point, not decreasing within a section.
        times_s: (N,) times of the points.
        values: (N,) without NaN; N is 1 at least.
    """
    new = (np.diff(sections) != 0) | (np.diff(columns) != 0)
    firsts = np.concatenate([[0], np.flatnonzero(new) + 1])
    counts = np.diff(np.append(firsts, len(values)))
    return Cells(
        sections[firsts],
        np.add.reduceat(times_s, firsts) / counts,
        np.add.reduceat(values, firsts) / counts,
        np.minimum.reduceat(values, firsts),
        np.maximum.reduceat(values, firsts),
    )


def curve(places: IntArray, values: FloatArray, clock: Clock, axis: Axis, columns: int) -> Curve:
    """The paths of a curve; they have a gap where nothing is known for longer than a column.

    Args:
        places: (N,) the frames of the values, as increasing indices in the clock.
        values: (N,) in [0, 1], NaN for unknown.
        clock: every frame's time.
        axis: of the plot.
        columns: of the plot; each is one point at most.
    """
    known = ~np.isnan(values)
    places, values = places[known], np.clip(values[known], 0.0, 1.0)
    if not len(places):
        return Curve()
    middles_s = clock.starts_s[places] + clock.lengths_s[places] / 2
    column_s = (axis.end_s - axis.start_s) / columns
    missing = (np.diff(places) > 1) & (np.diff(middles_s) > column_s)
    sections = np.concatenate([[0], np.cumsum(missing)])
    drawn = cells(sections, _columns(middles_s, axis, columns), middles_s, values)
    frame = max(2, int(axis.units(np.asarray(axis.start_s + np.median(clock.lengths_s)))))
    mean, low, high = (list(_points(drawn, axis, of, frame)) for of in (drawn.mean, drawn.low, drawn.high))
    return Curve(_lines(mean), _areas(low), "" if high == low else _areas(high))


def _columns(times_s: FloatArray, axis: Axis, columns: int) -> IntArray:
    column_s = (axis.end_s - axis.start_s) / columns
    if column_s <= 0:
        return np.zeros(len(times_s), np.int64)
    return np.floor((times_s - axis.start_s) / column_s).astype(np.int64)


def _points(drawn: Cells, axis: Axis, values: FloatArray, frame: int) -> Iterator[list[str]]:
    """The points of each section as path coordinates; a single one becomes as wide as a frame, in units."""
    x = axis.units(drawn.times_s).tolist()
    y = (SIZE - np.rint(values * SIZE).astype(np.int64)).tolist()
    points = [f"{across} {down}" for across, down in zip(x, y)]
    borders = [0, *(np.flatnonzero(np.diff(drawn.sections)) + 1).tolist(), len(points)]
    for first, end in pairwise(borders):
        if end - first > 1:
            yield points[first:end]
        else:
            edges = max(0, x[first] - frame // 2), min(SIZE, x[first] + (frame + 1) // 2)
            yield [f"{edge} {y[first]}" for edge in edges]


def _lines(sections: Sequence[Sequence[str]]) -> str:
    return "".join(f"M{'L'.join(points)}" for points in sections)


def _areas(sections: Sequence[Sequence[str]]) -> str:
    parts = []
    for points in sections:
        first, last = (point.split(" ")[0] for point in (points[0], points[-1]))
        parts.append(f"M{first} {SIZE}L{'L'.join(points)}L{last} {SIZE}Z")
    return "".join(parts)


def steps(values: IntArray, clock: Clock, axis: Axis, highest: int) -> str:
    """The path of the area under an integer that changes in steps, one value per frame of the clock."""
    if not len(values) or highest <= 0:
        return ""
    columns = _columns(clock.starts_s, axis, MAX_COLUMNS)
    # Of each column the lowest and the highest value are kept, in their order; of equal ones the first.
    order = np.lexsort((values, columns))
    borders = np.flatnonzero(np.diff(columns)) + 1
    firsts, lasts = np.append(0, borders), np.append(borders, len(values)) - 1
    kept = np.unique(np.concatenate([order[firsts], order[lasts]]))
    kept = kept[np.append(True, np.diff(values[kept]) != 0)]
    x = axis.units(clock.starts_s[kept])
    y = SIZE - np.rint(values[kept] / highest * SIZE).astype(np.int64)
    drawn = "".join(f"H{across}V{down}" for across, down in zip(x.tolist(), y.tolist()))
    return f"M{x[0]} {SIZE}{drawn}H{int(axis.units(np.array([clock.end_s]))[0])}V{SIZE}Z"


def bars(parts: Sequence[Stretch], axis: Axis, top: int = 0, bottom: int = SIZE) -> str:
    """The path of bars over stretches of time, each at least one unit wide, of full height by default."""
    if not parts:
        return ""
    starts = axis.units(np.array([part.start_s for part in parts]))
    ends = np.maximum(axis.units(np.array([part.end_s for part in parts])), starts + 1)
    edges = zip(starts.tolist(), ends.tolist())
    return "".join(f"M{start} {top}H{end}V{bottom}H{start}Z" for start, end in edges)


def presence(places: IntArray, clock: Clock, axis: Axis, columns: int) -> str:
    """Bars over the time in which a face was seen; absences too short to draw are bridged."""
    everywhere = np.ones(len(places), np.bool_)
    shortest_s = (axis.end_s - axis.start_s) / columns
    starts_s = clock.starts_s[places]
    seen = stretches(everywhere, starts_s, starts_s + clock.lengths_s[places], shortest_s, 0.0)
    return bars(seen, axis)
