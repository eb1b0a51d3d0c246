"""The controlled image changes: each has its effect, and none at its neutral strength."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from social_perception.core.types import Box
from social_perception.research.evaluation.audit.appearance import (
    apparent_ita,
    bin_by_edges,
    cheek_color,
    measure,
    measured_groups,
    to_lab,
)
from social_perception.research.evaluation.audit.changes import CHANGES, DARK, GRAY, MASK_BLUE
from social_perception.sources.portrait import FACE, load_portrait

pd = pytest.importorskip("pandas")

BY_NAME = {change.name: change for change in CHANGES}


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return load_portrait()


def changed(name: str, image: np.ndarray, strength: float, box: Box = FACE) -> np.ndarray | None:
    return BY_NAME[name].apply(image, box, strength, np.random.default_rng(0))


def light(image: np.ndarray) -> np.ndarray:
    """Linear light of sRGB values, by its definition."""
    values = image / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


WITH_ZERO = [each for each in CHANGES if each.unchanged is not None and each.name not in {"blur", "mirror"}]


@pytest.mark.parametrize("change", WITH_ZERO, ids=lambda change: change.name)
def test_the_strength_that_changes_nothing_changes_nothing(change, portrait: np.ndarray) -> None:
    same = change.apply(portrait, FACE, change.unchanged, np.random.default_rng(0))
    # Conversion to another color space or to linear light and back rounds.
    assert np.abs(same.astype(int) - portrait).max() <= (2 if change.name == "skin_tone" else 1)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_every_strength_changes_a_copy_of_the_same_size(change, portrait: np.ndarray) -> None:
    before = portrait.copy()
    for strength in change.strengths:
        made = change.apply(portrait, FACE, strength, np.random.default_rng(0))
        assert made.shape == portrait.shape
        assert made.dtype == np.uint8
        assert not np.array_equal(made, portrait)
    np.testing.assert_array_equal(portrait, before)


@pytest.mark.parametrize("stops", [-2, -1, 1])
def test_a_stop_doubles_the_light(stops: float) -> None:
    ramp = np.tile(np.arange(60, 180, dtype=np.uint8)[:, None, None], (1, 4, 3))
    ratio = light(changed("brightness", ramp, stops)) / light(ramp)
    np.testing.assert_allclose(ratio, 2.0**stops, rtol=0.06)


def test_contrast_and_gamma_move_the_spread_and_the_middle(portrait: np.ndarray) -> None:
    flat = changed("contrast", portrait, 0.5)
    assert flat.std() == pytest.approx(portrait.std() / 2, rel=0.02)
    assert flat.mean() == pytest.approx(portrait.mean(), abs=1)
    assert changed("gamma", portrait, 2.0).mean() < portrait.mean() < changed("gamma", portrait, 0.5).mean()


def test_warm_light_has_more_red_and_less_blue(portrait: np.ndarray) -> None:
    warm = changed("colour_cast", portrait, 0.5).mean(axis=(0, 1)) - portrait.mean(axis=(0, 1))
    assert warm[0] > 5
    assert abs(warm[1]) < 0.5
    assert warm[2] < -5


@pytest.mark.parametrize(("name", "weak", "strong"), [
    ("blur", 1, 4), ("resolution", 48, 16), ("jpeg", 70, 5),
])  # fmt: skip
def test_stronger_changes_lose_more_detail(name: str, weak: float, strong: float, portrait) -> None:
    def error(strength: float) -> float:
        return float(np.abs(changed(name, portrait, strength).astype(int) - portrait).mean())

    assert 0 < error(weak) < error(strong)


def test_images_are_not_upsampled(portrait: np.ndarray) -> None:
    assert changed("resolution", portrait, 96) is None
    assert changed("resolution", portrait, 95) is not None


def test_noise_has_its_deviation_and_is_repeatable() -> None:
    gray = np.full((80, 80, 3), 128, np.uint8)
    noisy = changed("noise", gray, 10)
    assert (noisy.astype(float) - 128).std() == pytest.approx(10, rel=0.05)
    np.testing.assert_array_equal(noisy, changed("noise", gray, 10))


def test_rotation_turns_about_the_face() -> None:
    image = np.zeros((101, 101, 3), np.uint8)
    cv2.circle(image, (70, 50), 3, (255, 255, 255), -1)  # 20 px to the right of the box's center
    turned = changed("rotation", image, 45, Box(30, 30, 40, 40))
    y, x = (place.mean() for place in np.nonzero(turned[:, :, 0] > 100))
    assert (x, y) == pytest.approx((50 + 20 / math.sqrt(2), 50 - 20 / math.sqrt(2)), abs=1)


@pytest.mark.parametrize(("name", "axis"), [("flat_yaw", 1), ("flat_pitch", 0)])
def test_a_rotated_image_plane_shrinks_along_one_axis(name: str, axis: int) -> None:
    image = np.zeros((201, 201, 3), np.uint8)
    image[80:121, 80:121] = 255
    white = changed(name, image, 60, Box(80, 80, 41, 41))[:, :, 0] > 128
    size = [int(white.any(axis=other).sum()) for other in (1, 0)]
    assert size[axis] == pytest.approx(41 * math.cos(math.radians(60)), abs=2)
    assert size[1 - axis] == pytest.approx(41, abs=4)
    left, right = white[:, :100].sum(axis=0).max(), white[:, 101:].sum(axis=0).max()
    if axis == 1:
        assert left != right  # one side is nearer


# Positions in the portrait, (y, x) in px.
MOUTH, EYES, FOREHEAD = (144, 223), (103, 206), (80, 220)


@pytest.mark.parametrize(("name", "strength", "color", "hidden", "shown"), [
    ("cover_mouth", 1, GRAY, [MOUTH], [EYES, FOREHEAD]),
    ("mask", 0.45, MASK_BLUE, [MOUTH], [EYES, FOREHEAD]),
    ("mask", 0.15, MASK_BLUE, [], [MOUTH, EYES]),
    ("cover_eyes", 0.3, DARK, [EYES], [MOUTH]),
    ("cover_side", -0.5, GRAY, [(110, 190)], [(110, 250)]),
    ("cover_side", 0.5, GRAY, [(110, 250)], [(110, 190)]),
])  # fmt: skip
def test_occlusions_cover_their_region_only(name, strength, color, hidden, shown, portrait) -> None:
    made = changed(name, portrait, strength)
    for place in hidden:
        assert tuple(made[place]) == color
    for place in shown:
        np.testing.assert_array_equal(made[place], portrait[place])


def test_mirror_swaps_left_and_right(portrait: np.ndarray) -> None:
    np.testing.assert_array_equal(changed("mirror", portrait, 1)[:, ::-1], portrait)


@pytest.mark.parametrize("degrees", [-60, -40, -20])
def test_skin_gets_darker_by_its_angle_and_the_rest_stays(degrees: float, portrait: np.ndarray) -> None:
    made = changed("skin_tone", portrait, degrees)
    before, after = (cheek_color(to_lab(image), FACE) for image in (portrait, made))
    assert apparent_ita(after) - apparent_ita(before) == pytest.approx(degrees, abs=3)
    assert after[1:] == pytest.approx(before[1:], abs=1.5)
    np.testing.assert_array_equal(made[300:], portrait[300:])  # the suit


def test_gray_images_have_no_skin_tone(portrait: np.ndarray) -> None:
    gray = np.repeat(portrait.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    assert changed("skin_tone", gray, -40) is None
    assert math.isnan(measure(gray, FACE)[-1])
    assert changed("skin_tone", portrait, -40, Box(-500, -500, 90, 90)) is None


def test_the_ita_follows_its_definition() -> None:
    assert apparent_ita((70.0, 10.0, 20.0)) == pytest.approx(45.0)
    assert apparent_ita((30.0, 10.0, 20.0)) == pytest.approx(-45.0)
    assert math.isnan(apparent_ita((60.0, 10.0, -5.0)))
    bands = bin_by_edges(pd.Series([-50.0, -30.0, 20.0, 41.0, np.nan]), (-30, 10, 41), "°")
    assert bands.tolist()[:4] == ["below -30°", "-30 to 10°", "10 to 41°", "41° and above"]
    assert pd.isna(bands[4])


def test_measurements_of_an_image(portrait: np.ndarray) -> None:
    overall, face, contrast, width, ita = measure(portrait, FACE)
    darker = measure(changed("brightness", portrait, -2), FACE)
    assert darker[0] < overall
    assert darker[1] < face
    assert measure(changed("contrast", portrait, 0.5), FACE)[2] < contrast
    assert width == 96
    assert ita == pytest.approx(apparent_ita(cheek_color(to_lab(portrait), FACE)), abs=3)
    assert [math.isnan(value) for value in measure(portrait, None)] == [False, True, True, True, True]
    over = measure(portrait[80:, 180:], Box(FACE.left - 180, FACE.top - 80, 96, 96))
    assert over[3:] == pytest.approx((width, ita), abs=3)
    groups = measured_groups(pd.DataFrame({"face_px": np.arange(40.0), "apparent_ita": [np.nan] * 40}), 4)
    assert list(groups) == ["face_px"]
    assert groups["face_px"].value_counts().tolist() == [10] * 4
