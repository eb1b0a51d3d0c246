from __future__ import annotations

from dataclasses import replace

import factories
import numpy as np
import pytest
from factories import face

from social_perception.core.types import Box, Frame, FrameAffect
from social_perception.views import blur
from social_perception.views.blur import CELLS, HOLD_S, HeadWatch, LookBack, head_box, hide, hide_all

SIZE = (240, 320)
FACE = Box(140.0, 100.0, 40.0, 40.0)
RATE_HZ = 10.0


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (*SIZE, 3), np.uint8)


def affect(index: int, *boxes: Box, visible: bool = True, rate_hz: float = RATE_HZ) -> FrameAffect:
    faces = (face(f"p{n}", None, box=box, visible=visible) for n, box in enumerate(boxes))
    return factories.affect(*faces, stamp_s=index / rate_hz, index=index, size=SIZE[::-1])


def is_hidden(image: np.ndarray, box: Box) -> bool:
    """Noise is left only as a few cells: within the box neighbours hardly differ."""
    part = image[int(box.top) : int(box.bottom), int(box.left) : int(box.right)].astype(int)
    return float(np.abs(np.diff(part, axis=1)).mean()) < 5.0


@pytest.mark.parametrize("size_px", [20.0, 40.0, 150.0])
def test_a_head_is_left_as_a_few_cells_and_the_rest_as_it_was(size_px, noise) -> None:
    face = Box(150 - size_px / 2, 110 - size_px / 2, size_px, size_px)
    hidden = hide(noise, [head_box(face)])
    assert is_hidden(hidden, face)
    head = head_box(face)
    untouched = np.ones(SIZE, bool)
    untouched[
        max(0, int(head.top)) : int(np.ceil(head.bottom)), max(0, int(head.left)) : int(np.ceil(head.right))
    ] = False
    np.testing.assert_array_equal(hidden[untouched], noise[untouched])
    assert noise.std() > 60, "the picture itself is not changed"


def test_what_is_left_of_a_head_are_at_most_25_colours(noise) -> None:
    """Two pictures of the same cells give the same result: what made the difference is gone for good."""
    head = Box(100.0, 80.0, 80.0, 80.0)
    other = noise.copy()
    cell = 80 // CELLS
    for y in range(80, 160, cell):
        for x in range(100, 180, cell):
            other[y : y + cell, x : x + cell] = other[y : y + cell, x : x + cell][::-1, ::-1]
    assert np.abs(other.astype(int) - noise).mean() > 5
    np.testing.assert_array_equal(hide(other, [head]), hide(noise, [head]))


@pytest.mark.parametrize(
    "box",
    [Box(-30, -30, 40, 40), Box(300, 100, 40, 40), Box(-100, 50, 600, 600), Box(500, 500, 20, 20)],
    ids=["corner", "edge", "all", "outside"],
)
def test_heads_may_reach_over_the_edge(box, noise) -> None:
    hidden = hide(noise, [head_box(box)])
    inside = Box(max(0.0, box.left), max(0.0, box.top), 9.0, 9.0)
    if inside.right < SIZE[1] and inside.bottom < SIZE[0]:
        assert is_hidden(hidden, inside)
    else:
        np.testing.assert_array_equal(hidden, noise)


def test_the_whole_image_can_be_hidden(noise) -> None:
    assert is_hidden(hide_all(noise), Box(0, 0, 320, 240))


def test_a_lost_face_stays_hidden_where_it_was_and_a_hidden_one_too() -> None:
    watch = HeadWatch()
    (first,) = watch.update(affect(0, FACE))
    (coasting,) = watch.update(affect(1, FACE.moved(8, 0), visible=False))
    assert coasting.center[0] == pytest.approx(first.center[0] + 8)
    last = int(HOLD_S * RATE_HZ) + 1
    held = [watch.update(affect(index)) for index in range(2, last + 1)]
    widths = [heads[0].width for heads in held]
    assert widths == sorted(widths)
    assert widths[-1] > 1.5 * first.width, "where it is gets less sure"
    assert watch.update(affect(last + 1)) == ()


def test_a_new_epoch_has_other_faces() -> None:
    watch = HeadWatch()
    watch.update(affect(50, FACE))
    assert watch.update(replace(affect(0), epoch=1)) == ()


def played(found, noise, look_back=None):
    """Each frame's picture, by index; faces are found in these frames."""
    look_back = look_back or LookBack(look_back_s=1.0)
    shown = []
    for index in range(40):
        said = affect(index, *([FACE] if index in found else []))
        shown += look_back.add(Frame(noise, said.stamp_s, index), said)
    shown += look_back.finish()
    assert [frame.index for frame, _ in shown] == list(range(40)), "each once, in order"
    assert all(said.index == frame.index for frame, said in shown)
    return [is_hidden(frame.image, FACE) for frame, _ in shown]


def test_a_face_is_hidden_before_it_is_found(noise) -> None:
    hidden = played(range(25, 40), noise)
    assert hidden == [False] * 15 + [True] * 25, "a second of ten frames"


def test_a_face_that_was_lost_for_long_is_hidden_before_it_returns(noise) -> None:
    hidden = played({*range(3), *range(36, 40)}, noise)
    held = int(HOLD_S * RATE_HZ)
    assert hidden == [True] * (3 + held) + [False] * (36 - 10 - 3 - held) + [True] * 14


def test_memory_for_waiting_pictures_is_limited(noise, monkeypatch) -> None:
    monkeypatch.setattr(blur, "MAX_WAITING_BYTES", 4 * noise.nbytes)
    look_back = LookBack(look_back_s=60.0)
    shown = []
    for index in range(20):
        said = affect(index)
        shown += look_back.add(Frame(noise, said.stamp_s, index), said)
    assert len(shown) == 16


def test_another_recording_does_not_wait_for_the_first(noise) -> None:
    look_back = LookBack(look_back_s=60.0)
    assert look_back.add(Frame(noise, 9.0, 0), affect(90)) == []
    another = replace(affect(0, FACE), epoch=1)
    assert [frame.stamp_s for frame, _ in look_back.add(Frame(noise, 0.0, 1), another)] == [9.0]
