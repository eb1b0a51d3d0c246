"""Recall of detectors by face size: the counting, on detectors with known results."""

from __future__ import annotations

import math
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from social_perception.cli.main import main
from social_perception.core.errors import SourceError
from social_perception.core.types import NOBODY, Box, Face
from social_perception.research.evaluation import detection_recall
from social_perception.research.evaluation.detection_recall import (
    DetectionRecall,
    Example,
    Row,
    SizeRecall,
    format_row,
    measure_recall,
    photo_examples,
    scaled_examples,
)

IMAGE = np.zeros((200, 300, 3), np.uint8)
SMALL, MIDDLE, LARGE = Box(10, 10, 35, 35), Box(60, 10, 45, 45), Box(120, 20, 120, 120)


class FakeDetector:
    """Detects the given boxes."""

    threshold = 0.0

    def __init__(self, *boxes, score=1.0):
        self.faces = tuple(Face(box, score) for box in boxes)

    def detect(self, image):
        return self.faces


class FakePartwiseDetector(FakeDetector):
    def parts(self, width, height):
        assert (width, height) == (300, 200)
        return tuple(SimpleNamespace(face=face) for face in self.faces)

    def detect_part(self, image, part, known=NOBODY):
        return (part.face,)


def by_size(recall):
    return {size.low_px: (size.faces, size.found_after) for size in recall.sizes}


def test_faces_are_counted_by_size_and_by_search():
    example = Example(IMAGE, (SMALL, MIDDLE, LARGE))
    whole = measure_recall(FakeDetector(LARGE, SMALL), [example], bins_px=(30, 40, 60, 200))
    assert by_size(whole) == {30: (1, (1,)), 40: (1, (0,)), 60: (1, (1,))}
    assert whole.false_positives == 0
    parts = measure_recall(FakePartwiseDetector(LARGE, SMALL), [example] * 2, bins_px=(30, 40, 60, 200))
    assert by_size(parts) == {30: (2, (0, 2)), 40: (2, (0, 0)), 60: (2, (2, 2))}


def test_false_positives_are_counted():
    recall = measure_recall(FakeDetector(LARGE, LARGE.moved(90, 0), SMALL), [Example(IMAGE, (LARGE,))])
    assert recall.false_positives == 2


def test_no_images_have_no_recall():
    recall = measure_recall(FakeDetector(), [])
    assert all(size.faces == 0 and math.isnan(size.recall) for size in recall.sizes)


def test_photos_come_with_their_boxes(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((20, 30, 3), (255, 0, 0), np.uint8))
    (tmp_path / "boxes.csv").write_text("image,left,top,width,height\na.png,1,2,3,4\na.png,5,6,7,8\n")
    (example,) = photo_examples(tmp_path)
    assert example.faces == (Box(1, 2, 3, 4), Box(5, 6, 7, 8))
    assert example.image[0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize(
    "table", [None, "image,left\na.png,1\n", "image,left,top,width,height\na.png,1,2,3,4\n"]
)
def test_unreadable_files_are_reported(tmp_path, table):
    if table is not None:
        (tmp_path / "boxes.csv").write_text(table)
    with pytest.raises(SourceError, match=r"boxes\.csv|a\.png"):
        list(photo_examples(tmp_path))


def test_frames_are_scaled_so_that_the_largest_face_has_the_width():
    examples = list(scaled_examples([IMAGE], FakeDetector(SMALL, LARGE), [60.0, 30.0, 500.0], (640, 480)))
    assert [example.image.shape for example in examples] == [(480, 640, 3)] * 2
    half, quarter = (example.faces for example in examples)
    assert half[1] == Box(60 + 245, 10 + 190, 60, 60)
    assert [box.width for box in quarter] == [8.75, 30.0]


@pytest.mark.parametrize("roll_deg", [30.0, -45.0])
def test_rotated_frames_keep_the_faces_in_their_boxes(roll_deg) -> None:
    image = np.full((200, 300, 3), 40, np.uint8)
    face, other = Box(120, 60, 100, 100), Box(40, 90, 20, 20)
    for box, gray in ((face, 200), (other, 250)):
        image[int(box.top) : int(box.bottom), int(box.left) : int(box.right)] = gray
    (example,) = scaled_examples([image], FakeDetector(face, other), [60.0], (480, 360), roll_deg)
    for box, gray in zip(example.faces, (200, 250)):
        x, y = map(round, box.center)
        assert abs(int(example.image[y, x, 0]) - gray) < 5
    assert example.faces[1].center[1] != pytest.approx(example.faces[0].center[1] - 6, abs=3)


def test_uncertain_faces_and_large_frames_are_skipped():
    assert list(scaled_examples([IMAGE], FakeDetector(LARGE, score=0.1), [60.0], (640, 480))) == []
    assert list(scaled_examples([IMAGE], FakeDetector(LARGE), [110.0], (200, 100))) == []


def test_a_row_shows_the_detected_faces_after_each_search() -> None:
    sizes = (SizeRecall(30, 40, 4, (1, 3)), SizeRecall(40, 50, 0, (0, 0)), SizeRecall(80, 100, 2, (2, 2)))
    text = format_row(Row("video", "photos", DetectionRecall(sizes, 1), 2.0))
    assert "30-40 px 1 then 3 / 4  80-100 px 2 then 2 / 2  false positives 1  cpu 2.0 s" in text
    assert "40-50" not in text


def test_the_command_measures_the_detector_on_request(monkeypatch) -> None:
    called = []
    monkeypatch.setattr(detection_recall, "main", lambda: called.append(True))
    assert main(["evaluate", "--detector"]) == 0
    assert called
