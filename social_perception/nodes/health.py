"""What a node says about itself on /diagnostics; plain counting, no ROS clock."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

_LONGEST_LATENCY_S = 3600.0
"""A stamp older than this is of another clock than ours, for example a recorded one."""


@dataclass(slots=True)
class _Counts:
    received: int = 0
    processed: int = 0
    faces: int = 0
    latencies_s: list[float] = field(default_factory=list)
    error: str = ""


class Health:
    """Counts between two reports; callbacks and the worker thread may both call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = _Counts()
        self._dropped = 0
        self._last_error = ""

    def received(self) -> None:
        """Note that a message came in."""
        with self._lock:
            self._counts.received += 1

    def processed(self, faces: int) -> None:
        """Note that a message was worked on."""
        with self._lock:
            self._counts.processed += 1
            self._counts.faces = faces

    def published(self, age_s: float) -> None:
        """Note that a result was published, and how old the image's header stamp then was.

        A stamp from the future or from very long ago is of another clock: its age says nothing.
        """
        if 0.0 <= age_s < _LONGEST_LATENCY_S:
            with self._lock:
                self._counts.latencies_s.append(age_s)

    def failed(self, text: str) -> None:
        """Note that a message could not be worked on, and why."""
        with self._lock:
            self._counts.error = self._last_error = text

    def report(
        self, name: str, period_s: float, *, dropped: int, lost: int, silence: str
    ) -> DiagnosticStatus:
        """Return the status since the last report.

        Args:
            name: of the node.
            period_s: time in s since the last report.
            dropped: messages replaced by newer ones since the node was activated.
            lost: messages lost by the middleware since then.
            silence: why nothing comes in; empty: something does.
        """
        with self._lock:
            counts, self._counts = self._counts, _Counts()
        level, text = DiagnosticStatus.OK, "running"
        if silence:
            level, text = DiagnosticStatus.ERROR, silence
        elif counts.error:
            # Some images fail: a warning. All of them do: the node is useless.
            level = DiagnosticStatus.WARN if counts.processed else DiagnosticStatus.ERROR
            text = counts.error
        values = {
            "input rate (Hz)": f"{counts.received / period_s:.1f}",
            "output rate (Hz)": f"{counts.processed / period_s:.1f}",
            "dropped": str(dropped),
            "lost": str(lost),
            "faces": str(counts.faces),
            **_latency_values(counts.latencies_s),
            "last error": self._last_error,
        }
        pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
        return DiagnosticStatus(level=level, name=name, message=text, hardware_id="", values=pairs)


def _latency_values(latencies_s: Sequence[float]) -> dict[str, str]:
    median_s, p95_s, longest_s = np.percentile(latencies_s or [math.nan], (50, 95, 100))
    named = {"median": median_s, "p95": p95_s, "max": longest_s}
    return {
        f"latency {name} (ms)": "unknown" if math.isnan(value) else f"{1e3 * value:.0f}"
        for name, value in named.items()
    }


class SilenceWatch:
    """Tells when an input falls silent and when it returns, each once. Times in s, of one clock."""

    def __init__(self, now_s: float) -> None:
        self._last_s = now_s
        self._silent = False
        self.heard_any = False

    def heard(self, now_s: float) -> float | None:
        """Note a message; return the length in s of the silence it ends, if one was reported."""
        ended = now_s - self._last_s if self._silent else None
        self._last_s, self._silent, self.heard_any = now_s, False, True
        return ended

    def silence_s(self, now_s: float) -> float:
        """Time in s since the last message, or since the beginning."""
        # A clock that starts late (simulation) or jumps back (a bag again) begins anew.
        if self._last_s <= 0.0 or now_s < self._last_s:
            self._last_s = now_s
        return now_s - self._last_s

    def fell_silent(self, now_s: float, limit_s: float) -> bool:
        """Whether the silence has just passed the limit; true once per silence."""
        newly = not self._silent and self.silence_s(now_s) > limit_s
        self._silent = self._silent or newly
        return newly

    @property
    def is_silent(self) -> bool:
        """Whether a silence was reported and has not ended."""
        return self._silent
