"""Publishes the results of ``social-perception live`` on the topics of the nodes."""

from __future__ import annotations

import time

import rclpy
from builtin_interfaces.msg import Time
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import Header

from social_perception.core.types import Frame, FrameAffect
from social_perception.ros.nodes.image_publisher import FRAME_ID
from social_perception.ros.support.images import image_header
from social_perception.ros.support.messages import MESSAGES, FaceAffectArray, SceneAffect
from social_perception.ros.support.messages import GroupAffect as GroupAffectMessage
from social_perception.ros.support.qos import RESULT_QOS
from social_perception.sinks.sink import Sink


class LivePublisher(Sink):
    """A node that publishes ``group_affect`` and, if people are enabled, ``face_affect``; or the scene.

    Args:
        stamps_are_now: whether the frames' stamps are the current time, as with a camera; the stamps of a
            recording are shifted so that its first frame is now.
        people: whether single people are published; false: the group only.
        scene: whether the scene is published, and neither people nor a group.
    """

    def __init__(self, *, stamps_are_now: bool, people: bool = True, scene: bool = False) -> None:
        # The command handles Ctrl-C itself: it completes the table and ends.
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node("social_perception_live")
        self._faces = self._group = self._scene = None
        if scene:
            self._scene = self._node.create_publisher(SceneAffect, "scene_affect", RESULT_QOS)
        else:
            self._group = self._node.create_publisher(GroupAffectMessage, "group_affect", RESULT_QOS)
        if people and not scene:
            self._faces = self._node.create_publisher(FaceAffectArray, "face_affect", RESULT_QOS)
        self._shift_s: float | None = 0.0 if stamps_are_now else None
        self._closed = False

    @property
    def topics(self) -> tuple[str, ...]:
        """The full names of the topics."""
        publishers = (self._faces, self._group, self._scene)
        return tuple(each.topic_name for each in publishers if each is not None)

    def add(self, frame: Frame, affect: FrameAffect) -> None:
        if self._faces is not None:
            self._faces.publish(MESSAGES.face_affects(self._header(affect), affect))
        self._publish_group(affect)

    def stale(self, affect: FrameAffect | None, reason: str) -> None:
        """Publish only the group, or the scene."""
        if affect is not None:
            self._publish_group(affect)

    def _publish_group(self, affect: FrameAffect) -> None:
        if affect.scene is not None and self._scene is not None:
            self._scene.publish(MESSAGES.scene_affect(self._header(affect), affect.scene))
        if affect.group is not None and self._group is not None:
            self._group.publish(MESSAGES.group_affect(self._header(affect), affect.group))

    def _header(self, affect: FrameAffect) -> Header:
        return image_header(self._stamp(affect.stamp_s), FRAME_ID)

    def _stamp(self, stamp_s: float) -> Time:
        if self._shift_s is None:
            self._shift_s = time.time() - stamp_s
        nanoseconds = round((stamp_s + self._shift_s) * 1e9)
        return Time(sec=nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._node.destroy_node()
            rclpy.try_shutdown()
