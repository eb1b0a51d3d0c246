"""Monitors the nodes during the benchmark: by /diagnostics, and by snapshots of their process."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Sequence

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node

from social_perception.core.errors import ConfigurationError, SocialPerceptionError
from social_perception.research.benchmarks.process_usage import MemoryMonitor
from social_perception.research.benchmarks.report import from_json
from social_perception.research.benchmarks.stability import QueueDepth, Step, Trend
from social_perception.ros.convert import seconds
from social_perception.ros.support.qos import RESULT_QOS
from social_perception.ros.tools.watched import Snapshot

STEPS = ("face_tracker", "smile_intensity")
"""The nodes whose counts account for an image until its result is published."""

_BEHIND = "falling behind"
_IDLE_TIMEOUT_S = 20.0
_MAX_PENDING_S = 1.0
"""Maximum time in s until a sent image is received or replaced."""


class DiagnosticsMonitor:
    """Keeps the reports of the nodes on /diagnostics.

    Args:
        node: owner of the subscription.
    """

    def __init__(self, node: Node) -> None:
        self._names = {f"{node.get_namespace().rstrip('/')}/{step}": step for step in STEPS}
        self._changed = threading.Condition()
        self._steps: dict[str, tuple[float, Step]] = {}
        self._begun_s: float | None = None
        self.warned_after_s: float | None = None
        self.warning = self._newest_warning = ""
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def begin(self) -> None:
        """Note warnings from now on."""
        self._begun_s, self.warned_after_s, self.warning = time.time(), None, ""

    def end(self) -> bool:
        """Stop noting warnings; return whether the newest report was one."""
        self._begun_s = None
        return bool(self._newest_warning)

    def wait_until_idle(self) -> tuple[Step, ...]:
        """Wait until no message is in transit; return the counts of the nodes.

        Raises:
            SocialPerceptionError: the nodes publish no reports, or do not become idle.
        """
        deadline_s, since_s, before = time.monotonic() + _IDLE_TIMEOUT_S, time.time(), None
        with self._changed:
            while (found := self._newer_than(since_s)) is None or found != before:
                if found is not None:
                    before, since_s = found, max(stamp_s for stamp_s, _ in self._steps.values())
                if not self._changed.wait(max(0.0, deadline_s - time.monotonic())):
                    raise SocialPerceptionError("the nodes did not become idle, according to /diagnostics")
        return found

    def _newer_than(self, stamp_s: float) -> tuple[Step, ...] | None:
        """Reports of all nodes since a time; None: a node has not reported, or a message is waiting."""
        newer = [self._steps[step] for step in STEPS if step in self._steps]
        if len(newer) < len(STEPS) or any(stamp <= stamp_s or step.waiting for stamp, step in newer):
            return None
        return tuple(step for _, step in newer)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            step = self._names.get(status.name.partition(":")[0])
            if step is not None:
                with self._changed:
                    self._steps[step] = (seconds(message.header.stamp), _step_of(step, status))
                    self._changed.notify_all()
                if step == STEPS[0]:
                    self._note_warning(status)

    def _note_warning(self, status: DiagnosticStatus) -> None:
        behind = status.level == DiagnosticStatus.WARN and _BEHIND in status.message
        if self._begun_s is None:
            return
        self._newest_warning = status.message if behind else ""
        if behind:
            self.warning = status.message
            if self.warned_after_s is None:
                self.warned_after_s = time.time() - self._begun_s


def _step_of(name: str, status: DiagnosticStatus) -> Step:
    values = {pair.key: pair.value for pair in status.values}
    return Step(name, *(int(values[key]) for key in ("received", "processed", "dropped", "lost", "waiting")))


class QueueMonitor(threading.Thread):
    """Reads the snapshots of the process of the nodes, and keeps its memory and the longest queues.

    Args:
        nodes: their process; its stdout is read to the end.
        sent_before: returns the number of images that were sent before a time in ns.
        rate_hz: of the images.
    """

    def __init__(
        self, nodes: subprocess.Popen[bytes], sent_before: Callable[[int], int], rate_hz: float
    ) -> None:
        super().__init__(name="queues", daemon=True)
        self._nodes, self._sent_before, self._rate_hz = nodes, sent_before, rate_hz
        self._lock = threading.Lock()
        self._first: Snapshot | None = None
        self._active = False
        self._memory = MemoryMonitor()
        self._longest: dict[str, int] = {}

    def run(self) -> None:
        for line in self._nodes.stdout or ():
            if line.startswith(b"{"):
                self._add(from_json(Snapshot, line.decode(), "the watched process"))

    def begin(self) -> None:
        """Use the snapshots from now on; the nodes are idle, before the first image."""
        with self._lock:
            self._first, self._active = None, True
            self._memory = MemoryMonitor()
            self._longest.clear()

    def end(self) -> tuple[tuple[Trend, ...], tuple[QueueDepth, ...]]:
        """Stop; return the trends of the memory and the longest queues.

        Raises:
            ConfigurationError: there was no snapshot.
        """
        with self._lock:
            self._active = False
            if not len(self._memory):
                raise ConfigurationError("the process of the nodes prints no snapshots")
            bounds = self._bounds()
            depths = tuple(QueueDepth(name, length, bounds[name]) for name, length in self._longest.items())
            return self._memory.trends(), depths

    @property
    def longest(self) -> int:
        """Length of the longest queue, without images that are not yet received."""
        with self._lock:
            return max([0, *(length for name, length in self._longest.items() if name != _PENDING)])

    def _add(self, snapshot: Snapshot) -> None:
        with self._lock:
            if not self._active:
                return
            if self._first is None:
                self._first = snapshot
            self._memory.add(snapshot.time_ns * 1e-9, snapshot.memory)
            sent = self._sent_before(snapshot.time_ns)
            for name, length in queue_lengths(sent, self._first, snapshot).items():
                self._longest[name] = max(length, self._longest.get(name, 0))

    def _bounds(self) -> dict[str, int]:
        """Maximum length of each queue: the depth of its quality of service, or one message for a thread."""
        pending = round(self._rate_hz * _MAX_PENDING_S)
        return {name: bound or pending for name, bound in _BOUNDS.items()}


_PENDING = "images sent and not yet received by face_tracker"
_BOUNDS = {
    _PENDING: 0,
    "images waiting in face_tracker": 1,
    "tracked_faces in transit": RESULT_QOS.depth,
    "tracked_faces waiting in smile_intensity": 1,
    "face_affect in transit to group_affect": RESULT_QOS.depth,
}


def queue_lengths(sent: int, first: Snapshot, newest: Snapshot) -> dict[str, int]:
    """The lengths of the queues in a snapshot; ``sent`` counts the images since the first snapshot."""
    tracker, smile, group = (now.since(then) for now, then in zip(newest.steps, first.steps))
    counts: Sequence[int] = (
        sent - tracker.received - tracker.lost,
        tracker.waiting,
        tracker.processed - smile.received - smile.lost,
        smile.waiting,
        smile.processed - group.received - group.lost,
    )
    # A message can be received before its sender has counted it.
    return dict(zip(_BOUNDS, (max(0, count) for count in counts)))
