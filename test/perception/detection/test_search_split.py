"""How a search is split: no place and no size without a part, no face found by two."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from social_perception.core.config import DetectionConfig
from social_perception.perception.detection.factory import make_detector
from social_perception.perception.detection.search_split import levels_below, split_search

RATE = 5 / 6


@pytest.mark.parametrize(
    ("window", "limit", "rate", "expected"),
    [(40, 80, RATE, 4), (40, 80, 1 / 2, 1), (40, 80, 2 / 3, 2), (80, 80, RATE, 0), (90, 80, RATE, 0)],
)
def test_scales_below_a_size(window, limit, rate, expected):
    assert levels_below(window, limit, rate) == expected
    sizes = [window / rate**level for level in range(expected + 1)]
    assert all(size < limit - 1e-6 for size in sizes[:-1])
    assert sizes[-1] >= limit - 1e-6


@pytest.mark.parametrize("size", [(1280, 720), (720, 1280), (640, 480), (1920, 1080), (64, 48), (1, 900)])
@pytest.mark.parametrize("scale", [1.25, 2.0, 3.0])
def test_every_face_belongs_to_exactly_one_part(size, scale):
    width, height = size
    parts = split_search(width, height, scale, 80.0, RATE)
    places = [(x, y) for x in np.linspace(-20, width + 20, 97) for y in np.linspace(-20, height + 20, 53)]
    for (x, y), face_px in itertools.product(places, (30.0, 79.0, 96.1, 500.0)):
        assert sum(part.scope.holds(x, y, face_px) for part in parts) == 1


@pytest.mark.parametrize(("size", "strips"), [((640, 480), 1), ((1280, 720), 2), ((1920, 1080), 4)])
def test_a_strip_sees_its_faces_whole(size, strips):
    width, height = size
    _, *fine = split_search(width, height, 2.0, 80.0, RATE)
    assert len(fine) == strips
    for part in fine:
        reach = part.scope.max_px
        assert part.left <= max(0, part.scope.area.left - reach)
        assert part.right >= min(width, part.scope.area.right + reach)
        assert part.right - part.left < width or strips == 1
        assert (part.top, part.bottom) == (0, height)
        assert part.width == pytest.approx(2.0 * (part.right - part.left), abs=1)


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.2])
def test_a_picture_that_is_hardly_enlarged_is_searched_at_once(scale):
    assert split_search(1280, 720, scale, 80.0, RATE) == ()


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({}, 3),
        ({"upsample": 1}, 3),
        ({"min_face_px": 80}, 0),
        ({"max_face_px": 90}, 0),
        ({"max_face_px": 200}, 3),
    ],
)
def test_the_default_size_splits_a_camera_image(settings, count):
    config = DetectionConfig(backend="mmod-torch", **settings)
    assert len(make_detector(config, video=True).parts(1280, 720)) == count
