"""Listeners that hang, and listeners in numbers: the pipeline's rate and memory are those without them.

Not a part of ``make test``, as rates take minutes: ``pytest test/faults/ros/soak_ros_listeners.py``.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from test.faults.ros.ros_robot import Outside, environment, kill, launched, until

pytestmark = [
    pytest.mark.ros,
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(shutil.which("ros2") is None, reason="needs ros2 launch"),
]

WINDOW_S = 8.0


@dataclass(frozen=True)
class Measured:
    """What the nodes did in a window of time."""

    shots_hz: float
    faces_hz: float
    groups_hz: float
    cpu: float
    memory_mb: float

    def __str__(self) -> str:
        return (
            f"camera {self.shots_hz:.1f} Hz, face_affect {self.faces_hz:.1f} Hz, group_affect "
            f"{self.groups_hz:.1f} Hz, {100 * self.cpu:.0f} % of a core, {self.memory_mb:.0f} MB"
        )


def measure(outside: Outside, program) -> Measured:
    shots, faces, groups = outside.shots, len(outside.faces), len(outside.groups)
    begun_s, used_s = time.monotonic(), program.processor_s()
    until(lambda: time.monotonic() > begun_s + WINDOW_S, "the end of the window")
    took_s = time.monotonic() - begun_s
    return Measured(
        (outside.shots - shots) / took_s,
        (len(outside.faces) - faces) / took_s,
        (len(outside.groups) - groups) / took_s,
        (program.processor_s() - used_s) / took_s,
        program.memory_mb(),
    )


@contextmanager
def listeners(namespace: str, count: int, *topics: str, processes: int = 1):
    """Programs that subscribe, all ready."""
    command = [sys.executable, str(Path(__file__).with_name("ros_listeners.py"))]
    command += [namespace, str(count), *topics]
    with environment():
        started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    try:
        for each in started:
            assert each.stdout.readline() == "ready\n"
        yield started
    finally:
        for each in started:
            each.kill()
            each.wait()
            each.stdout.close()


@pytest.fixture
def running(ros, tmp_path):
    outside = Outside(ros.namespace)
    try:
        with launched(ros.namespace, tmp_path, composed=True) as program:
            outside.await_live()
            yield outside, program
    finally:
        outside.close()


@pytest.mark.parametrize("topic", ["face_affect", "eye/image"])
def test_a_listener_that_hangs_costs_the_others_nothing(topic, ros, running) -> None:
    outside, program = running
    measure(outside, program)
    alone = measure(outside, program)
    with listeners(ros.namespace, 1, topic) as (hanging,):
        until(lambda: outside.node.count_subscribers(f"{ros.namespace}/{topic}") >= 2, "it listens")
        listening = measure(outside, program)
        kill(hanging.pid, signal.SIGSTOP)
        stopped = [measure(outside, program) for _ in range(3)]
        kill(hanging.pid, signal.SIGCONT)
        again = measure(outside, program)
    print(f"\nwithout {alone}\nwith    {listening}")
    print("\n".join(f"hanging {each}" for each in stopped))
    print(f"going on {again}")
    assert stopped[-1].faces_hz > 0.8 * alone.faces_hz
    assert stopped[-1].shots_hz > 0.8 * alone.shots_hz
    assert stopped[-1].memory_mb < 1.1 * alone.memory_mb


def test_a_hundred_listeners(ros, running) -> None:
    outside, program = running
    measure(outside, program)
    alone = measure(outside, program)
    with listeners(ros.namespace, 25, "face_affect", "group_affect", processes=4):
        topic = f"{ros.namespace}/face_affect"
        until(lambda: outside.node.count_subscribers(topic) >= 101, "a hundred listen")
        measure(outside, program)
        together = measure(outside, program)
    print(f"\nalone   {alone}\nhundred {together}")
    assert together.faces_hz > 0.7 * alone.faces_hz
