"""What a process needs, as Linux counts it in /proc."""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Callable
from pathlib import Path

import numpy as np

from social_perception.core.errors import MissingDependencyError
from social_perception.research.benchmarks.course import Trend, trend
from social_perception.research.benchmarks.report import Usage

_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6
_SLOPE_SAMPLES = 8
"""Fewer than this in the second half, one a second, say nothing about a slope."""


class UsageWatch:
    """Follows a process; ask it to :meth:`sample` about once a second.

    Args:
        pid: of the process; None: this one.
        proc: where its files are.
        clock: seconds that only grow.

    Raises:
        MissingDependencyError: there is no such process, or no /proc.
    """

    def __init__(
        self, pid: int | None = None, proc: Path = Path("/proc"), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = proc / str(pid if pid is not None else os.getpid())
        self._clock = clock
        # Plain numbers, so that they do not look like a leak of the process that is watched.
        self._times_s, self._memory_mb, self._private_mb = array("d"), array("d"), array("d")
        self._begun_cpu_s = self._cpu_s()
        self.sample()

    def sample(self) -> None:
        """Note the memory of now."""
        self._times_s.append(self._clock())
        resident, shared = (int(pages) * _PAGE_MB for pages in self._read("statm").split()[1:3])
        self._memory_mb.append(resident)
        self._private_mb.append(resident - shared)

    def usage(self) -> Usage:
        """What was needed since the watch was made; takes a last sample."""
        self.sample()
        passed_s = self._times_s[-1] - self._times_s[0]
        cores = (self._cpu_s() - self._begun_cpu_s) / passed_s if passed_s > 0 else 0.0
        return Usage(cores, self._memory_mb[0], self._memory_mb[-1], self._slope_mb_per_min())

    @property
    def memory_mb(self) -> float:
        """The memory last noted, in MB."""
        return self._memory_mb[-1]

    def trends(self) -> tuple[Trend, ...]:
        """How the resident memory went, and what of it is the process's own: heaps and stacks.

        The rest are files, such as libraries, and memory that is shared with other processes.
        """
        return (
            trend("resident memory", "MB", self._times_s, self._memory_mb),
            trend("of it heaps and stacks", "MB", self._times_s, self._private_mb),
        )

    def _slope_mb_per_min(self) -> float | None:
        times_s, memory_mb = np.array(self._times_s), np.array(self._memory_mb)
        # At first caches fill and allocators take what they will keep.
        late = times_s >= (times_s[0] + times_s[-1]) / 2
        if late.sum() < _SLOPE_SAMPLES:
            return None
        return float(np.polyfit(times_s[late] / 60.0, memory_mb[late], 1)[0])

    def _cpu_s(self) -> float:
        # The name, in brackets, may hold spaces; utime and stime are the 12th and 13th field after it.
        fields = self._read("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _read(self, name: str) -> str:
        try:
            return (self._folder / name).read_text(encoding="utf-8")
        except OSError as error:
            raise MissingDependencyError(f"{self._folder / name} cannot be read: {error.strerror}") from error
