"""Warped expressions of a still face and their temporal dynamics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from social_perception.research.training.augmentation import Augmentation, render, sample_augmentation
from social_perception.research.training.expression_dynamics import (
    APEX_S,
    OFFSET_S,
    ONSET_S,
    SYLLABLES_HZ,
    SmileEpisode,
    sample_expressions,
    sample_smile,
    sample_speech,
)
from social_perception.research.training.morph import (
    CORNER_X,
    MOUTH_RANGE,
    MOUTH_X,
    MOUTH_Y,
    Expression,
    MorphFace,
    Mouth,
    displacement,
    find_mouth,
    morph_face,
    warp_point,
)

BOX = np.array([20.0, 24.0, 76.8, 76.8], np.float32)  # its crop has 96 px
CORNERS = ((MOUTH_X - CORNER_X, MOUTH_Y), (MOUTH_X + CORNER_X, MOUTH_Y))
MOVEMENTS = [
    Expression(smile=1.0),
    Expression(smile=-0.5),
    Expression(smile=1.0, parting=1.0),
    Expression(jaw=1.0),
    Expression(pucker=1.0),
    Expression(smile=0.6, parting=1.0, jaw=0.6, pucker=0.3, brow_left=1.0),
]


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (130, 120), np.uint8)


def dotted(x: float, y: float, mouth_dy: float = 0.0) -> MorphFace:
    """A face that is nothing but one blurred dot at (x, y) px of the crop."""
    rows, columns = np.mgrid[0:160, 0:160]
    dot = np.exp(-((columns - 32 - x) ** 2 + (rows - 32 - y) ** 2) / (2 * 1.5**2))
    return MorphFace((255 * dot).astype(np.uint8), Mouth(mouth_dy, closed=False))


def dot_of(canvas: np.ndarray) -> np.ndarray:
    """Where its middle is, x and y in px of the crop."""
    rows, columns = np.mgrid[0:160, 0:160]
    weight = canvas.astype(float) ** 2
    return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum() - 32


@pytest.mark.parametrize("amount", [-0.5, 0.3, 1.0])
@pytest.mark.parametrize("mouth_dy", [0.0, 4.0])
def test_a_smile_pulls_the_lip_corners_up_and_out(amount: float, mouth_dy: float) -> None:
    for (x, y), outward in zip(CORNERS, (-1, 1)):
        face = dotted(x, y + mouth_dy, mouth_dy)
        shift = dot_of(face.warp(Expression(smile=amount))) - dot_of(face.canvas)
        assert shift[0] == pytest.approx(5.0 * outward * amount, abs=0.6)
        assert shift[1] == pytest.approx(-5.5 * amount, abs=0.6)


@pytest.mark.parametrize("expression", MOVEMENTS)
@pytest.mark.parametrize("point", [*CORNERS, (30.0, 55.0), (47.5, 80.0), (30.5, 27.0)])
def test_the_image_moves_as_far_as_the_points(expression: Expression, point: tuple[float, float]) -> None:
    goal = warp_point(point, expression)
    shift = displacement(expression)
    # The patch begins at row 4 of the crop; the pixel at the goal came from the point.
    came_from = goal - shift[round(float(goal[1])) - 4, round(float(goal[0]))]
    assert came_from == pytest.approx(point, abs=0.8)


@pytest.mark.parametrize("expression", MOVEMENTS)
def test_a_face_is_never_folded_over(expression: Expression) -> None:
    came_from = np.stack(np.meshgrid(np.arange(96.0), np.arange(120.0)), axis=-1) - displacement(expression)
    along_x, along_y = np.diff(came_from, axis=1)[:-1], np.diff(came_from, axis=0)[:, :-1]
    area = along_x[..., 0] * along_y[..., 1] - along_x[..., 1] * along_y[..., 0]
    assert area.min() > 0.1


@pytest.mark.parametrize("expression", MOVEMENTS)
def test_the_edge_of_the_patch_does_not_move(expression: Expression) -> None:
    shift = np.linalg.norm(displacement(expression), axis=-1)
    assert max(shift[0].max(), shift[-1].max(), shift[:, 0].max(), shift[:, -1].max()) < 0.5


def test_a_lower_mouth_moves_lower_and_the_cheeks_stay() -> None:
    assert warp_point((MOUTH_X, MOUTH_Y + 16), Expression(jaw=1.0))[1] == pytest.approx(
        warp_point((MOUTH_X, MOUTH_Y + 20), Expression(jaw=1.0), mouth_dy=4.0)[1] - 4
    )
    brow = Expression(brow_left=1.0)
    assert (displacement(brow) == displacement(brow, 4.0)).all()


@pytest.mark.parametrize("still", [Expression(), Expression(parting=1.0, teeth=1.0)])
def test_no_movement_changes_nothing(image: np.ndarray, still: Expression) -> None:
    rng = np.random.default_rng(0)
    face = morph_face(image, BOX)
    assert (face.warp(still) == face.canvas).all()
    difference = np.abs(
        face.render(still, Augmentation(), rng).astype(int) - render(image, BOX, Augmentation(), rng)
    )
    assert difference.max() <= 1


def test_augmentation_of_the_canvas_equals_augmentation_of_the_image(image: np.ndarray) -> None:
    """The augmented crop of the canvas is that of the original image."""
    smooth = np.sin(np.mgrid[0:130, 0:120][0] / 9) + np.cos(np.mgrid[0:130, 0:120][1] / 7)
    image = (127 + 55 * smooth).astype(np.uint8)
    look = replace(sample_augmentation(np.random.default_rng(5)), noise=0.0)
    seen = morph_face(image, BOX).render(Expression(), look, np.random.default_rng(0)).astype(int)
    assert np.abs(seen - render(image, BOX, look, np.random.default_rng(0)))[20:76, 20:76].mean() < 2.0


def face_with_lips(line: int, contrast: int = 0) -> np.ndarray:
    crop = np.full((96, 96), 150, np.uint8)
    crop[line + 3 : line + 8] += np.uint8(contrast)
    crop[line - 1 : line + 2, 33:63] = 70
    return crop


@pytest.mark.parametrize("lower", [-5, 0, 6])
def test_the_mouth_is_found_where_it_is(lower: int) -> None:
    assert find_mouth(face_with_lips(round(MOUTH_Y) + lower)) == Mouth(lower, closed=True)


def test_parted_lips_are_not_detected_as_closed() -> None:
    assert not find_mouth(face_with_lips(70, contrast=90)).closed
    assert not find_mouth(np.full((96, 96), 90, np.uint8)).closed
    assert abs(find_mouth(face_with_lips(40)).dy) <= MOUTH_RANGE


@pytest.mark.parametrize(
    ("expression", "lighter"),
    [(Expression(jaw=1.0), False), (Expression(smile=1.0, parting=1.0, teeth=1.0), True)],
)
def test_closed_lips_open_dark_or_on_teeth(expression: Expression, lighter: bool) -> None:
    crop = face_with_lips(70)
    face = MorphFace(np.pad(crop, 32, mode="edge"), Mouth(0.0, closed=True))
    opened = face.warp(expression)
    only_moved = replace(face, mouth=Mouth(0.0, closed=False)).warp(expression)
    mouth = slice(32 + 68, 32 + 76), slice(32 + 42, 32 + 54)
    assert opened[mouth].min() < 70  # darker than the line between the lips
    assert (opened[mouth].max() > 180) == lighter
    assert (opened[: 32 + 55] == only_moved[: 32 + 55]).all()


def test_a_smile_rises_stays_and_falls() -> None:
    episode = SmileEpisode(start_s=1.0, onset_s=0.5, apex_s=2.0, offset_s=0.8, amount=0.7)
    times_s = np.linspace(0, 6, 601)
    amount = episode.at(times_s)
    onset, offset = (times_s > 1.0) & (times_s < 1.5), (times_s > 3.5) & (times_s < 4.3)
    assert np.diff(amount[onset]).min() > 0
    assert np.diff(amount[offset]).max() < 0
    assert amount[(times_s >= 1.5) & (times_s <= 3.5)] == pytest.approx(0.7)
    assert amount[(times_s <= 1.0) | (times_s >= 4.31)] == pytest.approx(0.0, abs=1e-9)
    # Fastest half-shift, as movements are.
    assert times_s[np.argmax(np.diff(amount))] == pytest.approx(1.25, abs=0.02)


def test_sampled_smiles_have_realistic_durations_and_overlap_the_sequence() -> None:
    rng = np.random.default_rng(4)
    drawn = [sample_smile(rng, duration_s=0.8) for _ in range(300)]
    for name, (low, high) in (("onset_s", ONSET_S), ("apex_s", APEX_S), ("offset_s", OFFSET_S)):
        values = np.array([getattr(smile, name) for smile in drawn])
        assert low <= values.min() < values.max() <= high
    amounts = np.array([smile.amount for smile in drawn])
    assert -0.5 <= amounts.min() < -0.15
    assert 0.8 < amounts.max() <= 1.0
    assert ((amounts < 0).mean()) == pytest.approx(0.15, abs=0.06)
    seen = [np.abs(smile.at(np.linspace(0, 0.8, 20))).max() for smile in drawn]
    assert min(seen) > 0


def test_the_mouth_opens_and_closes_at_the_syllables_rate() -> None:
    for seed in range(20):
        speech = sample_speech(np.random.default_rng(seed))
        assert SYLLABLES_HZ[0] <= speech.rate_hz <= SYLLABLES_HZ[1]
        jaw, pucker = speech.at(np.arange(0, 4, 0.001))
        closings = ((jaw[1:-1] < jaw[:-2]) & (jaw[1:-1] <= jaw[2:])).sum()
        assert closings == pytest.approx(4 * speech.rate_hz, abs=1.01)
        assert np.abs(np.diff(jaw)).max() < 0.05  # nothing jumps
        assert np.abs(np.diff(pucker)).max() < 0.05
        assert 0 <= jaw.min() < 0.01
        assert jaw.max() <= 1


@pytest.mark.parametrize(("smiles", "talks"), [(True, False), (False, True), (True, True), (False, False)])
def test_sampled_expressions_match_the_request(smiles: bool, talks: bool) -> None:
    for seed in range(20):
        drawn = sample_expressions(np.random.default_rng(seed), 20, smiles=smiles, talks=talks)
        assert len(drawn) == 20
        assert any(each.smile for each in drawn) == smiles
        assert any(each.jaw > 0 for each in drawn) == talks
        assert talks or not any(each.pucker or each.brow_left or each.brow_right for each in drawn)
        assert drawn == sample_expressions(np.random.default_rng(seed), 20, smiles=smiles, talks=talks)
