"""Publishes the group's affect at a fixed rate, and at once when somebody joins or leaves: never silent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from std_msgs.msg import Header

from social_perception.core.config import GroupConfig
from social_perception.core.types import FrameAffect, GroupAffect
from social_perception.ros.support.messages import MESSAGES
from social_perception.ros.support.messages import GroupAffect as GroupAffectMessage
from social_perception.ros.support.step_node import StepNode

if TYPE_CHECKING:
    from social_perception.perception.pipeline import GroupAggregation


class GroupPublisher:
    """Aggregates frames and publishes the group; frames and timers may come in different threads.

    Args:
        node: that publishes; it has the settings of GroupConfig.
        aggregation: the step.
        shown: makes what is published of a group.
    """

    def __init__(
        self,
        node: StepNode[Any],
        aggregation: GroupAggregation,
        shown: Callable[[GroupAffect], GroupAffect] = lambda group: group,
    ) -> None:
        self._node, self._aggregation, self._shown = node, aggregation, shown
        self._lock = threading.Lock()
        self._header: Header | None = None
        self._is_news = False
        self._publisher = node.make_publisher(GroupAffectMessage, "group_affect")

    def start(self) -> None:
        """Publish at the node's rate until it is deactivated."""
        # By the node's clock: a simulation that stands still has no news.
        rate_hz = self._node.parameters[GroupConfig].publish_rate_hz
        self._node.every(1.0 / rate_hz, self._publish_current, steady=False)

    def add(self, header: Header, affect: FrameAffect) -> int:
        """Aggregate a frame, and publish its group if other people are in it; return their number."""
        with self._lock:
            before = None if self._header is None else set(self._aggregation.current(0.0).face_ids)
            group = self._aggregation.process(affect).group
            assert group is not None
            self._header, self._is_news = header, True
            if before != set(group.face_ids):
                self._publish(group)
        return group.group_size

    def current(self) -> GroupAffect:
        """The newest group, as old as the node's input."""
        return self._aggregation.current(0.0 if self._node.input is None else self._node.input.silence_s())

    def header(self) -> Header:
        """The header of the newest image; that of now before the first."""
        header = self._header
        return header if header is not None else Header(stamp=self._node.get_clock().now().to_msg())

    def reset(self) -> None:
        """Forget what was seen."""
        with self._lock:
            self._aggregation.reset()
            self._header, self._is_news = None, False

    def _publish_current(self) -> None:
        with self._lock:
            self._publish(self.current())

    def _publish(self, group: GroupAffect) -> None:
        header = self.header()
        self._publisher.publish(MESSAGES.group_affect(header, self._shown(group)))
        # The same image again, because nothing newer came, is no news and has no latency.
        if self._is_news:
            self._is_news = False
            self._node.note_published(header.stamp)
        else:
            self._node.health.published()
