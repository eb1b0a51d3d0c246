"""Searching stills: what the detector is shown, and that boxes come back in px of the picture."""

from __future__ import annotations

import numpy as np
import pytest

from social_perception.core.types import Box, Face, ImageArray
from social_perception.perception.detection.still import detect_in_still


class BrightSpot:
    """Finds the bounding box of bright pixels, from a given attempt on and never more than it is asked."""

    def __init__(self, finds_at: int = 1) -> None:
        self.finds_at = finds_at
        self.shown: list[tuple[int, ...]] = []

    def detect(self, image: ImageArray) -> tuple[Face, ...]:
        self.shown.append(image.shape)
        if len(self.shown) < self.finds_at:
            return ()
        rows, columns = np.nonzero(image[:, :, 0] > 127)
        left, top = float(columns.min()), float(rows.min())
        return (Face(Box(left, top, columns.max() + 1 - left, rows.max() + 1 - top), 1.0),)


def picture(height: int, width: int, box: tuple[int, int, int, int]) -> ImageArray:
    image = np.zeros((height, width, 3), np.uint8)
    left, top, right, bottom = box
    image[top:bottom, left:right] = 255
    return image


@pytest.mark.parametrize("finds_at", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((48, 48), (6, 10, 40, 44)),
        ((64, 50), (5, 9, 30, 50)),
        ((190, 180), (100, 40, 160, 110)),
        ((700, 900), (20, 30, 220, 260)),
    ],
)
def test_boxes_are_those_of_the_picture(
    finds_at: int, size: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    detector = BrightSpot(finds_at)
    (face,) = detect_in_still(detector, picture(*size, box))
    found = (face.box.left, face.box.top, face.box.right, face.box.bottom)
    assert found == pytest.approx(box, abs=1.0)
    assert len(detector.shown) == finds_at


def test_a_tight_face_picture_is_enlarged_beyond_75_px() -> None:
    detector = BrightSpot()
    detect_in_still(detector, picture(48, 48, (4, 4, 44, 44)))
    assert min(detector.shown[0][:2]) > 2.2 * 75


def test_a_large_picture_is_not_enlarged() -> None:
    detector = BrightSpot()
    detect_in_still(detector, picture(1000, 1500, (4, 4, 300, 300)))
    assert detector.shown[0] == (1000 + 2 * 225, 1500 + 2 * 225, 3)


def test_a_large_picture_without_faces_is_searched_twice() -> None:
    detector = BrightSpot(finds_at=99)
    assert detect_in_still(detector, picture(1800, 2400, (4, 4, 300, 300))) == ()
    assert detector.shown == [(1800 + 2 * 360, 2400 + 2 * 360, 3)] * 2


def test_nothing_found_is_an_answer() -> None:
    detector = BrightSpot(finds_at=99)
    assert detect_in_still(detector, picture(48, 48, (4, 4, 44, 44))) == ()
    assert len(detector.shown) == 4
