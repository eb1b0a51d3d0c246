"""How many frames a face is in the picture before it has a box, with the default settings."""

from __future__ import annotations

import pytest

from social_perception.core.config import PipelineConfig
from social_perception.core.types import Frame
from social_perception.perception.pipeline import make_tracking
from social_perception.research.benchmarks.first_box import RATE_HZ, Scene, wall

INTERVAL = 10


@pytest.fixture(scope="module")
def tracking():
    following = make_tracking(PipelineConfig(), live=False)
    yield following
    following.close()


def frames_until_boxed(tracking, scene, empty_frames, most):
    """Show an empty wall, then the face; count the frames from its first to that with its box."""
    tracking.reset()
    for index in range(empty_frames):
        assert tracking.process(Frame(wall(), index / RATE_HZ, index)).tracks == ()
    for index in range(empty_frames, empty_frames + most + 1):
        tracks = tracking.process(Frame(scene.image, index / RATE_HZ, index)).tracks
        if tracks:
            assert len(tracks) == 1, "one face, one box"
            assert tracks[0].box.iou(scene.face) > 0.5
            return index - empty_frames
    raise AssertionError(f"no box within {most} frames")


@pytest.mark.parametrize("center", [(200, 300), (640, 360), (690, 400)])
@pytest.mark.parametrize(("face_px", "most"), [(45, 2 * INTERVAL), (90, INTERVAL)])
def test_a_face_that_enters_is_boxed_soon(tracking, face_px, most, center):
    """Frames enough for 1 s (small) and 0.5 s (large) at 30 Hz, and time for the search itself."""
    scene = Scene.with_face(face_px, center)
    assert frames_until_boxed(tracking, scene, 1, most) <= most


@pytest.mark.parametrize("face_px", [45, 240])
def test_a_face_that_is_there_from_the_start_is_boxed_at_once(tracking, face_px):
    scene = Scene.with_face(face_px, (500, 330))
    assert frames_until_boxed(tracking, scene, 0, 0) == 0


@pytest.mark.parametrize("face_px", [45, 88])
def test_a_face_keeps_its_one_box_through_all_parts(tracking, face_px):
    """Two seconds, in which parts that can not see the face have their turns too."""
    scene = Scene.with_face(face_px, (660, 360))
    tracking.reset()
    ids = set()
    for index in range(60):
        (track,) = tracking.process(Frame(scene.image, index / RATE_HZ, index)).tracks
        assert track.visible
        assert track.box.iou(scene.face) > 0.5
        ids.add(track.id)
    assert len(ids) == 1
