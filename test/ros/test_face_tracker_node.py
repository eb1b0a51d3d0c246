from __future__ import annotations

import array
import io
import re
import time

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from PIL import Image as PillowImage
from rcl_interfaces.msg import Log
from rclpy.qos import QoSReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image

from social_perception.core.config import DetectionConfig, TrackingConfig
from social_perception.core.errors import DetectionError
from social_perception.core.types import Face
from social_perception.perception.detection.schedule import InlineDetection, SearchBudget
from social_perception.perception.pipeline import FaceTracking
from social_perception.perception.smile.crop import crop_faces
from social_perception.perception.tracking.tracker import Tracker
from social_perception.ros.nodes.face_tracker import FaceTrackerNode
from social_perception.ros.support.messages import TrackedFaceArray
from test.ros.fakes import BOXES, FakeTracking


@pytest.fixture
def tracking():
    return FakeTracking()


def start(ros, tracking, parameters=None, **options):
    """A node whose subscription does not change with the publishers, because then images can be missed."""
    given = {"reliability": "reliable", **(parameters or {})}
    return ros.start(FaceTrackerNode, given, make=lambda config: tracking, **options)


def test_an_image_becomes_its_tracked_faces(ros, tracking, image_message, picture) -> None:
    start(ros, tracking, {"publish_crops": True})
    found = ros.collect(TrackedFaceArray, "tracked_faces")
    ros.publisher(Image, "image").publish(image_message(sec=1234567890, nanosec=987654321, frame_id="eye"))
    ros.until(lambda: found, "tracked faces")
    header = found[0].header
    assert (header.stamp.sec, header.stamp.nanosec, header.frame_id) == (1234567890, 987654321, "eye")
    assert (found[0].image_width, found[0].image_height) == (64, 48)
    assert [face.id for face in found[0].faces] == ["p0", "p1"]
    assert [face.confidence for face in found[0].faces] == [0.5, 0.75]
    expected = crop_faces(picture, BOXES)
    np.testing.assert_array_equal(np.frombuffer(found[0].crops, np.uint8), expected.ravel())
    np.testing.assert_array_equal(tracking.frames[0].image, picture)
    assert tracking.frames[0].stamp_s == pytest.approx(1234567890.987654321)


def test_only_the_newest_image_is_processed(ros, tracking, image_message) -> None:
    node = start(ros, tracking)
    found = ros.collect(TrackedFaceArray, "tracked_faces")
    publisher = ros.publisher(Image, "image", 50)
    tracking.may_go_on.clear()
    publisher.publish(image_message(sec=100))
    ros.until(lambda: tracking.frames, "the first image in work")
    for sec in range(101, 111):
        publisher.publish(image_message(sec=sec))
        ros.until(lambda sec=sec: node.worker._item and node.worker._item.header.stamp.sec == sec)
    tracking.may_go_on.set()
    ros.until(lambda: len(found) == 2, "two results")
    assert [message.header.stamp.sec for message in found] == [100, 110]
    assert [frame.index for frame in tracking.frames] == [0, 1]
    assert node.worker.dropped == 9


@pytest.mark.parametrize("reliability", ["best_effort", "reliable"])
def test_reliability_is_a_parameter(reliability, ros, tracking, image_message) -> None:
    node = start(ros, tracking, {"reliability": reliability})
    found = ros.collect(TrackedFaceArray, "tracked_faces")
    (info,) = ros.node.get_subscriptions_info_by_topic(f"{ros.namespace}/image")
    assert info.qos_profile.reliability == QoSReliabilityPolicy[reliability.upper()]
    ros.publisher(Image, "image", 10).publish(image_message())
    ros.until(lambda: found, "an image of a reliable publisher")
    assert node.input.topic == f"{ros.namespace}/image"


def test_a_publisher_that_does_not_match_is_named(ros, tracking, image_message) -> None:
    node = start(ros, tracking, {"reliability": "reliable", "silent_after_s": 0.1})
    ros.node.create_publisher(Image, "image", qos_profile_sensor_data)
    ros.until(lambda: "incompatible QoS" in node.input.check(0.1), "the reason of the silence")
    (cause,) = re.findall("incompatible QoS: .*", node.input.check(0.1))
    assert cause == (
        "incompatible QoS: face_tracker asks for reliability reliable, durability volatile, deadline none, "
        f"liveliness automatic; {ros.namespace}/tester offers reliability best effort, durability volatile, "
        "deadline none, liveliness automatic; set the parameter reliability, or change the publisher"
    )


def test_results_are_reliable(ros, tracking) -> None:
    start(ros, tracking)
    ros.collect(TrackedFaceArray, "tracked_faces")
    (info,) = ros.node.get_publishers_info_by_topic(f"{ros.namespace}/tracked_faces")
    assert info.qos_profile.reliability == QoSReliabilityPolicy.RELIABLE


def test_compressed_images(ros, tracking, picture) -> None:
    start(ros, tracking, {"image_transport": "compressed"})
    found = ros.collect(TrackedFaceArray, "tracked_faces")
    stream = io.BytesIO()
    PillowImage.fromarray(picture).save(stream, "PNG")
    message = CompressedImage(format="png", data=array.array("B", stream.getvalue()))
    message.header.stamp = Time(sec=7, nanosec=8)
    ros.publisher(CompressedImage, "image/compressed").publish(message)
    ros.until(lambda: found, "tracked faces")
    np.testing.assert_array_equal(tracking.frames[0].image, picture)
    assert found[0].header.stamp == message.header.stamp


def test_crops_are_published_only_when_enabled(ros, tracking, image_message) -> None:
    node = start(ros, tracking)
    found = ros.collect(TrackedFaceArray, "tracked_faces")
    reported = ros.collect(Log, "/rosout")
    publisher = ros.publisher(Image, "image")

    def crops_of_next() -> int:
        seen = len(found)
        publisher.publish(image_message())
        ros.until(lambda: len(found) > seen)
        assert len(found[-1].faces) == 2
        return len(found[-1].crops)

    def announcements() -> list[str]:
        texts = [line.msg for line in reported if line.name.endswith(node.get_name())]
        return [text for text in texts if "face images" in text]

    assert crops_of_next() == 0
    assert ros.set(node, "publish_crops", True).successful
    assert crops_of_next() == 2 * 96 * 96 * 3
    line = f"face images are published on {ros.namespace}/tracked_faces because publish_crops is true"
    ros.until(announcements, "a line in the log")
    assert ros.set(node, "publish_crops", False).successful
    assert crops_of_next() == 0
    assert ros.set(node, "publish_crops", True).successful
    ros.until(lambda: announcements() == [line, line], "another line, and no more")


def test_an_empty_picture_is_published_too(ros, image_message) -> None:
    start(ros, FakeTracking(tracks=()))
    found = ros.collect(TrackedFaceArray, "tracked_faces")
    ros.publisher(Image, "image").publish(image_message())
    ros.until(lambda: found)
    assert (list(found[0].faces), len(found[0].crops)) == ([], 0)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"encoding": "16UC7"}, "16UC7"),
        ({"data": array.array("B", bytes(5))}, "truncated"),
        ({"width": 0}, "empty"),
    ],
)
def test_a_bad_image_is_reported_and_the_next_one_processed(
    change, problem, ros, tracking, image_message
) -> None:
    start(ros, tracking, {"diagnostics_period_s": 0.1})
    found = ros.collect(TrackedFaceArray, "tracked_faces")
    reports = ros.collect(DiagnosticArray, "/diagnostics")
    publisher = ros.publisher(Image, "image")
    bad = image_message()
    for name, value in change.items():
        setattr(bad, name, value)
    publisher.publish(bad)
    ros.until(
        lambda: any(problem in report.status[0].message for report in reports), f"a report of {problem}"
    )
    assert not found
    publisher.publish(image_message())
    ros.until(lambda: found, "the next image's faces")


def test_a_failing_detector_does_not_stop_the_node(ros, tracking, image_message) -> None:
    tracking.failures = [RuntimeError("bug"), DetectionError("the detector failed")]
    start(ros, tracking)
    found = ros.collect(TrackedFaceArray, "tracked_faces")
    publisher = ros.publisher(Image, "image")
    for sec in (100, 101, 102):
        publisher.publish(image_message(sec=sec))
        ros.until(lambda sec=sec: len(tracking.frames) == sec - 99)
    ros.until(lambda: found)
    assert [message.header.stamp.sec for message in found] == [102]


def test_stamps_that_go_back_begin_anew(ros, tracking, image_message) -> None:
    start(ros, tracking)
    publisher = ros.publisher(Image, "image")
    for count, sec in enumerate((100, 101, 50), start=1):
        publisher.publish(image_message(sec=sec))
        ros.until(lambda count=count: len(tracking.frames) == count)
        assert tracking.resets == (sec == 50)


def test_a_dynamic_change_reaches_detector_and_tracker(ros, image_message) -> None:
    class Detector:
        threshold = 0.0

        def detect(self, image):
            return (Face(BOXES[0], 1.0),)

    detector = Detector()
    schedule = InlineDetection(detector, DetectionConfig().detection_interval)
    tracker = Tracker(TrackingConfig())
    tracking = FaceTracking(schedule, tracker)
    node = start(ros, tracking)
    found = ros.collect(TrackedFaceArray, "tracked_faces")
    changed = {"detection_interval": 3, "cpu_budget": 0.5, "detection_threshold": -0.5, "max_lost_s": 7.0}
    for name, value in changed.items():
        assert ros.set(node, name, value).successful
    ros.publisher(Image, "image").publish(image_message())
    ros.until(lambda: found)
    assert (schedule.interval, detector.threshold, tracker.config.max_lost_s) == (3, -0.5, 7.0)
    assert tracking.budget.cores == 0.5


def test_a_slowed_search_is_reported(ros, tracking, image_message) -> None:
    tracking.budget = SearchBudget(10, cores=0.01)
    for now_s, cpu_s in [(0.0, 0.0), (10.0, 5.0)]:
        tracking.budget.note(now_s, cpu_s)
    node = start(ros, tracking, {"diagnostics_period_s": 0.1})
    statuses, publisher = ros.statuses(node), ros.publisher(Image, "image")
    publisher.publish(image_message())
    ros.until(lambda: any(tracking.budget.problem in each.message for each in statuses))
    ((now_s, cpu_s),) = tracking.usages
    assert 0.0 < cpu_s <= time.process_time()
    assert now_s <= time.monotonic()


def test_life_cycle(ros, tracking, image_message) -> None:
    made = []

    def make(config):
        made.append(config)
        return tracking

    node = ros.create(FaceTrackerNode, make=make)
    assert not made
    assert node.input is None
    assert node.trigger_configure().name == "SUCCESS"
    assert len(made) == 1
    assert node.count_subscribers(f"{ros.namespace}/image") == 0
    assert node.trigger_activate().name == "SUCCESS"
    ros.publisher(Image, "image")
    assert node.trigger_deactivate().name == "SUCCESS"
    assert (node.input, node.worker) == (None, None)
    ros.until(lambda: ros.node.count_subscribers(f"{ros.namespace}/image") == 0, "no subscriber")
    assert not tracking.is_closed
    assert node.trigger_cleanup().name == "SUCCESS"
    assert tracking.is_closed
    assert node.trigger_configure().name == "SUCCESS"
    assert node.trigger_activate().name == "SUCCESS"
    found = ros.collect(TrackedFaceArray, "tracked_faces")
    ros.publisher(Image, "image").publish(image_message())
    ros.until(lambda: found, "faces after the second activation")
    assert node.trigger_shutdown().name == "SUCCESS"


def test_a_camera_that_stops_and_returns_is_reported(ros, tracking, image_message) -> None:
    # Sent as fast as they can be, some are dropped.
    start(ros, tracking, {"diagnostics_period_s": 0.1, "silent_after_s": 0.3, "warn_dropped_share": 1.0})
    reports = ros.collect(DiagnosticArray, "/diagnostics")

    def newest():
        return reports[-1].status[0] if reports else DiagnosticStatus()

    def send():
        stamp = ros.stamp(0.0)
        publisher.publish(image_message(sec=stamp.sec, nanosec=stamp.nanosec))

    ros.until(lambda: f"no images on {ros.namespace}/image for" in newest().message)
    assert newest().level == DiagnosticStatus.ERROR
    assert "nobody publishes there" in newest().message
    publisher = ros.publisher(Image, "image")

    def runs():
        send()
        return newest().message == "running"

    ros.until(runs, "images again")
    assert newest().name == f"{ros.namespace}/face_tracker: images to tracked faces"
    ros.until(lambda: "there is a publisher, but it is silent" in newest().message)


def test_a_publisher_of_another_type_is_named(ros, stranger, tracking) -> None:
    node = start(ros, tracking)
    stranger.node.create_publisher(CompressedImage, "image", 1)
    ros.until(lambda: "sensor_msgs/msg/CompressedImage, not sensor_msgs/msg/Image" in node.input.check(0.1))


def test_the_latency_from_the_image_on_is_reported(ros, tracking, image_message, ages_its_results) -> None:
    node = start(ros, tracking, {"diagnostics_period_s": 0.1})
    publisher = ros.publisher(Image, "image")
    ages_its_results(
        node, lambda stamp: publisher.publish(image_message(sec=stamp.sec, nanosec=stamp.nanosec))
    )
