"""Fills the report's template and writes it: one file that asks for nothing else, equal for equal input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from social_perception.core.config import ReportConfig
from social_perception.core.errors import MissingDependencyError, OutputError
from social_perception.core.timelines import Timeline
from social_perception.views.colors import LEVEL_COLORS, text_color
from social_perception.views.report import charts, text
from social_perception.views.report.measures import (
    LEVELS,
    Clock,
    Moment,
    Person,
    Stretch,
    person,
    shared_moments,
    summary,
)
from social_perception.views.report.thumbnails import Thumbnail
from social_perception.views.words import number, percent, signed

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).parent / "templates"
_MOST_OPEN = 30
"""More people, or moments, than this are folded away until somebody asks for them."""


@dataclass(frozen=True, slots=True)
class _Level:
    """A level as the page shows it; colours are CSS."""

    key: str
    label: str
    color: str
    ink: str


@dataclass(frozen=True, slots=True)
class _Tick:
    left: float
    label: str


@dataclass(frozen=True, slots=True)
class _Row:
    """A person with the paths of their chart."""

    figures: Person
    curve: charts.Curve
    presence: str


@dataclass(frozen=True, slots=True)
class _GroupChart:
    """Paths of the group's chart."""

    curve: charts.Curve
    sizes: str
    moments: str


@dataclass(frozen=True, slots=True)
class _Card:
    """A moment of shared smiling; picture is a data URI or empty."""

    moment: Moment
    picture: str


def write_report(
    path: str | Path,
    faces: Sequence[Timeline],
    group: Timeline | None,
    *,
    video: str | Path,
    thumbnails: Sequence[Thumbnail] = (),
    settings: ReportConfig | None = None,
) -> None:
    """Write the report of a video as one HTML file.

    Args:
        path: of the HTML file.
        faces: the timelines of the face table (``read_timelines``).
        group: the group table (``read_group``); None: the video has no frames.
        video: what was annotated; only its name is shown.
        thumbnails: pictures for moments of shared smiling (``take_thumbnails``); none by default,
            because they show people.
        settings: what counts as a smile and as a moment of shared smiling.

    Raises:
        MissingDependencyError: Jinja2 is not installed.
        OutputError: the file cannot be written.
    """
    page = render(faces, group, video=video, thumbnails=thumbnails, settings=settings or ReportConfig())
    try:
        # Names of files and faces may hold what is not Unicode.
        Path(path).write_bytes(page.encode("utf-8", "replace"))
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error


def render(
    faces: Sequence[Timeline],
    group: Timeline | None,
    *,
    video: str | Path,
    thumbnails: Sequence[Thumbnail],
    settings: ReportConfig,
) -> str:
    """The report as text."""
    clock = Clock.of(faces, group)
    seen = clock.kept(faces)
    axis = charts.Axis(clock.start_s, clock.end_s)
    columns = charts.columns_for(len(seen))
    moments = shared_moments(seen, clock, settings)
    rows = [_row(face, clock, axis, columns, settings) for face in seen]
    chart = _group_chart(group, clock, axis, moments)
    pictures = {thumbnail.frame: thumbnail.data_uri for thumbnail in thumbnails}
    return (
        _environment()
        .get_template("report.html")
        .render(
            title=Path(video).name,
            summary=summary(seen, group, clock, settings),
            rows=rows,
            chart=chart,
            thinned=any(curve.high for curve in (chart.curve, *(row.curve for row in rows))),
            cards=[_Card(moment, pictures.get(moment.peak_frame, "")) for moment in moments],
            moments=moments,
            pictured=bool(pictures),
            ticks=_ticks(axis),
            axis=axis,
            levels=_levels(),
            further=[figure.field.label for figure in rows[0].figures.further] if rows else [],
            smiling=LEVELS[settings.smiling_level].label,
            settings=settings,
            most_open=_MOST_OPEN,
        )
    )


def _row(face: Timeline, clock: Clock, axis: charts.Axis, columns: int, settings: ReportConfig) -> _Row:
    places = clock.places(face)
    return _Row(
        figures=person(face, clock, settings),
        curve=charts.curve(places, face.intensities, clock, axis, columns),
        presence=charts.presence(places, clock, axis, columns),
    )


def _group_chart(
    group: Timeline | None, clock: Clock, axis: charts.Axis, moments: Sequence[Moment]
) -> _GroupChart:
    if group is None:
        return _GroupChart(charts.Curve(), "", "")
    places = clock.places(group)
    sizes = np.zeros(len(clock.frames), np.int64)
    sizes[places] = group.values["group_size"]
    spans = tuple(Stretch(moment.start_s, moment.end_s, 0, 0) for moment in moments)
    return _GroupChart(
        curve=charts.curve(places, group.intensities, clock, axis, charts.MOST_COLUMNS),
        sizes=charts.steps(sizes, clock, axis, int(sizes.max())),
        moments=charts.bars(spans, axis),
    )


def _ticks(axis: charts.Axis) -> list[_Tick]:
    span_s = axis.end_s - axis.start_s
    if span_s <= 0:
        return []
    return [
        _Tick(round(100 * (tick_s - axis.start_s) / span_s, 2), text.tick_time(tick_s))
        for tick_s in axis.ticks_s()
    ]


def _levels() -> list[_Level]:
    colors = dict(LEVEL_COLORS)
    return [
        _Level(
            key=level.name.lower(),
            label=level.label,
            color="#{:02x}{:02x}{:02x}".format(*colors[level]),
            ink="#{:02x}{:02x}{:02x}".format(*text_color(colors[level])),
        )
        for level in LEVELS
    ]


@cache
def _environment() -> Environment:
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise MissingDependencyError("reports need Jinja2: pip install Jinja2") from error
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for formatter in (number, signed, percent, text.clock_time, text.span, text.names):
        environment.filters[formatter.__name__] = formatter
    for speaker in (text.plural, text.group_sentence, text.person_sentence, text.moments_sentence):
        environment.globals[speaker.__name__] = speaker
    return environment
