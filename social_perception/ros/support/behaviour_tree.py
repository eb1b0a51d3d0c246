"""Writes the published results to the blackboard of :mod:`social_perception.behaviours`."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.subscription import Subscription

from social_perception.behaviours.blackboard import NAMESPACE, AffectWriter, Clock
from social_perception.behaviours.trees import py_trees
from social_perception.core.errors import MessageError
from social_perception.ros.convert import faces_of, group_of, scene_of
from social_perception.ros.support.messages import FaceAffectArray
from social_perception.ros.support.messages import GroupAffect as GroupAffectMessage
from social_perception.ros.support.messages import SceneAffect as SceneAffectMessage
from social_perception.ros.support.qos import NEWEST_RESULT_QOS

_THROTTLE_S = 5.0


class AffectToBlackboard(py_trees.behaviour.Behaviour):
    """Subscribes to group_affect, face_affect and scene_affect and updates the blackboard with each tick.

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
        self._topics: dict[str, tuple[type, Callable[[Any, float], None]]] = {
            "group_affect": (
                GroupAffectMessage,
                lambda message, at_s: self._writer.write_group(group_of(message), at_s),
            ),
            "face_affect": (
                FaceAffectArray,
                lambda message, at_s: self._writer.write_faces(faces_of(message), at_s),
            ),
            "scene_affect": (
                SceneAffectMessage,
                lambda message, at_s: self._writer.write_scene(scene_of(message), at_s),
            ),
        }
        self._node: Node | None = None
        self._subscriptions: list[Subscription[Any]] = []
        # By topic the newest message, not written yet, with the time of its receipt in s.
        self._new: dict[str, tuple[Any, float]] = {}

    def setup(self, **kwargs: Any) -> None:
        """Subscribe with ``node``, an rclpy node that the program spins.

        Raises:
            KeyError: the argument ``node`` is missing.
        """
        try:
            self._node = kwargs["node"]
        except KeyError as error:
            raise KeyError(f"{self.name} needs a node: tree.setup(node=...)") from error
        for topic, (kind, _) in self._topics.items():
            keep = functools.partial(self._keep, topic)
            self._subscriptions.append(self._node.create_subscription(kind, topic, keep, NEWEST_RESULT_QOS))

    def update(self) -> py_trees.common.Status:
        # Converted here and not in the callbacks, because a tree ticks less often than images arrive. A
        # callback may run meanwhile: what is taken out is written, and what it puts in is written next time.
        self.feedback_message = "new results" if self._new else "no new results"
        for topic in list(self._new):
            message, received_s = self._new.pop(topic)
            try:
                self._topics[topic][1](message, received_s)
            except MessageError as error:
                self.feedback_message = f"dropped an invalid message: {error}"
                if self._node is not None:
                    logger = self._node.get_logger()
                    logger.warning(self.feedback_message, throttle_duration_sec=_THROTTLE_S)
        return py_trees.common.Status.SUCCESS

    def shutdown(self) -> None:
        while self._node is not None and self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.pop())

    def _keep(self, topic: str, message: Any) -> None:
        self._new[topic] = (message, self._clock())
