"""The acceptance criteria of long and overloaded streams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from social_perception.research.benchmarks.stability import HEAPS, PYTHON, Stability, Trend

PASSED, FAILED, INCONCLUSIVE = "passed", "failed", "inconclusive"


@dataclass(frozen=True, slots=True)
class Criterion:
    """One criterion and its result.

    Attributes:
        requirement: what is required.
        measured: what was measured.
        result: passed, failed, or inconclusive if the run was too short.
    """

    requirement: str
    measured: str
    result: str


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of the criteria.

    Attributes:
        memory_mb_per_min: slope of the resident memory.
        blocks_per_min: slope of the number of Python's memory blocks.
        latency_rise: 95th percentile of the delay at the end relative to that at the start.
        oldest_ms: age of a result.
        excess: images sent per answered image; from this value on the stream is an overload.
    """

    memory_mb_per_min: float
    blocks_per_min: float
    latency_rise: float
    oldest_ms: float = 1000.0
    excess: float = 1.5


SOAK_LIMITS = Limits(memory_mb_per_min=0.2, blocks_per_min=200.0, latency_rise=1.10)
OVERLOAD_LIMITS = Limits(memory_mb_per_min=20.0, blocks_per_min=5000.0, latency_rise=1.5)
"""One minute of overload ends before memory use is constant. Images in a growing queue would take 2000 MB per
minute, and the delays would be many times longer at the end."""

MAX_IN_FLIGHT_TOPICS = 6
"""For each of two nodes: one message in processing, one waiting, one in transit."""
MAX_IN_FLIGHT_NO_ROS = 2
"""One image in processing, one waiting."""


def check_soak(
    stability: Stability, seconds: float, ids: int, limits: Limits = SOAK_LIMITS
) -> tuple[Criterion, ...]:
    """Check a long stream at camera rate with people who come and go.

    Args:
        stability: the measurements.
        seconds: duration of the stream.
        ids: number of different ids.
        limits: limits of the criteria.
    """
    return (
        *_memory(stability, limits, seconds),
        _ids(stability, ids),
        *_depths(stability),
        _latency(stability, limits),
        _order(stability),
        _accounting(stability),
    )


def check_overload(stability: Stability, limits: Limits = OVERLOAD_LIMITS) -> tuple[Criterion, ...]:
    """Check a stream of more images than the pipeline can process."""
    return (
        _is_overload(stability, limits),
        _order(stability),
        *_newest(stability),
        _oldest(stability, limits),
        _latency(stability, limits),
        _accounting(stability),
        *([_warning(stability, limits)] if len(stability.flow.steps) > 1 else []),
        *_depths(stability),
        *_memory(stability, limits, SETTLED_S),
    )


def _result(holds: bool) -> str:
    return PASSED if holds else FAILED


def _memory(stability: Stability, limits: Limits, seconds: float) -> Iterator[Criterion]:
    limit_of = {"MB": limits.memory_mb_per_min, "blocks": limits.blocks_per_min}
    for each in stability.trends:
        if each.name in CHECKED_TRENDS:
            text = f"{each.name} flat: at most {limit_of[each.unit]:g} {each.unit} per minute"
            result = _flat(each, limit_of[each.unit]) if seconds >= SETTLED_S else INCONCLUSIVE
            yield Criterion(text, format_trend(each), result)


SETTLED_S = 590.0
"""In a shorter soak, a leak cannot be distinguished from caches that fill once."""

CHECKED_TRENDS = ("resident memory", HEAPS, PYTHON)
"""The other trends only help to locate a leak."""


def _flat(found: Trend, limit: float) -> str:
    if found.slope_per_min is None or found.low is None or found.high is None:
        return INCONCLUSIVE
    if found.slope_per_min <= limit:
        return PASSED
    # Steeper than allowed: failed if significant, else the run is too short.
    return FAILED if found.low > limit else INCONCLUSIVE


def format_trend(found: Trend) -> str:
    """Format a trend with its interval."""
    digits = 2 if found.unit == "MB" else 0
    text = f"{found.start:.0f} → {found.end:.0f} {found.unit}"
    if found.slope_per_min is None or found.low is None or found.high is None:
        return text
    slope, low, high = (f"{value:+.{digits}f}" for value in (found.slope_per_min, found.low, found.high))
    return f"{text}, {slope} per minute ({low} to {high})"


def _ids(stability: Stability, ids: int) -> Criterion:
    figure = f"{ids} ids, {stability.reused} reused; longest gap of an id {stability.longest_gap_s:.1f} s"
    return Criterion("expired ids are not reused", figure, _result(stability.reused == 0))


def _depths(stability: Stability) -> Iterator[Criterion]:
    for depth in stability.depths:
        within = _result(depth.maximum <= depth.bound)
        yield Criterion(f"{depth.queue}: at most {depth.bound}", f"at most {depth.maximum}", within)


def _latency(stability: Stability, limits: Limits) -> Criterion:
    change = stability.delay_change
    part = "part" if change is None else {3: "third", 10: "tenth"}.get(change.parts, "part")
    text = f"95th percentile of the delay in the last {part} at most {limits.latency_rise:g} of the first"
    if change is None:
        return Criterion(text, "too few results", INCONCLUSIVE)
    figure = f"{change.first_p95_ms:.0f} ms → {change.last_p95_ms:.0f} ms: {change.ratio:.2f}"
    return Criterion(text, figure, _result(change.ratio <= limits.latency_rise))


def _order(stability: Stability) -> Criterion:
    figure = f"{stability.disordered} out of order"
    return Criterion("results in the order of the images", figure, _result(stability.disordered == 0))


def _accounting(stability: Stability) -> Criterion:
    flow = stability.flow
    figure = (
        f"{flow.sent} = {flow.answered} + {flow.dropped} + {flow.lost}"
        f"{f' + {flow.failed} failed' if flow.failed else ''}"
        f"{f' + {flow.not_received} results that the benchmark missed' if flow.not_received else ''}"
        f"{f', {flow.unaccounted} unaccounted for' if flow.unaccounted else ''}"
    )
    text = "every image accounted for: sent = answered + dropped + lost"
    return Criterion(text, figure, _result(flow.unaccounted == 0 and flow.failed == 0))


def _excess(stability: Stability) -> float:
    flow = stability.flow
    return flow.sent / flow.answered if flow.answered else float("inf")


def _is_overload(stability: Stability, limits: Limits) -> Criterion:
    text = f"(the stream is an overload: {limits.excess:g} images sent per answered image)"
    return Criterion(
        text, f"{_excess(stability):.2f}", PASSED if _excess(stability) >= limits.excess else INCONCLUSIVE
    )


def _newest(stability: Stability) -> Iterator[Criterion]:
    if stability.outdated is not None:
        text, figure = "the newest image is processed", f"{stability.outdated} times an older one"
        yield Criterion(text, figure, _result(stability.outdated == 0))
    limit = MAX_IN_FLIGHT_TOPICS if len(stability.flow.steps) > 1 else MAX_IN_FLIGHT_NO_ROS
    text = f"no growing queue: on average at most {limit} images in the pipeline"
    if stability.in_flight is None:
        yield Criterion(text, "no results", FAILED)
    else:
        yield Criterion(text, f"{stability.in_flight:.1f}", _result(stability.in_flight <= limit))


def _oldest(stability: Stability, limits: Limits) -> Criterion:
    text = f"no result older than {limits.oldest_ms:.0f} ms"
    if stability.oldest_ms is None:
        return Criterion(text, "no results", FAILED)
    return Criterion(text, f"{stability.oldest_ms:.0f} ms", _result(stability.oldest_ms <= limits.oldest_ms))


def _warning(stability: Stability, limits: Limits) -> Criterion:
    flow = stability.flow
    text = "a warning on /diagnostics until the end"
    if _excess(stability) < limits.excess:
        return Criterion(text, "no overload", INCONCLUSIVE)
    if flow.warned_after_s is None:
        return Criterion(text, "none", FAILED)
    figure = f"after {flow.warned_after_s:.0f} s: {flow.warning}"
    return Criterion(
        text, figure if flow.warned_at_end else f"{figure}; gone at the end", _result(flow.warned_at_end)
    )
