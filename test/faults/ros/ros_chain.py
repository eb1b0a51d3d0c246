"""Tracker, scorer and group in one executor over real topics, and a camera that can do what cameras do."""

from __future__ import annotations

import time

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image
from social_perception.msg import FaceAffectArray, GroupAffect, TrackedFaceArray

from social_perception.ros.convert import blob
from social_perception.ros.nodes.face_tracker import FaceTrackerNode
from social_perception.ros.nodes.group_affect import GroupAffectNode
from social_perception.ros.nodes.smile_intensity import SmileIntensityNode
from social_perception.ros.support.images import image_header

PEOPLE, SIZE, RATE_HZ = 2, (360, 202), 15.0
QUICK = {"diagnostics_period_s": 0.1, "silent_after_s": 0.4}


def in_encoding(picture: np.ndarray, encoding: str) -> Image:
    """An RGB picture as a camera with this encoding sends it; width and height must be even."""
    height, width = picture.shape[:2]
    made = {
        "rgb8": lambda: picture,
        "bgr8": lambda: picture[..., ::-1],
        "mono8": lambda: cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY),
        "yuv422_yuy2": lambda: cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_YUY2),
        "bayer_rggb8": lambda: bayer(picture),
    }[encoding]()
    pixels = np.ascontiguousarray(made)
    step = pixels.nbytes // height
    return Image(height=height, width=width, encoding=encoding, step=step, data=blob(pixels))


def bayer(picture: np.ndarray) -> np.ndarray:
    """What a sensor behind a colour filter sees: red first, blue last, of each square."""
    raw = picture[..., 1].copy()
    raw[0::2, 0::2] = picture[0::2, 0::2, 0]
    raw[1::2, 1::2] = picture[1::2, 1::2, 2]
    return raw


class Camera:
    """Publishes drawn people at a steady rate while it is on; the node's executor drives it."""

    def __init__(self, ros, pictures, *, reliable: bool = True) -> None:
        policy = QoSReliabilityPolicy.RELIABLE if reliable else QoSReliabilityPolicy.BEST_EFFORT
        self._node, self._canvases = ros.node, pictures
        self._publisher = ros.node.create_publisher(Image, "image", QoSProfile(depth=1, reliability=policy))
        self._timer = ros.node.create_timer(1.0 / RATE_HZ, self._shoot)
        self.encoding, self.size, self.frame_id = "rgb8", SIZE, "camera"
        self.shots = 0

    def close(self) -> None:
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)

    def _shoot(self) -> None:
        picture = self._canvases[self.shots % len(self._canvases)]
        if self.size != SIZE:
            picture = cv2.resize(picture, self.size)
        self.shots += 1
        message = in_encoding(picture, self.encoding)
        now: Time = self._node.get_clock().now().to_msg()
        message.header = image_header(now, self.frame_id)
        self._publisher.publish(message)


class Chain:
    """The nodes, and what a listener hears of them."""

    def __init__(self, ros, **tracker) -> None:
        self.ros = ros
        given = {**QUICK, "min_face_px": 40, "device": "cpu", "publish_crops": True, **tracker}
        self.group = ros.start(GroupAffectNode, QUICK)
        self.scorer = ros.start(SmileIntensityNode, {**QUICK, "device": "cpu"})
        self.tracker = ros.start(FaceTrackerNode, given)
        self.statuses = ros.statuses(self.tracker)
        self.groups = ros.collect(GroupAffect, "group_affect")
        self.faces = ros.collect(FaceAffectArray, "face_affect")
        self.tracked = ros.collect(TrackedFaceArray, "tracked_faces")

    def await_live(self) -> tuple[float, set[str]]:
        """Wait for a word on an image taken from now on in which everybody is known.

        Returns:
            The time in s that it took, and the people's ids.
        """
        begun_s, now = time.monotonic(), self.ros.node.get_clock().now().to_msg()

        def live():
            last = self.groups[-1] if self.groups else None
            fresh = last is not None and not last.stale and last.valid_faces == PEOPLE
            return (
                last
                if fresh and (last.header.stamp.sec, last.header.stamp.nanosec) > (now.sec, now.nanosec)
                else None
            )

        found = self.ros.until(live, "a group that is fresh, with everybody known", 40.0)
        return time.monotonic() - begun_s, set(found.face_ids)

    def await_stale(self) -> float:
        """Wait until the group is stale; return the time in s that it took."""
        begun_s = time.monotonic()
        self.groups.clear()
        self.ros.until(lambda: self.groups and self.groups[-1].stale, "a stale group")
        return time.monotonic() - begun_s

    def await_status(self, text: str, level: bytes) -> None:
        """Wait until the tracker says so on /diagnostics."""
        self.statuses.clear()
        self.ros.until(
            lambda: any(text in each.message and each.level == level for each in self.statuses), text
        )
