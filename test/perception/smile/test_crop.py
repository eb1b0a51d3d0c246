"""The framing of the crops, which the network was trained with, pixel by pixel."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from social_perception.core.types import Box, ImageArray
from social_perception.perception.smile.crop import CROP_MARGIN, crop_faces

BOXES = {
    "inside": Box(100.3, 40.6, 50.0, 52.5),
    "large": Box(60.0, 20.0, 150.7, 140.0),
    "upper left corner": Box(-20.0, -11.2, 60.0, 60.0),
    "lower right corner": Box(270.4, 160.9, 70.0, 64.0),
    "wider than the picture": Box(-50.0, -30.0, 500.0, 400.0),
    "tiny": Box(200.2, 100.7, 0.5, 0.5),
    "flat": Box(30.0, 90.0, 120.0, 8.0),
    "exactly one crop": Box(9.6, 9.6, 96 / CROP_MARGIN, 96 / CROP_MARGIN),
}


@pytest.fixture(scope="module")
def image() -> ImageArray:
    noise = np.random.default_rng(5).integers(0, 256, (200, 320, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 1.5)


def plain_crop(image: ImageArray, box: Box) -> ImageArray:
    """The square with its edge repeated by numpy, then resized: what the framing is defined to be."""
    side = CROP_MARGIN * max(box.width, box.height)
    left, top = box.center[0] - side / 2, box.center[1] - side / 2
    columns = np.arange(np.floor(left), np.ceil(left + side)).clip(0, image.shape[1] - 1).astype(int)
    rows = np.arange(np.floor(top), np.ceil(top + side)).clip(0, image.shape[0] - 1).astype(int)
    part = np.ascontiguousarray(image[np.ix_(rows, columns)])
    return cv2.resize(part, (96, 96), interpolation=cv2.INTER_AREA if len(rows) > 96 else cv2.INTER_LINEAR)


@pytest.mark.parametrize("name", BOXES)
def test_a_crop_is_the_square_around_the_box(name: str, image: ImageArray) -> None:
    (crop,) = crop_faces(image, [BOXES[name]])
    np.testing.assert_array_equal(crop, plain_crop(image, BOXES[name]))


def test_all_faces_are_cut_at_once_in_their_order(image: ImageArray) -> None:
    crops = crop_faces(image, list(BOXES.values()))
    assert (crops.shape, crops.dtype) == ((len(BOXES), 96, 96, 3), np.uint8)
    for crop, box in zip(crops, BOXES.values()):
        np.testing.assert_array_equal(crop, plain_crop(image, box))


@pytest.mark.parametrize("left", [-300.0, 700.0])
def test_a_box_outside_the_picture_is_black(left: float, image: ImageArray) -> None:
    crops = crop_faces(image, [BOXES["inside"], Box(left, 50.0, 60.0, 60.0)])
    assert crops[0].any()
    assert not crops[1].any()


def test_no_boxes_are_legal(image: ImageArray) -> None:
    assert crop_faces(image, []).shape == (0, 96, 96, 3)


def test_a_picture_that_is_a_view_is_cut_as_its_copy(image: ImageArray) -> None:
    mirrored = image[:, ::-1]
    boxes = list(BOXES.values())
    np.testing.assert_array_equal(crop_faces(mirrored, boxes), crop_faces(mirrored.copy(), boxes))
