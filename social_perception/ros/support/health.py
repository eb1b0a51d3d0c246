"""What a node says about itself on /diagnostics; plain counting, time is passed in."""

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
"""A stamp older than this is of another clock than ours, for example a recorded one."""
_YEAR_2000_S = 946_684_800.0


@dataclass(frozen=True, slots=True)
class Situation:
    """What a node knows at the time of a report, beside what was counted.

    Attributes:
        state: of the life cycle.
        resting: why nothing is expected to come in; empty: something is.
        silence: why nothing comes in although it should; empty: something does.
        warnings: what else is wrong, such as clocks that jump.
        dropped: messages replaced by newer ones since the node was activated.
        lost: messages published since then that did not reach the node.
        waiting: messages that wait for the work in hand to end.
        time_s: by the node's clock.
        values: what else is told, by name: device, memory.
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
    latencies_s: list[float] = field(default_factory=list)
    error: str = ""
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Totals:
    """Messages that came in, were worked on and could not be worked on since the node was activated."""

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
        """What came in and what was done since :meth:`restart`."""
        with self._lock:
            return Totals(self._received, self._processed, self._failed)

    def restart(self) -> None:
        """Begin the totals anew: the node is activated."""
        with self._lock:
            self._received = self._processed = self._failed = 0

    def received(self, count: int = 1) -> None:
        """Note that a message came in, or several of which only the last is still there."""
        with self._lock:
            self._counts.received += count
            self._received += count

    def processed(self, faces: int) -> None:
        """Note that a message was worked on."""
        with self._lock:
            self._counts.processed += 1
            self._processed += 1
            self._counts.faces = faces

    def scored(self, faces: int) -> None:
        """Note that so many faces went through the network as one batch."""
        with self._lock:
            self._counts.batch = max(faces, self._counts.batch or 0)

    def published(self, age_s: float = math.nan) -> None:
        """Note that a result was published, and how old the image's header stamp then was.

        A stamp from the future or from very long ago is of another clock: its age says nothing.
        """
        with self._lock:
            self._counts.published += 1
            if 0.0 <= age_s < _LONGEST_LATENCY_S:
                self._counts.latencies_s.append(age_s)

    def failed(self, text: str) -> None:
        """Note that a message could not be worked on, and why."""
        with self._lock:
            self._counts.error = self._last_error = text
            self._last_error_time = ""
            self._failed += 1

    def warned(self, text: str) -> None:
        """Note something odd that does not keep the node from working; told in the next report."""
        with self._lock:
            if text not in self._counts.warnings:
                self._counts.warnings.append(text)

    def broke(self, text: str) -> None:
        """Note that a transition of the life cycle failed; it is an error until one succeeds."""
        with self._lock:
            self._broken = self._last_error = text
            self._last_error_time = ""

    def mended(self) -> None:
        """Note that a transition succeeded."""
        with self._lock:
            self._broken = ""

    def report(
        self, name: str, now_s: float, situation: Situation, limits: Limits, hardware_id: str = ""
    ) -> DiagnosticStatus:
        """Return the status since the last report.

        Args:
            name: of the status.
            now_s: by a clock that never jumps.
            situation: of the node.
            limits: from when on it falls behind.
            hardware_id: what it runs on.
        """
        with self._lock:
            counts, self._counts = self._counts, _Counts()
            if self._last_error and not self._last_error_time:
                self._last_error_time = _time_text(situation.time_s)
            error_time, broken = self._last_error_time, self._broken
            received, processed, failed = self._received, self._processed, self._failed
        period_s, self._reported_s = max(now_s - self._reported_s, 1e-3), now_s
        behind = self._behind(now_s, counts, situation, limits)
        problems = [*_problems(counts, broken, behind, situation)]
        level = max((level for level, _ in problems), default=DiagnosticStatus.OK)
        worst_first = sorted(problems, key=lambda each: each[0], reverse=True)
        text = "; ".join(text for _, text in worst_first) or situation.resting or "running"
        values = {
            "state": situation.state,
            "input rate (Hz)": f"{counts.received / period_s:.1f}",
            "output rate (Hz)": f"{counts.published / period_s:.1f}",
            **_latency_values(counts.latencies_s),
            "received": str(received),
            "processed": str(processed),
            "failed": str(failed),
            "waiting": str(situation.waiting),
            "dropped": str(situation.dropped),
            "lost": str(situation.lost),
            "faces": str(counts.faces),
            **({} if counts.batch is None else {"batch": str(counts.batch)}),
            **situation.values,
            "last error": self._last_error,
            "last error time": error_time,
        }
        pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
        return DiagnosticStatus(level=level, name=name, message=text, hardware_id=hardware_id, values=pairs)

    def _behind(self, now_s: float, counts: _Counts, situation: Situation, limits: Limits) -> str:
        dropped, self._dropped = _grown(self._dropped, situation.dropped), situation.dropped
        lost, self._lost = _grown(self._lost, situation.lost), situation.lost
        if situation.resting or situation.silence:
            self._load.forget()
            return ""
        self._load.add(now_s, Load(counts.received, dropped, lost, tuple(counts.latencies_s)))
        return self._load.problem(now_s, limits)


def _grown(before: int, now: int) -> int:
    # A counter that is smaller than before was begun anew: the node was activated again.
    return now - before if now >= before else now


def _problems(counts: _Counts, broken: str, behind: str, situation: Situation) -> Iterable[tuple[bytes, str]]:
    if broken:
        yield DiagnosticStatus.ERROR, broken
    if situation.silence:
        yield DiagnosticStatus.ERROR, situation.silence
    if counts.error and counts.error != broken:
        # Some images fail: a warning. All of them do: the node is useless.
        yield (DiagnosticStatus.WARN if counts.processed else DiagnosticStatus.ERROR), counts.error
    for text in (behind, *counts.warnings, *situation.warnings):
        if text:
            yield DiagnosticStatus.WARN, text


def _time_text(time_s: float) -> str:
    """Time of day, or the seconds of a simulation, which begins at 0."""
    if time_s < _YEAR_2000_S:
        return f"{time_s:.1f} s"
    return datetime.fromtimestamp(time_s, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


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
