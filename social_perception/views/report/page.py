"""Fills the report's template and writes it: one self-contained file, equal for equal input."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from social_perception.core.config import ReportConfig
from social_perception.core.errors import MissingDependencyError, OutputError
from social_perception.core.timelines import Timeline
from social_perception.views.colors import LEVEL_COLORS, text_color
from social_perception.views.report import charts
from social_perception.views.report.measures import (
    LEVELS,
    Clock,
    Moment,
    Person,
    Stretch,
    Summary,
    laughs,
    person,
    shared_moments,
    summary,
    voices,
)
from social_perception.views.report.thumbnails import Thumbnail
from social_perception.views.text import number, percent, signed

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).parent / "templates"
_MAX_OPEN = 30
"""More people, or moments, than this are folded until they are opened."""

_MAX_NAMES = 6
_SPEECH_BARS, _LAUGHTER_BARS = (900, 1000), (760, 860)
"""Their upper and lower edge in a person's chart."""


@dataclass(frozen=True, slots=True)
class _Level:
    """A level as the page shows it; colours are CSS."""

    key: str
    label: str
    color: str
    text: str


@dataclass(frozen=True, slots=True)
class _Tick:
    left: float
    label: str


@dataclass(frozen=True, slots=True)
class _Row:
    """A person with the paths of their chart; speech and laughter are bars at its lower edge."""

    figures: Person
    curve: charts.Curve
    presence: str
    speech: str
    laughter: str


@dataclass(frozen=True, slots=True)
class _Lane:
    """When there was speech, or laughter, in the room: the path of its bars, and the share of time."""

    label: str
    path: str
    share: float


@dataclass(frozen=True, slots=True)
class _GroupChart:
    """Paths of the group's chart; a lane for each kind of voice that is known."""

    curve: charts.Curve
    sizes: str
    moments: str
    lanes: tuple[_Lane, ...] = ()


@dataclass(frozen=True, slots=True)
class _Card:
    """A moment of shared smiling; ``image`` is a data URI or empty."""

    moment: Moment
    image: str


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
        video: the annotated file; only its name is shown.
        thumbnails: images of moments of shared smiling (``make_thumbnails``); none by default,
            because they show people.
        settings: the definitions of a smile and of a moment of shared smiling.

    Raises:
        MissingDependencyError: Jinja2 is not installed.
        OutputError: the file cannot be written.
    """
    page = render(faces, group, video=video, thumbnails=thumbnails, settings=settings or ReportConfig())
    try:
        # Names of files and faces may not be valid Unicode.
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
    images = {thumbnail.frame: thumbnail.data_uri for thumbnail in thumbnails}
    return (
        environment()
        .get_template("report.html")
        .render(
            title=Path(video).name,
            summary=summary(seen, group, clock, settings),
            rows=rows,
            chart=chart,
            thinned=any(curve.high for curve in (chart.curve, *(row.curve for row in rows))),
            cards=[_Card(moment, images.get(moment.peak_frame, "")) for moment in moments],
            moments=moments,
            laughs=laughs(seen, group, clock),
            has_images=bool(images),
            ticks=ticks_of(axis),
            axis=axis,
            levels=_levels(),
            further=_estimated(rows),
            smiling=LEVELS[settings.smiling_level].label,
            settings=settings,
            max_open=_MAX_OPEN,
        )
    )


def _estimated(rows: Sequence[_Row]) -> list[tuple[int, str]]:
    """Place and title of each further value that is known of anybody."""
    columns = zip(*(row.figures.further for row in rows))
    known = (any(figure.mean == figure.mean for figure in figures) for figures in columns)
    return [(place, rows[0].figures.further[place].title) for place, is_known in enumerate(known) if is_known]


def _row(face: Timeline, clock: Clock, axis: charts.Axis, columns: int, settings: ReportConfig) -> _Row:
    places = clock.places(face)
    return _Row(
        figures=person(face, clock, settings),
        curve=charts.curve(places, face.intensities, clock, axis, columns),
        presence=charts.presence(places, clock, axis, columns),
        speech=charts.bars(voices(face, clock, "speaking") or (), axis, *_SPEECH_BARS),
        laughter=charts.bars(voices(face, clock, "laughing") or (), axis, *_LAUGHTER_BARS),
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
        curve=charts.curve(places, group.intensities, clock, axis, charts.MAX_COLUMNS),
        sizes=charts.steps(sizes, clock, axis, int(sizes.max())),
        moments=charts.bars(spans, axis),
        lanes=tuple(_lanes(group, clock, axis)),
    )


def _lanes(group: Timeline, clock: Clock, axis: charts.Axis) -> Iterator[_Lane]:
    for column in ("speech", "laughter"):
        found = voices(group, clock, column)
        if found is not None:
            share = sum(each.length_s for each in found) / max(1e-9, axis.end_s - axis.start_s)
            yield _Lane(column.capitalize(), charts.bars(found, axis), share)


def ticks_of(axis: charts.Axis) -> list[_Tick]:
    span_s = axis.end_s - axis.start_s
    if span_s <= 0:
        return []
    return [
        _Tick(round(100 * (tick_s - axis.start_s) / span_s, 2), tick_time(tick_s))
        for tick_s in axis.ticks_s()
    ]


def _levels() -> list[_Level]:
    colors = dict(LEVEL_COLORS)
    return [
        _Level(
            key=level.name.lower(),
            label=level.label,
            color="#{:02x}{:02x}{:02x}".format(*colors[level]),
            text="#{:02x}{:02x}{:02x}".format(*text_color(colors[level])),
        )
        for level in LEVELS
    ]


@cache
def environment() -> Environment:
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
    for formatter in (number, signed, percent, clock_time, span, names):
        environment.filters[formatter.__name__] = formatter
    for function in (plural, group_sentence, person_sentence, moments_sentence):
        environment.globals[function.__name__] = function
    return environment


def clock_time(seconds: float) -> str:
    """A time as ``m:ss.t`` or ``h:mm:ss``; ``-``: unknown."""
    if math.isnan(seconds):
        return "-"
    if seconds >= 3600:
        whole = round(seconds)
        return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    tenths = round(seconds * 10)
    return f"{tenths // 600}:{tenths // 10 % 60:02d}.{tenths % 10}"


def tick_time(seconds: float) -> str:
    """A round time of an axis, as short as possible."""
    if abs(seconds - round(seconds)) > 1e-6:
        return f"{seconds:.2f}".rstrip("0") + " s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def span(seconds: float) -> str:
    """A duration with its unit."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{round(seconds) // 60} min {round(seconds) % 60:02d} s"
    return f"{round(seconds / 60) // 60} h {round(seconds / 60) % 60:02d} min"


def plural(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def names(all_names: tuple[str, ...]) -> str:
    """Names in a list, which is cut short after six."""
    shown = ", ".join(all_names[:_MAX_NAMES])
    more = len(all_names) - _MAX_NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def group_sentence(summary: Summary) -> str:
    if math.isnan(summary.intensity):
        return f"The group's smile intensity over {span(summary.duration_s)}: never known."
    return (
        f"The group's smile intensity over {span(summary.duration_s)}: {number(summary.intensity)} on "
        f"average, highest {number(summary.highest)} at {clock_time(summary.highest_at_s)}."
    )


def person_sentence(person: Person) -> str:
    seen = f"{person.name}: first seen at {clock_time(person.first_s)}, in view for {span(person.seen_s)}"
    if math.isnan(person.mean):
        return f"{seen}; smile intensity never known."
    return (
        f"{seen}; smile intensity {number(person.mean)} on average, highest {number(person.maximum)} at "
        f"{clock_time(person.maximum_at_s)}; {plural(len(person.smiles), 'smile', 'smiles')}."
    )


def moments_sentence(moments: tuple[Moment, ...]) -> str:
    if not moments:
        return "No moment of shared smiling."
    total_s = sum(moment.length_s for moment in moments)
    count = plural(len(moments), "moment", "moments")
    return (
        f"{count} of shared smiling, {span(total_s)} in all, the first at {clock_time(moments[0].start_s)}."
    )
