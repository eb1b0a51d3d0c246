"""The real launch file with real networks, a camera that films drawn people, and somebody who listens."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import rclpy
import yaml
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from social_perception.msg import FaceAffectArray, GroupAffect

from social_perception.ros.convert import seconds
from social_perception.ros.support.images import encode, image_header
from social_perception.ros.tools.robot_check.launched import Program
from social_perception.sources.sample import SampleSource

LAUNCH = Path(__file__).parents[3] / "launch" / "group_smile.launch.py"
PEOPLE = 2
SIZE = (480, 270)
PICTURES = 30
TIMEOUT_S = 90.0
SETTINGS = {
    "/**/face_tracker": {"min_face_px": 45, "device": "cpu"},
    "/**/smile_intensity": {"device": "cpu"},
    "/**/group_affect": {"publish_rate_hz": 20.0},
}


@dataclass(frozen=True)
class Received:
    """A message about the group or the faces, and when it came, in s of the steady clock and of the day."""

    at_s: float
    day_s: float
    stamp_s: float
    ids: tuple[str, ...]
    valid: int
    stale: bool = False

    @property
    def is_live(self) -> bool:
        """Whether it says of an image of the last second that everybody is there and known."""
        return not self.stale and self.valid == PEOPLE and self.day_s - self.stamp_s < 1.0


class Outside:
    """A camera that plays back and forth, and a listener, in a thread with a context of their own."""

    def __init__(self, namespace: str, rate_hz: float = 10.0) -> None:
        source = SampleSource(people=PEOPLE)
        pictures = [cv2.resize(source.image(i), SIZE, interpolation=cv2.INTER_AREA) for i in range(PICTURES)]
        self._canvases: list[np.ndarray] = pictures + pictures[::-1]
        self.groups: list[Received] = []
        self.faces: list[Received] = []
        self.shots = 0
        self.is_on = True
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self.node = rclpy.create_node("outside", context=self._context, namespace=namespace)
        self.camera = self.node.create_publisher(Image, "eye/image", QoSProfile(depth=1))
        self.node.create_subscription(GroupAffect, "group_affect", self._on_group, 10)
        self.node.create_subscription(FaceAffectArray, "face_affect", self._on_faces, 10)
        self.node.create_timer(1.0 / rate_hz, self._shoot)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._executor.shutdown(timeout_sec=5.0)
        self._thread.join(5.0)
        self.node.destroy_node()
        self._context.try_shutdown()

    def await_live(self, after_s: float = 0.0, timeout_s: float = TIMEOUT_S) -> Received:
        """The first live word on the group that came after a time of the steady clock."""
        return until(
            lambda: next((each for each in self.groups if each.at_s > after_s and each.is_live), None),
            "a group that is fresh, with everybody known",
            timeout_s,
        )

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self._executor.spin()

    def _shoot(self) -> None:
        if not self.is_on:
            return
        stamp = self.node.get_clock().now().to_msg()
        picture = self._canvases[self.shots % len(self._canvases)]
        self.shots += 1
        self.camera.publish(encode(picture, image_header(stamp, "camera")))

    def _on_group(self, message: GroupAffect) -> None:
        self.groups.append(
            Received(
                time.monotonic(),
                time.time(),
                seconds(message.header.stamp),
                tuple(message.face_ids),
                message.valid_faces,
                message.stale,
            )
        )

    def _on_faces(self, message: FaceAffectArray) -> None:
        ids = tuple(face.id for face in message.faces)
        valid = sum(face.valid for face in message.faces)
        self.faces.append(Received(time.monotonic(), time.time(), seconds(message.header.stamp), ids, valid))


def until(condition, what: str, timeout_s: float = TIMEOUT_S):
    """Wait for a condition that another thread or process fulfils; its value is returned."""
    deadline_s = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline_s, f"waited {timeout_s:g} s for: {what}"
        time.sleep(0.01)
    return value


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Variables for programs that are started meanwhile."""
    before = dict(os.environ)
    os.environ.update({"OMP_NUM_THREADS": "1", **values})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def launched(namespace: str, folder: Path, *, composed: bool, **arguments: str) -> Iterator[Program]:
    """The launch file as a user starts it, ended by Ctrl-C."""
    settings = folder / "robot.yaml"
    settings.write_text(yaml.safe_dump({name: {"ros__parameters": each} for name, each in SETTINGS.items()}))
    given = {
        "namespace": namespace,
        "image_topic": f"{namespace}/eye/image",
        "params_file": str(settings),
        "device": "cpu",
        "composed": str(composed).lower(),
        "overlay": "false",
        **arguments,
    }
    command = ["ros2", "launch", str(LAUNCH), *(f"{name}:={value}" for name, value in given.items())]
    with environment():
        program = Program(command, folder / "launch.log")
    try:
        yield program
        assert program.end() == 0, program.log.read_text()
    finally:
        program.kill()


def process_of(program: Program, name: str) -> int | None:
    """The process id of a node's program that launch has started; None: it does not run."""
    for pid in program.offspring():
        try:
            words = Path("/proc", str(pid), "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if any(word.endswith((f"/{name}", f"/{name}.py")) for word in words[:3]):
            return pid
    return None


def kill(pid: int, number: int = signal.SIGKILL) -> float:
    """Send a signal; return the time of the steady clock."""
    os.kill(pid, number)
    return time.monotonic()


if __name__ == "__main__":
    sys.exit("a part of the tests")
