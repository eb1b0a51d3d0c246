"""The whole pipeline on a stream: through ROS topics and without ROS, each in processes of their own."""

from __future__ import annotations

import functools
import importlib.util
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TypeVar

from social_perception.core.errors import ConfigurationError
from social_perception.research.benchmarks.ending import ended_by_signal
from social_perception.research.benchmarks.overload import overload
from social_perception.research.benchmarks.promises import judge_overload, judge_soak
from social_perception.research.benchmarks.report import Ratio, Side, Stream, from_json
from social_perception.research.benchmarks.stream import NO_ROS, TOPICS, StreamRequest

_PROGRAMS = {
    TOPICS: "social_perception.ros.tools.benchmark",
    NO_ROS: "social_perception.research.benchmarks.live",
}
_PATIENCE_S = 60.0

Answer = TypeVar("Answer")

NO_RCLPY = "left out: rclpy is not there; source a ROS 2 installation, or run make setup and . ./env.sh"


def measure(requests: Sequence[StreamRequest], ways: Sequence[str] = (TOPICS, NO_ROS)) -> Iterator[Stream]:
    """Play each stream in each way, the ways in turns."""
    for request in requests:
        for way in ways:
            yield _play(way, request)


def measure_soak(request: StreamRequest) -> tuple[Stream, ...]:
    """Play one long stream through topics, and judge it; without ROS where that is not to be had."""
    streams = tuple(measure([request], [TOPICS]))
    if streams[0].reason:
        streams = (*streams, *measure([request], [NO_ROS]))
    return tuple(
        each
        if each.course is None
        else replace(each, promises=judge_soak(each.course, each.seconds or 0.0, each.ids or 0))
        for each in streams
    )


def measure_overload(request: StreamRequest, way: str) -> Stream:
    """Play a stream of twice as many images as can be answered, and judge it."""
    stream = replace(overload(functools.partial(_play, way), request), way=way)
    return stream if stream.course is None else replace(stream, promises=judge_overload(stream.course))


def topics_to_no_ros(streams: Sequence[Stream], people: int, device: str) -> Ratio:
    """How many images per second come through topics, relative to the pipeline without ROS."""
    found = {each.way: each for each in streams if (each.people, each.device) == (people, device)}
    no_ros, topics = (_as_side(found.get(way), way) for way in (NO_ROS, TOPICS))
    return Ratio.of("topics / no ROS", no_ros, topics)


def _as_side(stream: Stream | None, way: str) -> Side:
    if stream is None or not stream.per_second:
        return Side.missing(way, stream.reason if stream is not None else "not asked for")
    return Side(way, 1.0 / stream.per_second, stream.per_second, None, None, stream.answered)


def _play(way: str, request: StreamRequest) -> Stream:
    """Play a stream in a process of its own; one that fails gives its reason instead of figures."""
    if way == TOPICS and importlib.util.find_spec("rclpy") is None:
        return Stream(way, request.device, request.people, reason=NO_RCLPY)
    answer = play_program(
        _PROGRAMS[way], request.arguments(), Stream, way, answers_when_ended=request.parts > 0
    )
    return Stream(way, request.device, request.people, reason=answer) if isinstance(answer, str) else answer


def play_program(
    program: str, arguments: Sequence[str], kind: type[Answer], name: str, *, answers_when_ended: bool = False
) -> Answer | str:
    """Run a module in a process of its own; what it says besides its answer is passed on.

    Args:
        program: the module.
        arguments: its command line.
        kind: of its answer.
        name: of the process, before what it says.
        answers_when_ended: whether it answers when it gets SIGTERM. Ctrl-C then ends it alone.

    Returns:
        The answer, which it prints as a line of JSON; else one line with the reason why there is none.

    Raises:
        KeyboardInterrupt: it was ended and had no answer yet.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as messages:
        with (
            _process([sys.executable, "-m", program, *arguments], messages) as process,
            ended_by_signal(process.terminate)
            if answers_when_ended
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
    said = next((line for line in reversed(lines) if "rror: " in line), lines[-1] if lines else "")
    return f"failed with status {status}: {said.partition('rror: ')[2] or said}"


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
        # SIGTERM lets it end the nodes that it has started.
        process.terminate()
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
