"""The results of a benchmark as frozen dataclasses, written to and read from JSON.

A missing value is None (``null`` in JSON), and ``reason`` explains why.
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
from social_perception.research.benchmarks.criteria import Criterion
from social_perception.research.benchmarks.stability import Stability

Kind = TypeVar("Kind")

VERSION = 2
"""Version of the JSON layout."""

_MAX_BYTES = 2**24


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine of the measurement; ``load`` is the one-minute load average before it."""

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
        name: name of the measured call.
        seconds: median over the rounds of the time per call, in s.
        per_second: calls per second, 1 / seconds.
        fastest_s: time per call of the fastest round, in s.
        slowest_s: time per call of the slowest round, in s.
        calls: number of timed calls.
        faces: number of detected faces; None if the call is not a detection.
        reason: why there are no values.
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
        """Create a side that was not measured."""
        return cls(name, None, None, None, None, 0, None, reason)


@dataclass(frozen=True, slots=True)
class Ratio:
    """The speedup of ``fast`` over ``slow``: the quotient of their calls per second.

    Attributes:
        name: short name of the ratio.
        slow: name of the slower side.
        fast: name of the faster side.
        value: the quotient; None if one side was not measured.
        target: target value, if any.
    """

    name: str
    slow: str
    fast: str
    value: float | None
    target: float | None = None

    @classmethod
    def of(cls, name: str, slow: Side, fast: Side, target: float | None = None) -> Ratio:
        """Compute the ratio of two sides."""
        if slow.per_second is None or fast.per_second is None:
            return cls(name, slow.name, fast.name, None, target)
        return cls(name, slow.name, fast.name, fast.per_second / slow.per_second, target)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Sides measured interleaved in one run, at one problem size.

    Attributes:
        device: the torch device: cpu or cuda.
        what: the size as text, for example ``8 faces``.
        size: the size as a number: faces, or pixels of the image.
        sides: the measured sides.
        ratios: their ratios.
    """

    device: str
    what: str
    size: int
    sides: tuple[Side, ...]
    ratios: tuple[Ratio, ...]

    def side(self, name: str) -> Side:
        """Return the side with this name."""
        return next(side for side in self.sides if side.name == name)


@dataclass(frozen=True, slots=True)
class Latency:
    """Quantiles of a delay in ms, over ``count`` images."""

    median_ms: float
    p95_ms: float
    p99_ms: float
    count: int


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU and memory usage of a process.

    Attributes:
        cores: CPU time per wall time; 1.0 is one fully used core.
        memory_start_mb: resident memory at the first measured image, in MB (10^6 bytes).
        memory_end_mb: resident memory at the last measured image.
        memory_slope_mb_per_min: least-squares slope of the second half; None if it is too short.
    """

    cores: float
    memory_start_mb: float
    memory_end_mb: float
    memory_slope_mb_per_min: float | None


@dataclass(frozen=True, slots=True)
class Stream:
    """A paced stream of images through the complete pipeline.

    Attributes:
        mode: ``topics`` (ROS nodes in a process of their own) or ``no ROS`` (the pipeline alone).
        device: the setting ``device`` of detector and network.
        people: number of people in the images.
        seconds: duration of the measurement.
        sent: images sent.
        answered: sent images with reported faces.
        per_second: answered / seconds.
        dropped_share: share of the sent images without a result.
        faces: median number of reported people per image.
        ids: number of different ids.
        to_faces: delay from sending an image to receiving its faces.
        to_group: delay to receiving the first group affect with its stamp; None without ROS, where faces and
            group are reported together.
        pipeline: usage of the process with the nodes, or with the pipeline and its images.
        sender: usage of the process that sends and receives; None without ROS, where it is the same process.
        reason: why there are no values.
        stability: behavior over time; None: not measured.
        interrupted: whether the stream was interrupted.
        criteria: the acceptance criteria with their results.
    """

    mode: str
    device: str
    people: int
    seconds: float | None = None
    sent: int = 0
    answered: int = 0
    per_second: float | None = None
    dropped_share: float | None = None
    faces: float | None = None
    ids: int | None = None
    to_faces: Latency | None = None
    to_group: Latency | None = None
    pipeline: Usage | None = None
    sender: Usage | None = None
    reason: str = ""
    stability: Stability | None = None
    interrupted: bool = False
    criteria: tuple[Criterion, ...] = ()


@dataclass(frozen=True, slots=True)
class FirstBox:
    """Time from the first image of new faces of one width until their detection.

    Attributes:
        device: the setting ``device`` of detector and network.
        face_px: width of the faces in px, in images of 1280x720.
        tries: faces that entered, at random positions and times.
        found: detected faces.
        median_s: median time in s; None if no face was detected.
        longest_s: longest time in s.
        target_s: target of the longest time.
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
    """The pipeline without ROS at camera rate, with browsers connected to the live page.

    Attributes:
        clients: connected WebSockets, in a separate process.
        not_reading: clients that never read.
        seconds: duration of the measurement, all rounds together.
        sent: images sent.
        answered: sent images with reported faces.
        per_second: answered / seconds.
        relative: per_second relative to that without clients.
        to_faces: delay from an image's stamp until its faces are reported.
        cores: CPU time per wall time of the process with pipeline and server.
        server_cores: CPU time per wall time of the server thread.
        client_cores: CPU time per wall time of the process with the clients, on the same machine.
        states_per_second: states received per second, the median over the reading clients.
        slowest_per_second: states received per second by the slowest client.
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
    """The same pipeline with several loads, interleaved; ``reason`` explains missing values."""

    device: str
    people: int
    loads: tuple[WebLoad, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """Scaling of a cost: time in ms = slope * x + intercept, by least squares over the points (x, ms)."""

    name: str
    device: str
    unit: str
    slope_ms: float
    intercept_ms: float
    r_squared: float
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Limit:
    """The arithmetic efficiency of a step, in 10^9 operations per second.

    A multiply-add counts as two operations. ``share`` is achieved / matrix_product, None if the operations
    could not be counted.
    """

    name: str
    device: str
    precision: str
    achieved: float | None
    matrix_product: float
    share: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """All results of one run; None: the part was not requested."""

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
    peers: tuple[Comparison, ...] | None = None
    backends: tuple[Comparison, ...] | None = None


def to_json(report: object) -> str:
    """Format a dataclass as JSON; numbers that are not finite become null."""
    return json.dumps(_plain(dataclasses.asdict(report)), indent=2, allow_nan=False)  # type: ignore[call-overload]


def to_line(report: object) -> str:
    """Format a dataclass as JSON in one line; unlike the indented form this creates no garbage."""
    return json.dumps(_plain(dataclasses.asdict(report)), allow_nan=False)  # type: ignore[call-overload]


def from_json(kind: type[Kind], text: str, origin: str) -> Kind:
    """Read a dataclass from its JSON.

    Args:
        kind: the dataclass.
        text: the JSON.
        origin: name of the source, for the error message.

    Raises:
        ConfigurationError: the text is not valid.
    """
    try:
        return typing.cast("Kind", _read(kind, json.loads(text)))
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(f"{origin} is not a {kind.__name__.lower()} of bench: {error}") from error


def read_report(path: Path) -> Report:
    """Read the JSON file of an earlier run.

    Raises:
        ConfigurationError: the file cannot be read or is not a report.
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
    """Write a file atomically; paths that are not regular files, such as /dev/stdout, are written directly.

    Raises:
        OutputError: the file cannot be written.
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
    """Convert a JSON value to the annotated type: a dataclass, tuple, union with None, or plain type."""
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
