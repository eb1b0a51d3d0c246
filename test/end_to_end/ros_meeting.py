"""Plays the meeting into real nodes in a process of their own, over real topics."""

from __future__ import annotations

import array
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import rclpy
from judge import SeenFace, SeenFrame
from meeting import HEIGHT, RATE_HZ, WIDTH, Meeting
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from social_perception.msg import FaceAffectArray, GroupAffect

START_S = 1_000_000
"""Stamp of the first frame: an odd epoch, so that a stamp made by a node would show."""

PATIENCE_S = 5.0


class Stage(Node):
    """Publishes images and notes what comes back."""

    def __init__(self) -> None:
        super().__init__("meeting_stage")
        self.images = self.create_publisher(Image, "image", QoSProfile(depth=1))
        self.seen: dict[int, SeenFrame] = {}
        self.sizes: dict[int, int] = {}
        self.create_subscription(FaceAffectArray, "face_affect", self._on_faces, QoSProfile(depth=50))
        self.create_subscription(GroupAffect, "group_affect", self._on_group, QoSProfile(depth=50))

    def publish(self, frame: int, image: np.ndarray) -> None:
        message = Image(height=HEIGHT, width=WIDTH, encoding="rgb8", step=3 * WIDTH)
        stamp_ns = round(frame * 1e9 / RATE_HZ)
        message.header.stamp.sec = START_S + stamp_ns // 10**9
        message.header.stamp.nanosec = stamp_ns % 10**9
        message.header.frame_id = "camera"
        message.data = array.array("B", image.tobytes())
        self.images.publish(message)

    def _on_faces(self, message: FaceAffectArray) -> None:
        frame = frame_of(message)
        self.seen[frame] = SeenFrame(frame, tuple(map(seen_face, message.faces)))

    def _on_group(self, message: GroupAffect) -> None:
        if message.header.frame_id:  # empty until the first image has come
            self.sizes[frame_of(message)] = message.group_size


def frame_of(message: FaceAffectArray | GroupAffect) -> int:
    assert message.header.frame_id == "camera"
    stamp = message.header.stamp
    return round((stamp.sec - START_S + stamp.nanosec * 1e-9) * RATE_HZ)


def seen_face(face) -> SeenFace:
    x = face.roi.x_offset + face.roi.width / 2
    y = face.roi.y_offset + face.roi.height / 2
    return SeenFace(face.id, x, y, face.intensity if face.valid else None)


def play(meeting: Meeting) -> tuple[list[SeenFrame], dict[int, int]]:
    """Return what was reported of each frame, and the group's size by frame.

    A frame is sent when its predecessor has been answered, at most 30 times a second, so that a
    slow machine takes longer but sees the same frames.
    """
    rclpy.init()
    stage = Stage()
    executor = SingleThreadedExecutor()
    executor.add_node(stage)
    try:
        with running_nodes():
            spin_until(executor, lambda: stage.images.get_subscription_count() > 0, 60.0)
            _warm_up(stage, executor)
            _play_frames(meeting, stage, executor)
            return [stage.seen[frame] for frame in sorted(stage.seen) if frame >= 0], stage.sizes
    finally:
        executor.shutdown()
        stage.destroy_node()
        rclpy.shutdown()


def _warm_up(stage: Stage, executor: SingleThreadedExecutor) -> None:
    """Send empty pictures until ten in a row are answered: then the way there and back is open."""
    empty = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for frame in range(-300, 0):
        stage.publish(frame, empty)
        answered = spin_until(executor, lambda frame=frame: frame in stage.seen, 0.5, required=False)
        if answered and all(earlier in stage.seen for earlier in range(frame - 9, frame)):
            return
    raise AssertionError(f"the nodes answered {len(stage.seen)} of 300 frames")


def _play_frames(meeting: Meeting, stage: Stage, executor: SingleThreadedExecutor) -> None:
    for frame, image in enumerate(meeting.frames()):
        earliest = time.monotonic() + 1.0 / RATE_HZ
        stage.publish(frame, image)
        spin_until(executor, lambda frame=frame: frame in stage.seen, PATIENCE_S, required=False)
        spin_until(executor, lambda earliest=earliest: time.monotonic() >= earliest, 1.0)


def spin_until(
    executor: SingleThreadedExecutor, done: Callable[[], bool], patience_s: float, *, required: bool = True
) -> bool:
    deadline = time.monotonic() + patience_s
    while not done():
        if time.monotonic() > deadline:
            assert not required, "what was waited for did not happen"
            return False
        executor.spin_once(timeout_sec=0.005)
    return True


@contextmanager
def running_nodes() -> Iterator[subprocess.Popen[bytes]]:
    """All nodes in one process of their own; stopped by Ctrl-C's signal, which must end them cleanly."""
    command = [sys.executable, "-m", "social_perception.ros.nodes.social_perception_all"]
    process = subprocess.Popen(command, env=os.environ)
    try:
        yield process
        assert process.poll() is None, "the nodes died"
    finally:
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(timeout=30) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            raise
