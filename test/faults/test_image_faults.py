"""Frames that come in the wrong order, at impossible times, and pictures of every odd kind.

All go through the real pipeline: whatever it is given, it refuses with one line or answers sanely, and
the next good picture is processed as if nothing had been.
"""

from __future__ import annotations

import math
import random
import tracemalloc

import cv2
import numpy as np
import pytest

from social_perception.core.errors import ImageError
from social_perception.core.types import Box, Frame, Smile
from social_perception.perception.smile.crop import crop_faces

RATE_HZ = 30.0
FAR_S = 2.0e9
INTERVAL = 10
"""Frames from one detection to the next, by default: who was lost is found again after as many."""

BASE = [index / RATE_HZ for index in range(24)]


def walk(pipeline, people, stamps, check_sane):
    affects = []
    for index, stamp_s in enumerate(stamps):
        affects.append(pipeline.process(Frame(people[index], stamp_s, index)))
        check_sane(affects[-1])
    return affects


@pytest.mark.parametrize(
    "stamps",
    [
        pytest.param([0.0] * 24, id="zero"),
        pytest.param(BASE[::-1], id="backwards"),
        pytest.param([stamp - 1000.0 * (index >= 12) for index, stamp in enumerate(BASE)], id="set back"),
        pytest.param([stamp + FAR_S * (index >= 12) for index, stamp in enumerate(BASE)], id="set forward"),
        pytest.param([FAR_S if index == 12 else stamp for index, stamp in enumerate(BASE)], id="one future"),
        pytest.param([-FAR_S if index == 12 else stamp for index, stamp in enumerate(BASE)], id="one past"),
        pytest.param([BASE[index // 4] for index in range(24)], id="repeated"),
        pytest.param(random.Random(1).sample(BASE, 24), id="shuffled"),
        pytest.param([5e-324 * index for index in range(24)], id="denormal"),
    ],
)
def test_odd_stamps_change_nobodys_id_and_the_next_frames_are_as_before(
    pipeline, people, stamps, check_sane
) -> None:
    affects = walk(pipeline, people, stamps, check_sane)
    assert {face.track.id for affect in affects for face in affect.faces} == {"a", "b"}
    assert all(face.track.visible for affect in affects for face in affect.faces)
    assert all(affect.group.window_s <= 5.0 for affect in affects)
    # A smile is valid again once its memory is warm, five frames after the last jump.
    again = [
        pipeline.process(Frame(people[24 + n], stamps[-1] + (n + 1) / RATE_HZ, 24 + n)) for n in range(6)
    ]
    assert [face[Smile].valid for face in again[-1].faces] == [True, True]
    assert [face.track.id for face in again[-1].faces] == ["a", "b"]


@pytest.mark.parametrize(
    "stamps",
    [[*BASE[:4], FAR_S, *BASE[5:]], [*(5e-324 * index for index in range(6)), *BASE[6:]]],
    ids=["from the future", "denormal"],
)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_who_leaves_after_an_odd_stamp_is_reported_as_gone(pipeline, people, stamps, check_sane) -> None:
    wall = np.full_like(people[0], 150)
    for index, stamp_s in enumerate(stamps):
        affect = pipeline.process(Frame(people[index] if index < 6 else wall, stamp_s, index))
        check_sane(affect)
    assert affect.faces == ()


@pytest.mark.parametrize("stamp_s", [math.nan, math.inf, -math.inf, 2.0**31, -1e300])
def test_a_stamp_that_is_no_time_is_refused(people, stamp_s) -> None:
    with pytest.raises(ImageError, match=r"^stamp_s must be within 2\*\*31 s of 0, got "):
        Frame(people[0], stamp_s, 0)


@pytest.mark.parametrize(
    "indices",
    [[5] * 12, random.Random(1).sample(range(12), 12), [0, 1, 2, 3, 2, 1, 0, 9, 10**15, 11, -7, 12]],
    ids=["repeated", "shuffled", "wild"],
)
def test_odd_indices_change_nobodys_id(pipeline, people, indices, check_sane) -> None:
    for number, index in enumerate(indices):
        affect = pipeline.process(Frame(people[number], number / RATE_HZ, index))
        check_sane(affect)
    assert [face.track.id for face in affect.faces] == ["a", "b"]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda image: image[:, :, 0], r"shape \(H, W, 3\), got \(432, 768\)"),
        (lambda image: image[:, :, :1], r"shape \(H, W, 3\), got \(432, 768, 1\)"),
        (lambda image: np.dstack([image, image[:, :, :1]]), r"shape \(H, W, 3\), got \(432, 768, 4\)"),
        (lambda image: image.astype(np.uint16) * 257, "uint8 array, got uint16"),
        (lambda image: image / 255.0, "uint8 array, got float64"),
        (lambda image: image[:0], r"shape \(H, W, 3\), got \(0, 768, 3\)"),
        (lambda image: image[:, :0], r"shape \(H, W, 3\), got \(432, 0, 3\)"),
        (lambda image: image.tolist(), "uint8 array, got list"),
        (lambda image: None, "uint8 array, got NoneType"),
    ],
    ids=["gray", "one channel", "alpha", "16 bit", "float", "no rows", "no columns", "list", "none"],
)
def test_what_is_no_rgb_picture_is_refused_and_the_next_one_is_as_if_nothing_had_been(
    pipeline, people, change, rule, check_sane
) -> None:
    before = [pipeline.process(Frame(people[index], index / RATE_HZ, index)) for index in range(6)][-1]
    with pytest.raises(ImageError, match=f"^image must .*{rule}$"):
        pipeline.process(Frame(change(people[6]), 6 / RATE_HZ, 6))
    after = pipeline.process(Frame(people[7], 7 / RATE_HZ, 6))
    check_sane(after)
    assert [face.track.id for face in after.faces] == [face.track.id for face in before.faces]
    assert [face[Smile].valid for face in after.faces] == [True, True]


def views(image):
    """The same picture as arrays that are laid out in other ways."""
    frozen = image.copy()
    frozen.flags.writeable = False
    wide = np.zeros((image.shape[0], image.shape[1] + 7, 3), np.uint8)
    wide[:, :-7] = image
    return {"frozen": frozen, "fortran": np.asfortranarray(image), "a part of a wider one": wide[:, :-7]}


def test_it_does_not_matter_how_a_picture_lies_in_memory(pipeline, people) -> None:
    expected = pipeline.process(Frame(people[0], 0.0, 0))
    for index, (name, image) in enumerate(views(people[0]).items(), 1):
        affect = pipeline.process(Frame(image, index / RATE_HZ, index))
        assert [face.track.id for face in affect.faces] == ["a", "b"], name
        for face, other in zip(affect.faces, expected.faces):
            assert face.track.box.iou(other.track.box) > 0.9, name


ODD = {
    "black": np.zeros((432, 768, 3), np.uint8),
    "white": np.full((432, 768, 3), 255, np.uint8),
    "noise": np.random.default_rng(1).integers(0, 256, (432, 768, 3), dtype=np.uint8),
    "one px": np.full((1, 1, 3), 90, np.uint8),
    "a row": np.full((1, 768, 3), 90, np.uint8),
    "a column": np.full((432, 1, 3), 90, np.uint8),
    "a long row": np.full((1, 50_000, 3), 90, np.uint8),
    "8k": cv2.resize(np.random.default_rng(1).integers(0, 256, (40, 60, 3), dtype=np.uint8), (7680, 4320)),
}


@pytest.mark.parametrize("name", ODD)
def test_after_a_picture_of_any_kind_everybody_is_found_again_by_name(
    pipeline, people, name, check_sane
) -> None:
    """Nobody is where nothing can be seen, and who was followed before keeps the id."""
    for index in range(3):
        affect = pipeline.process(Frame(people[index], index / RATE_HZ, index))
    assert [face.track.id for face in affect.faces] == ["a", "b"]
    for index in range(3, 6):
        affect = pipeline.process(Frame(ODD[name], index / RATE_HZ, index))
        check_sane(affect)
        assert not any(face[Smile].valid for face in affect.faces if not face.track.visible)
    ids, frames = [], 0
    while ids != ["a", "b"]:
        affect = pipeline.process(
            Frame(people[index + 1 + frames], (index + 1 + frames) / RATE_HZ, index + 1 + frames)
        )
        check_sane(affect)
        ids = sorted(face.track.id for face in affect.faces if face.track.visible)
        frames += 1
        assert frames <= INTERVAL
    assert set(ids) == {"a", "b"}


def test_a_face_larger_than_the_picture_takes_no_memory_of_its_own_size() -> None:
    image = np.random.default_rng(1).integers(0, 256, (2, 100, 3), dtype=np.uint8)
    tracemalloc.start()
    crops = crop_faces(image, [Box(-20_000, -20_000, 40_000, 40_000)])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000
    # The edge is repeated outwards, as it is with smaller ones.
    assert (crops[0, 0, 0] == image[0, 0]).all()
    assert (crops[0, -1, -1] == image[-1, -1]).all()


def widened(image, width, height):
    """The picture as another camera mode shows it: scaled, its middle kept, gray where nothing is."""
    scale = max(width / image.shape[1], height / image.shape[0])
    large = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    left, top = (large.shape[1] - width) // 2, (large.shape[0] - height) // 2
    return np.ascontiguousarray(large[top : top + height, left : left + width])


def test_a_change_of_resolution_keeps_everybody(pipeline, people, check_sane) -> None:
    index = 0
    for size in ((640, 480), (1920, 1080), (480, 270), (768, 432)):
        for count in range(4):
            image = widened(people[index], *size)
            affect = pipeline.process(Frame(image, index / RATE_HZ, index))
            check_sane(affect)
            assert sorted(face.track.id for face in affect.faces if face.track.visible) == ["a", "b"], (
                size,
                count,
            )
            index += 1
    assert [face[Smile].valid for face in affect.faces] == [True, True]
