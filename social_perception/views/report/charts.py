"""Curves over time as SVG paths, thinned so that hours stay small and short smiles stay visible.

A plot is 1000 units wide and 1000 high, whatever its size on the screen: the page stretches it, and
lines keep their width (``vector-effect``). Text is HTML beside it, so that it keeps its size too.
Coordinates are whole and absolute, and the page's script reads the values back from the path.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from social_perception.views.report.measures import Clock, Stretch, stretches

SIZE = 1000
"""Width and height of a plot in its own units."""

MOST_COLUMNS = 500
"""A curve has at most two points per column: the lowest and the highest value in it."""

_FEWEST_COLUMNS = 100
_COLUMNS_OF_ALL = 20000
_MOST_TICKS = 8
_TICK_STEPS_S = (
    0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30,
    60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800,
)  # fmt: skip

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def columns_for(people: int) -> int:
    """Columns of each person's curve: fewer where there are hundreds, to keep the page small."""
    return int(np.clip(_COLUMNS_OF_ALL // max(1, people), _FEWEST_COLUMNS, MOST_COLUMNS))


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
        step_s = next((step for step in _TICK_STEPS_S if span_s / step <= _MOST_TICKS), span_s / _MOST_TICKS)
        if step_s <= 0:
            return (self.start_s,)
        first, last = np.ceil(self.start_s / step_s - 1e-9), np.floor(self.end_s / step_s + 1e-9)
        return tuple(float(number * step_s) for number in np.arange(first, last + 1))


def thinned(sections: IntArray, places: IntArray, values: FloatArray) -> IntArray:
    """Which points of a curve to draw: of each section and column the lowest and the highest, in order.

    Args:
        sections: (N,) the number of the unbroken part that each point belongs to, never falling.
        places: (N,) the column of each point, never falling within a section.
        values: (N,) what is drawn, without NaN.

    Returns:
        the indices of the points that stay, rising.
    """
    if not len(values):
        return np.zeros(0, np.int64)
    order = np.lexsort((values, places, sections))
    new = (np.diff(sections[order]) != 0) | (np.diff(places[order]) != 0)
    firsts = np.concatenate([[0], np.flatnonzero(new) + 1])
    lasts = np.concatenate([firsts[1:] - 1, [len(order) - 1]])
    return np.unique(np.concatenate([order[firsts], order[lasts]]))


def area(places: IntArray, values: FloatArray, clock: Clock, axis: Axis, columns: int) -> str:
    """The path of an area under a curve; it is broken where nothing is known.

    Args:
        places: (N,) the frames of the values, as places in the clock, rising.
        values: (N,) in [0, 1], NaN for unknown.
        clock: every frame's time.
        axis: of the plot.
        columns: at most two points are drawn for each.
    """
    known = ~np.isnan(values)
    places, values = places[known], np.clip(values[known], 0.0, 1.0)
    if not len(places):
        return ""
    middles_s = clock.starts_s[places] + clock.lengths_s[places] / 2
    column_s = (axis.end_s - axis.start_s) / columns
    missing = (np.diff(places) > 1) & (np.diff(middles_s) > column_s)
    sections = np.concatenate([[0], np.cumsum(missing)])
    cells = np.floor((middles_s - axis.start_s) / column_s) if column_s > 0 else np.zeros(len(places))
    kept = thinned(sections, cells.astype(np.int64), values)
    x = axis.units(middles_s[kept])
    y = SIZE - np.rint(values[kept] * SIZE).astype(np.int64)
    return "".join(
        _closed(x[part], y[part]) for part in np.split(np.arange(len(kept)), _breaks(sections[kept]))
    )


def _breaks(sections: IntArray) -> IntArray:
    return np.flatnonzero(np.diff(sections)) + 1


def _closed(x: IntArray, y: IntArray) -> str:
    points = "".join(f"L{across} {down}" for across, down in zip(x.tolist(), y.tolist()))
    return f"M{x[0]} {SIZE}{points}L{x[-1]} {SIZE}Z"


def steps(values: IntArray, clock: Clock, axis: Axis, highest: int) -> str:
    """The path of an area under a whole number that changes in steps, one value per frame of the clock."""
    if not len(values) or highest <= 0:
        return ""
    column_s = (axis.end_s - axis.start_s) / MOST_COLUMNS
    cells = np.floor((clock.starts_s - axis.start_s) / column_s) if column_s > 0 else np.zeros(len(values))
    numbers = values.astype(np.float64)
    kept = thinned(np.zeros(len(values), np.int64), cells.astype(np.int64), numbers)
    kept = kept[np.concatenate([[True], np.diff(numbers[kept]) != 0])]
    x = axis.units(clock.starts_s[kept])
    y = SIZE - np.rint(numbers[kept] / highest * SIZE).astype(np.int64)
    drawn = "".join(f"H{across}V{down}" for across, down in zip(x.tolist(), y.tolist()))
    return f"M{x[0]} {SIZE}{drawn}H{int(axis.units(np.array([clock.end_s]))[0])}V{SIZE}Z"


def bars(parts: tuple[Stretch, ...], axis: Axis) -> str:
    """The path of full-height bars over stretches of time; each is one unit wide at least."""
    if not parts:
        return ""
    starts = axis.units(np.array([part.start_s for part in parts]))
    ends = np.maximum(axis.units(np.array([part.end_s for part in parts])), starts + 1)
    return "".join(f"M{start} 0H{end}V{SIZE}H{start}Z" for start, end in zip(starts.tolist(), ends.tolist()))


def presence(places: IntArray, clock: Clock, axis: Axis, columns: int) -> str:
    """Bars over the time in which a face was seen; absences too short to be drawn are bridged."""
    everywhere = np.ones(len(places), np.bool_)
    shortest_s = (axis.end_s - axis.start_s) / columns
    starts_s = clock.starts_s[places]
    seen = stretches(everywhere, starts_s, starts_s + clock.lengths_s[places], shortest_s, 0.0)
    return bars(seen, axis)
