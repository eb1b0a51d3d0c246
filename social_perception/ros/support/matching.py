"""Matches images and results by their stamps, without ROS.

Images wait for their results and results for their images, both for a limited time and in limited number.
The time is that of the stamps, so that a recording or a simulation may run at any speed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

JUMP_BACK_NS = 500_000_000
"""A jump back of the stamps by more than this resets the matcher: a recording is played again."""

UNMATCHED_PERIOD_NS = 200_000_000
"""Minimum distance of images that are returned without results."""

MAX_RESULTS = 64


@dataclass(frozen=True, slots=True)
class Match:
    """An image with its result; without a result, ``missing_s`` is the time since the last match."""

    image: Any
    result: Any = None
    missing_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    image: Any
    size: int


class StampMatcher:
    """Matches images and results, whichever comes first. The returned stamps never go back.

    Args:
        max_wait_s: an image stops waiting for its result when the newest image is this much newer.
        max_bytes: of all waiting images; above it, every second one is dropped.
    """

    def __init__(self, max_wait_s: float, max_bytes: int) -> None:
        self.max_wait_s, self.max_bytes = max_wait_s, max_bytes
        self._images: dict[int, _Waiting] = {}
        self._results: dict[int, Any] = {}
        self._newest_ns: int | None = None
        self._returned_ns: int | None = None
        # The newest match, or the first image until there is one.
        self._since_ns: int | None = None

    @property
    def waiting(self) -> int:
        """Number of waiting images."""
        return len(self._images)

    @property
    def waiting_bytes(self) -> int:
        """Total size of the waiting images in bytes."""
        return sum(each.size for each in self._images.values())

    def add_image(self, stamp_ns: int, image: Any, size: int) -> Match | None:
        """Add an image of this size in bytes.

        Returns:
            The image with its result, an image whose result is overdue, or None.
        """
        if self._newest_ns is not None and stamp_ns < self._newest_ns - JUMP_BACK_NS:
            self._clear()
        self._since_ns = stamp_ns if self._since_ns is None else self._since_ns
        self._newest_ns = stamp_ns if self._newest_ns is None else max(stamp_ns, self._newest_ns)
        if self._is_late(stamp_ns):
            return None
        self._images[stamp_ns] = _Waiting(image, size)
        if stamp_ns in self._results:
            return self._match(stamp_ns)
        overdue = self._overdue(self._newest_ns)
        self._limit_memory()
        return overdue

    def add_result(self, stamp_ns: int, result: Any) -> Match | None:
        """Add a result; return it with its image if that is waiting."""
        self._results.pop(stamp_ns, None)
        self._results[stamp_ns] = result
        while len(self._results) > MAX_RESULTS:
            del self._results[next(iter(self._results))]
        return self._match(stamp_ns) if stamp_ns in self._images else None

    def _clear(self) -> None:
        self._images.clear()
        self._results.clear()
        self._newest_ns = self._returned_ns = self._since_ns = None

    def _is_late(self, stamp_ns: int) -> bool:
        return self._returned_ns is not None and stamp_ns <= self._returned_ns

    def _match(self, stamp_ns: int) -> Match:
        image, result = self._images[stamp_ns].image, self._results.pop(stamp_ns)
        self._note_returned(stamp_ns)
        self._since_ns = stamp_ns
        return Match(image, result)

    def _overdue(self, newest_ns: int) -> Match | None:
        limit_ns = newest_ns - round(self.max_wait_s * 1e9)
        stamps_ns = [stamp_ns for stamp_ns in self._images if stamp_ns < limit_ns]
        if not stamps_ns:
            return None
        stamp_ns = max(stamps_ns)
        image = self._images[stamp_ns].image
        for each in stamps_ns:
            del self._images[each]
        if self._returned_ns is not None and stamp_ns - self._returned_ns < UNMATCHED_PERIOD_NS:
            return None
        self._note_returned(stamp_ns)
        assert self._since_ns is not None
        return Match(image, missing_s=(newest_ns - self._since_ns) * 1e-9)

    def _note_returned(self, stamp_ns: int) -> None:
        """Note the stamp of a returned image, and drop everything older."""
        self._returned_ns = stamp_ns
        for waiting in (self._images, self._results):
            for each in [each for each in waiting if each <= stamp_ns]:
                del waiting[each]

    def _limit_memory(self) -> None:
        # Every second one, not the oldest: the results of all waiting images are still expected.
        while len(self._images) > 1 and self.waiting_bytes > self.max_bytes:
            for stamp_ns in sorted(self._images)[-2::-2]:
                del self._images[stamp_ns]
