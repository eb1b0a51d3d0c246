"""Subscribes to every topic of a namespace, and summarises the messages."""

from __future__ import annotations

import itertools
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rclpy.node import Node
from rclpy.subscription import Subscription
from rosidl_runtime_py.utilities import get_message

from social_perception.ros.support.qos import image_qos

DIAGNOSTICS = "/diagnostics"
_KEPT = 2000
_DISCOVERY_PERIOD_S = 0.5


@dataclass(slots=True)
class Received:
    """The messages of one topic.

    Attributes:
        kind: type of the messages, for example ``sensor_msgs/msg/Image``.
        count: number of received messages.
        times_s: when the newest of them were received, by the steady clock.
        last: the newest message.
    """

    kind: str
    count: int = 0
    times_s: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    last: Any = None

    def rate_hz(self, since_s: float) -> float:
        """Messages per second since a time; 0 for fewer than two messages."""
        times_s = [time_s for time_s in self.times_s if time_s >= since_s]
        return (len(times_s) - 1) / (times_s[-1] - times_s[0]) if len(times_s) > 1 else 0.0

    def longest_gap_s(self, since_s: float) -> float:
        """Longest time in s without a message from a time until now."""
        times_s = [since_s, *(time_s for time_s in self.times_s if time_s >= since_s), time.monotonic()]
        return max(after - before for before, after in itertools.pairwise(times_s))


class Listener(Node):
    """Subscribes to all topics that appear in a namespace, and to the diagnostics.

    Args:
        inside: absolute namespace.
        node_options: passed on to rclpy.
    """

    def __init__(self, inside: str, **node_options: Any) -> None:
        super().__init__("robot_check", **node_options)
        self._inside = inside + "/"
        self.topics: dict[str, Received] = {}
        self.statuses: dict[str, Any] = {}
        self._discover()
        self.create_timer(_DISCOVERY_PERIOD_S, self._discover)

    def last(self, topic: str) -> Any:
        """The newest message on a topic; None before the first."""
        received = self.topics.get(topic)
        return received.last if received is not None else None

    def count(self, topic: str) -> int:
        """Number of messages received on a topic."""
        received = self.topics.get(topic)
        return received.count if received is not None else 0

    def status(self, node: str) -> Any:
        """The newest diagnostic status of a node; None before the first."""
        return next((status for name, status in self.statuses.items() if is_of(name, node)), None)

    def _discover(self) -> None:
        for topic, kinds in self.get_topic_names_and_types():
            inside = topic.startswith(self._inside) or topic == DIAGNOSTICS
            if inside and topic not in self.topics:
                self.listen(topic, kinds[0])

    def listen(self, topic: str, kind: str, *, reliable: bool = True) -> Subscription[Any]:
        """Subscribe to a topic."""
        self.topics[topic] = received = Received(kind)

        def receive(message: Any) -> None:
            received.count += 1
            received.times_s.append(time.monotonic())
            received.last = message
            if topic == DIAGNOSTICS:
                ours = [status for status in message.status if status.name.startswith(self._inside)]
                self.statuses.update((status.name, status) for status in ours)

        depth = 1 if kind.endswith("Image") else 20
        return self.create_subscription(
            get_message(kind), topic, receive, image_qos(reliable=reliable, depth=depth)
        )


def is_of(status_name: str, node: str) -> bool:
    """Whether a status is that of a node: its name, alone or followed by its task."""
    return status_name == node or status_name.startswith(f"{node}:")


def summary(kind: str, message: Any) -> str:
    """A short description of a message."""
    describe = _SUMMARIES.get(kind.rpartition("/")[2])
    return describe(message) if describe is not None else str(message)[:80]


def _group(message: Any) -> str:
    return (
        f"group_size {message.group_size}, intensity {message.intensity:.2f}, "
        f"level {message.level}, trend {message.trend:+.2f}/s, stale {message.stale}"
    )


def _faces(message: Any) -> str:
    people = [
        f"{face.id} {face.intensity:.2f}"
        + ("" if math.isnan(face.position.z) else f" at {face.position.z:.2f} m")
        for face in message.faces
    ]
    return f"{len(people)} faces: {', '.join(people)}"


def _tracked(message: Any) -> str:
    sizes = [f"{face.roi.width}x{face.roi.height} px" for face in message.faces]
    return f"{len(sizes)} faces: {', '.join(sizes)}; {len(message.crops)} bytes of crops"


def _dynamics(message: Any) -> str:
    return f"{len(message.pairs)} pairs, synchrony {message.synchrony:.2f} over {message.window:.0f} s"


def _compressed(message: Any) -> str:
    return f"{message.format}, {len(message.data) / 1000:.0f} kB"


def _statuses(message: Any) -> str:
    return "; ".join(f"{status.name}: {status.message}" for status in message.status)


def _parameter_event(message: Any) -> str:
    return f"{message.node}: {len(message.changed_parameters)} changed"


_SUMMARIES: dict[str, Callable[[Any], str]] = {
    "GroupAffect": _group,
    "FaceAffectArray": _faces,
    "TrackedFaceArray": _tracked,
    "GroupDynamics": _dynamics,
    "Image": lambda message: f"{message.width}x{message.height} {message.encoding}",
    "CompressedImage": _compressed,
    "CameraInfo": lambda message: f"{message.width}x{message.height}, focal length {message.k[0]:.0f} px",
    "MarkerArray": lambda message: f"{len(message.markers)} markers",
    "DiagnosticArray": _statuses,
    "TransitionEvent": lambda message: f"{message.start_state.label} -> {message.goal_state.label}",
}
