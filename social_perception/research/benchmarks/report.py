"""What a benchmark says: frozen figures, written to JSON and read back from it.

A figure that could not be had is None (``null`` in JSON), and ``reason`` beside it says why.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from social_perception.core.errors import ConfigurationError, OutputError
from social_perception.core.files import read_limited
from social_perception.research.benchmarks.course import Course
from social_perception.research.benchmarks.promises import Promise

Kind = TypeVar("Kind")

VERSION = 1
"""Of the JSON's layout."""

_MAX_BYTES = 2**24


@dataclass(frozen=True, slots=True)
class Machine:
    """On what was measured. ``load`` is the one-minute load average before the first measurement."""

    cpu: str
    cores: int
    threads: int
    flags: tuple[str, ...]
    gpu: str | None
    memory_gb: float
    load: float
    versions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison.

    Attributes:
        name: what was done.
        seconds: median over the rounds of the time of one call, in s.
        per_second: calls per second, 1 / seconds.
        fastest_s: the fastest round's time of one call, in s.
        slowest_s: the slowest round's.
        calls: how many calls were timed.
        faces: faces that a detector found; None where nothing was looked for.
        reason: why there are no figures.
    """

    name: str
    seconds: float | None
    per_second: float | None
    fastest_s: float | None
    slowest_s: float | None
    calls: int
    faces: int | None = None
    reason: str = ""

    @classmethod
    def missing(cls, name: str, reason: str) -> Side:
        """A side that was not measured."""
        return cls(name, None, None, None, None, 0, None, reason)


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as fast ``fast`` is as ``slow``: the quotient of their calls per second.

    Attributes:
        name: the two in short.
        slow: name of a side.
        fast: name of another.
        value: the quotient; None where one side was not measured.
        target: what is aimed at, if anything.
    """

    name: str
    slow: str
    fast: str
    value: float | None
    target: float | None = None

    @classmethod
    def of(cls, name: str, slow: Side, fast: Side, target: float | None = None) -> Ratio:
        """The ratio of two sides."""
        if slow.per_second is None or fast.per_second is None:
            return cls(name, slow.name, fast.name, None, target)
        return cls(name, slow.name, fast.name, fast.per_second / slow.per_second, target)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Sides measured in turns in one run, at one size of the task.

    Attributes:
        device: where torch worked: cpu or cuda.
        what: the size in words, for example ``8 faces``.
        size: the size as a number: faces, or pixels of the picture.
        sides: what was measured.
        ratios: between them.
    """

    device: str
    what: str
    size: int
    sides: tuple[Side, ...]
    ratios: tuple[Ratio, ...]

    def side(self, name: str) -> Side:
        """The side of a name."""
        return next(side for side in self.sides if side.name == name)


@dataclass(frozen=True, slots=True)
class Latency:
    """Quantiles of a delay in ms, over so many images."""

    median_ms: float
    p95_ms: float
    p99_ms: float
    count: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process needed.

    Attributes:
        cores: CPU time per time, 1.0 is one core kept busy.
        memory_start_mb: resident memory at the first image measured, in MB (10^6 bytes).
        memory_end_mb: at the last.
        memory_slope_mb_per_min: least squares over the second half of the time; None if too short.
    """

    cores: float
    memory_start_mb: float
    memory_end_mb: float
    memory_slope_mb_per_min: float | None


@dataclass(frozen=True, slots=True)
class Stream:
    """A paced stream of pictures through the whole pipeline.

    Attributes:
        way: ``topics`` (ROS nodes in a process of their own) or ``no ROS`` (the pipeline alone).
        device: the setting ``device`` of detector and network.
        people: in the pictures.
        seconds: for how long images were sent and counted.
        sent: images sent.
        answered: of these, images whose faces were told.
        per_second: answered / seconds.
        unprocessed: share of the images without an answer.
        faces: median of the people told of per image.
        ids: different ids that were given.
        to_faces: from the sending of an image to the arrival of its faces.
        to_group: to the arrival of the first group affect that bears its stamp; None without ROS,
            where faces and group come together.
        pipeline: the process with the nodes, or the one with the pipeline and its pictures.
        sender: the process that sends and listens; None without ROS, where it is the same one.
        reason: why there are no figures.
        course: how it went over time; None: it was not followed.
        interrupted: whether it was ended before its time.
        promises: what it must keep, and whether it did.
    """

    way: str
    device: str
    people: int
    seconds: float | None = None
    sent: int = 0
    answered: int = 0
    per_second: float | None = None
    unprocessed: float | None = None
    faces: float | None = None
    ids: int | None = None
    to_faces: Latency | None = None
    to_group: Latency | None = None
    pipeline: Usage | None = None
    sender: Usage | None = None
    reason: str = ""
    course: Course | None = None
    interrupted: bool = False
    promises: tuple[Promise, ...] = ()


@dataclass(frozen=True, slots=True)
class FirstBox:
    """How long new faces of one width waited for their box, from their first picture on.

    Attributes:
        device: the setting ``device`` of detector and network.
        face_px: width of the faces in px, in pictures of 1280x720.
        tries: faces that entered, at places and moments that vary.
        found: of these, faces that were boxed.
        median_s: of the times until then, in s; None if nobody was boxed.
        longest_s: the longest of them.
        target_s: what is aimed at.
    """

    device: str
    face_px: int
    tries: int
    found: int
    median_s: float | None
    longest_s: float | None
    target_s: float


@dataclass(frozen=True, slots=True)
class WebLoad:
    """The pipeline without ROS at camera rate, while browsers follow the live page.

    Attributes:
        clients: WebSockets connected, in a process of their own.
        not_reading: of these, such as never read what they are sent.
        seconds: for how long was measured, all turns together.
        sent: images sent.
        answered: of these, images whose faces were told.
        per_second: answered / seconds.
        relative: per_second divided by that without clients.
        to_faces: from an image's time to the end of its way.
        cores: processor time per time of the process with pipeline and server.
        server_cores: of the server's thread alone.
        client_cores: of the process with the clients; it runs on the same machine.
        states_per_second: that a client received, the median of those that read.
        slowest_per_second: that the client with the fewest of them received.
    """

    clients: int
    not_reading: int
    seconds: float
    sent: int
    answered: int
    per_second: float
    relative: float | None
    to_faces: Latency | None
    cores: float
    server_cores: float
    client_cores: float | None
    states_per_second: float | None
    slowest_per_second: float | None


@dataclass(frozen=True, slots=True)
class WebRun:
    """The same pipeline with several loads in turns; ``reason`` says why there are no figures."""

    device: str
    people: int
    loads: tuple[WebLoad, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """How a cost grows: time in ms = slope * x + intercept, by least squares over the points (x, ms)."""

    name: str
    device: str
    unit: str
    slope_ms: float
    intercept_ms: float
    r_squared: float
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Limit:
    """How near a step comes to what the machine can do: both in 10^9 operations per second.

    A multiply-add counts as two operations. ``share`` is achieved / matrix_product, None where the
    operations could not be counted.
    """

    name: str
    device: str
    precision: str
    achieved: float | None
    matrix_product: float
    share: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that one run measured; None: that part was not asked for."""

    version: int
    machine: Machine
    quick: bool
    duration_s: float
    scoring: tuple[Comparison, ...] | None = None
    detector: tuple[Comparison, ...] | None = None
    pipeline: tuple[Stream, ...] | None = None
    soak: tuple[Stream, ...] | None = None
    growth: tuple[Line, ...] | None = None
    limits: tuple[Limit, ...] | None = None
    first_box: tuple[FirstBox, ...] | None = None
    web: tuple[WebRun, ...] | None = None
    overload: tuple[Stream, ...] | None = None


def to_json(report: object) -> str:
    """A dataclass as JSON; numbers that are not finite become null."""
    return json.dumps(_plain(dataclasses.asdict(report)), indent=2, allow_nan=False)  # type: ignore[call-overload]


def to_line(report: object) -> str:
    """The same in one line. It leaves no garbage behind, as the indented form does."""
    return json.dumps(_plain(dataclasses.asdict(report)), allow_nan=False)  # type: ignore[call-overload]


def from_json(kind: type[Kind], text: str, origin: str) -> Kind:
    """Read a dataclass back from its JSON.

    Raises:
        ConfigurationError: the text of ``origin`` is something else.
    """
    try:
        return typing.cast("Kind", _read(kind, json.loads(text)))
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(f"{origin} is not a {kind.__name__.lower()} of bench: {error}") from error


def read_report(path: Path) -> Report:
    """Read the JSON that an earlier run has written.

    Raises:
        ConfigurationError: the file cannot be read or is something else.
    """
    try:
        text = read_limited(path, _MAX_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    report = from_json(Report, text, str(path))
    if report.version != VERSION:
        raise ConfigurationError(f"{path} has version {report.version}; this program reads {VERSION}")
    return report


def write_text(path: Path, text: str) -> None:
    """Write a file as a whole, or not at all; what is no file, such as /dev/stdout, as it comes.

    Raises:
        OutputError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
            return
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _read(kind: Any, value: Any) -> Any:
    """A JSON value as the annotated type: a dataclass, a tuple, a union with None, or a plain one."""
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return (
            None
            if value is None
            else _read(next(each for each in arguments if each is not type(None)), value)
        )
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise TypeError(f"expected a list, got {value!r}")
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        return tuple(_read(inner, item) for inner, item in zip(kinds, value, strict=True))
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{name: _read(hints[name], inner) for name, inner in dict(value).items()})  # type: ignore[operator]
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__}, got {value!r}")
    return value
