"""dlib's CNN detector on torch against dlib itself: photos enlarged or not, and frames of all clips.

dlib takes about five seconds for each million pixels, so pictures are first shrunk to what
all together take less than a minute.
"""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from social_perception.core.config import DetectionConfig
from social_perception.perception.detection.factory import make_detector

EXACT = {"precision": "float32", "device": "cpu", "boxes": "dlib"}
PHOTOS = ("2007_007763", "2008_001322", "2008_002506", *(f"tv_cast_{number}" for number in range(1, 6)))
CLIPS = {
    "crowd_1080p.mp4": 5,
    "face_enters.mov": 5,
    "face_leaves.mov": 4,
    "single_face.mp4": 5,
    "stage_cuts.mp4": 6,
    **{f"talker_d{number}.mp4": 5 for number in (0, 3, 6, 9, 18)},
}
"""How many frames of each clip are compared: 50 in all."""

PHOTO_PIXELS, FRAME_PIXELS = 150_000, 90_000


def shrunk(image, most_pixels):
    scale = min(1.0, (most_pixels / (image.shape[0] * image.shape[1])) ** 0.5)
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_BGR2RGB)


def frames_of(path, count):
    """Count frames at even distances, from the first on."""
    video = cv2.VideoCapture(str(path))
    frames = []
    while (read := video.read())[0]:
        frames.append(shrunk(read[1], FRAME_PIXELS))
    chosen = np.linspace(0, len(frames) - 1, count + 1).astype(int)[:-1]
    return [frames[index] for index in chosen]


def compare(image, upsample):
    """Assert that both find the same in a picture; return how many faces that is."""
    ours = make_detector(DetectionConfig(upsample=upsample, **EXACT)).detect(image)
    theirs = make_detector(DetectionConfig(backend="mmod-dlib", upsample=upsample)).detect(image)
    assert len(ours) == len(theirs)
    for expected in theirs:
        nearest = max(ours, key=lambda face: face.box.iou(expected.box))
        assert nearest.box.iou(expected.box) >= 0.9
        assert nearest.confidence == pytest.approx(expected.confidence, abs=0.02)
    return len(theirs)


@pytest.mark.parametrize("upsample", [0, 1])
@pytest.mark.parametrize("photo", PHOTOS)
def test_boxes_and_scores_are_dlibs_own_on_photos(shared, photo, upsample):
    pytest.importorskip("dlib")
    faces = compare(shrunk(cv2.imread(str(shared / "photos" / f"{photo}.jpg")), PHOTO_PIXELS), upsample)
    assert faces or upsample == 0, "these photos have faces of 37 px and more"


def test_fifty_frames_are_compared():
    assert sum(CLIPS.values()) == 50


@pytest.mark.timeout(300)
@pytest.mark.parametrize("clip", CLIPS)
def test_boxes_and_scores_are_dlibs_own_on_video(shared, clip):
    pytest.importorskip("dlib")
    frames = frames_of(shared / "clips" / clip, CLIPS[clip])
    assert len(frames) == CLIPS[clip]
    faces = sum(compare(frame, 0) for frame in frames)
    assert faces or clip in {"crowd_1080p.mp4", "stage_cuts.mp4"}, "the others show faces of 80 px and more"
