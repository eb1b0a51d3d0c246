"""CPU time and memory of a process: from /proc, and from inside the process."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from social_perception.core.errors import MissingDependencyError
from social_perception.research.benchmarks.report import Usage
from social_perception.research.benchmarks.stability import HEAPS, PYTHON, Trend, trend

_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6
_SLOPE_SAMPLES = 8
"""Minimum number of samples, one per second, in the second half for a slope."""


class UsageMonitor:
    """Monitors a process; call :meth:`sample` about once per second.

    Args:
        pid: id of the process; None: this process.
        proc: folder of the process files.
        clock: monotonic clock in s.

    Raises:
        MissingDependencyError: there is no such process, or no /proc.
    """

    def __init__(
        self, pid: int | None = None, proc: Path = Path("/proc"), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = proc / str(pid if pid is not None else os.getpid())
        self._clock = clock
        # Arrays of numbers take little memory, so that they do not look like a leak of the monitored process.
        self._times_s, self._memory_mb, self._private_mb = array("d"), array("d"), array("d")
        self._begun_cpu_s = self._cpu_s()
        self.sample()

    def sample(self) -> None:
        """Record the current memory."""
        self._times_s.append(self._clock())
        resident, shared = (int(pages) * _PAGE_MB for pages in self._read("statm").split()[1:3])
        self._memory_mb.append(resident)
        self._private_mb.append(resident - shared)

    def usage(self) -> Usage:
        """Take a last sample and return the usage since the monitor was created."""
        self.sample()
        passed_s = self._times_s[-1] - self._times_s[0]
        cores = (self._cpu_s() - self._begun_cpu_s) / passed_s if passed_s > 0 else 0.0
        return Usage(cores, self._memory_mb[0], self._memory_mb[-1], self._slope_mb_per_min())

    @property
    def memory_mb(self) -> float:
        """The last recorded memory in MB."""
        return self._memory_mb[-1]

    def trends(self) -> tuple[Trend, ...]:
        """Return the trends of the resident memory and of its private part (heaps and stacks).

        The rest are files, such as libraries, and memory shared with other processes.
        """
        return (
            trend("resident memory", "MB", self._times_s, self._memory_mb),
            trend("heaps and stacks", "MB", self._times_s, self._private_mb),
        )

    def _slope_mb_per_min(self) -> float | None:
        times_s, memory_mb = np.array(self._times_s), np.array(self._memory_mb)
        # Caches fill and allocators reserve memory at first.
        late = times_s >= (times_s[0] + times_s[-1]) / 2
        if late.sum() < _SLOPE_SAMPLES:
            return None
        return float(np.polyfit(times_s[late] / 60.0, memory_mb[late], 1)[0])

    def _cpu_s(self) -> float:
        # The name in parentheses may contain spaces; utime and stime are the 12th and 13th field after it.
        fields = self._read("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _read(self, name: str) -> str:
        try:
            return (self._folder / name).read_text(encoding="utf-8")
        except OSError as error:
            raise MissingDependencyError(f"{self._folder / name} cannot be read: {error.strerror}") from error


class _Mallinfo2(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks",
            "keepcost",
        )
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class MemoryInUse:
    """Memory in use, as counted by the allocators.

    Attributes:
        blocks: memory blocks allocated by Python.
        heap_mb: memory in use in glibc's heaps, in MB; None for other C libraries or glibc before 2.33.
    """

    blocks: int
    heap_mb: float | None


def memory_in_use() -> MemoryInUse:
    """Return the memory in use in this process; cheap enough to call several times per second."""
    mallinfo2 = _mallinfo2()
    heap_mb = None
    if mallinfo2 is not None:
        info = mallinfo2()
        heap_mb = (info.uordblks + info.hblkhd) / 1e6
    return MemoryInUse(sys.getallocatedblocks(), heap_mb)


class MemoryMonitor:
    """Records the memory in use over time."""

    def __init__(self) -> None:
        self._times_s, self._blocks, self._heaps_mb = array("d"), array("d"), array("d")

    def __len__(self) -> int:
        return len(self._times_s)

    def add(self, time_s: float, memory: MemoryInUse) -> None:
        """Add a measurement at a time in s."""
        self._times_s.append(time_s)
        self._blocks.append(memory.blocks)
        if memory.heap_mb is not None:
            self._heaps_mb.append(memory.heap_mb)

    def trends(self) -> tuple[Trend, ...]:
        """Return the trends of Python's memory and of the C library's heaps; empty without measurements."""
        trends = []
        if len(self._times_s):
            trends.append(trend(PYTHON, "blocks", self._times_s, self._blocks))
        if trends and len(self._heaps_mb) == len(self._times_s):
            trends.append(trend(HEAPS, "MB", self._times_s, self._heaps_mb))
        return tuple(trends)


@functools.cache  # loading the library again creates garbage, which would be counted
def _mallinfo2() -> ctypes._NamedFuncPointer | None:
    try:
        function = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError, TypeError):
        return None
    function.restype = _Mallinfo2
    return function
