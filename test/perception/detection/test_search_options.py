"""What the options of the search change, and that several pictures at once are as one by one."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from social_perception.core.config import DetectionConfig
from social_perception.core.errors import ImageError
from social_perception.perception.detection.factory import make_detector
from social_perception.perception.detection.mmod import MmodTorchDetector

MMOD = {"backend": "mmod-torch", "device": "cpu"}
EXACT = {"precision": "float32", **MMOD}


def photo(shared, name, scale=1.0):
    image = cv2.cvtColor(cv2.imread(str(shared / "photos" / name)), cv2.COLOR_BGR2RGB)
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


@pytest.fixture
def together(monkeypatch):
    """Pictures go through the network together on the CPU too, where that does not pay."""
    monkeypatch.setattr("social_perception.perception.detection.mmod.batch_size", lambda device, pixels: 2)


def test_a_batch_finds_what_one_by_one_finds(shared, together):
    image = photo(shared, "2008_002506.jpg")
    images = [image, image[:, ::-1].copy(), np.full_like(image, 90), np.roll(image, 37, axis=1), image]
    detector = make_detector(DetectionConfig(min_face_px=60, **EXACT))
    batch = detector.detect_batch(images)
    assert len(batch[0]) >= 1
    assert batch[2] == ()
    for faces, single in zip(batch, [detector.detect(each) for each in images], strict=True):
        assert len(faces) == len(single)
        for face, alone in zip(faces, single):
            assert face.box.iou(alone.box) > 0.99
            assert face.confidence == pytest.approx(alone.confidence, abs=1e-3)


@pytest.mark.parametrize("video", [False, True])
def test_a_batch_on_the_cpu_is_one_by_one(shared, video):
    image = photo(shared, "2008_002506.jpg")
    detector = make_detector(DetectionConfig(min_face_px=60, **MMOD), video=video)
    assert detector.detect_batch([image, image[:, ::-1]]) == (
        detector.detect(image),
        detector.detect(image[:, ::-1]),
    )


def test_an_empty_batch_is_legal_and_a_mixed_one_refused():
    detector = make_detector(DetectionConfig(**EXACT))
    assert detector.detect_batch([]) == ()
    with pytest.raises(ImageError, match="must have equal sizes"):
        detector.detect_batch([np.zeros((50, 60, 3), np.uint8), np.zeros((60, 50, 3), np.uint8)])


@pytest.mark.parametrize("video", [False, True])
@pytest.mark.parametrize("backend", ["cascade", "mmod-torch"])
@pytest.mark.parametrize(("largest", "found"), [(0, True), (500, True), (60, False)])
def test_faces_over_the_largest_size_are_not_looked_for(shared, video, backend, largest, found):
    image = photo(shared, "2008_001322.jpg")
    config = DetectionConfig(backend=backend, device="cpu")
    whole = make_detector(config, video=video).detect(image)
    assert max(face.box.width for face in whole) > 80
    some = make_detector(replace(config, max_face_px=largest), video=video).detect(image)
    assert any(face.box.width > 80 for face in some) == found
    small = [face for face in whole if face.box.width <= min(50, largest or 50)]
    assert all(any(face.box.iou(other.box) > 0.6 for other in some) for face in small)


@pytest.mark.parametrize("divisor", [3, 4, 6])
def test_a_coarser_pyramid_searches_less_and_finds_clear_faces(shared, divisor, monkeypatch):
    searched = []
    network = MmodTorchDetector._score

    def noting(self, tiled, pyramid):
        searched.append(pyramid.width * pyramid.height)
        return network(self, tiled, pyramid)

    monkeypatch.setattr(MmodTorchDetector, "_score", noting)
    image = photo(shared, "2008_002506.jpg")
    faces = make_detector(DetectionConfig(pyramid_divisor=divisor, **MMOD), video=True).detect(image)
    assert len(faces) == 3
    most = {3: 2.1, 4: 2.7, 6: 3.8}[divisor]
    assert sum(searched) < most * 4 * image.shape[0] * image.shape[1]
