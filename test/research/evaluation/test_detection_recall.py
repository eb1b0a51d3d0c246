"""Recall of detectors by face size: the counting, on detectors whose finds are known."""

from __future__ import annotations

import math
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from social_perception.core.errors import SourceError
from social_perception.core.types import Box, Face
from social_perception.research.evaluation.detection import (
    Example,
    measure_recall,
    photo_examples,
    scaled_examples,
)

IMAGE = np.zeros((200, 300, 3), np.uint8)
SMALL, MIDDLE, LARGE = Box(10, 10, 35, 35), Box(60, 10, 45, 45), Box(120, 20, 120, 120)


class Knowing:
    """Finds the boxes that it was made with."""

    threshold = 0.0

    def __init__(self, *boxes, score=1.0):
        self.faces = tuple(Face(box, score) for box in boxes)

    def detect(self, image):
        return self.faces


class KnowingInParts(Knowing):
    def parts(self, width, height):
        assert (width, height) == (300, 200)
        return tuple(SimpleNamespace(face=face) for face in self.faces)

    def detect_part(self, image, part):
        return (part.face,)


def by_size(recall):
    return {size.low_px: (size.faces, size.found_after) for size in recall.sizes}


def test_faces_are_counted_by_size_and_by_search():
    example = Example(IMAGE, (SMALL, MIDDLE, LARGE))
    whole = measure_recall(Knowing(LARGE, SMALL), [example], bins_px=(30, 40, 60, 200))
    assert by_size(whole) == {30: (1, (1,)), 40: (1, (0,)), 60: (1, (1,))}
    assert whole.extra == 0
    parts = measure_recall(KnowingInParts(LARGE, SMALL), [example] * 2, bins_px=(30, 40, 60, 200))
    assert by_size(parts) == {30: (2, (0, 2)), 40: (2, (0, 0)), 60: (2, (2, 2))}


def test_what_is_no_face_is_extra():
    recall = measure_recall(Knowing(LARGE, LARGE.moved(90, 0), SMALL), [Example(IMAGE, (LARGE,))])
    assert recall.extra == 2


def test_no_pictures_have_no_recall():
    recall = measure_recall(Knowing(), [])
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
def test_what_cannot_be_read_is_named(tmp_path, table):
    if table is not None:
        (tmp_path / "boxes.csv").write_text(table)
    with pytest.raises(SourceError, match=r"boxes\.csv|a\.png"):
        list(photo_examples(tmp_path))


def test_frames_are_scaled_so_that_the_largest_face_has_the_width():
    examples = list(scaled_examples([IMAGE], Knowing(SMALL, LARGE), [60.0, 30.0, 500.0], (640, 480)))
    assert [example.image.shape for example in examples] == [(480, 640, 3)] * 2
    half, quarter = (example.faces for example in examples)
    assert half[1] == Box(60 + 245, 10 + 190, 60, 60)
    assert [box.width for box in quarter] == [8.75, 30.0]


def test_unsure_faces_are_no_truth_and_large_frames_are_left_out():
    assert list(scaled_examples([IMAGE], Knowing(LARGE, score=0.1), [60.0], (640, 480))) == []
    assert list(scaled_examples([IMAGE], Knowing(LARGE), [110.0], (200, 100))) == []
