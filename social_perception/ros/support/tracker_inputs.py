"""Several face_trackers as the input of one node: one batch of what waits of all, and one time."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from rclpy.node import Node

from social_perception.ros.support.messages import TrackedFaceArray
from social_perception.ros.support.qos import NEWEST_RESULT_QOS
from social_perception.ros.support.topic_input import TopicInput

_APART_S = 5.0
"""Cameras whose times differ by more have clocks that do not go together."""


def topic_of(tracker: str, name: str) -> str:
    """A topic in the namespace of a tracker; an empty one is that of the node."""
    return f"{tracker}/{name}" if tracker else name


class TrackerInputs:
    """Subscribes the tracked faces of several trackers; to its node it is one :class:`TopicInput`.

    Args:
        node: that subscribes.
        trackers: their namespaces.
        take: called with a tracker's namespace and each of its messages.
        on_replaced: called with the number of messages that were newly found to have been replaced.
    """

    def __init__(
        self,
        node: Node,
        trackers: Sequence[str],
        take: Callable[[str, TrackedFaceArray], None],
        on_replaced: Callable[[int], None],
    ) -> None:
        self._inputs = [
            TopicInput(
                node,
                TrackedFaceArray,
                topic_of(tracker, "tracked_faces"),
                NEWEST_RESULT_QOS,
                functools.partial(take, tracker),
                noun="tracked faces",
                origin="face_tracker",
                on_replaced=on_replaced,
            )
            for tracker in trackers
        ]

    @property
    def topic(self) -> str:
        """The full names of the topics, after remapping."""
        return ", ".join(each.topic for each in self._inputs)

    @property
    def lost(self) -> int:
        """Messages lost on the way."""
        return sum(each.lost for each in self._inputs)

    @property
    def replaced(self) -> int:
        """Messages that arrived and were replaced by newer ones before the node took them."""
        return sum(each.replaced for each in self._inputs)

    def silence_s(self) -> float:
        """Time in s since the last message of any tracker, by the node's clock."""
        return min(each.silence_s() for each in self._inputs)

    def check(self, limit_s: float) -> str:
        """Return which trackers are silent and why, or an empty string. To be called often."""
        return "; ".join(filter(None, [each.check(limit_s) for each in self._inputs]))

    def crowd(self) -> str:
        """On which topics several nodes publish, or an empty string. To be called often."""
        return "; ".join(filter(None, [each.crowd() for each in self._inputs]))

    def close(self) -> None:
        """Unsubscribe."""
        for each in self._inputs:
            each.close()


class CommonTime:
    """One time for several cameras, whose clocks need not go together.

    The first camera's time is everybody's. Another one's is taken as it is while it differs by less than
    5 s, and else shifted to where the others are when it is heard.
    """

    def __init__(self) -> None:
        self._shifts_s: dict[str, float] = {}
        self._now_s = 0.0

    def of(self, camera: str, stamp_s: float) -> float:
        """The common time in s of a camera's stamp."""
        shift_s = self._shifts_s.get(camera, 0.0)
        if self._shifts_s.keys() - {camera} and abs(stamp_s + shift_s - self._now_s) > _APART_S:
            shift_s = self._now_s - stamp_s
        self._shifts_s[camera] = shift_s
        self._now_s = stamp_s + shift_s
        return self._now_s
