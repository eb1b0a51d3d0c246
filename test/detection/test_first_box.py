"""How many frames a face is in the picture before it has a box, with the default settings."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from social_perception.core.config import PipelineConfig
from social_perception.core.types import Box, Frame
from social_perception.pipeline import make_tracking
from social_perception.sources.portrait import BUST, FACE, load_portrait

WIDTH, HEIGHT, RATE_HZ = 1280, 720, 30.0
INTERVAL = 10

pytest.importorskip("skimage", reason="the portrait comes with scikit-image")


def scene(face_px, center):
    """The portrait before a gray wall, its face face_px wide around a point, and where that is."""
    left, top, right, bottom = BUST
    scale = face_px / FACE.width
    bust = load_portrait()[top:bottom, left:right]
    bust = cv2.resize(bust, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    image = wall()
    x = round(center[0] - scale * (FACE.center[0] - left))
    y = round(center[1] - scale * (FACE.center[1] - top))
    x0, y0, x1, y1 = max(0, x), max(0, y), min(WIDTH, x + bust.shape[1]), min(HEIGHT, y + bust.shape[0])
    image[y0:y1, x0:x1] = bust[y0 - y : y1 - y, x0 - x : x1 - x]
    return image, Box(center[0] - face_px / 2, center[1] - face_px / 2, face_px, face_px)


def wall():
    noise = np.random.default_rng(0).integers(90, 140, (18, 32, 3), dtype=np.uint8)
    return cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def tracking():
    following = make_tracking(PipelineConfig(), live=False)
    yield following
    following.close()


def frames_until_boxed(tracking, image, face, empty_frames, most):
    """Show an empty wall, then the face; count the frames from its first to that with its box."""
    tracking.reset()
    for index in range(empty_frames):
        assert tracking.update(Frame(wall(), index / RATE_HZ, index)) == ()
    for index in range(empty_frames, empty_frames + most + 1):
        tracks = tracking.update(Frame(image, index / RATE_HZ, index))
        if tracks:
            assert len(tracks) == 1, "one face, one box"
            assert tracks[0].box.iou(face) > 0.5
            return index - empty_frames
    raise AssertionError(f"no box within {most} frames")


@pytest.mark.parametrize("center", [(200, 300), (640, 360), (690, 400)])
@pytest.mark.parametrize(("face_px", "most"), [(45, 2 * INTERVAL), (90, INTERVAL)])
def test_a_face_that_enters_is_boxed_soon(tracking, face_px, most, center):
    """Frames enough for 1 s (small) and 0.5 s (large) at 30 Hz, and time for the search itself."""
    image, face = scene(face_px, center)
    assert frames_until_boxed(tracking, image, face, 1, most) <= most


@pytest.mark.parametrize("face_px", [45, 240])
def test_a_face_that_is_there_from_the_start_is_boxed_at_once(tracking, face_px):
    image, face = scene(face_px, (500, 330))
    assert frames_until_boxed(tracking, image, face, 0, 0) == 0


@pytest.mark.parametrize("face_px", [45, 88])
def test_a_face_keeps_its_one_box_through_all_parts(tracking, face_px):
    """Two seconds, in which parts that can not see the face have their turns too."""
    image, face = scene(face_px, (660, 360))
    tracking.reset()
    ids = set()
    for index in range(60):
        (track,) = tracking.update(Frame(image, index / RATE_HZ, index))
        assert track.visible
        assert track.box.iou(face) > 0.5
        ids.add(track.id)
    assert len(ids) == 1
