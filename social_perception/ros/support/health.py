"""The content of a node's status on /diagnostics. Counts only; the time is passed in."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from social_perception.ros.support.load import Limits, Load, LoadWatch

_LONGEST_LATENCY_S = 3600.0
"""A stamp older than this was made by another clock, for example by that of a recording."""
_YEAR_2000_S = 946_684_800.0


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """The state of a node at the time of a report, in addition to the counts.

    Attributes:
        state: of the life cycle.
        resting: why no input is expected; empty: input is expected.
        silence: why expected input is missing; empty: it is not missing.
        warnings: other problems, such as a clock that jumps.
        dropped: messages replaced by newer ones since the node was activated.
        lost: messages published since then that did not reach the node.
        waiting: messages that wait until the current one is processed.
        time_s: by the node's clock.
        values: further values by name: device, memory.
    """

    state: str = "active"
    resting: str = ""
    silence: str = ""
    warnings: Sequence[str] = ()
    dropped: int = 0
    lost: int = 0
    waiting: int = 0
    time_s: float = 0.0
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Counts:
    received: int = 0
    processed: int = 0
    published: int = 0
    faces: int = 0
    batch: int | None = None
    detection_interval: int | None = None
    slowed: str = ""
    latencies_s: list[float] = field(default_factory=list)
    error: str = ""
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Totals:
    """Messages received, processed and failed since the node was activated."""

    received: int = 0
    processed: int = 0
    failed: int = 0


class Health:
    """Counts between two reports; callbacks and the worker thread may both call it.

    Args:
        now_s: by a clock that never jumps, as in :meth:`report`.
    """

    def __init__(self, now_s: float = 0.0) -> None:
        self._lock = threading.Lock()
        self._counts = _Counts()
        self._received = self._processed = self._failed = 0
        self._load = LoadWatch()
        self._reported_s = now_s
        self._dropped = self._lost = 0
        self._last_error = self._last_error_time = ""
        self._broken = ""

    @property
    def totals(self) -> Totals:
        """The counts since :meth:`restart`."""
        with self._lock:
            return Totals(self._received, self._processed, self._failed)

    def restart(self) -> None:
        """Reset the totals: the node is activated."""
        with self._lock:
            self._received = self._processed = self._failed = 0

    def received(self, count: int = 1) -> None:
        """Count received messages; of several, only the newest was kept."""
        with self._lock:
            self._counts.received += count
            self._received += count

    def processed(self, faces: int) -> None:
        """Count a processed message."""
        with self._lock:
            self._counts.processed += 1
            self._processed += 1
            self._counts.faces = faces

    def scored(self, faces: int) -> None:
        """Note the number of faces that the network scored as one batch."""
        with self._lock:
            self._counts.batch = max(faces, self._counts.batch or 0)

    def searched(self, interval: int, problem: str) -> None:
        """Note the frames from one face detection to the next, and why they are more than requested."""
        with self._lock:
            self._counts.detection_interval, self._counts.slowed = interval, problem

    def published(self, age_s: float = math.nan) -> None:
        """Count a published result, with the age of its image by the header stamp.

        The age is ignored if the stamp is in the future or far in the past: it was made by another clock.
        """
        with self._lock:
            self._counts.published += 1
            if 0.0 <= age_s < _LONGEST_LATENCY_S:
                self._counts.latencies_s.append(age_s)

    def failed(self, text: str) -> None:
        """Count a message that could not be processed, with the reason."""
        with self._lock:
            self._counts.error = self._last_error = text
            self._last_error_time = ""
            self._failed += 1

    def warned(self, text: str) -> None:
        """Note a problem that does not stop the node; it appears in the next report."""
        with self._lock:
            if text not in self._counts.warnings:
                self._counts.warnings.append(text)

    def transition_failed(self, text: str) -> None:
        """Note a failed transition of the life cycle; it is reported as an error until one succeeds."""
        with self._lock:
            self._broken = self._last_error = text
            self._last_error_time = ""

    def transition_succeeded(self) -> None:
        """Note a successful transition of the life cycle."""
        with self._lock:
            self._broken = ""

    def report(
        self, name: str, now_s: float, status: NodeStatus, limits: Limits, hardware_id: str = ""
    ) -> DiagnosticStatus:
        """Return the status since the last report.

        Args:
            name: of the diagnostic status.
            now_s: by a clock that never jumps.
            status: state of the node.
            limits: beyond which the node counts as falling behind.
            hardware_id: device that the node runs on.
        """
        with self._lock:
            counts, self._counts = self._counts, _Counts()
            if self._last_error and not self._last_error_time:
                self._last_error_time = _time_text(status.time_s)
            error_time, broken = self._last_error_time, self._broken
            received, processed, failed = self._received, self._processed, self._failed
        period_s, self._reported_s = max(now_s - self._reported_s, 1e-3), now_s
        behind = self._behind(now_s, counts, status, limits)
        problems = [*_problems(counts, broken, behind, status)]
        level = max((level for level, _ in problems), default=DiagnosticStatus.OK)
        worst_first = sorted(problems, key=lambda each: each[0], reverse=True)
        text = "; ".join(text for _, text in worst_first) or status.resting or "running"
        values = {
            "state": status.state,
            "input rate (Hz)": f"{counts.received / period_s:.1f}",
            "output rate (Hz)": f"{counts.published / period_s:.1f}",
            **_latency_values(counts.latencies_s),
            "received": str(received),
            "processed": str(processed),
            "failed": str(failed),
            "waiting": str(status.waiting),
            "dropped": str(status.dropped),
            "lost": str(status.lost),
            "faces": str(counts.faces),
            **({} if counts.batch is None else {"batch": str(counts.batch)}),
            **_interval_value(counts.detection_interval),
            **status.values,
            "last error": self._last_error,
            "last error time": error_time,
        }
        pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
        return DiagnosticStatus(level=level, name=name, message=text, hardware_id=hardware_id, values=pairs)

    def _behind(self, now_s: float, counts: _Counts, status: NodeStatus, limits: Limits) -> str:
        dropped, self._dropped = _grown(self._dropped, status.dropped), status.dropped
        lost, self._lost = _grown(self._lost, status.lost), status.lost
        if status.resting or status.silence:
            self._load.forget()
            return ""
        self._load.add(now_s, Load(counts.received, dropped, lost, tuple(counts.latencies_s)))
        return self._load.problem(now_s, limits)


def _grown(before: int, now: int) -> int:
    # A smaller counter was reset: the node was activated again.
    return now - before if now >= before else now


def _problems(counts: _Counts, broken: str, behind: str, status: NodeStatus) -> Iterable[tuple[bytes, str]]:
    if broken:
        yield DiagnosticStatus.ERROR, broken
    if status.silence:
        yield DiagnosticStatus.ERROR, status.silence
    if counts.error and counts.error != broken:
        # A warning while some images succeed; an error if all of them fail.
        yield (DiagnosticStatus.WARN if counts.processed else DiagnosticStatus.ERROR), counts.error
    for text in (behind, counts.slowed, *counts.warnings, *status.warnings):
        if text:
            yield DiagnosticStatus.WARN, text


def _time_text(time_s: float) -> str:
    """Date and time, or the seconds of a simulation, which starts at 0."""
    if time_s < _YEAR_2000_S:
        return f"{time_s:.1f} s"
    return datetime.fromtimestamp(time_s, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def _interval_value(frames: int | None) -> dict[str, str]:
    return {} if frames is None else {"detection interval (frames)": str(frames)}


def _latency_values(latencies_s: Sequence[float]) -> dict[str, str]:
    median_s, p95_s, longest_s = np.percentile(latencies_s or [math.nan], (50, 95, 100))
    named = {"median": median_s, "p95": p95_s, "max": longest_s}
    return {
        f"latency {name} (ms)": "unknown" if math.isnan(value) else f"{1e3 * value:.0f}"
        for name, value in named.items()
    }


class SilenceWatch:
    """Detects when an input falls silent and when it resumes, once each. Times in s, of one clock."""

    def __init__(self, now_s: float) -> None:
        self._last_s = now_s
        self._silent = False
        self.received_any = False

    def received(self, now_s: float) -> float | None:
        """Note a message; return the length in s of the reported silence that it ends, if there was one."""
        ended = now_s - self._last_s if self._silent else None
        self._last_s, self._silent, self.received_any = now_s, False, True
        return ended

    def silence_s(self, now_s: float) -> float:
        """Time in s since the last message, or since construction."""
        # Restart with a clock that starts late (simulation) or jumps back (a bag played again).
        if self._last_s <= 0.0 or now_s < self._last_s:
            self._last_s = now_s
        return now_s - self._last_s

    def fell_silent(self, now_s: float, limit_s: float) -> bool:
        """Whether the silence has just exceeded the limit; true once per silence."""
        newly = not self._silent and self.silence_s(now_s) > limit_s
        self._silent = self._silent or newly
        return newly

    @property
    def is_silent(self) -> bool:
        """Whether a silence was reported and has not ended."""
        return self._silent
