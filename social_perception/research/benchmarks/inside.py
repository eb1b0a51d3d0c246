"""What a process knows of its own memory, cheap enough to ask several times a second."""

from __future__ import annotations

import ctypes
import functools
import sys
from array import array
from dataclasses import dataclass

from social_perception.research.benchmarks.course import Trend, trend

PYTHON = "Python's memory"
HEAPS = "what is in use of the C library's heaps"


class _Mallinfo2(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks",
            "keepcost",
        )
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Inside:
    """Memory in use, as those who hand it out count it.

    Attributes:
        blocks: that Python has given out for its objects.
        heap_mb: in use of glibc's heaps; None where the C library is another, or older than 2.33.
    """

    blocks: int
    heap_mb: float | None


def look_inside() -> Inside:
    """Return what is in use in this process now."""
    mallinfo2 = _mallinfo2()
    heap_mb = None
    if mallinfo2 is not None:
        found = mallinfo2()
        heap_mb = (found.uordblks + found.hblkhd) / 1e6
    return Inside(sys.getallocatedblocks(), heap_mb)


class InsideWatch:
    """Keeps what was seen of a process's memory; plain numbers, which do not look like a leak themselves."""

    def __init__(self) -> None:
        self._times_s, self._blocks, self._heaps_mb = array("d"), array("d"), array("d")

    def __len__(self) -> int:
        return len(self._times_s)

    def add(self, time_s: float, seen: Inside) -> None:
        """Take in what was seen at a time in s."""
        self._times_s.append(time_s)
        self._blocks.append(seen.blocks)
        if seen.heap_mb is not None:
            self._heaps_mb.append(seen.heap_mb)

    def trends(self) -> tuple[Trend, ...]:
        """How Python's memory and the C library's went; nothing if nothing was seen."""
        found = []
        if len(self._times_s):
            found.append(trend(PYTHON, "blocks", self._times_s, self._blocks))
        if found and len(self._heaps_mb) == len(self._times_s):
            found.append(trend(HEAPS, "MB", self._times_s, self._heaps_mb))
        return tuple(found)


@functools.cache  # each opening of the library leaves garbage, which would be counted
def _mallinfo2() -> ctypes._NamedFuncPointer | None:
    try:
        function = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError, TypeError):
        return None
    function.restype = _Mallinfo2
    return function
