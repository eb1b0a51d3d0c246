"""The tables of streams that were judged: what was promised, what was measured, kept or broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from social_perception.research.benchmarks.promises import BROKEN, in_words
from social_perception.research.benchmarks.report import Report, Stream


def judged(found: Sequence[Stream], figures: Callable[[Sequence[Stream]], Iterator[str]]) -> Iterator[str]:
    """Write streams with their promises; ``figures`` writes what every stream has."""
    yield from figures(found)
    for each in found:
        if each.course is None:
            continue
        cut = ", **interrupted**" if each.interrupted else ""
        sent = f"{each.people} people, {each.sent / each.seconds:.1f} images per s" if each.seconds else ""
        yield f"**{each.way}**, {sent}, for {each.seconds or 0:.0f} s{cut}:"
        rows = [
            f"| {promise.text} | {promise.figure} | {_shown(promise.verdict)} |" for promise in each.promises
        ]
        yield "\n".join(["| promised | measured | |", "| --- | --- | --- |", *rows])
        trends = "; ".join(f"{trend.name} {in_words(trend)}" for trend in each.course.trends)
        yield f"In the second half, with 95 % intervals: {trends}."


def _shown(verdict: str) -> str:
    return f"**{verdict}**" if verdict == BROKEN else verdict


def section_of(report: Report) -> str:
    """Name of the place in a document where a report's tables stand."""
    return "soak" if report.soak is not None else "overload" if report.overload is not None else "bench"


def is_broken(stream: Stream) -> bool:
    """Whether a stream broke a promise."""
    return any(promise.verdict == BROKEN for promise in stream.promises)
