"""The tables of the streams with acceptance criteria: requirement, measured value and result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from social_perception.research.benchmarks.criteria import FAILED, format_trend
from social_perception.research.benchmarks.report import Report, Stream


def criteria_tables(
    streams: Sequence[Stream], overview: Callable[[Sequence[Stream]], Iterator[str]]
) -> Iterator[str]:
    """Format streams with their criteria; ``overview`` formats what all streams have in common."""
    yield from overview(streams)
    for each in streams:
        if each.stability is None:
            continue
        note = ", **interrupted**" if each.interrupted else ""
        sent = f"{each.people} people, {each.sent / each.seconds:.1f} images per s" if each.seconds else ""
        yield f"**{each.mode}**, {sent}, for {each.seconds or 0:.0f} s{note}:"
        rows = [
            f"| {criterion.requirement} | {criterion.measured} | {_bold_failed(criterion.result)} |"
            for criterion in each.criteria
        ]
        yield "\n".join(["| criterion | measured | result |", "| --- | --- | --- |", *rows])
        trends = "; ".join(f"{trend.name} {format_trend(trend)}" for trend in each.stability.trends)
        yield f"In the second half, with 95 % intervals: {trends}."


def _bold_failed(result: str) -> str:
    return f"**{result}**" if result == FAILED else result


def section_of(report: Report) -> str:
    """Return the name of the document section for the tables of a report."""
    return "soak" if report.soak is not None else "overload" if report.overload is not None else "bench"


def has_failed(stream: Stream) -> bool:
    """Return whether a criterion of a stream failed."""
    return any(criterion.result == FAILED for criterion in stream.criteria)
