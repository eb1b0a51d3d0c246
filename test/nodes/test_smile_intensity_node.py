from __future__ import annotations

import array

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from std_msgs.msg import Header

from social_perception.core.config import SmileConfig
from social_perception.core.errors import ConfigurationError
from social_perception.core.types import Box, Frame, Smile, SmileLevel, Track
from social_perception.nodes.messages import FaceAffectArray, TrackedFaceArray, tracked_faces_message
from social_perception.nodes.smile_intensity import SmileIntensityNode


class FakeScorer:
    """The mean of a face's crop is its smile; remembers its calls."""

    def __init__(self) -> None:
        self.config = SmileConfig()
        self.calls = []
        self.resets = 0

    def score(self, tracks, crops, stamp_s):
        self.calls.append((tracks, crops.copy(), stamp_s))
        means = crops.mean(axis=(1, 2, 3)) / 255 if len(crops) else []
        return tuple(smile(float(mean), valid=track.visible) for track, mean in zip(tracks, means))

    def reset(self) -> None:
        self.resets += 1


def smile(intensity: float, *, valid: bool) -> Smile:
    return Smile(intensity, SmileLevel.of_intensity(intensity), (0.25, 0.25, 0.25, 0.25), 7, valid)


@pytest.fixture
def scorer():
    return FakeScorer()


def tracked_faces(count: int = 3, sec: int = 100, nanosec: int = 42) -> TrackedFaceArray:
    header = Header(stamp=Time(sec=sec, nanosec=nanosec), frame_id="camera")
    frame = Frame(np.zeros((480, 640, 3), np.uint8), sec, 0)
    tracks = [Track(f"p{i}", Box(100 * i, 50, 80, 90), 0.5, visible=i != 2) for i in range(count)]
    crops = np.stack([np.full((96, 96, 3), 51 * i, np.uint8) for i in range(count)]) if count else None
    return tracked_faces_message(header, frame, tracks, crops)


def start(ros, scorer, parameters=None):
    return ros.start(SmileIntensityNode, parameters, make=lambda config: scorer)


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


def test_cleanup_releases_the_scorer(ros, scorer) -> None:
    node = start(ros, scorer)
    assert node.trigger_deactivate().name == "SUCCESS"
    assert node.trigger_cleanup().name == "SUCCESS"
    assert node._scorer is None


def test_the_latency_from_the_image_on_is_reported(ros, scorer, ages_its_results) -> None:
    node = start(ros, scorer, {"diagnostics_period_s": 0.1})
    publisher = ros.publisher(TrackedFaceArray, "tracked_faces")
    ages_its_results(
        node, lambda stamp: publisher.publish(tracked_faces(sec=stamp.sec, nanosec=stamp.nanosec))
    )


def test_the_precision_is_a_parameter(ros, scorer) -> None:
    asked = []
    node = ros.start(
        SmileIntensityNode, {"precision": "int8"}, make=lambda config: asked.append(config) or scorer
    )
    assert asked[0].precision == "int8"
    assert not ros.set(node, "precision", "float32").successful  # the network is loaded already
    with pytest.raises(ConfigurationError, match="precision must be one of auto, float32, bfloat16, int8"):
        ros.create(SmileIntensityNode, {"precision": "half"})
