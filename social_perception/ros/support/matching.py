"""Brings images and what was found in them together, by their stamps alone; knows no ROS.

Images wait for their results, results for their images, both for a bounded time and number. The time
is that of the stamps, so that a recording or a simulation may run at any speed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

JUMP_BACK_NS = 500_000_000
"""Stamps that go back further than this begin anew: a recording is played again."""

UNMATCHED_PERIOD_NS = 200_000_000
"""Images without results follow each other at this distance at least."""

MAX_RESULTS = 64


@dataclass(frozen=True, slots=True)
class Match:
    """An image with its result; without one, ``missing_s`` says for how long none has come."""

    image: Any
    result: Any = None
    missing_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    image: Any
    size: int


class StampMatcher:
    """Finds an image's result, whichever comes first. What it gives out never goes back in time.

    Args:
        max_wait_s: when the newest image is this much newer, an image no longer waits for its result.
        max_bytes: all waiting images together; beyond, every second one is given up.
    """

    def __init__(self, max_wait_s: float, max_bytes: int) -> None:
        self.max_wait_s, self.max_bytes = max_wait_s, max_bytes
        self._images: dict[int, _Waiting] = {}
        self._results: dict[int, Any] = {}
        self._newest_ns: int | None = None
        self._given_ns: int | None = None
        # The newest match, or the first image until there is one.
        self._since_ns: int | None = None

    @property
    def waiting(self) -> int:
        """How many images wait."""
        return len(self._images)

    @property
    def waiting_bytes(self) -> int:
        """How large they are together."""
        return sum(each.size for each in self._images.values())

    def add_image(self, stamp_ns: int, image: Any, size: int) -> Match | None:
        """Take in an image of so many bytes.

        Returns:
            It with its result, or an image whose result is overdue, or None.
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
        self._make_room()
        return overdue

    def add_result(self, stamp_ns: int, result: Any) -> Match | None:
        """Take in a result; returns it with its image, if that waits."""
        self._results.pop(stamp_ns, None)
        self._results[stamp_ns] = result
        while len(self._results) > MAX_RESULTS:
            del self._results[next(iter(self._results))]
        return self._match(stamp_ns) if stamp_ns in self._images else None

    def _clear(self) -> None:
        self._images.clear()
        self._results.clear()
        self._newest_ns = self._given_ns = self._since_ns = None

    def _is_late(self, stamp_ns: int) -> bool:
        return self._given_ns is not None and stamp_ns <= self._given_ns

    def _match(self, stamp_ns: int) -> Match:
        image, result = self._images[stamp_ns].image, self._results.pop(stamp_ns)
        self._give(stamp_ns)
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
        if self._given_ns is not None and stamp_ns - self._given_ns < UNMATCHED_PERIOD_NS:
            return None
        self._give(stamp_ns)
        assert self._since_ns is not None
        return Match(image, missing_s=(newest_ns - self._since_ns) * 1e-9)

    def _give(self, stamp_ns: int) -> None:
        """Note what is given out; what is older would go back in time."""
        self._given_ns = stamp_ns
        for waiting in (self._images, self._results):
            for each in [each for each in waiting if each <= stamp_ns]:
                del waiting[each]

    def _make_room(self) -> None:
        # Every second one, not the oldest: results of all that wait are still to come.
        while len(self._images) > 1 and self.waiting_bytes > self.max_bytes:
            for stamp_ns in sorted(self._images)[-2::-2]:
                del self._images[stamp_ns]
