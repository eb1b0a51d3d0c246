from __future__ import annotations

import array
import logging

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import Log
from std_msgs.msg import Header

from social_perception.core.config import SmileConfig
from social_perception.core.errors import ConfigurationError
from social_perception.core.types import Box, Frame, Track
from social_perception.ros.nodes.smile_intensity import SmileIntensityNode
from social_perception.ros.support.messages import FaceAffectArray, TrackedFaceArray
from social_perception.ros.support.reporting import LibraryLog
from social_perception.ros.support.tracker_inputs import CommonTime
from test.ros.fakes import FakeScorer, estimation
from test.ros.messages import tracked_faces_message


@pytest.fixture
def scorer():
    return FakeScorer()


def tracked_faces(count: int = 3, sec: int = 100, nanosec: int = 42, brightness: int = 0) -> TrackedFaceArray:
    header = Header(stamp=Time(sec=sec, nanosec=nanosec), frame_id="camera")
    frame = Frame(np.zeros((480, 640, 3), np.uint8), sec, 0)
    tracks = [Track(f"p{i}", Box(100 * i, 50, 80, 90), 0.5, visible=i != 2) for i in range(count)]
    crops = (
        np.stack([np.full((96, 96, 3), brightness + 51 * i, np.uint8) for i in range(count)])
        if count
        else None
    )
    return tracked_faces_message(header, frame, tracks, crops)


def start(ros, scorer, parameters=None):
    return ros.start(SmileIntensityNode, parameters, make=lambda config: estimation(scorer))


def test_all_faces_are_scored_in_one_call(ros, scorer) -> None:
    start(ros, scorer)
    found = ros.collect(FaceAffectArray, "face_affect")
    ros.publisher(TrackedFaceArray, "tracked_faces").publish(tracked_faces())
    ros.until(lambda: found, "smiles")
    assert len(scorer.calls) == 1
    tracks, crops, stamp_s = scorer.calls[0]
    assert [track.visible for track in tracks] == [True, True, False]
    assert crops.shape == (3, 96, 96, 3)
    assert stamp_s == pytest.approx(100.000000042)
    (message,) = found
    assert (message.header.stamp.sec, message.header.stamp.nanosec, message.header.frame_id) == (
        100,
        42,
        "camera",
    )
    assert (message.image_width, message.image_height) == (640, 480)
    assert [face.id for face in message.faces] == ["p0", "p1", "p2"]
    np.testing.assert_allclose([face.intensity for face in message.faces], [0.0, 0.2, 0.4], atol=1e-6)
    assert [face.valid for face in message.faces] == [True, True, False]
    assert [face.roi.x_offset for face in message.faces] == [0, 100, 200]


def test_an_empty_room_is_passed_on(ros, scorer) -> None:
    start(ros, scorer)
    found = ros.collect(FaceAffectArray, "face_affect")
    ros.publisher(TrackedFaceArray, "tracked_faces").publish(tracked_faces(0))
    ros.until(lambda: found)
    assert list(found[0].faces) == []


@pytest.mark.parametrize("crops", [b"", bytes(100)])
def test_missing_crops_are_reported(crops, ros, scorer) -> None:
    start(ros, scorer, {"diagnostics_period_s": 0.1})
    reports = ros.collect(DiagnosticArray, "/diagnostics")
    found = ros.collect(FaceAffectArray, "face_affect")
    publisher = ros.publisher(TrackedFaceArray, "tracked_faces")
    bad = tracked_faces()
    bad.crops = array.array("B", crops)
    publisher.publish(bad)
    ros.until(lambda: any("crops" in report.status[0].message for report in reports))
    publisher.publish(tracked_faces())
    ros.until(lambda: found)


def test_a_dynamic_change_reaches_the_scorer(ros, scorer) -> None:
    node = start(ros, scorer)
    found = ros.collect(FaceAffectArray, "face_affect")
    assert ros.set(node, "warmup_frames", 20).successful
    ros.publisher(TrackedFaceArray, "tracked_faces").publish(tracked_faces())
    ros.until(lambda: found)
    assert scorer.config.warmup_frames == 20


def test_stamps_that_go_back_forget_the_states(ros, scorer) -> None:
    start(ros, scorer)
    publisher = ros.publisher(TrackedFaceArray, "tracked_faces")
    for count, sec in enumerate((100, 99, 101, 50), start=1):
        publisher.publish(tracked_faces(sec=sec))
        ros.until(lambda count=count: len(scorer.calls) == count)
    assert scorer.resets == 2


def test_cleanup_releases_the_estimation(ros, scorer) -> None:
    node = start(ros, scorer)
    assert node.trigger_deactivate().name == "SUCCESS"
    assert node.trigger_cleanup().name == "SUCCESS"
    assert node._step is None


def test_the_latency_from_the_image_on_is_reported(ros, scorer, ages_its_results) -> None:
    node = start(ros, scorer, {"diagnostics_period_s": 0.1})
    publisher = ros.publisher(TrackedFaceArray, "tracked_faces")
    ages_its_results(
        node, lambda stamp: publisher.publish(tracked_faces(sec=stamp.sec, nanosec=stamp.nanosec))
    )


def test_the_precision_is_a_parameter(ros, scorer) -> None:
    asked = []
    node = ros.start(
        SmileIntensityNode,
        {"precision": "int8"},
        make=lambda config: asked.append(config) or estimation(scorer),
    )
    assert asked[0].smile.precision == "int8"
    assert not ros.set(node, "precision", "float32").successful  # the network is loaded already
    with pytest.raises(ConfigurationError, match="precision must be one of auto, float32, bfloat16, int8"):
        ros.create(SmileIntensityNode, {"precision": "half"})


class Cameras:
    """Trackers of several cameras before one scorer."""

    def __init__(self, ros, scorer, *trackers, **parameters) -> None:
        self.ros, self.scorer = ros, scorer
        given = {"trackers": list(trackers), "diagnostics_period_s": 0.1, **parameters}
        self.node = start(ros, scorer, given)
        self.reported = ros.statuses(self.node)
        self.results = {each: ros.collect(FaceAffectArray, f"{each}/face_affect") for each in trackers}
        self._publishers = {
            each: ros.publisher(TrackedFaceArray, f"{each}/tracked_faces") for each in trackers
        }

    def send(self, tracker, message):
        self._publishers[tracker].publish(message)

    def send_while_busy(self, *sent):
        """Messages that arrive and wait while the scorer works on an earlier one of the first tracker."""
        self.scorer.may_go_on.clear()
        before = len(self.scorer.calls)
        self.send(next(iter(self.results)), tracked_faces(1, sec=sent[0][1].header.stamp.sec))
        self.ros.until(lambda: len(self.scorer.calls) == before + 1, "the scorer is busy")
        for tracker, message in sent:
            self.send(tracker, message)
            self.ros.until(lambda t=tracker, m=message: self.waits(t, m), "the message waits")
        self.scorer.may_go_on.set()

    def waits(self, tracker, message):
        waiting = (self.node.worker._item or {}).get(tracker)
        return waiting is not None and waiting.header == message.header

    def stamps(self, tracker):
        return [message.header.stamp.nanosec for message in self.results[tracker]]


@pytest.fixture
def cameras(ros, scorer):
    return Cameras(ros, scorer, "left", "right")


def test_the_faces_of_all_trackers_are_one_batch(cameras, ros, scorer) -> None:
    cameras.send_while_busy(
        ("left", tracked_faces(3, nanosec=1)), ("right", tracked_faces(2, nanosec=2, brightness=10))
    )
    ros.until(lambda: len(cameras.results["right"]) == 1 and len(cameras.results["left"]) == 2)
    assert [len(tracks) for tracks, _, _ in scorer.calls] == [1, 5]
    tracks, crops, _ = scorer.calls[1]
    assert len(crops) == 5
    assert [track.id for track in tracks] == ["left/p0", "left/p1", "left/p2", "right/p0", "right/p1"]
    left, right = cameras.results["left"][1], cameras.results["right"][0]
    assert [face.id for face in left.faces] == ["p0", "p1", "p2"]
    assert [face.id for face in right.faces] == ["p0", "p1"]
    np.testing.assert_allclose([face.intensity for face in left.faces], [0.0, 0.2, 0.4], atol=1e-6)
    np.testing.assert_allclose([face.intensity for face in right.faces], [10 / 255, 61 / 255], atol=1e-6)
    assert (left.header.stamp.nanosec, right.header.stamp.nanosec) == (1, 2)
    assert (left.header.frame_id, right.header.frame_id) == ("camera", "camera")


def test_a_fast_camera_replaces_its_own_messages_only(cameras, ros, scorer) -> None:
    fast = [("left", tracked_faces(1, nanosec=i)) for i in range(2, 12)]
    cameras.send_while_busy(fast[0], ("right", tracked_faces(1, nanosec=99)), *fast[1:])
    ros.until(lambda: cameras.results["right"] and len(cameras.results["left"]) == 2, "both are answered")
    assert (cameras.stamps("left"), cameras.stamps("right")) == ([42, 11], [99])
    assert cameras.node.worker.dropped == 9
    assert len(scorer.calls) == 2


def test_one_trackers_bad_message_does_not_keep_the_others_from_being_scored(cameras, ros) -> None:
    bad = tracked_faces(2)
    bad.crops = array.array("B", bytes(7))
    cameras.send_while_busy(("left", bad), ("right", tracked_faces(2, nanosec=5)))
    ros.until(lambda: cameras.stamps("right") == [5])
    ros.until(lambda: any("left: crops of 2 faces must be" in each.message for each in cameras.reported))
    assert len(cameras.results["left"]) == 1, "the one before"


def test_a_tracker_alone_is_not_waited_for(cameras, ros, scorer) -> None:
    for nanosec in (1, 2, 3):
        cameras.send("right", tracked_faces(2, nanosec=nanosec))
        ros.until(lambda n=nanosec: cameras.stamps("right")[-1:] == [n])
    assert cameras.results["left"] == []
    ros.until(
        lambda: any(f"no tracked faces on {ros.namespace}/left" in each.message for each in cameras.reported),
        "the silent one is named",
    )


def test_cameras_whose_clocks_differ_share_one_time(cameras, ros, scorer) -> None:
    """An hour apart: as they are, each batch would be too late for the other's states."""
    for step in range(3):
        for tracker, sec in (("left", 100 + step), ("right", 3700 + step)):
            cameras.send(tracker, tracked_faces(1, sec=sec))
            ros.until(lambda t=tracker, n=step: len(cameras.results[t]) == n + 1)
    stamps = [stamp_s for _, _, stamp_s in scorer.calls]
    assert max(stamps) - min(stamps) < 5.0
    assert scorer.resets == 0
    assert [message.header.stamp.sec for message in cameras.results["right"]] == [3700, 3701, 3702]


def test_the_same_id_of_two_cameras_has_two_states(ros) -> None:
    from social_perception.perception.smile.networks import SmileNetwork
    from social_perception.perception.smile.streaming import StreamingScorer

    config = SmileConfig(warmup_frames=3)
    cameras = Cameras(ros, StreamingScorer(SmileNetwork().eval(), config), "left", "right", warmup_frames=3)
    for step in range(3):
        cameras.send("left", tracked_faces(1, nanosec=step))
        ros.until(lambda n=step: len(cameras.results["left"]) == n + 1)
    cameras.send("right", tracked_faces(1))
    ros.until(lambda: cameras.results["right"])
    assert [message.faces[0].observed_frames for message in cameras.results["left"]] == [1, 2, 3]
    assert cameras.results["left"][-1].faces[0].valid
    assert cameras.results["right"][0].faces[0].observed_frames == 1
    assert not cameras.results["right"][0].faces[0].valid


def test_cleanup_takes_back_all_topics(cameras, ros) -> None:
    assert cameras.node.trigger_deactivate().name == "SUCCESS"
    assert cameras.node.trigger_cleanup().name == "SUCCESS"
    for tracker in ("left", "right"):
        ros.until(lambda t=tracker: ros.node.count_subscribers(f"{t}/tracked_faces") == 0)
        ros.until(lambda t=tracker: ros.node.count_publishers(f"{t}/face_affect") == 0)


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        ([("a", 50.0), ("a", 90.0), ("a", 20.0)], [50.0, 90.0, 20.0]),
        ([("a", 50.0), ("b", 50.4), ("a", 51.0), ("b", 51.4)], [50.0, 50.4, 51.0, 51.4]),
        ([("a", 50.0), ("b", 900.0), ("a", 51.0), ("b", 901.5)], [50.0, 50.0, 51.0, 51.5]),
        ([("a", 50.0), ("b", 50.0), ("b", 800.0), ("a", 50.5), ("b", 801.0)], [50.0, 50.0, 50.0, 50.5, 51.0]),
    ],
    ids=["one alone", "together", "apart", "one jumps"],
)
def test_the_time_of_several_cameras(received, expected) -> None:
    time = CommonTime()
    assert [time.of(*each) for each in received] == pytest.approx(expected)


def test_a_device_that_was_given_up_is_reported_on_diagnostics(ros, scorer) -> None:
    scorer.device, scorer.precision = "cuda", "float32"
    scorer.failure = ""
    node = start(ros, scorer, {"diagnostics_period_s": 0.1})
    found = ros.statuses(node)
    ros.until(lambda: found and found[-1].hardware_id.startswith("cuda"), "a report")
    scorer.device, scorer.failure = "cpu", "smile network: cuda failed (out of memory)"
    ros.until(lambda: found[-1].hardware_id == "cpu", "another device")
    values = {pair.key: pair.value for pair in found[-1].values}
    assert (values["device"], found[-1].level) == ("cpu", DiagnosticStatus.WARN)
    assert scorer.failure in found[-1].message


def test_what_the_library_logs_is_a_line_of_the_node_on_rosout(ros) -> None:
    lines = ros.collect(Log, "/rosout")
    ros.until(lambda: ros.node.get_logger().info("here I am") or lines, "rosout")
    with LibraryLog(ros.node):
        library = logging.getLogger("social_perception.core.failover")
        for _ in range(2):
            library.warning("smile network: %s failed", "cuda")
            library.error("worse")
    library.warning("nobody listens any more")
    ros.until(lambda: sum(each.level >= 30 for each in lines) == 4, "four lines")
    reported = [(each.name, each.level, each.msg) for each in lines if each.level >= 30]
    name = ros.node.get_logger().name
    assert reported == 2 * [(name, 30, "smile network: cuda failed"), (name, 40, "worse")]
