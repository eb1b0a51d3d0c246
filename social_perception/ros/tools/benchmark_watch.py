"""What the benchmark learns of the nodes while it plays: from /diagnostics, and from who watches them."""

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
from social_perception.ros.tools.watched import Look

STEPS = ("face_tracker", "smile_intensity")
"""Those whose counts say what became of an image until it is answered."""

_BEHIND = "falling behind"
_REST_S = 20.0
_LONGEST_UNTAKEN_S = 1.0
"""Time in s by which every image that was sent must have been taken or replaced."""


class Diagnosis:
    """Keeps what the nodes say of themselves on /diagnostics.

    Args:
        node: that listens.
    """

    def __init__(self, node: Node) -> None:
        self._names = {f"{node.get_namespace().rstrip('/')}/{step}": step for step in STEPS}
        self._changed = threading.Condition()
        self._steps: dict[str, tuple[float, Step]] = {}
        self._begun_s: float | None = None
        self.warned_after_s: float | None = None
        self.warning = self._newest_warning = ""
        node.create_subscription(DiagnosticArray, "/diagnostics", self._take, 10)

    def begin(self) -> None:
        """Heed warnings from now on."""
        self._begun_s, self.warned_after_s, self.warning = time.time(), None, ""

    def end(self) -> bool:
        """Heed them no more; return whether the newest report still was one."""
        self._begun_s = None
        return bool(self._newest_warning)

    def at_rest(self) -> tuple[Step, ...]:
        """Wait until no message is in transit; return what the nodes then say.

        Raises:
            SocialPerceptionError: they say nothing, or do not come to rest.
        """
        deadline_s, asked_s, before = time.monotonic() + _REST_S, time.time(), None
        with self._changed:
            while (found := self._newer_than(asked_s)) is None or found != before:
                if found is not None:
                    before, asked_s = found, max(stamp_s for stamp_s, _ in self._steps.values())
                if not self._changed.wait(max(0.0, deadline_s - time.monotonic())):
                    raise SocialPerceptionError("the nodes did not come to rest, as /diagnostics says")
        return found

    def _newer_than(self, stamp_s: float) -> tuple[Step, ...] | None:
        """What all nodes have said after a time; None: one of them has not, or something waits."""
        newer = [self._steps[step] for step in STEPS if step in self._steps]
        if len(newer) < len(STEPS) or any(stamp <= stamp_s or step.waiting for stamp, step in newer):
            return None
        return tuple(step for _, step in newer)

    def _take(self, message: DiagnosticArray) -> None:
        for status in message.status:
            step = self._names.get(status.name.partition(":")[0])
            if step is not None:
                with self._changed:
                    self._steps[step] = (seconds(message.header.stamp), _step_of(step, status))
                    self._changed.notify_all()
                if step == STEPS[0]:
                    self._heed(status)

    def _heed(self, status: DiagnosticStatus) -> None:
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


class Looks(threading.Thread):
    """Reads what the process of the nodes says of itself, and keeps of it what is judged.

    Args:
        nodes: their process; its stdout is read to the end.
        sent_before: how many images were sent before a time in ns.
        rate_hz: of the images.
    """

    def __init__(
        self, nodes: subprocess.Popen[bytes], sent_before: Callable[[int], int], rate_hz: float
    ) -> None:
        super().__init__(name="looks", daemon=True)
        self._nodes, self._sent_before, self._rate_hz = nodes, sent_before, rate_hz
        self._lock = threading.Lock()
        self._first: Look | None = None
        self._heeding = False
        self._inside = MemoryMonitor()
        self._most: dict[str, int] = {}

    def run(self) -> None:
        for line in self._nodes.stdout or ():
            if line.startswith(b"{"):
                self._take(from_json(Look, line.decode(), "the watcher"))

    def begin(self) -> None:
        """Heed what is seen from now on, at rest and before the first image."""
        with self._lock:
            self._first, self._heeding = None, True
            self._inside = MemoryMonitor()
            self._most.clear()

    def end(self) -> tuple[tuple[Trend, ...], tuple[QueueDepth, ...]]:
        """Heed it no more; return how memory went, and what waited.

        Raises:
            ConfigurationError: nothing was seen.
        """
        with self._lock:
            self._heeding = False
            if not len(self._inside):
                raise ConfigurationError("the process of the nodes says nothing of itself")
            bounds = self._bounds()
            depths = tuple(QueueDepth(place, most, bounds[place]) for place, most in self._most.items())
            return self._inside.trends(), depths

    @property
    def most(self) -> int:
        """The most that was seen at any one place, images that are not yet taken left out."""
        with self._lock:
            return max([0, *(most for place, most in self._most.items() if place != _UNTAKEN)])

    def _take(self, look: Look) -> None:
        with self._lock:
            if not self._heeding:
                return
            if self._first is None:
                self._first = look
            self._inside.add(look.time_ns * 1e-9, look.inside)
            for place, count in waiting(self._sent_before(look.time_ns), self._first, look).items():
                self._most[place] = max(count, self._most.get(place, 0))

    def _bounds(self) -> dict[str, int]:
        """How much may wait at each place: what the quality of service keeps, and one for a thread."""
        untaken = round(self._rate_hz * _LONGEST_UNTAKEN_S)
        return {place: bound or untaken for place, bound in _BOUNDS.items()}


_UNTAKEN = "images sent and not yet received by face_tracker"
_BOUNDS = {
    _UNTAKEN: 0,
    "images waiting in face_tracker": 1,
    "tracked_faces in transit": RESULT_QOS.depth,
    "tracked_faces waiting in smile_intensity": 1,
    "face_affect in transit to group_affect": RESULT_QOS.depth,
}


def waiting(sent: int, first: Look, look: Look) -> dict[str, int]:
    """What waited at each place at a look, when so many images had been sent since the first one."""
    tracker, smile, group = (now.since(then) for now, then in zip(look.steps, first.steps))
    counts: Sequence[int] = (
        sent - tracker.received - tracker.lost,
        tracker.waiting,
        tracker.processed - smile.received - smile.lost,
        smile.waiting,
        smile.processed - group.received - group.lost,
    )
    # A message can be taken before its sender has counted it as done.
    return dict(zip(_BOUNDS, (max(0, count) for count in counts)))
