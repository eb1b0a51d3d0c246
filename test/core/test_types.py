"""The vocabulary's own rules."""

from __future__ import annotations

import math

import numpy as np
import pytest

from social_perception.core.errors import ImageError
from social_perception.core.types import Box, Frame, SmileLevel


@pytest.mark.parametrize(
    ("intensity", "level"),
    [(0.0, 0), (0.16, 0), (0.17, 1), (0.49, 1), (0.51, 2), (0.83, 2), (0.84, 3), (1.0, 3), (math.nan, 255)],
)
def test_level_is_the_nearest_third(intensity, level):
    assert SmileLevel.of_intensity(intensity) == level


@pytest.mark.parametrize(
    ("other", "iou"),
    [
        (Box(0, 0, 10, 10), 1.0),
        (Box(5, 0, 10, 10), 1 / 3),
        (Box(10, 0, 10, 10), 0.0),
        (Box(2, 2, 5, 5), 0.25),
    ],
)
def test_iou(other, iou):
    assert Box(0, 0, 10, 10).iou(other) == pytest.approx(iou)
    assert other.iou(Box(0, 0, 10, 10)) == pytest.approx(iou)


def test_box_moves_about_its_centre():
    assert Box(0, 0, 10, 20).moved(5, -5, 2.0) == Box(0, -15, 20, 40)


@pytest.mark.parametrize("box", [(-5, 0, 10, 10), (95, 0, 10, 10)])
def test_half_a_box_is_visible_at_the_edge(box):
    assert Box(*box).visible_fraction(100, 100) == pytest.approx(0.5)


@pytest.mark.parametrize("values", [(0, 0, 0, 5), (0, 0, 5, -1), (math.nan, 0, 5, 5), (0, math.inf, 5, 5)])
def test_impossible_boxes_are_refused(values):
    with pytest.raises(ValueError, match="must be"):
        Box(*values)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((10, 10, 3), np.float32),
        np.zeros((0, 10, 3), np.uint8),
    ],
)
def test_frames_hold_rgb_bytes_only(image):
    with pytest.raises(ImageError, match="image must"):
        Frame(image, 0.0, 0)
