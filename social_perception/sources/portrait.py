"""A portrait whose smile can be set, from which the people of the sample are made.

The image, ``portrait.png``, is NASA's of the astronaut Eileen Collins (public domain), as it comes with
scikit-image. Its mouth is warped by a smooth
local map: less smile lowers and draws in the mouth corners, closes the lips and softens the folds
beside the mouth; full smile is a little more than in the photograph.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from social_perception.core.types import Box, ImageArray

FACE = Box(176.0, 68.0, 96.0, 96.0)
"""Where the CNN detector sees the face, mirrored or not, in px of the portrait."""

BUST = (28, 2, 366, 332)
"""The part of the portrait that is shown (left, top, right, bottom); it has no lettering."""

CHANGED = (180, 109, 268, 180)
"""The part that a smile changes, in the same order."""

FloatArray = npt.NDArray[np.float32]

_ENLARGEMENT = 2
# The mouth of the photograph, in px: its centre, half its width, half the opening of the lips, and
# how far the corners lie above the middle of the opening.
_MOUTH_X, _MOUTH_Y, _MOUTH_HALF_PX, _OPENING_PX, _CORNER_LIFT_PX = 223.5, 144.4, 21.0, 3.7, 6.5
_REACH_PX = 34.0

_OUTLINE = (
    (155, 78), (158, 64), (166, 54), (174, 47), (190, 37), (204, 24), (226, 15), (255, 21), (280, 36),
    (296, 58), (301, 86), (296, 106), (284, 121), (271, 133), (258, 150), (254, 172), (276, 188),
    (290, 202), (300, 220), (305, 240), (330, 255), (346, 281), (362, 345), (22, 345), (46, 286),
    (72, 247), (117, 213), (116, 192), (124, 172), (132, 162), (148, 155), (182, 154), (179, 128),
    (163, 112), (156, 96),
)  # fmt: skip


def load_portrait() -> ImageArray:
    """The photograph, (512, 512, 3) uint8, RGB."""
    path = Path(__file__).with_name("portrait.png")
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))


def smiling_busts(
    portrait: ImageArray, intensities: npt.ArrayLike, opening: float = 0.0
) -> tuple[ImageArray, ...]:
    """The bust once per intensity in [0, 1], each twice as large as in the portrait.

    Args:
        portrait: of :func:`load_portrait`.
        intensities: of the smile.
        opening: how much wider the mouth is open, as in speech, in [0, 1].
    """
    left, top, right, bottom = BUST
    part = portrait[top:bottom, left:right]
    size = (part.shape[1] * _ENLARGEMENT, part.shape[0] * _ENLARGEMENT)
    large = cv2.resize(part, size, interpolation=cv2.INTER_CUBIC)
    smooth = cv2.GaussianBlur(large, (0, 0), 5.0 * _ENLARGEMENT)
    return tuple(_with_smile(large, smooth, float(each), opening) for each in np.atleast_1d(intensities))


def bust_alpha() -> FloatArray:
    """How opaque the bust is, in [0, 1], at the size of :func:`smiling_busts`: the person, softly cut."""
    left, top, right, bottom = BUST
    points = (np.array(_OUTLINE) - (left, top)) * _ENLARGEMENT
    mask = np.zeros(((bottom - top) * _ENLARGEMENT, (right - left) * _ENLARGEMENT), np.float32)
    cv2.fillPoly(mask, [points.astype(np.int32)], 1.0, lineType=cv2.LINE_AA)
    # The outline is drawn by hand: shrunk a little and softened, it shows no background.
    mask = cv2.erode(mask, np.ones((5, 5), np.uint8))
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 3.0), np.float32)


def _with_smile(large: ImageArray, smooth: ImageArray, intensity: float, opening: float) -> ImageArray:
    left, right = ((side - BUST[0]) * _ENLARGEMENT for side in CHANGED[::2])
    top, bottom = ((side - BUST[1]) * _ENLARGEMENT for side in CHANGED[1::2])
    grid_y, grid_x = np.mgrid[top:bottom, left:right].astype(np.float32)
    x = grid_x / _ENLARGEMENT + BUST[0]
    y = grid_y / _ENLARGEMENT + BUST[1]
    source_x, source_y = _smile_map(x, y, intensity, opening)
    map_x = ((source_x - BUST[0]) * _ENLARGEMENT).astype(np.float32)
    map_y = ((source_y - BUST[1]) * _ENLARGEMENT).astype(np.float32)
    bust, part = large.copy(), (slice(top, bottom), slice(left, right))
    bust[part] = _soften_folds(large[part], smooth[part], x, y, 1.0 - intensity)
    bust[part] = cv2.remap(bust, map_x, map_y, cv2.INTER_CUBIC)
    return bust


def _smile_map(
    x: FloatArray, y: FloatArray, intensity: float, opening: float
) -> tuple[FloatArray, FloatArray]:
    """Where each pixel of the warped face lies in the photograph (px of the portrait)."""
    half_px = _MOUTH_HALF_PX * (0.76 + 0.30 * intensity)
    lift_px = _CORNER_LIFT_PX * (-0.12 + 1.28 * intensity)
    opening_px = _OPENING_PX * (np.clip(1.35 * intensity - 0.25, 0.03, 1.1) + 0.8 * opening)
    offset = x - _MOUTH_X
    source_offset = offset * (_MOUTH_HALF_PX / half_px)
    # Along the mouth, u runs from -1 to 1; beyond the corners the curve stays level.
    curve = np.clip((offset / half_px) ** 2, 0.0, 1.6)
    source_curve = np.clip((source_offset / _MOUTH_HALF_PX) ** 2, 0.0, 1.6)
    arch = np.sqrt(np.maximum(1.0 - curve, 0.0))
    from_line = y - (_MOUTH_Y - lift_px * (curve - 0.4))
    warped, original = opening_px * arch, _OPENING_PX * arch
    inside = from_line * original / np.maximum(warped, 1e-3)
    outside = np.sign(from_line) * (original + np.abs(from_line) - warped)
    in_source = np.where(np.abs(from_line) < warped, inside, outside)
    source_y = _MOUTH_Y - _CORNER_LIFT_PX * (source_curve - 0.4) + in_source
    weight = _falloff(np.hypot(offset / 1.25, y - _MOUTH_Y) / _REACH_PX)
    return x + weight * (source_offset - offset), y + weight * (source_y - y)


def _falloff(distance: FloatArray) -> FloatArray:
    """1 up to a distance of 0.4, then smoothly down to 0 at 1."""
    t = np.clip((1.0 - distance) / 0.6, 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), np.float32)


def _soften_folds(
    large: ImageArray, smooth: ImageArray, x: FloatArray, y: FloatArray, amount: float
) -> ImageArray:
    """Weaken the folds that a smile draws from the nose to beside the mouth."""
    weight = np.zeros(x.shape, np.float32)
    for fold_x in (198.0, 250.0):
        weight = np.maximum(weight, _falloff(np.hypot((x - fold_x) / 9.0, (y - 134.0) / 15.0)))
    mixed = large + (smooth.astype(np.float32) - large) * (0.75 * amount * weight)[:, :, np.newaxis]
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
