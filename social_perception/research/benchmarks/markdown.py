"""Formats a report as the Markdown tables of docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from social_perception.core.errors import ConfigurationError
from social_perception.research.benchmarks.criteria_tables import criteria_tables
from social_perception.research.benchmarks.report import (
    Comparison,
    FirstBox,
    Latency,
    Limit,
    Line,
    Machine,
    Ratio,
    Report,
    Stream,
    Usage,
    WebLoad,
    WebRun,
    write_text,
)
from social_perception.research.benchmarks.stream_processes import topics_to_no_ros

BENCH = "bench"
"""Name of the document section of the tables; soak and overload have their own."""


def markers(section: str) -> tuple[str, str]:
    """Return the lines of a document between which the tables are written."""
    return f"<!-- {section}: begin -->", f"<!-- {section}: end -->"


BEGIN, END = markers(BENCH)

_UNKNOWN = "–"
_MAX_IDLE_LOAD = 0.5


def tables(report: Report) -> str:
    """Format all measured parts of a report as Markdown."""
    parts = [
        ("Scoring", _comparisons(report.scoring or ())),
        ("Detector", _comparisons(report.detector or ())),
        ("Backends", _comparisons(report.backends or (), "seconds of processor time")),
        ("Peers", _comparisons(report.peers or (), "seconds of processor time")),
        ("Pipeline", _streams(report.pipeline or ())),
        ("Soak", criteria_tables(report.soak or (), _streams)),
        ("Overload", criteria_tables(report.overload or (), _streams)),
        ("Time to the first box", _first_boxes(report.first_box or ())),
        ("Live page", _webs(report.web or ())),
        ("Scaling", _lines(report.growth or ())),
        ("Arithmetic efficiency", _limits(report.limits or ())),
    ]
    blocks = [_machine(report.machine, report)]
    for title, part in parts:
        content = list(part)
        if content:
            blocks += [f"### {title}", *content]
    return "\n\n".join(blocks) + "\n"


def check_document(path: Path, section: str = BENCH) -> None:
    """Check that a document has a section for the tables.

    Raises:
        ConfigurationError: the document cannot be read or lacks a marker line.
    """
    _parts(path, section)


def fill(path: Path, report: Report, section: str = BENCH) -> None:
    """Write the tables into a document, between the markers of a section.

    Raises:
        ConfigurationError: the document cannot be read or lacks a marker line.
        OutputError: the document cannot be written.
    """
    before, after = _parts(path, section)
    begin, end = markers(section)
    write_text(path, f"{before}{begin}\n\n{tables(report)}\n{end}{after}")


def _parts(path: Path, section: str) -> tuple[str, str]:
    first, last = markers(section)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    before, begin, rest = text.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise ConfigurationError(f"{path} has no lines {first} and {last} for the tables")
    return before, after


def _machine(machine: Machine, report: Report) -> str:
    notes = ""
    if report.quick:
        notes += " A quick run: it tests the benchmark, its times are not meaningful."
    if machine.load > _MAX_IDLE_LOAD:
        notes += " **The machine was busy: these figures are provisional.**"
    return (
        f"{machine.cpu}, {machine.cores} core{'s' * (machine.cores != 1)}, {machine.threads} torch threads "
        f"({', '.join(machine.flags) or 'no flags known'}), {machine.memory_gb:.0f} GB; "
        f"{machine.gpu or 'no GPU'}. {', '.join(machine.versions)}. Load before the run {machine.load:.2f}; "
        f"the run took {report.duration_s / 60:.1f} min.{notes}"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _comparisons(found: Sequence[Comparison], unit: str = "seconds") -> Iterator[str]:
    for device in dict.fromkeys(each.device for each in found):
        rows = [each for each in found if each.device == device]
        names = [side.name for side in rows[0].sides]
        yield f"On {device}, {unit} per call (median) and calls per second:"
        yield table(["", *names], [[each.what, *(_seconds(each, name) for name in names)] for each in rows])
        yield f"On {device}, speedup:"
        yield table(
            ["", *(ratio.name for ratio in rows[0].ratios)],
            [[each.what, *map(_ratio, each.ratios)] for each in rows],
        )
        reasons = dict.fromkeys(
            f"- {each.what}, {side.name}: {side.reason}"
            for each in rows
            for side in each.sides
            if side.reason
        )
        if reasons:
            yield "\n".join(reasons)


def _seconds(comparison: Comparison, name: str) -> str:
    side = comparison.side(name)
    if side.seconds is None:
        return _UNKNOWN
    found = "" if side.faces is None else f", {side.faces} found"
    return f"{number(side.seconds)} s ({number(side.per_second)}/s{found})"


def _ratio(ratio: Ratio) -> str:
    if ratio.value is None:
        return _UNKNOWN
    if ratio.target is None:
        return number(ratio.value)
    word = "reached" if ratio.value >= ratio.target else "missed"
    return f"**{number(ratio.value)}** (target {ratio.target:g}: {word})"


_STREAM_HEAD = (
    "people", "mode", "images per s", "sent", "answered", "dropped", "faces (ids)", "delay to faces, ms",
    "delay to group, ms", "pipeline: cores", "memory, MB", "MB per min", "sender: cores",
)  # fmt: skip


def _streams(found: Sequence[Stream]) -> Iterator[str]:
    if found:
        yield "Delays are median / 95 % / 99 %."
    for device in dict.fromkeys(each.device for each in found):
        here = [each for each in found if each.device == device]
        yield f"Setting `device: {device}`:"
        yield table(_STREAM_HEAD, [_stream(each) for each in here])
        reasons = dict.fromkeys(f"- {each.mode}: {each.reason}" for each in here if each.reason)
        if reasons:
            yield "\n".join(reasons)
        ratios = [
            f"{people} {number(ratio.value)}"
            for people in dict.fromkeys(each.people for each in here)
            if (ratio := topics_to_no_ros(here, people, device)).value is not None
        ]
        if ratios:
            yield f"Images per second through topics / without ROS, by people: {', '.join(ratios)}."


def _stream(each: Stream) -> list[str]:
    dropped = _UNKNOWN if each.dropped_share is None else f"{100 * each.dropped_share:.1f} %"
    people = _UNKNOWN if each.faces is None else f"{each.faces:g} ({each.ids})"
    counts = [str(each.sent), str(each.answered)] if not each.reason else [_UNKNOWN, _UNKNOWN]
    group = "with the faces" if each.to_faces and not each.to_group else _delays(each.to_group)
    used, sender = each.pipeline, each.sender
    return [
        str(each.people),
        each.mode,
        _UNKNOWN if each.per_second is None else f"{each.per_second:.1f}",
        *counts,
        dropped,
        people,
        _delays(each.to_faces),
        group,
        _cores(used),
        _UNKNOWN if used is None else f"{used.memory_start_mb:.0f} → {used.memory_end_mb:.0f}",
        _UNKNOWN
        if used is None or used.memory_slope_mb_per_min is None
        else f"{used.memory_slope_mb_per_min:+.2f}",
        _cores(sender),
    ]


def _cores(usage: Usage | None) -> str:
    return _UNKNOWN if usage is None else f"{usage.cores:.2f}"


def _delays(latency: Latency | None) -> str:
    if latency is None:
        return _UNKNOWN
    return " / ".join(f"{value:.0f}" for value in (latency.median_ms, latency.p95_ms, latency.p99_ms))


_WEB_HEAD = (
    "browsers", "not reading", "images per s", "relative", "sent", "answered", "delay to faces, ms",
    "process: cores", "server: cores", "browsers: cores", "states per s each", "slowest",
)  # fmt: skip


def _webs(found: Sequence[WebRun]) -> Iterator[str]:
    for each in found:
        yield f"Setting `device: {each.device}`, {each.people} people; delays are median / 95 % / 99 %."
        yield f"- skipped: {each.reason}" if each.reason else table(_WEB_HEAD, [*map(_web, each.loads)])


def _web(load: WebLoad) -> list[str]:
    return [
        str(load.clients),
        str(load.not_reading),
        f"{load.per_second:.2f}",
        number(load.relative),
        str(load.sent),
        str(load.answered),
        _delays(load.to_faces),
        f"{load.cores:.2f}",
        f"{load.server_cores:.3f}",
        number(load.client_cores),
        number(load.states_per_second),
        number(load.slowest_per_second),
    ]


def _first_boxes(found: Sequence[FirstBox]) -> Iterator[str]:
    if not found:
        return
    yield table(
        ["face", "device", "detected", "median", "longest", "target"],
        [
            [
                f"{each.face_px} px",
                each.device,
                f"{each.found} of {each.tries}",
                f"{number(each.median_s)} s",
                f"{number(each.longest_s)} s",
                f"{each.target_s:g} s: {_reached(each)}",
            ]
            for each in found
        ],
    )


def _reached(each: FirstBox) -> str:
    in_time = each.longest_s is not None and each.longest_s <= each.target_s
    return "reached" if in_time and each.found == each.tries else "missed"


def _lines(found: Sequence[Line]) -> Iterator[str]:
    if not found:
        return
    yield table(
        ["", "device", "slope", "intercept", "R²", "measured"],
        [
            [
                line.name,
                line.device,
                f"{number(line.slope_ms)} ms per {line.unit}",
                f"{number(line.intercept_ms)} ms",
                f"{line.r_squared:.3f}",
                ", ".join(f"{x:g}: {number(ms)}" for x, ms in line.points),
            ]
            for line in found
        ],
    )


def _limits(found: Sequence[Limit]) -> Iterator[str]:
    if not found:
        return
    yield "In 10⁹ operations per second; a multiply-add is two operations."
    yield table(
        ["", "device", "arithmetic", "achieved", "matrix product", "share"],
        [
            [
                limit.name,
                limit.device,
                limit.precision,
                number(limit.achieved),
                number(limit.matrix_product),
                _UNKNOWN if limit.share is None else f"{100 * limit.share:.0f} %",
            ]
            for limit in found
        ],
    )


def number(value: float | None) -> str:
    """Format a number with three significant digits, without an exponent."""
    if value is None:
        return _UNKNOWN
    if abs(value) >= 100:
        return f"{value:.0f}"
    text = f"{value:.3g}"
    return f"{value:.5f}" if "e" in text else text
