"""Times and sentences of the report, for people and for those who have its charts read to them."""

from __future__ import annotations

import math

from social_perception.views.report.measures import Moment, Person, Summary
from social_perception.views.words import number

_MOST_NAMES = 6


def clock_time(seconds: float) -> str:
    """A time as ``m:ss.t`` or ``h:mm:ss``, or ``-`` for what cannot be known."""
    if math.isnan(seconds):
        return "-"
    if seconds >= 3600:
        whole = round(seconds)
        return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    tenths = round(seconds * 10)
    return f"{tenths // 600}:{tenths // 10 % 60:02d}.{tenths % 10}"


def tick_time(seconds: float) -> str:
    """A round time of an axis, no longer than it must be."""
    if abs(seconds - round(seconds)) > 1e-6:
        return f"{seconds:.2f}".rstrip("0") + " s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def span(seconds: float) -> str:
    """A length of time with its unit."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{round(seconds) // 60} min {round(seconds) % 60:02d} s"
    return f"{round(seconds / 60) // 60} h {round(seconds / 60) % 60:02d} min"


def plural(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def names(all_names: tuple[str, ...]) -> str:
    """Names in a row; many of them are cut short."""
    shown = ", ".join(all_names[:_MOST_NAMES])
    more = len(all_names) - _MOST_NAMES
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
