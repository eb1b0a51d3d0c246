from __future__ import annotations

import math

import pytest
from factories import face, group

from social_perception.core.camera import Intrinsics
from social_perception.core.types import Box, Position, SmileLevel
from social_perception.views.colors import level_color
from social_perception.views.scene import figures_of, group_position, group_text, label_position

CAMERA = Intrinsics(fx=500.0, fy=400.0, cx=320.0, cy=240.0)
PLANE_M = 2.0


@pytest.mark.parametrize(
    ("center", "expected"),
    [
        ((320.0, 240.0), Position(0.0, 0.0, PLANE_M)),
        ((570.0, 240.0), Position(1.0, 0.0, PLANE_M)),
        ((320.0, 340.0), Position(0.0, 0.5, PLANE_M)),
    ],
)
def test_without_depth_a_face_is_where_its_pixel_meets_the_plane(center, expected) -> None:
    (figure,) = figures_of([face(box=Box(center[0] - 20, center[1] - 20, 40, 40))], CAMERA, PLANE_M)
    assert figure.position == expected


def test_with_depth_a_face_is_where_it_was_measured() -> None:
    measured = Position(-0.4, 0.1, 3.0)
    (figure,) = figures_of([face(box=Box(0, 0, 40, 40), position=measured)], CAMERA, PLANE_M)
    assert figure.position == measured


@pytest.mark.parametrize(
    "measured", [Position(0.1, 0.1, 0.0), Position(0.1, 0.1, -1.0), Position(0, 0, math.inf)]
)
def test_a_depth_that_cannot_be_counts_as_none(measured) -> None:
    (figure,) = figures_of([face(box=Box(300, 220, 40, 40), position=measured)], CAMERA, PLANE_M)
    assert figure.position == Position(0.0, 0.0, PLANE_M)


@pytest.mark.parametrize(
    ("box", "depth_m", "expected_m"),
    [
        (Box(300, 200, 50, 40), 3.0, 0.3),
        (Box(300, 200, 50, 40), 1.5, 0.15),
        (Box(0, 200, 5, 40), 3.0, 0.3),  # half outside the image
    ],
)
def test_a_ball_has_the_faces_size(box, depth_m, expected_m) -> None:
    (figure,) = figures_of([face(box=box, position=Position(0, 0, depth_m))], CAMERA, PLANE_M)
    assert figure.diameter_m == pytest.approx(expected_m)


def test_text_and_colour_say_the_level() -> None:
    (figure,) = figures_of([face(box=Box(0, 0, 40, 40), name="p7")], CAMERA, PLANE_M)
    assert (figure.text, figure.color, figure.valid) == (
        "p7\nMedium 0.50",
        level_color(SmileLevel.MEDIUM),
        True,
    )


def test_a_smile_that_is_not_valid_is_gray_and_in_brackets() -> None:
    (figure,) = figures_of([face(box=Box(0, 0, 40, 40), valid=False)], CAMERA, PLANE_M)
    assert figure.text == "a\n(Medium) 0.50"
    assert (figure.color, figure.valid) == (level_color(SmileLevel.UNKNOWN), False)


def test_texts_stand_above_each_other_and_y_points_down() -> None:
    height_m = 0.05
    figures = figures_of(
        [
            face(box=Box(300, 300, 40, 40)),
            face(box=Box(100, 100, 40, 40), position=Position(-1.0, -0.5, 3.0)),
        ],
        CAMERA,
        PLANE_M,
    )
    tops = []
    for figure in figures:
        label = label_position(figure, height_m)
        assert (label.x, label.z) == (figure.position.x, figure.position.z)
        assert label.y + height_m <= figure.top_m < figure.position.y, "two lines fit between"
        tops.append(label.y - height_m)
    text = group_text(group())
    above = group_position(figures, text, height_m, PLANE_M)
    assert above.y + height_m < min(tops)
    assert above.x == pytest.approx(sum(each.position.x for each in figures) / 2)
    assert above.z == pytest.approx((PLANE_M + 3.0) / 2)


def test_when_nobody_is_there_the_groups_text_is_straight_ahead() -> None:
    assert group_position((), group_text(group(0)), 0.05, PLANE_M) == Position(0.0, 0.0, PLANE_M)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (group(), "group of 2   Medium 0.50\nsmiling 50 %   trend +0.01/s   synchrony -"),
        (group(0), "nobody in view"),
        (group(stale=True), "group: no images"),
        (None, "group: waiting"),
    ],
)
def test_the_groups_text(state, expected) -> None:
    assert group_text(state) == expected
