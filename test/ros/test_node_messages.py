from __future__ import annotations

import array
import math

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from sensor_msgs.msg import RegionOfInterest
from std_msgs.msg import Header

from social_perception.core.errors import ImageError
from social_perception.core.types import Box, Frame, Position, Smile, SmileLevel, Track, TrackedFaces
from social_perception.ros.convert import crops_of, faces_of, in_image, seconds, tracks_of
from social_perception.ros.support.messages import FaceAffect, TrackedFaceArray
from social_perception.ros.support.messages import GroupAffect as GroupAffectMessage
from test.ros.messages import face_affect_message, tracked_faces_message

HEADER = Header(stamp=Time(sec=12, nanosec=345678912), frame_id="camera")
FRAME = Frame(np.zeros((100, 200, 3), np.uint8), 12.345678912, 0)
SMILE = Smile(0.75, SmileLevel.MEDIUM, (0.05, 0.05, 0.6, 0.3), 12, valid=True)


def track(name="abcde", box=Box(10, 20, 30, 40), confidence=0.5, *, visible=True, position=None):  # noqa: B008
    return Track(name, box, confidence, visible, position)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (Box(10, 20, 30, 40), (10, 20, 30, 40)),
        (Box(10.4, 19.6, 30, 40), (10, 20, 30, 40)),
        (Box(-10, -5, 30, 40), (0, 0, 20, 35)),
        (Box(190, 90, 30, 40), (190, 90, 10, 10)),
        (Box(-10, -10, 500, 500), (0, 0, 200, 100)),
    ],
)
def test_roi_is_the_box_clipped_to_the_image(box: Box, expected: tuple[int, ...]) -> None:
    roi = tracked_faces_message(HEADER, FRAME, [track(box=box)], None).faces[0].roi
    assert (roi.x_offset, roi.y_offset, roi.width, roi.height) == expected
    assert roi.do_rectify is False


@pytest.mark.parametrize(
    "box", [Box(-50, 0, 40, 40), Box(200, 0, 40, 40), Box(0, 100.2, 40, 40), Box(5, 5, 0.2, 9)]
)
def test_a_face_outside_the_picture_is_not_listed(box: Box) -> None:
    inside = track("inside")
    crops = np.arange(2, dtype=np.uint8)[:, None, None, None].repeat(96, 1).repeat(96, 2).repeat(3, 3)
    shown = in_image(TrackedFaces(0.0, 0, 200, 100, (track(box=box), inside), crops))
    assert shown.tracks == (inside,)
    np.testing.assert_array_equal(shown.crops, crops[1:])


def test_crops_are_one_blob_face_after_face() -> None:
    crops = np.random.default_rng(0).integers(0, 256, (3, 96, 96, 3), np.uint8)
    message = tracked_faces_message(HEADER, FRAME, [track(name) for name in "abc"], crops)
    assert len(message.crops) == 3 * 96 * 96 * 3
    assert bytes(message.crops[27648 : 2 * 27648]) == crops[1].tobytes()
    assert (message.image_width, message.image_height) == (200, 100)
    np.testing.assert_array_equal(crops_of(message), crops)


@pytest.mark.parametrize(
    ("size", "problem"),
    [(0, "set publish_crops of face_tracker to true"), (27647, "must be 27648 bytes, got 27647")],
)
def test_missing_crops_are_named(size: int, problem: str) -> None:
    message = tracked_faces_message(HEADER, FRAME, [track()], None)
    message.crops = array.array("B", bytes(size))
    with pytest.raises(ImageError, match=problem):
        crops_of(message)


def test_nobody_needs_no_crops() -> None:
    assert crops_of(TrackedFaceArray()).shape == (0, 96, 96, 3)


@pytest.mark.parametrize("position", [None, Position(0.5, -0.25, 2.0)])
def test_tracks_survive_the_way(position: Position | None) -> None:
    given = track(position=position)
    assert tracks_of(tracked_faces_message(HEADER, FRAME, [given], None)) == (given,)


def test_unknown_position_is_nan() -> None:
    point = tracked_faces_message(HEADER, FRAME, [track()], None).faces[0].position
    assert all(math.isnan(value) for value in (point.x, point.y, point.z))


def test_a_face_that_is_not_visible_has_confidence_0() -> None:
    message = tracked_faces_message(HEADER, FRAME, [track(confidence=0.9, visible=False)], None)
    assert message.faces[0].confidence == 0.0
    assert tracks_of(message)[0].visible is False


def test_a_face_that_warms_up_is_visible_and_a_hidden_one_is_not() -> None:
    tracks = [track("warm", confidence=0.9), track("gone", confidence=0.9, visible=False)]
    message = face_affect_message(tracked_faces_message(HEADER, FRAME, tracks, None), [Smile.unknown(1)] * 2)
    assert [(face.visible, face.valid) for face in message.faces] == [(True, False), (False, False)]
    warm, gone = (face.track for face in faces_of(message))
    assert (warm.visible, gone.visible, gone.confidence) == (True, False, 0.0)
    assert warm.confidence == pytest.approx(0.9)


def test_smiles_survive_the_way() -> None:
    tracked = tracked_faces_message(HEADER, FRAME, [track("abc"), track("def")], None)
    message = face_affect_message(tracked, [SMILE, Smile.unknown(3)])
    first, second = faces_of(message)
    assert message.header == HEADER
    assert [face.track.id for face in (first, second)] == ["abc", "def"]
    assert (first[Smile].intensity, first[Smile].level, first[Smile].valid) == (0.75, SmileLevel.MEDIUM, True)
    np.testing.assert_allclose(first[Smile].probabilities, SMILE.probabilities, rtol=1e-6)
    assert (second[Smile].level, second[Smile].observed_frames, second[Smile].valid) == (
        SmileLevel.UNKNOWN,
        3,
        False,
    )
    assert np.isnan([second[Smile].intensity, *second[Smile].probabilities]).all()


def test_observed_frames_stay_at_their_end() -> None:
    tracked = tracked_faces_message(HEADER, FRAME, [track()], None)
    smile = Smile(0.0, SmileLevel.NEUTRAL, (1.0, 0.0, 0.0, 0.0), 70000, valid=True)
    assert face_affect_message(tracked, [smile]).faces[0].observed_frames == 65535


def test_an_empty_roi_is_no_error() -> None:
    message = tracked_faces_message(HEADER, FRAME, [track()], None)
    message.faces[0].roi = RegionOfInterest()
    assert tracks_of(message)[0].box.area == 1.0


@pytest.mark.parametrize("kind", [FaceAffect, GroupAffectMessage])
def test_levels_are_those_of_the_core(kind: type) -> None:
    for level in SmileLevel:
        assert getattr(kind, f"LEVEL_{level.name}") == level


def test_seconds() -> None:
    assert seconds(Time(sec=1_700_000_000, nanosec=250_000_000)) == 1_700_000_000.25


def test_crops_travel_as_one_blob_and_come_back_without_a_copy() -> None:
    crops = np.random.default_rng(0).integers(0, 256, (3, 96, 96, 3), dtype=np.uint8)
    tracks = [track(name) for name in "abc"]
    message = tracked_faces_message(HEADER, FRAME, tracks, crops[::-1])
    assert isinstance(message.crops, array.array)
    found = crops_of(message)
    np.testing.assert_array_equal(found, crops[::-1])
    assert np.shares_memory(found, np.frombuffer(message.crops, np.uint8))
