"""Writes the published results to the blackboard of :mod:`social_perception.behaviours`."""

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
    """Subscribes to group_affect and face_affect and updates the blackboard with each tick.

    It always succeeds: missing or stale values make the conditions fail, each with its reason. An invalid
    message is dropped with a warning, so that the values before it become stale. Put this behaviour first
    in a sequence at the root, so that it is ticked before those that read.

    Args:
        name: of the behaviour.
        clock: returns the time of receipt in s; the conditions must use the same clock.
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
        self._subscriptions: list[Subscription[Any]] = []
        # Messages with the time of their receipt in s.
        self._group: tuple[GroupAffectMessage, float] | None = None
        self._faces: tuple[FaceAffectArray, float] | None = None
        self._written_group: tuple[GroupAffectMessage, float] | None = None
        self._written_faces: tuple[FaceAffectArray, float] | None = None

    def setup(self, **kwargs: Any) -> None:
        """Subscribe with ``node``, an rclpy node that the program spins.

        Raises:
            KeyError: the argument ``node`` is missing.
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
        # Converted here and not in the callbacks, because a tree ticks less often than images arrive. The
        # messages stay in place, so that none is lost if a callback runs meanwhile.
        group, faces = self._group, self._faces
        new = [group is not self._written_group, faces is not self._written_faces]
        self._written_group, self._written_faces = group, faces
        self.feedback_message = "new results" if any(new) else "no new results"
        if group is not None and new[0]:
            self._write(lambda: self._writer.write_group(group_of(group[0]), group[1]))
        if faces is not None and new[1]:
            self._write(lambda: self._writer.write_faces(faces_of(faces[0]), faces[1]))
        return py_trees.common.Status.SUCCESS

    def _write(self, write: Callable[[], None]) -> None:
        try:
            write()
        except MessageError as error:
            self.feedback_message = f"dropped an invalid message: {error}"
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
