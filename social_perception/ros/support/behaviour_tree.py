"""What the perception publishes, for the trees of :mod:`social_perception.behaviours`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.subscription import Subscription

from social_perception.behaviours.blackboard import NAMESPACE, AffectWriter, Clock
from social_perception.behaviours.trees import py_trees
from social_perception.core.errors import MessageError
from social_perception.ros.convert import faces_of, group_of
from social_perception.ros.support.messages import FaceAffectArray
from social_perception.ros.support.messages import GroupAffect as GroupAffectMessage
from social_perception.ros.support.qos import NEWEST_RESULT_QOS

_THROTTLE_S = 5.0


class AffectToBlackboard(py_trees.behaviour.Behaviour):
    """Subscribes group_affect and face_affect and keeps the blackboard up to date with each tick.

    It always succeeds: what is missing or stale makes the conditions fail, each with its reason. A message
    that cannot be is left out, with a warning, so that what was said before it grows stale.
    Put it first in a sequence at the root, so that it is ticked before those that read.

    Args:
        name: of the behaviour.
        clock: tells the time of receipt in s; the conditions must read the same.
        namespace: of the blackboard's keys.
    """

    def __init__(
        self,
        name: str = "affect to blackboard",
        *,
        clock: Clock = time.monotonic,
        namespace: str = NAMESPACE,
    ) -> None:
        super().__init__(name)
        self._clock = clock
        self._writer = AffectWriter(name, namespace)
        self._node: Node | None = None
        self._subscriptions: list[Subscription] = []
        # Messages with the time of their receipt in s.
        self._group: tuple[GroupAffectMessage, float] | None = None
        self._faces: tuple[FaceAffectArray, float] | None = None
        self._written_group, self._written_faces = self._group, self._faces

    def setup(self, **kwargs: Any) -> None:
        """Subscribe with ``node``, an rclpy node that the program spins.

        Raises:
            KeyError: no node was given.
        """
        try:
            self._node = kwargs["node"]
        except KeyError as error:
            raise KeyError(f"{self.name} needs a node: tree.setup(node=...)") from error
        for kind, topic, callback in (
            (GroupAffectMessage, "group_affect", self._on_group),
            (FaceAffectArray, "face_affect", self._on_faces),
        ):
            subscription = self._node.create_subscription(kind, topic, callback, NEWEST_RESULT_QOS)
            self._subscriptions.append(subscription)

    def update(self) -> py_trees.common.Status:
        # Converted here and not in the callbacks: a tree ticks less often than images come. What is
        # written stays in place, so that nothing is lost if a callback runs meanwhile.
        group, faces = self._group, self._faces
        news = [group is not self._written_group, faces is not self._written_faces]
        self._written_group, self._written_faces = group, faces
        self.feedback_message = "something new" if any(news) else "nothing new"
        if group is not None and news[0]:
            self._write(lambda: self._writer.write_group(group_of(group[0]), group[1]))
        if faces is not None and news[1]:
            self._write(lambda: self._writer.write_faces(faces_of(faces[0]), faces[1]))
        return py_trees.common.Status.SUCCESS

    def _write(self, write: Callable[[], None]) -> None:
        try:
            write()
        except MessageError as error:
            self.feedback_message = f"left out what cannot be: {error}"
            if self._node is not None:
                logger = self._node.get_logger()
                logger.warning(self.feedback_message, throttle_duration_sec=_THROTTLE_S)

    def shutdown(self) -> None:
        while self._node is not None and self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.pop())

    def _on_group(self, message: GroupAffectMessage) -> None:
        self._group = (message, self._clock())

    def _on_faces(self, message: FaceAffectArray) -> None:
        self._faces = (message, self._clock())
