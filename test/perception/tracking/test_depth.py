"""Distances of faces in made-up depth images, whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from social_perception.core.camera import Intrinsics
from social_perception.core.errors import ImageError
from social_perception.core.types import Box
from social_perception.perception.tracking.depth import (
    GRID,
    MIN_SHARE,
    RANGE_M,
    SLAB_M,
    SLAB_PER_M,
    DepthImage,
    face_depths,
    face_positions,
)

SIZE = (640, 480)
FOCAL_PX = 600.0
CAMERA = Intrinsics(FOCAL_PX, FOCAL_PX, 320.0, 240.0)
BOX = Box(270.0, 190.0, 100.0, 100.0)
MILLIMETRES, METRES = (np.uint16, 0.001), (np.float32, 1.0)


def scene(wall_m: float = 3.0) -> np.ndarray:
    """A wall; the drawing below is in metres."""
    return np.full(SIZE[::-1], wall_m)


def put(metres: np.ndarray, box: Box, distance_m: float) -> np.ndarray:
    """Put a flat thing in front of the scene."""
    metres[round(box.top) : round(box.bottom), round(box.left) : round(box.right)] = distance_m
    return metres


def image(metres: np.ndarray, kind=MILLIMETRES) -> DepthImage:
    dtype, unit_m = kind
    return DepthImage((metres / unit_m).round(3).astype(dtype), unit_m)


def depth_of(metres: np.ndarray, box: Box = BOX, kind=MILLIMETRES) -> float:
    (depth_m,) = face_depths(image(metres, kind), [box], SIZE, FOCAL_PX)
    return float(depth_m)


@pytest.mark.parametrize("kind", [MILLIMETRES, METRES])
@pytest.mark.parametrize("distance_m", [0.5, 1.234, 8.0])
def test_a_plane_has_its_own_distance(distance_m, kind) -> None:
    assert depth_of(scene(distance_m), kind=kind) == pytest.approx(distance_m, abs=0.001)


@pytest.mark.parametrize("wall_m", [1.5, 2.0, 6.0])
@pytest.mark.parametrize("head_px", [100, 60, 32])
def test_a_head_in_front_of_a_wall(head_px, wall_m) -> None:
    """Down to a thin head, beside which the wall takes a third of the box's middle."""
    x, y = BOX.center
    head = Box(x - head_px / 2, y - 60, head_px, 120)
    assert depth_of(put(scene(wall_m), head, 1.0)) == pytest.approx(1.0, abs=0.001)


@pytest.mark.parametrize("wall_m", [3.0, 6.0])
def test_the_wall_does_not_win_even_where_it_shows_more(wall_m) -> None:
    # The head takes 40 % of the box's middle; at the wall's distance it would be half a metre wide.
    head = Box(270, 190, 45, 120)
    assert depth_of(put(scene(wall_m), head, 1.0)) == pytest.approx(1.0, abs=0.001)


@pytest.mark.parametrize("share", [0.2, 0.4, 0.7])
def test_a_hand_in_front_does_not_win(share) -> None:
    metres = put(scene(), Box(260, 180, 120, 130), 1.0)
    # A hand's width at 0.4 m would be a face of 7 cm.
    hand = Box(295, 215 + 50 * (1 - share), 50, 60)
    assert depth_of(put(metres, hand, 0.4)) == pytest.approx(1.0, abs=0.001)


def test_a_hand_close_to_the_face_does_not_win_while_it_hides_less_than_half() -> None:
    metres = put(scene(), Box(260, 180, 120, 130), 1.0)
    assert depth_of(put(metres, Box(295, 245, 50, 20), 0.75)) == pytest.approx(1.0, abs=0.001)


def test_a_face_on_a_poster_has_the_posters_distance() -> None:
    assert depth_of(scene(6.0)) == pytest.approx(6.0, abs=0.001)


def test_a_round_head_gives_what_is_seen_of_it() -> None:
    rows, columns = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    radius2 = ((columns - 320) / 50.0) ** 2 + ((rows - 240) / 60.0) ** 2
    metres = np.where(radius2 < 1, 1.1 - 0.1 * np.sqrt(np.clip(1 - radius2, 0, 1)), 3.0)
    assert 1.0 < depth_of(metres) < 1.04


@pytest.mark.parametrize(
    ("values", "dtype", "unit_m"),
    [
        (0, np.uint16, 0.001),
        (65535, np.uint16, 0.001),
        (100, np.uint16, 0.001),
        (0.0, np.float32, 1.0),
        (np.nan, np.float32, 1.0),
        (np.inf, np.float32, 1.0),
        (-1.0, np.float32, 1.0),
    ],
    ids=["zero", "saturated", "too near", "zero m", "nan", "infinite", "negative"],
)
def test_what_is_no_depth_is_unknown(values, dtype, unit_m) -> None:
    depth = DepthImage(np.full(SIZE[::-1], values, dtype), unit_m)
    assert np.isnan(face_depths(depth, [BOX], SIZE, FOCAL_PX)).tolist() == [True]
    assert face_positions(depth, [BOX], SIZE, CAMERA) == (None,)


@pytest.mark.parametrize(("holes", "known"), [(0.5, True), (0.7, True), (0.9, False), (1.0, False)])
def test_holes_are_survived_while_enough_is_left(holes, known) -> None:
    metres = scene(1.2)
    metres[np.random.default_rng(1).random(metres.shape) < holes] = 0.0
    depth_m = depth_of(metres)
    assert depth_m == pytest.approx(1.2, abs=0.001) if known else np.isnan(depth_m)


@pytest.mark.parametrize("factor", [0.5, 2.0, 848 / 640])
def test_depth_of_another_resolution_is_scaled(factor) -> None:
    head = Box(400, 100, 80, 90)
    size = (round(SIZE[0] * factor), round(SIZE[1] * factor))
    metres = np.full(size[::-1], 3.0)
    put(metres, Box(head.left * factor, head.top * factor, 80 * factor, 90 * factor), 1.0)
    (depth_m,) = face_depths(image(metres), [head], SIZE, FOCAL_PX)
    assert depth_m == pytest.approx(1.0, abs=0.001)


@pytest.mark.parametrize("size", [(640, 360), (848, 480), (480, 640)])
def test_depth_of_another_shape_is_refused(size) -> None:
    with pytest.raises(ImageError, match=f"depth image of {size[0]} x {size[1]} px cannot be aligned"):
        face_depths(image(np.ones(size[::-1])), [BOX], SIZE, FOCAL_PX)


@pytest.mark.parametrize(
    ("box", "known"),
    [
        (Box(-40, 200, 100, 100), True),
        (Box(-75, 200, 100, 100), False),
        (Box(580, 430, 100, 100), True),
        (Box(700, 200, 100, 100), False),
        (Box(10, 10, 0.5, 0.5), True),
    ],
    ids=["over the edge", "almost out", "in the corner", "out", "tiny"],
)
def test_boxes_over_the_edge(box, known) -> None:
    depth_m = depth_of(scene(1.0), box)
    assert depth_m == pytest.approx(1.0, abs=0.001) if known else np.isnan(depth_m)


def test_positions_are_those_of_the_box_centres() -> None:
    metres = put(put(scene(), Box(100, 100, 80, 80), 1.0), Box(450, 300, 80, 80), 2.0)
    boxes = [Box(100, 100, 80, 80), Box(450, 300, 80, 80)]
    first, second = face_positions(image(metres), boxes, SIZE, CAMERA)
    assert (first.x, first.y, first.z) == pytest.approx((-180 / 600, -100 / 600, 1.0))
    assert (second.x, second.y, second.z) == pytest.approx((2 * 170 / 600, 2 * 100 / 600, 2.0))


def test_nobody_has_no_position() -> None:
    assert face_positions(image(scene()), [], SIZE, CAMERA) == ()


def mode(samples: np.ndarray) -> float:
    """The same said slowly, for one face without a rule of plausible widths."""
    known = np.sort(samples[np.isfinite(samples)])
    slabs = [known[(known >= z) & (known <= z + SLAB_M + SLAB_PER_M * z)] for z in known]
    largest = max(slabs, key=len, default=known)
    return float(largest[len(largest) // 2]) if len(largest) >= MIN_SHARE * samples.size else float("nan")


def test_many_faces_at_once_are_each_as_if_alone() -> None:
    generator = np.random.default_rng(4)
    metres = generator.uniform(0.0, 25.0, SIZE[::-1])
    metres[:, 200:400] = generator.normal(2.0, 0.2, (480, 200))
    # So small that every depth would be plausible, or none.
    boxes = [Box(x, y, 90, 90) for x in (5.2, 190.7, 270.1, 380.0, 540.0) for y in (3.0, 200.5, 380.0)]
    depth = DepthImage(metres, 1.0)
    together = face_depths(depth, boxes, SIZE, focal_px=1e9)
    steps = 0.25 + 0.5 * (np.arange(GRID) + 0.5) / GRID
    for box, depth_m in zip(boxes, together):
        lines = np.floor(box.top + box.height * steps).astype(int)
        columns = np.floor(box.left + box.width * steps).astype(int)
        samples = metres[np.ix_(lines, columns)].ravel()
        samples = np.where((samples >= RANGE_M[0]) & (samples <= RANGE_M[1]), samples, np.inf)
        assert depth_m == pytest.approx(mode(samples), nan_ok=True)
        assert face_depths(depth, [box], SIZE, 1e9)[0] == pytest.approx(depth_m, nan_ok=True)
    assert 0 < np.isnan(together).sum() < len(boxes)
