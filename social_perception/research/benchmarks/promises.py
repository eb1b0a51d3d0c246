"""What a long or overloaded stream must keep, and whether it did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from social_perception.research.benchmarks.course import Course, Trend
from social_perception.research.benchmarks.inside import HEAPS, PYTHON

KEPT, BROKEN, OPEN = "kept", "broken", "open"


@dataclass(frozen=True, slots=True)
class Promise:
    """One thing that must hold.

    Attributes:
        text: what was promised.
        figure: what was measured.
        verdict: kept, broken, or open where the run was too short to say.
    """

    text: str
    figure: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Limits:
    """From when on a promise is broken.

    Attributes:
        memory_mb_per_min: slope of the resident memory.
        blocks_per_min: slope of the number of Python's memory blocks.
        latency_rise: 95th percentile of the delay at the end, as a multiple of that at the beginning.
        oldest_ms: age of an answer.
        excess: images sent per image answered, from which on it is overload.
    """

    memory_mb_per_min: float
    blocks_per_min: float
    latency_rise: float
    oldest_ms: float = 1000.0
    excess: float = 1.5


SOAK_LIMITS = Limits(memory_mb_per_min=0.2, blocks_per_min=200.0, latency_rise=1.10)
OVERLOAD_LIMITS = Limits(memory_mb_per_min=20.0, blocks_per_min=5000.0, latency_rise=1.5)
"""A minute of overload ends before memory has settled. Images that pile up would be 2000 MB per minute, and
delays that grow with them many times as long at the end."""

TOPIC_STEPS = 6
"""In each of two nodes one message is worked on, one waits for that, and one is on its way there."""
ALONE_STEPS = 2
"""One image is worked on, and one waits."""


def judge_soak(course: Course, seconds: float, ids: int, limits: Limits = SOAK_LIMITS) -> tuple[Promise, ...]:
    """Judge a long stream at the camera's rate with people who come and go.

    Args:
        course: how it went.
        seconds: how long it was.
        ids: how many different ones were told.
        limits: from when on a promise is broken.
    """
    return (
        *_memory(course, limits, seconds),
        _ids(course, ids),
        *_depths(course),
        _latency(course, limits),
        _order(course),
        _accounting(course),
    )


def judge_overload(course: Course, limits: Limits = OVERLOAD_LIMITS) -> tuple[Promise, ...]:
    """Judge a stream of more images than can be answered."""
    return (
        _is_overload(course, limits),
        _order(course),
        *_newest(course),
        _oldest(course, limits),
        _latency(course, limits),
        _accounting(course),
        *([_warning(course, limits)] if len(course.flow.steps) > 1 else []),
        *_depths(course),
        *_memory(course, limits, SETTLED_S),
    )


def _verdict(holds: bool) -> str:
    return KEPT if holds else BROKEN


def _memory(course: Course, limits: Limits, seconds: float) -> Iterator[Promise]:
    most = {"MB": limits.memory_mb_per_min, "blocks": limits.blocks_per_min}
    for each in course.trends:
        if each.name in JUDGED_TRENDS:
            text = f"{each.name} flat: at most {most[each.unit]:g} {each.unit} per minute"
            verdict = _flat(each, most[each.unit]) if seconds >= SETTLED_S else OPEN
            yield Promise(text, in_words(each), verdict)


SETTLED_S = 590.0
"""A soak of less than about ten minutes does not tell growth from what fills up once."""

JUDGED_TRENDS = ("resident memory", HEAPS, PYTHON)
"""The others only say where a growth comes from."""


def _flat(found: Trend, limit: float) -> str:
    if found.slope_per_min is None or found.low is None or found.high is None:
        return OPEN
    if found.slope_per_min <= limit:
        return KEPT
    # Steeper than allowed: broken if that is certain, and else too short a run.
    return BROKEN if found.low > limit else OPEN


def in_words(found: Trend) -> str:
    """A trend with its interval."""
    digits = 2 if found.unit == "MB" else 0
    text = f"{found.start:.0f} → {found.end:.0f} {found.unit}"
    if found.slope_per_min is None or found.low is None or found.high is None:
        return text
    slope, low, high = (f"{value:+.{digits}f}" for value in (found.slope_per_min, found.low, found.high))
    return f"{text}, {slope} per minute ({low} to {high})"


def _ids(course: Course, ids: int) -> Promise:
    figure = (
        f"{ids} ids, {course.reused} reused; the longest gap that an id outlived {course.longest_gap_s:.1f} s"
    )
    return Promise("an id that is gone never comes back", figure, _verdict(course.reused == 0))


def _depths(course: Course) -> Iterator[Promise]:
    for depth in course.depths:
        holds = _verdict(depth.most <= depth.bound)
        yield Promise(f"{depth.place}: at most {depth.bound}", f"at most {depth.most}", holds)


def _latency(course: Course, limits: Limits) -> Promise:
    ends = course.ends
    part = "part" if ends is None else {3: "third", 10: "tenth"}.get(ends.parts, "part")
    text = f"95 % of the delays in the last {part} at most {limits.latency_rise:g} of the first"
    if ends is None:
        return Promise(text, "too few answers", OPEN)
    figure = f"{ends.first_p95_ms:.0f} ms → {ends.last_p95_ms:.0f} ms: {ends.ratio:.2f}"
    return Promise(text, figure, _verdict(ends.ratio <= limits.latency_rise))


def _order(course: Course) -> Promise:
    figure = f"{course.disordered} out of order"
    return Promise("answers in the order of the images", figure, _verdict(course.disordered == 0))


def _accounting(course: Course) -> Promise:
    flow = course.flow
    figure = (
        f"{flow.sent} = {flow.answered} + {flow.dropped} + {flow.lost}"
        f"{f' + {flow.failed} failed' if flow.failed else ''}"
        f"{f' + {flow.unheard} answers that the benchmark missed' if flow.unheard else ''}"
        f"{f', {flow.unaccounted} unaccounted for' if flow.unaccounted else ''}"
    )
    text = "every image accounted for: sent = answered + dropped + lost"
    return Promise(text, figure, _verdict(flow.unaccounted == 0 and flow.failed == 0))


def _excess(course: Course) -> float:
    flow = course.flow
    return flow.sent / flow.answered if flow.answered else float("inf")


def _is_overload(course: Course, limits: Limits) -> Promise:
    text = f"(the stream is an overload: {limits.excess:g} images sent per answer)"
    return Promise(text, f"{_excess(course):.2f}", KEPT if _excess(course) >= limits.excess else OPEN)


def _newest(course: Course) -> Iterator[Promise]:
    if course.outdated is not None:
        text, figure = "the newest image is taken", f"{course.outdated} times another"
        yield Promise(text, figure, _verdict(course.outdated == 0))
    most = TOPIC_STEPS if len(course.flow.steps) > 1 else ALONE_STEPS
    text = f"no queue: on average at most {most} images under way"
    if course.under_way is None:
        yield Promise(text, "no answers", BROKEN)
    else:
        yield Promise(text, f"{course.under_way:.1f}", _verdict(course.under_way <= most))


def _oldest(course: Course, limits: Limits) -> Promise:
    text = f"no answer older than {limits.oldest_ms:.0f} ms"
    if course.oldest_ms is None:
        return Promise(text, "no answers", BROKEN)
    return Promise(text, f"{course.oldest_ms:.0f} ms", _verdict(course.oldest_ms <= limits.oldest_ms))


def _warning(course: Course, limits: Limits) -> Promise:
    flow = course.flow
    text = "a warning on /diagnostics, to the end"
    if _excess(course) < limits.excess:
        return Promise(text, "no overload", OPEN)
    if flow.warned_after_s is None:
        return Promise(text, "none", BROKEN)
    figure = f"after {flow.warned_after_s:.0f} s: {flow.warning}"
    return Promise(
        text, figure if flow.warned_at_end else f"{figure}; gone at the end", _verdict(flow.warned_at_end)
    )
