"""The parts of tracking, each alone: geometry, ids, flow, descriptors, association, history."""

from __future__ import annotations

import random
import tracemalloc
import weakref
from itertools import pairwise

import cv2
import numpy as np
import pytest

from social_perception.core.types import Box
from social_perception.perception.tracking import geometry
from social_perception.perception.tracking.appearance import (
    DESCRIPTOR_SIZE,
    compute_descriptors,
    similarities,
)
from social_perception.perception.tracking.association import KnownFaces, associate
from social_perception.perception.tracking.flow import GRID, masked_median, track_boxes, unshared_points
from social_perception.perception.tracking.history import CAPACITY, History
from social_perception.perception.tracking.ids import NAMES, RandomIds
from social_perception.perception.tracking.snapshot import Snapshot


def textured(width: int = 1280, height: int = 720, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height // 24, width // 24, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def rows(*values: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(values, np.float64).reshape(-1, 4)


# Geometry -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Box(0, 0, 10, 10), Box(0, 0, 10, 10)),
        (Box(0, 0, 10, 10), Box(5, 5, 10, 10)),
        (Box(0, 0, 10, 20), Box(2, 3, 4, 5)),
        (Box(0, 0, 10, 10), Box(10, 0, 10, 10)),
        (Box(-5, -5, 10, 10), Box(40, 40, 1, 1)),
    ],
)
def test_overlaps_are_those_of_boxes(first: Box, second: Box):
    overlap = geometry.overlaps(geometry.to_rows([first]), geometry.to_rows([second]))
    assert overlap[0, 0] == pytest.approx(first.iou(second))
    assert geometry.to_box(geometry.to_rows([first])[0]) == first


def test_coverage_sees_a_small_box_inside_a_large_one():
    assert geometry.coverages(rows((50, 50, 100, 100)), rows((50, 50, 10, 10)))[0, 0] == 1.0
    assert geometry.overlaps(rows((50, 50, 100, 100)), rows((50, 50, 10, 10)))[0, 0] < 0.02


def test_geometry_of_no_boxes():
    none = geometry.to_rows([])
    assert none.shape == (0, 4)
    assert geometry.overlaps(none, rows((1, 1, 1, 1))).shape == (0, 1)
    assert geometry.hidden_shares(none).shape == (0, 0)


@pytest.mark.parametrize(
    ("box", "fraction"), [(Box(0, 0, 10, 10), 1.0), (Box(-5, 0, 10, 10), 0.5), (Box(100, 0, 10, 10), 0.0)]
)
def test_visible_fractions(box: Box, fraction: float):
    assert geometry.visible_fractions(geometry.to_rows([box]), 100, 50)[0] == pytest.approx(fraction)


# Ids ------------------------------------------------------------------------------------------


def test_ids_are_five_letters_and_never_repeat():
    # Of so many drawn at random some four hundred would be equal.
    names = RandomIds(random.Random(3))
    given = [names() for _ in range(100_000)]
    assert len(set(given)) == 100_000
    assert all(len(name) == 5 and name.isalpha() and name.islower() for name in given)


def test_when_all_ids_were_given_they_come_again():
    names = RandomIds(random.Random(3))
    first = names()
    names._count = NAMES - 1
    assert names() != first
    assert names() == first


def test_nothing_is_kept_of_the_ids_given():
    names = RandomIds(random.Random(3))
    names()
    tracemalloc.start()
    for _ in range(20_000):
        names()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 10_000


def test_ids_follow_the_random_source_and_tell_nothing_of_their_number():
    first, same, other = (RandomIds(random.Random(seed)) for seed in (1, 1, 2))
    given = [first() for _ in range(26 * 40)]
    assert given == [same() for _ in given]
    assert not set(given[:20]) & {other() for _ in range(20)}
    # Neighbours share a letter at a place as often as strangers: once in 26.
    shared = [sum(a == b for a, b in zip(one, two)) for one, two in pairwise(given)]
    assert sum(shared) / (5 * len(shared)) == pytest.approx(1 / 26, abs=0.01)


def test_ids_with_different_prefixes_are_never_equal():
    names = {prefix: RandomIds(random.Random(1), prefix)() for prefix in ("", "l", "r", "le", "ri")}
    letters = names[""]
    assert names == {prefix: prefix + letters for prefix in names}
    assert len(set(names.values())) == len(names)


# Flow -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 1.05, 0.96])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (9.0, -5.0), (-30.0, 20.0)])
@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080), (320, 240)])
def test_flow_finds_displacement_and_scale(size: tuple[int, int], shift: tuple[float, float], scale: float):
    image = textured(*size)
    x, y, side = size[0] / 2, size[1] / 2, 80.0
    if size[0] == 320:
        shift = (shift[0] / 2, shift[1] / 2)
    change = np.array([[scale, 0, x + shift[0] - scale * x], [0, scale, y + shift[1] - scale * y]])
    moved = cv2.warpAffine(image, change, size)
    motion = track_boxes(Snapshot.of(image), Snapshot.of(moved), rows((x, y, side, side)))
    assert motion.tracked[0]
    assert motion.quality[0] > 0.7
    np.testing.assert_allclose(motion.rows[0, :2], [x + shift[0], y + shift[1]], atol=1.0)
    np.testing.assert_allclose(motion.rows[0, 2:], side * scale, rtol=0.02)


def test_flow_of_many_faces_is_that_of_each_alone():
    image = textured()
    moved = np.roll(image, (4, 6), axis=(0, 1))
    many = rows((200, 200, 80, 80), (640, 300, 120, 120), (1000, 500, 50, 50))
    before, after = Snapshot.of(image), Snapshot.of(moved)
    alone = np.concatenate([track_boxes(before, after, row[None]).rows for row in many])
    np.testing.assert_allclose(track_boxes(before, after, many).rows, alone, atol=0.3)


@pytest.mark.parametrize(
    "after", [textured(seed=7), np.zeros((720, 1280, 3), np.uint8), np.full((720, 1280, 3), 255, np.uint8)]
)
def test_flow_tells_that_another_picture_cannot_be_followed(after: np.ndarray):
    start = rows((640, 360, 100, 100))
    motion = track_boxes(Snapshot.of(textured()), Snapshot.of(after), start)
    assert not motion.tracked[0]
    assert motion.quality[0] == 0.0
    np.testing.assert_array_equal(motion.rows, start)


@pytest.mark.parametrize("size", [(1, 1), (2, 50), (15, 15), (16, 16), (1000, 20)])
def test_flow_in_tiny_pictures_and_at_absurd_places(size: tuple[int, int]):
    snapshot = Snapshot.of(np.zeros((size[1], size[0], 3), np.uint8))
    places = rows((0, 0, 1, 1), (-1000, 5000, 30, 30), (0.5, 0.5, 4000, 4000))
    motion = track_boxes(snapshot, snapshot, places)
    assert motion.rows.shape == (3, 4)
    assert not motion.tracked.any()
    assert track_boxes(snapshot, snapshot, rows()).rows.shape == (0, 4)


def test_points_in_another_head_are_not_used():
    two = rows((100, 100, 80, 80), (160, 100, 80, 80))
    marks = unshared_points(two, two)
    assert marks[0, GRID[:, 0] < -0.3].all()
    assert not marks[0, GRID[:, 0] > 0.3].any()
    assert unshared_points(two, np.full((1, 4), np.nan)).all()


def test_a_face_all_behind_another_keeps_its_points():
    two = rows((100, 100, 40, 40), (100, 100, 200, 200))
    assert unshared_points(two, two)[0].all()


def test_masked_median():
    values = np.array([[5.0, 1.0, 3.0, 99.0], [1.0, 2.0, 3.0, 4.0], [7.0, 7.0, 7.0, 7.0]])
    mask = np.array([[True, True, True, False], [True] * 4, [False] * 4])
    np.testing.assert_allclose(masked_median(values, mask), [3.0, 2.5, 0.0])


# Snapshots and descriptors --------------------------------------------------------------------------


def test_a_cut_is_distinguished_from_a_moving_camera():
    before = Snapshot.of(cv2.GaussianBlur(textured(), (0, 0), 40))
    moved = Snapshot.of(np.roll(cv2.GaussianBlur(textured(), (0, 0), 40), 12, axis=1))
    other = Snapshot.of(cv2.GaussianBlur(textured(seed=3), (0, 0), 40))
    assert not moved.is_scene_change(before)
    assert other.is_scene_change(before)


def test_looks_tell_people_apart(theatre):
    people = [theatre.painted(str(i), i, 200, theatre.straight(100 + 300 * i, 200)) for i in range(3)]
    snapshot = Snapshot.of(theatre.Stage(people).image(0))
    descriptors = compute_descriptors(snapshot, geometry.to_rows(person.face(0) for person in people))
    jittered = geometry.to_rows(person.face(0).moved(4, -3, 1.1) for person in people)
    similarity = similarities(descriptors, compute_descriptors(snapshot, jittered))
    assert np.diag(similarity).min() > 0.8
    assert similarity[~np.eye(3, dtype=bool)].max() < 0.6


def test_looks_of_no_faces_and_of_flat_pictures():
    flat = Snapshot.of(np.zeros((1, 1, 3), np.uint8))
    assert compute_descriptors(flat, rows()).shape == (0, DESCRIPTOR_SIZE)
    assert np.isfinite(compute_descriptors(flat, rows((0, 0, 5, 5)))).all()


# Association ----------------------------------------------------------------------------------


def unit(*values: float) -> np.ndarray:
    descriptor = np.zeros(DESCRIPTOR_SIZE)
    descriptor[: len(values)] = values
    return descriptor / np.linalg.norm(descriptor)


ANNA, BERT = unit(1.0), unit(0.0, 1.0)
A_BIT_LIKE_ANNA = unit(0.7, 0.714)


def known(
    places: np.ndarray, descriptors: list[np.ndarray], visible: list[bool], reach: float = 80.0
) -> KnownFaces:
    count = len(places)
    return KnownFaces(
        places, np.stack(descriptors), np.array(visible), np.zeros(count, np.bool_), np.full(count, 80.0)
    )


@pytest.mark.parametrize(
    ("place", "descriptor", "visible", "found", "matches"),
    [
        ((100, 100, 80, 80), ANNA, True, (110, 105, 90, 90), True),
        ((100, 100, 80, 80), BERT, True, (110, 105, 90, 90), True),  # overlap alone is enough
        ((100, 100, 80, 80), ANNA, True, (155, 100, 80, 80), True),  # the box has slipped off
        ((100, 100, 80, 80), BERT, True, (155, 100, 80, 80), False),
        ((100, 100, 80, 80), ANNA, True, (300, 100, 80, 80), False),
        ((100, 100, 80, 80), ANNA, False, (160, 100, 80, 80), True),  # lost, found near
        ((100, 100, 80, 80), A_BIT_LIKE_ANNA, False, (160, 100, 80, 80), True),
        ((100, 100, 80, 80), BERT, False, (160, 100, 80, 80), False),
        ((100, 100, 80, 80), ANNA, False, (900, 500, 80, 80), True),  # lost, found elsewhere
        ((100, 100, 80, 80), A_BIT_LIKE_ANNA, False, (900, 500, 80, 80), False),
        ((100, 100, 80, 80), ANNA, False, (160, 100, 200, 200), False),  # another size
    ],
)
def test_gates_of_association(place, descriptor, visible, found, matches):
    pairs = associate(known(rows(place), [descriptor], [visible]), rows(found), ANNA[None], 0.25)
    assert pairs == ([(0, 0)] if matches else [])


def test_lost_face_is_preferred_to_the_box_that_slid_onto_it():
    places = rows((100, 100, 80, 80), (120, 100, 80, 80))
    faces = known(places, [ANNA, BERT], [True, False])
    assert associate(faces, rows((105, 100, 80, 80)), BERT[None], 0.25) == [(1, 0)]


def test_association_minimises_the_sum():
    places = rows((100, 100, 80, 80), (130, 100, 80, 80))
    found = rows((128, 100, 80, 80), (158, 100, 80, 80))
    pairs = associate(known(places, [ANNA, ANNA], [True, True]), found, np.stack([ANNA, ANNA]), 0.25)
    assert sorted(pairs) == [(0, 0), (1, 1)]


@pytest.mark.parametrize(("many", "few"), [(0, 0), (0, 2), (2, 0)])
def test_association_of_nothing(many: int, few: int):
    places = np.ones((many, 4))
    faces = KnownFaces(
        places, np.zeros((many, DESCRIPTOR_SIZE)), np.ones(many, bool), np.zeros(many, bool), np.ones(many)
    )
    assert associate(faces, np.ones((few, 4)), np.zeros((few, DESCRIPTOR_SIZE)), 0.25) == []


# History --------------------------------------------------------------------------------------


def test_history_keeps_the_newest_frames_in_order():
    history, snapshot = History(), Snapshot.of(np.zeros((20, 20, 3), np.uint8))
    slots = [history.add(3 * index, snapshot, float(index)) for index in range(CAPACITY + 5)]
    assert list(history.slots_since(0)) == []
    assert list(history.slots_since(3 * 5)) == slots[5:]
    assert list(history.slots_since(3 * 5 + 1)) == []
    assert history.clock_s(slots[-1]) == CAPACITY + 4
    assert history.newest_index == 3 * (CAPACITY + 4)


def test_history_releases_frames_that_no_detection_needs():
    history, image = History(), np.zeros((20, 20, 3), np.uint8)
    snapshots = {index: Snapshot.of(image) for index in range(3 * CAPACITY)}
    alive = [weakref.ref(each.gray) for each in snapshots.values()]
    for index in range(3 * CAPACITY):
        slot = history.add(index, snapshots.pop(index), float(index))
        history.drop_before(index - 4)
        assert history.clock_s(slot) == index
    first = 3 * CAPACITY - 5
    assert [each() is not None for each in alive] == [index >= first for index in range(3 * CAPACITY)]
    assert [history.clock_s(each) for each in history.slots_since(first)] == list(range(first, 3 * CAPACITY))
    history.drop_before(4 * CAPACITY)
    assert list(history.slots_since(3 * CAPACITY - 1)) == [slot], "the newest one stays"


@pytest.mark.parametrize(
    ("index", "side"), [(9, 20), (5, 20), (10, 30)], ids=["same index", "backwards", "another size"]
)
def test_history_starts_anew(index: int, side: int):
    history = History()
    for frame_index in range(10):
        history.add(frame_index, Snapshot.of(np.zeros((20, 20, 3), np.uint8)), 0.0)
    history.add(index, Snapshot.of(np.zeros((side, side, 3), np.uint8)), 0.0)
    assert len(history.slots_since(index)) == 1
    assert len(history.slots_since(3)) == 0


@pytest.mark.parametrize("frames", [1, 2, 25, 60])
def test_history_carries_a_box_along(frames: int):
    history, image = History(), textured()
    slots = np.array([history.add(i, Snapshot.of(np.roll(image, 3 * i, axis=1)), 0.0) for i in range(frames)])
    path, arrived = history.propagate(rows((400, 300, 90, 90)), slots, np.empty((frames, 0, 4)))
    assert arrived[0]
    np.testing.assert_allclose(path[:, 0, 0], 400 + 3 * np.arange(frames), atol=2.0)
