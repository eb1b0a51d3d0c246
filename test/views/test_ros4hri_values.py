from __future__ import annotations

import math

import factories
import numpy as np
import pytest

from social_perception.core.errors import ImageError
from social_perception.core.types import Box, Smile, SmileLevel
from social_perception.ros.support.ros4hri_values import (
    ActionUnit,
    Expression,
    NormalizedRoi,
    action_units_of,
    is_topic_name,
    topic_name,
    without_margin,
    without_padding,
)

NAN = math.nan


def smile(intensity: float, level: SmileLevel, probabilities, *, valid: bool = True) -> Smile:
    return factories.smile(intensity, level=level, probabilities=probabilities, valid=valid)


@pytest.mark.parametrize(
    ("given", "expression", "unit"),
    [
        (
            smile(0.05, SmileLevel.NEUTRAL, (0.9, 0.1, 0.0, 0.0)),
            Expression("neutral", 0.05, NAN, 0.9),
            ActionUnit(12, 0.05, 0.9),
        ),
        (
            smile(0.35, SmileLevel.LOW, (0.3, 0.6, 0.1, 0.0)),
            Expression("happy", 0.35, NAN, 0.7),
            ActionUnit(12, 0.35, 0.6),
        ),
        (
            smile(0.7, SmileLevel.MEDIUM, (0.1, 0.2, 0.5, 0.2)),
            Expression("happy", 0.7, NAN, 0.9),
            ActionUnit(12, 0.7, 0.5),
        ),
        (
            smile(1.0, SmileLevel.HIGH, (0.0, 0.0, 0.0, 1.0)),
            Expression("happy", 1.0, NAN, 1.0),
            ActionUnit(12, 1.0, 1.0),
        ),
        # Rounding in a float32 must not carry a value out of its range.
        (
            smile(1.0000001, SmileLevel.HIGH, (-1e-9, 0.0, 0.0, 1.0000001)),
            Expression("happy", 1.0, NAN, 1.0),
            ActionUnit(12, 1.0, 1.0),
        ),
    ],
)
def test_what_a_smile_tells(given: Smile, expression: Expression, unit: ActionUnit) -> None:
    found = Expression.of_smile(given)
    assert found.name == expression.name
    assert (found.valence, found.confidence) == pytest.approx((expression.valence, expression.confidence))
    assert math.isnan(found.arousal)
    (only,) = action_units_of(given)
    assert only.code == unit.code
    assert (only.intensity, only.confidence) == pytest.approx((unit.intensity, unit.confidence))
    for value in (found.valence, found.confidence, only.intensity, only.confidence):
        assert 0.0 <= value <= 1.0


@pytest.mark.parametrize(
    "given",
    [
        Smile.unknown(),
        Smile.unknown(observed_frames=3),
        smile(0.9, SmileLevel.HIGH, (0.0, 0.0, 0.1, 0.9), valid=False),
        smile(NAN, SmileLevel.UNKNOWN, (NAN, NAN, NAN, NAN)),
    ],
)
def test_nothing_is_reported_of_what_is_not_valid(given: Smile) -> None:
    assert Expression.of_smile(given) is None
    assert action_units_of(given) == ()


@pytest.mark.parametrize(("width_px", "height_px"), [(640, 480), (1280, 720), (4096, 3000)])
@pytest.mark.parametrize("box", [Box(0, 0, 1, 1), Box(123, 45, 67, 89), Box(600, 400, 40, 80)])
def test_a_box_survives_the_way_there_and_back(box: Box, width_px: int, height_px: int) -> None:
    roi = NormalizedRoi.of_box(box, width_px, height_px, seen=True)
    as_sent = NormalizedRoi(*(float(np.float32(e)) for e in (roi.left, roi.top, roi.right, roi.bottom)), 1.0)
    back = as_sent.box(width_px, height_px)
    assert back == box  # to the last bit: a crop would be cut elsewhere


def test_the_smallest_rectangle_is_a_box_too() -> None:
    assert NormalizedRoi(0.5, 0.5, 0.500001, 0.500001, 1.0).box(100, 100).width > 0


def test_a_box_over_the_edge_is_clipped_and_says_whether_it_was_seen() -> None:
    roi = NormalizedRoi.of_box(Box(-10, 400, 110, 100), 200, 450, seen=False)
    assert (roi.left, roi.right, roi.bottom, roi.confidence) == (0.0, 0.5, 1.0, 0.0)
    assert NormalizedRoi.of_box(Box(0, 0, 10, 10), 200, 450, seen=True).confidence == 1.0


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ((0.5, 0.1, 0.5, 0.2, 1.0), "x 0.5 to 0.5"),
        ((0.1, 0.3, 0.2, 0.2, 1.0), "y 0.3 to 0.2"),
        ((-0.1, 0.1, 0.2, 0.2, 1.0), "x -0.1"),
        ((0.1, 0.1, 1.2, 0.2, 1.0), "1.2"),
        ((NAN, 0.1, 0.2, 0.2, 1.0), "x nan"),
        ((0.1, 0.1, 0.2, 0.2, 1.5), "confidence .* got 1.5"),
        ((0.1, 0.1, 0.2, 0.2, NAN), "confidence .* got nan"),
    ],
)
def test_an_impossible_rectangle_is_refused(values, problem: str) -> None:
    with pytest.raises(ImageError, match=problem):
        NormalizedRoi(*values)


@pytest.mark.parametrize("face_id", ["abcde", "f00001", "A_b2"])
def test_an_id_that_can_be_in_a_topics_name_stays(face_id: str) -> None:
    assert is_topic_name(face_id)
    assert topic_name(face_id) == face_id


@pytest.mark.parametrize("face_id", ["0a1b2", "", "a b", "a/b", "_hidden", "é", "ab\n", "x" * 65, "a-b"])
def test_any_other_id_gets_a_name_of_its_own(face_id: str) -> None:
    assert not is_topic_name(face_id)
    name = topic_name(face_id)
    assert is_topic_name(name)
    assert topic_name(face_id) == name


def test_ids_that_look_alike_get_different_names() -> None:
    ids = ("a b", "a/b", "a-b", "a  b", "a_b", "", "_", "f_a_b")
    assert len({topic_name(each) for each in ids}) == len(ids)


def test_the_without_margin_is_the_crop_without_its_margin() -> None:
    crop = np.zeros((96, 96, 3), np.uint8)
    crop[10:86, 10:86] = (10, 20, 30)  # 76 of 96 px: the box in a crop with a margin of 1.25
    tight = without_margin(crop, 1.25, 128)
    assert tight.shape == (128, 128, 3)
    assert (tight == (10, 20, 30)).all()
    assert not (without_margin(crop, 1.0, 128) == (10, 20, 30)).all()


@pytest.mark.parametrize(
    ("aspect", "rows", "columns"),
    [(1.0, (0, 128), (0, 128)), (0.75, (0, 128), (16, 112)), (2.0, (32, 96), (0, 128))],
)
def test_the_black_bars_are_taken_off(aspect: float, rows, columns) -> None:
    picture = np.zeros((128, 128, 3), np.uint8)
    picture[slice(*rows), slice(*columns)] = 77
    inner = without_padding(picture, aspect)
    assert inner.shape[:2] == (rows[1] - rows[0], columns[1] - columns[0])
    assert (inner == 77).all()


def test_what_is_not_black_is_no_bar() -> None:
    picture = np.full((128, 128, 3), 77, np.uint8)
    assert without_padding(picture, 0.75).shape == (128, 128, 3)
