"""dlib's CNN detector on torch against dlib itself: photos enlarged or not, and frames of all clips.

dlib takes about five seconds for each million pixels, so images are first shrunk to what takes less than
half a minute together.
"""

from __future__ import annotations

import cv2
import pytest

from social_perception.core.config import DetectionConfig
from social_perception.perception.detection.factory import make_detector

EXACT = {"backend": "mmod-torch", "precision": "float32", "device": "cpu", "boxes": "dlib"}
PHOTOS = (("2007_007763", 1), ("tv_cast_1", 1), ("tv_cast_4", 1), ("2008_001322", 0), ("tv_cast_2", 0))
"""Photos, and how often they are enlarged."""

CLIPS = (
    "crowd_1080p.mp4",
    "face_enters.mov",
    "face_leaves.mov",
    "single_face.mp4",
    "stage_cuts.mp4",
    *(f"talker_d{number}.mp4" for number in (0, 3, 6, 9, 18)),
)
FRAMES = 2
"""How many frames of each clip are compared."""

PHOTO_PIXELS, FRAME_PIXELS = 150_000, 90_000


def shrunk(image, most_pixels):
    scale = min(1.0, (most_pixels / (image.shape[0] * image.shape[1])) ** 0.5)
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_BGR2RGB)


def frames_of(path, count):
    """Count frames at even distances: the middle of each part."""
    video = cv2.VideoCapture(str(path))
    frames = []
    while (read := video.read())[0]:
        frames.append(shrunk(read[1], FRAME_PIXELS))
    return [frames[len(frames) * (2 * part + 1) // (2 * count)] for part in range(count)]


def compare(image, upsample):
    """Assert that both find the same in an image; return how many faces that is."""
    ours = make_detector(DetectionConfig(upsample=upsample, **EXACT)).detect(image)
    theirs = make_detector(DetectionConfig(backend="mmod-dlib", upsample=upsample)).detect(image)
    assert len(ours) == len(theirs)
    for expected in theirs:
        nearest = max(ours, key=lambda face: face.box.iou(expected.box))
        assert nearest.box.iou(expected.box) >= 0.9
        assert nearest.confidence == pytest.approx(expected.confidence, abs=0.02)
    return len(theirs)


@pytest.mark.parametrize(("photo", "upsample"), PHOTOS)
def test_boxes_and_scores_are_dlibs_own_on_photos(shared, photo, upsample):
    pytest.importorskip("dlib")
    faces = compare(shrunk(cv2.imread(str(shared / "photos" / f"{photo}.jpg")), PHOTO_PIXELS), upsample)
    assert faces or upsample == 0, "these photos have faces of 37 px and more"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("clip", CLIPS)
def test_boxes_and_scores_are_dlibs_own_on_video(shared, clip):
    pytest.importorskip("dlib")
    frames = frames_of(shared / "clips" / clip, FRAMES)
    assert len(frames) == FRAMES
    faces = sum(compare(frame, 0) for frame in frames)
    assert faces or clip in {"crowd_1080p.mp4", "stage_cuts.mp4"}, "the others show faces of 80 px and more"
