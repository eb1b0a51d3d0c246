"""Measures the complete pipeline on streams, through ROS topics and without ROS, in separate processes."""

from __future__ import annotations

import functools
import importlib.util
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TypeVar

from social_perception.core.errors import ConfigurationError
from social_perception.research.benchmarks.criteria import check_overload, check_soak
from social_perception.research.benchmarks.ending import stop_on_signal
from social_perception.research.benchmarks.recording import NO_ROS, TOPICS, StreamRequest
from social_perception.research.benchmarks.report import Ratio, Side, Stream, from_json

_PROGRAMS = {
    TOPICS: "social_perception.ros.tools.benchmark",
    NO_ROS: "social_perception.research.benchmarks.stream_without_ros",
}
_TIMEOUT_S = 60.0

Result = TypeVar("Result")

PROBE_RATES_HZ = (60.0, 90.0, 120.0, 180.0, 240.0)
"""Rates for the search, in this order. Sending and receiving images costs time, too, so that the number of
processed images depends on the rate: the overload rate is found by trial."""

PROBE_S = 8.0
_OVERLOAD = 0.5
"""Share of images without a result from which a stream is an overload."""

Play = Callable[[StreamRequest], Stream]

NO_RCLPY = "skipped: rclpy is not installed; source a ROS 2 installation, or run make setup and . ./env.sh"


def measure(requests: Sequence[StreamRequest], modes: Sequence[str] = (TOPICS, NO_ROS)) -> Iterator[Stream]:
    """Play each stream in each mode, alternating between the modes."""
    for request in requests:
        for mode in modes:
            yield _play(mode, request)


def measure_soak(request: StreamRequest) -> tuple[Stream, ...]:
    """Play one long stream through topics, or without ROS if ROS is not available, and check its criteria."""
    streams = tuple(measure([request], [TOPICS]))
    if streams[0].reason:
        streams = (*streams, *measure([request], [NO_ROS]))
    return tuple(
        each
        if each.stability is None
        else replace(each, criteria=check_soak(each.stability, each.seconds or 0.0, each.ids or 0))
        for each in streams
    )


def measure_overload(request: StreamRequest, mode: str) -> Stream:
    """Play a stream of at least twice as many images as can be processed, and check its criteria."""
    stream = replace(overload(functools.partial(_play, mode), request), mode=mode)
    return stream if stream.stability is None else replace(stream, criteria=check_overload(stream.stability))


def topics_to_no_ros(streams: Sequence[Stream], people: int, device: str) -> Ratio:
    """Return the images per second through topics relative to the pipeline without ROS."""
    of_mode = {each.mode: each for each in streams if (each.people, each.device) == (people, device)}
    no_ros, topics = (_as_side(of_mode.get(mode), mode) for mode in (NO_ROS, TOPICS))
    return Ratio.of("topics / no ROS", no_ros, topics)


def _as_side(stream: Stream | None, mode: str) -> Side:
    if stream is None or not stream.per_second:
        return Side.missing(mode, stream.reason if stream is not None else "not requested")
    return Side(mode, 1.0 / stream.per_second, stream.per_second, None, None, stream.answered)


def _play(mode: str, request: StreamRequest) -> Stream:
    """Play a stream in a separate process; if it fails, the stream holds the reason."""
    if mode == TOPICS and importlib.util.find_spec("rclpy") is None:
        return Stream(mode, request.device, request.people, reason=NO_RCLPY)
    result = run_program(
        _PROGRAMS[mode], request.arguments(), Stream, mode, answers_on_sigterm=request.parts > 0
    )
    return Stream(mode, request.device, request.people, reason=result) if isinstance(result, str) else result


def run_program(
    program: str, arguments: Sequence[str], kind: type[Result], name: str, *, answers_on_sigterm: bool = False
) -> Result | str:
    """Run a module in a separate process and forward its output to stderr.

    Args:
        program: the module.
        arguments: its command line.
        kind: dataclass of its result.
        name: name of the process, a prefix of its output.
        answers_on_sigterm: whether it prints a result on SIGTERM. Ctrl-C then stops only this process.

    Returns:
        The result, which it prints as a line of JSON; a message if there is none.

    Raises:
        KeyboardInterrupt: the process was stopped before it had a result.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as messages:
        with (
            _process([sys.executable, "-m", program, *arguments], messages) as process,
            stop_on_signal(process.terminate)
            if answers_on_sigterm
            else nullcontext(threading.Event()) as stopping,
        ):
            answer = ""
            for line in process.stdout or ():
                if line.startswith("{"):
                    answer = line
                else:
                    print(f"  {name}: {line.rstrip()}", file=sys.stderr, flush=True)
            status = process.wait()
        if stopping.is_set() and not answer:
            raise KeyboardInterrupt
        if status == 0 and answer:
            try:
                return from_json(kind, answer, name)
            except ConfigurationError as error:
                return str(error)
        messages.seek(0)
        return _reason(messages.read(), status)


def _reason(messages: str, status: int) -> str:
    lines = [line.strip() for line in messages.splitlines() if line.strip()]
    message = next((line for line in reversed(lines) if "rror: " in line), lines[-1] if lines else "")
    return f"failed with status {status}: {message.partition('rror: ')[2] or message}"


@contextmanager
def _process(command: Sequence[str], messages: object) -> Iterator[subprocess.Popen[str]]:
    environment = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_LOCALHOST_ONLY": "1", **os.environ}
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=messages,
        text=True,
        env=environment,  # type: ignore[call-overload]
    )
    try:
        yield process
    finally:
        # SIGTERM lets the process stop the nodes that it started.
        process.terminate()
        try:
            process.wait(_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


@dataclass(frozen=True, slots=True)
class Rate:
    """The overload rate in images per second; ``reason`` explains why there is none."""

    hz: float | None
    reason: str = ""


def find_overload(play: Play, request: StreamRequest) -> Rate:
    """Increase the rate until less than half of the images have a result.

    Args:
        play: plays a stream.
        request: parameters of the stream; rate and duration are replaced.
    """
    for rate_hz in PROBE_RATES_HZ:
        probe = play(replace(request, rate_hz=rate_hz, seconds=PROBE_S, parts=0))
        if probe.dropped_share is None:
            return Rate(None, probe.reason or "no image has a result")
        if probe.dropped_share >= _OVERLOAD:
            return Rate(rate_hz)
    return Rate(None, f"this machine processes more than half of {PROBE_RATES_HZ[-1]:g} images per second")


def overload(play: Play, request: StreamRequest) -> Stream:
    """Play a stream of at least twice as many images as can be processed.

    Args:
        play: plays a stream.
        request: parameters of the stream; the rate is replaced.
    """
    rate = find_overload(play, request)
    if rate.hz is None:
        return Stream("", request.device, request.people, reason=rate.reason)
    return play(replace(request, rate_hz=rate.hz))
