"""What a process knows of its own memory, cheap enough to ask several times a second."""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from social_perception.benchmarks.course import Trend, trend


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


def inside_trends(times_s: Sequence[float], found: Sequence[Inside]) -> tuple[Trend, ...]:
    """How Python's memory and the C library's went over the times in s."""
    blocks = trend("Python's memory", "blocks", times_s, [each.blocks for each in found])
    heaps = [each.heap_mb for each in found if each.heap_mb is not None]
    if len(heaps) < len(found):
        return (blocks,)
    return (blocks, trend("in use of the C library's heaps", "MB", times_s, heaps))


@functools.cache  # each opening of the library leaves garbage, which would be counted
def _mallinfo2() -> ctypes._NamedFuncPointer | None:
    try:
        function = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError, TypeError):
        return None
    function.restype = _Mallinfo2
    return function
