"""Detects that a node falls behind its input. Counts only; the time is passed in."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

WINDOW_S = 5.0
"""Time before a report that is evaluated as a whole: one slow image is no trend."""
_MIN_MESSAGES = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits beyond which a node counts as falling behind.

    Attributes:
        dropped_share: fraction of the messages of the last seconds, [0, 1]; 1: never.
        age_s: median age of the results since the header stamp.
    """

    dropped_share: float = 0.3
    age_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """Messages and results between two reports.

    Attributes:
        received: messages that arrived.
        dropped: of these, replaced by a newer one before they were processed.
        lost: messages that did not arrive, according to the middleware.
        latencies_s: ages of the results at their publication.
    """

    received: int
    dropped: int = 0
    lost: int = 0
    latencies_s: tuple[float, ...] = ()


class LoadWatch:
    """Detects that a node is falling behind, since when and why."""

    def __init__(self) -> None:
        self._loads: deque[tuple[float, Load]] = deque()
        self._since_s: float | None = None

    def add(self, now_s: float, load: Load) -> None:
        """Add what happened since the last call."""
        self._loads.append((now_s, load))
        while self._loads[0][0] <= now_s - WINDOW_S:
            self._loads.popleft()

    def forget(self) -> None:
        """Reset: no input is expected."""
        self._loads.clear()
        self._since_s = None

    def problem(self, now_s: float, limits: Limits) -> str:
        """Return why and for how long the node has been falling behind; empty: it keeps up."""
        causes = [*self._causes(limits)]
        if not causes:
            self._since_s = None
            return ""
        if self._since_s is None:
            self._since_s = now_s
        since_s = now_s - self._since_s
        return f"falling behind{f' for {since_s:.0f} s' if since_s >= 1.0 else ''}: {' and '.join(causes)}"

    def _causes(self, limits: Limits) -> Iterable[str]:
        loads = [load for _, load in self._loads]
        received, dropped, lost = (
            sum(getattr(load, name) for load in loads) for name in ("received", "dropped", "lost")
        )
        if received >= _MIN_MESSAGES and dropped > limits.dropped_share * received:
            yield f"{dropped} of the last {received} messages were dropped"
        if received + lost >= _MIN_MESSAGES and lost > limits.dropped_share * (received + lost):
            yield f"{lost} of the last {received + lost} messages were lost on the way"
        latencies_s = [each for load in loads for each in load.latencies_s]
        if latencies_s and (median_s := float(np.median(latencies_s))) > limits.age_s:
            yield f"results are {median_s:.1f} s old"
