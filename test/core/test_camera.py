from __future__ import annotations

import math

import pytest

from social_perception.core.camera import Intrinsics
from social_perception.core.types import Position

CAMERA = Intrinsics(600.0, 620.0, 640.0, 360.0)


@pytest.mark.parametrize(
    ("pixel", "depth_m", "position"),
    [
        ((640.0, 360.0), 2.0, Position(0.0, 0.0, 2.0)),
        ((1240.0, 360.0), 2.0, Position(2.0, 0.0, 2.0)),
        ((640.0, 50.0), 4.0, Position(0.0, -2.0, 4.0)),
    ],
)
def test_pixel_and_depth_give_a_position_and_back(pixel, depth_m: float, position: Position) -> None:
    found = CAMERA.position(*pixel, depth_m)
    assert (found.x, found.y, found.z) == pytest.approx((position.x, position.y, position.z))
    assert CAMERA.pixel(found) == pytest.approx(pixel)


def test_field_of_view_reaches_to_the_edge() -> None:
    camera = Intrinsics.from_field_of_view(1280, 720, 90.0)
    edge = camera.position(1280.0, 360.0, 1.0)
    assert math.degrees(math.atan2(edge.x, edge.z)) == pytest.approx(45.0)
    assert edge.y == pytest.approx(0.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Intrinsics(0.0, 600.0, 1.0, 1.0),
        lambda: Intrinsics(600.0, math.nan, 1.0, 1.0),
        lambda: Intrinsics(600.0, 600.0, math.inf, 1.0),
        lambda: Intrinsics.from_field_of_view(640, 480, 180.0),
    ],
)
def test_impossible_camera_is_refused(make) -> None:
    with pytest.raises(ValueError, match="must be"):
        make()
