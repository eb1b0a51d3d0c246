"""Depth beside the images: used when it is there, never waited for."""

from __future__ import annotations

import array
import math

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rclpy.qos import QoSReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from social_perception.core.errors import CalibrationError, ImageError
from social_perception.core.types import Box, Track
from social_perception.ros.nodes.face_tracker import FaceTrackerNode
from social_perception.ros.support.depth_input import depth_image
from social_perception.ros.support.messages import TrackedFaceArray
from test.ros.fakes import FakeTracking

FOCAL_PX = 120.0
LEFT, RIGHT = Box(4, 6, 20, 24), Box(40, 10, 20, 24)


def depth_message(left_m=1.0, right_m=2.0, *, stamp_s=100.0, size=(64, 48), frame_id="camera", **about):
    """A depth image in which the left half is as far as the left face, the right half as the right one."""
    metres = np.full(size[::-1], left_m)
    metres[:, size[0] // 2 :] = right_m
    return message_of((metres * 1000).astype("<u2"), stamp_s=stamp_s, frame_id=frame_id, **about)


def message_of(values, *, stamp_s=100.0, frame_id="camera", padding=0, **about):
    rows = np.frombuffer(values.tobytes(), np.uint8).reshape(len(values), -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=7)
    return Image(
        header=header(stamp_s, frame_id), height=values.shape[0], width=values.shape[1],
        step=rows.shape[1], data=array.array("B", rows.tobytes()),
        **{"encoding": "16UC1", "is_bigendian": 0, **about},
    )  # fmt: skip


def header(stamp_s: float, frame_id: str = "camera") -> Header:
    nanoseconds = round(stamp_s * 1e9)
    return Header(stamp=Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9), frame_id=frame_id)


def camera_info(focal_px=FOCAL_PX) -> CameraInfo:
    return CameraInfo(width=64, height=48, k=[focal_px, 0.0, 32.0, 0.0, focal_px, 24.0, 0.0, 0.0, 1.0])


class Camera:
    """A tracker with a camera, whose messages arrive in the order in which they are sent."""

    def __init__(self, ros, image_message, parameters=None, tracks=None) -> None:
        tracks = tracks or (Track("l", LEFT, 0.9), Track("r", RIGHT, 0.9))
        # Reliable from the start, because a subscription that follows the publishers can miss an image.
        given = {"diagnostics_period_s": 0.1, "reliability": "reliable", **(parameters or {})}
        self.node = ros.start(FaceTrackerNode, given, make=lambda config: FakeTracking(tracks))
        self.seen = ros.statuses(self.node)
        self.results = ros.collect(TrackedFaceArray, "tracked_faces")
        self._ros, self._image_message = ros, image_message
        self._image = ros.publisher(Image, "image")
        self._depth = ros.publisher(Image, "depth")
        self._info = ros.publisher(CameraInfo, "camera_info")

    def send_info(self, info=None):
        before = self.node._camera._depth._info
        self._info.publish(info or camera_info())
        self._ros.until(lambda: self.node._camera._depth._info is not before, "camera_info arrives")

    def send_depth(self, *messages):
        for message in messages:
            self._depth.publish(message)
            self._ros.until(lambda m=message: m in self.node._camera._depth._images, "depth arrives")

    def positions(self, stamp_s=100.0):
        """Send an image; where its faces are reported."""
        before, stamp = len(self.results), header(stamp_s).stamp
        self._image.publish(self._image_message(sec=stamp.sec, nanosec=stamp.nanosec))
        self._ros.until(lambda: len(self.results) > before, "tracked faces")
        assert self.results[-1].header.stamp == stamp
        points = [face.position for face in self.results[-1].faces]
        return [None if math.isnan(each.z) else (each.x, each.y, each.z) for each in points]

    def warns_of(self, problem):
        self._ros.until(lambda: any(problem in each.message for each in self.seen), f"a warning of {problem}")


@pytest.fixture
def camera(ros, image_message):
    return Camera(ros, image_message)


def test_faces_have_a_position_in_the_optical_frame(camera) -> None:
    camera.send_info()
    camera.send_depth(depth_message(1.0, 2.0))
    left, right = camera.positions()
    assert left == pytest.approx(((14 - 32) / FOCAL_PX, (18 - 24) / FOCAL_PX, 1.0))
    assert right == pytest.approx((2 * (50 - 32) / FOCAL_PX, 2 * (22 - 24) / FOCAL_PX, 2.0))


def test_without_depth_everything_goes_on(camera) -> None:
    assert camera.positions() == [None, None]


def test_depth_that_comes_after_its_image_serves_the_next_one(camera) -> None:
    camera.send_info()
    assert camera.positions(100.0) == [None, None]
    camera.send_depth(depth_message(stamp_s=100.0))
    assert [z for _, _, z in camera.positions(100.033)] == pytest.approx([1.0, 2.0])


@pytest.mark.parametrize(
    ("given", "stamp_s", "known"),
    [({}, 100.25, True), ({}, 100.26, False), ({}, 99.74, False), ({"max_depth_age_s": 0.5}, 100.4, True)],
)
def test_stale_depth_is_not_used(given, stamp_s, known, ros, image_message) -> None:
    camera = Camera(ros, image_message, given)
    camera.send_info()
    camera.send_depth(depth_message(stamp_s=stamp_s))
    assert [each is not None for each in camera.positions(100.0)] == [known, known]


def test_the_depth_nearest_in_time_is_used(camera) -> None:
    camera.send_info()
    camera.send_depth(*(depth_message(1.0 + i / 10, stamp_s=100.0 + i / 100) for i in range(10)))
    assert camera.positions(100.042)[0][2] == pytest.approx(1.4)
    assert camera.positions(100.5) == [None, None]


def test_only_a_few_depth_images_are_kept_and_they_alone_make_no_result(camera) -> None:
    camera.send_depth(*(depth_message(stamp_s=100.0 + i / 30) for i in range(15)))
    assert len(camera.node._camera._depth._images) == 10
    assert camera.results == []


@pytest.mark.parametrize("size", [(32, 24), (128, 96)])
def test_depth_of_another_size_is_scaled(size, camera) -> None:
    camera.send_info()
    camera.send_depth(depth_message(size=size))
    assert [z for _, _, z in camera.positions()] == pytest.approx([1.0, 2.0])


def test_a_hidden_face_has_no_position(ros, image_message) -> None:
    tracks = (Track("l", LEFT, 0.0, visible=False), Track("r", RIGHT, 0.9))
    camera = Camera(ros, image_message, tracks=tracks)
    camera.send_info()
    camera.send_depth(depth_message())
    left, right = camera.positions()
    assert left is None
    assert right is not None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"encoding": "rgb8"}, "depth encoding 'rgb8' is not supported; supported are 16UC1"),
        ({"encoding": "16UC1; compressedDepth png"}, "depth encoding '16UC1; compressedDepth png'"),
        ({"size": (64, 20)}, "depth image of 64 x 20 px cannot be aligned"),
        ({"frame_id": "depth_frame"}, "depth images are in the frame depth_frame, colour images in camera"),
    ],
)
def test_depth_that_cannot_be_used_is_reported_and_the_faces_go_on(change, problem, camera) -> None:
    camera.send_info()
    camera.send_depth(depth_message(**change))
    assert camera.positions() == [None, None]
    camera.warns_of(problem)
    camera.send_depth(depth_message(stamp_s=100.05))
    assert None not in camera.positions(100.05)


@pytest.mark.parametrize(
    ("info", "problem"),
    [(None, "no camera_info on "), (camera_info(0.0), "K of camera_info is invalid")],
)
def test_a_missing_or_wrong_calibration_is_reported_once(info, problem, camera, capfd) -> None:
    if info is not None:
        camera.send_info(info)
    camera.send_depth(depth_message())
    for i in range(3):
        assert camera.positions(100.0 + i / 100) == [None, None]
    camera.warns_of(problem)
    assert capfd.readouterr().err.count(problem) == 1
    camera.send_info()
    assert None not in camera.positions(100.05)


def test_time_that_goes_back_drops_the_depth(camera) -> None:
    camera.send_info()
    camera.send_depth(depth_message(stamp_s=200.0))
    assert None not in camera.positions(200.0)
    camera.positions(100.0)
    assert len(camera.node._camera._depth._images) == 0


def test_depth_can_be_switched_off(ros) -> None:
    ros.start(FaceTrackerNode, {"use_depth": False}, make=lambda config: FakeTracking(()))
    ros.until(lambda: ros.node.count_subscribers("image") == 1, "the images are subscribed")
    assert ros.node.count_subscribers("depth") == 0


def test_deactivation_unsubscribes_depth(ros, camera) -> None:
    assert camera.node.trigger_deactivate().name == "SUCCESS"
    ros.until(lambda: ros.node.count_subscribers("depth") == 0, "depth is unsubscribed")
    assert camera.node.trigger_activate().name == "SUCCESS"
    ros.until(lambda: ros.node.count_subscribers("depth") == 1, "depth is subscribed again")


def test_depth_of_any_publisher_is_received(ros) -> None:
    ros.start(FaceTrackerNode, make=lambda config: FakeTracking(()))

    def reliability():
        found = ros.node.get_subscriptions_info_by_topic(f"{ros.namespace}/depth")
        return [each.qos_profile.reliability for each in found]

    ros.until(lambda: reliability() == [QoSReliabilityPolicy.BEST_EFFORT], "best effort at first")
    publisher = ros.node.create_publisher(Image, "depth", 1)
    ros.until(lambda: reliability() == [QoSReliabilityPolicy.RELIABLE], "reliable, as its publisher offers")
    ros.node.create_publisher(Image, "depth", qos_profile_sensor_data)
    ros.until(lambda: reliability() == [QoSReliabilityPolicy.BEST_EFFORT], "best effort, as one needs it")
    assert publisher is not None


@pytest.mark.parametrize("padding", [0, 1, 6])
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize(
    ("encoding", "kind", "unit_m"), [("16UC1", "u2", 0.001), ("mono16", "u2", 0.001), ("32FC1", "f4", 1.0)]
)
def test_the_numbers_of_a_depth_image(encoding, kind, unit_m, big_endian, padding) -> None:
    values = np.array([[0, 258, 1000], [513, 65535, 7]], (">" if big_endian else "<") + kind)
    message = message_of(values, encoding=encoding, is_bigendian=int(big_endian), padding=padding)
    depth = depth_image(message, header(100.0))
    assert depth.unit_m == unit_m
    np.testing.assert_array_equal(depth.values, values)
    assert np.shares_memory(depth.values, np.frombuffer(message.data, np.uint8)), "not copied"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"data": array.array("B", bytes(10))},
            "image is truncated: 3 x 2 px of 16UC1 need 12 bytes, got 10",
        ),
        ({"step": 5}, "image step must be at least 6"),
        ({"height": 0}, "image is empty"),
    ],
)
def test_a_depth_image_that_does_not_fit_together_is_refused(change, problem) -> None:
    message = message_of(np.ones((2, 3), "<u2"))
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(ImageError, match=problem):
        depth_image(message, header(100.0))


@pytest.mark.parametrize("frames", [("camera", ""), ("", "camera"), ("", "")])
def test_a_frame_that_is_not_said_is_trusted(frames) -> None:
    message = message_of(np.ones((2, 3), "<u2"), frame_id=frames[0])
    depth_image(message, header(100.0, frames[1]))


def test_depth_in_another_frame_is_refused() -> None:
    with pytest.raises(CalibrationError, match="take depth that is aligned"):
        depth_image(message_of(np.ones((2, 3), "<u2"), frame_id="depth"), header(100.0, "color"))
