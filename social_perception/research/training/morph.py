"""Warps a still face into an expression of known intensity: smiles (AU12, AU6) and other movements.

No landmarks are needed: crops are framed alike, so mouth, cheeks and brows are weight known mean
positions, and only the height of the mouth is detected per face. A movement is a sum of smooth Gaussian
displacements in px of the 96x96 crop. The opening between the lips cannot be warped out of a closed
mouth; it is painted: dark, or as teeth.

The action units are those of P. Ekman and W. Friesen, "Facial Action Coding System", 1978: AU12 is
zygomaticus major, which table the lip corners, AU6 orbicularis oculi, which raises the cheeks, AU26
the jaw drop, AU18 the pucker, AU1+2 the raised brow.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from social_perception.perception.smile.crop import CROP_MARGIN
from social_perception.research.training.augmentation import SIDE, Augmentation, GrayImage, render

FloatArray = npt.NDArray[np.float32]

MOUTH_X, MOUTH_Y = 47.5, 70.5
"""Position of the lip line in the mean crop of faces rated Neutral, px of the crop."""
CORNER_X = 14.5
"""Distance from the middle of the mouth to its corners in the same mean crop, px."""
MOUTH_RANGE = 6
"""Search range of the mouth above and below the mean position, px."""
LIPS_CONTRAST = 0.3
"""Largest range of the gray values above and below closed lips, relative to their mean."""
LIPS_DEPTH = 1.0
"""Gray values by which the line between closed lips is at least darker than its surroundings."""
OPEN_PARTING = 0.4
"""Factor on a smile's lip parting for lips that are already distance."""

CANVAS = 160
"""Side in px of the image that is warped: the crop and a margin for the augmentation."""
_MARGIN = (CANVAS - SIDE) // 2
_STEP = 4  # the displacements are computed at every fourth pixel
_PATCH = (0, 4, 96, 120)  # left, top, width, height in px of the crop: the region that moves


@dataclass(frozen=True, slots=True)
class Expression:
    """Amounts of movement: 0 leaves the face as it is, 1 is the full movement of most people."""

    smile: float = 0.0  # -0.5 (corners drawn down) to 1
    jaw: float = 0.0
    pucker: float = 0.0
    brow_left: float = 0.0  # left in the image
    brow_right: float = 0.0
    parting: float = 0.0  # lip parting at smile = 1
    teeth: float = 0.0  # share of the opening that shows teeth


@dataclass(frozen=True, slots=True)
class GaussianDisplacement:
    """One Gaussian displacement of a movement of amount 1, in px of the crop.

    ``at`` is its center, ``by`` the shift there, ``sigma`` its standard deviation, each (x, y).
    """

    movement: str
    at: tuple[float, float]
    by: tuple[float, float]
    sigma: tuple[float, float]


def _both_sides(
    movement: str, at: tuple[float, float], by: tuple[float, float], sigma: tuple[float, float]
) -> tuple[GaussianDisplacement, GaussianDisplacement]:
    mirrored = GaussianDisplacement(movement, (2 * MOUTH_X - at[0], at[1]), (-by[0], by[1]), sigma)
    return (GaussianDisplacement(movement, at, by, sigma), mirrored)


_LEFT = MOUTH_X - CORNER_X
DISPLACEMENTS: tuple[GaussianDisplacement, ...] = (
    *_both_sides("smile", (_LEFT, MOUTH_Y), (-5.0, -5.5), (9.0, 8.0)),
    *_both_sides("smile", (MOUTH_X - 18, 55.0), (-1.0, -3.0), (9.0, 7.0)),
    *_both_sides("smile", (MOUTH_X - 17, 42.0), (0.0, -1.5), (8.0, 4.5)),
    GaussianDisplacement("smile", (MOUTH_X, MOUTH_Y + 7), (0.0, 0.8), (9.0, 5.0)),
    GaussianDisplacement("parting", (MOUTH_X, MOUTH_Y - 3.5), (0.0, -2.0), (12.0, 4.5)),
    GaussianDisplacement("parting", (MOUTH_X, MOUTH_Y + 4.5), (0.0, 4.0), (12.0, 6.0)),
    GaussianDisplacement("jaw", (MOUTH_X, MOUTH_Y + 6), (0.0, 4.5), (12.0, 5.5)),
    GaussianDisplacement("jaw", (MOUTH_X, MOUTH_Y + 16), (0.0, 5.0), (20.0, 9.0)),
    GaussianDisplacement("jaw", (MOUTH_X, MOUTH_Y - 4), (0.0, -1.2), (10.0, 5.0)),
    *_both_sides("jaw", (_LEFT, MOUTH_Y), (1.2, 0.8), (7.0, 7.0)),
    *_both_sides("pucker", (_LEFT, MOUTH_Y), (4.0, 0.0), (7.0, 7.0)),
    GaussianDisplacement("pucker", (MOUTH_X, MOUTH_Y - 5), (0.0, -1.2), (7.0, 4.5)),
    GaussianDisplacement("pucker", (MOUTH_X, MOUTH_Y + 6), (0.0, 1.2), (7.0, 4.5)),
    GaussianDisplacement("brow_left", (MOUTH_X - 17, 27.0), (0.0, -3.5), (10.0, 5.0)),
    GaussianDisplacement("brow_right", (MOUTH_X + 17, 27.0), (0.0, -3.5), (10.0, 5.0)),
)


@dataclass(frozen=True, slots=True)
class Mouth:
    """Offset of the lip line below the mean position in px, and whether the lips are closed."""

    dy: float
    closed: bool


@dataclass(frozen=True, slots=True, eq=False)
class MorphFace:
    """A face prepared for warping: the crop with its surroundings, (160, 160) uint8, and its mouth."""

    canvas: GrayImage
    mouth: Mouth

    def render(self, expression: Expression, params: Augmentation, rng: np.random.Generator) -> GrayImage:
        """Return the augmented crop (96, 96) uint8 of the face with an expression."""
        return render(self.warp(expression), canvas_box(), params, rng)

    def warp(self, expression: Expression) -> GrayImage:
        """Return the canvas with the expression, (160, 160) uint8; for no movement, the canvas itself."""
        if not any(_amounts(expression).values()):
            return self.canvas
        if not self.mouth.closed:
            expression = replace(expression, parting=OPEN_PARTING * expression.parting)
        left, top, width, height = _PATCH
        shift = displacement(expression, self.mouth.dy)
        columns, rows = _pixels()
        patch = cv2.remap(
            self.canvas,
            columns - shift[..., 0],
            rows - shift[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        if self.mouth.closed:
            _paint_mouth_opening(patch, expression, self.mouth.dy)
        canvas = self.canvas.copy()
        canvas[_MARGIN + top : _MARGIN + top + height, _MARGIN + left : _MARGIN + left + width] = patch
        return canvas


def morph_face(image: GrayImage, box: FloatArray) -> MorphFace:
    """Prepare a face for warping.

    Args:
        image: (H, W) uint8 gray image.
        box: (4,) left, top, width, height of the face in px.
    """
    side = CROP_MARGIN * max(box[2], box[3])
    scale = np.float32(SIDE / side)
    center = box[:2] + box[2:] / 2
    offset = CANVAS / 2 - 0.5 - scale * (center - 0.5)
    matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]], np.float32)
    canvas = cv2.warpAffine(
        image, matrix, (CANVAS, CANVAS), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return MorphFace(canvas, find_mouth(canvas[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]))


def canvas_box() -> FloatArray:
    """Return the face box (4,) in a canvas: left, top, width, height in px."""
    side = SIDE / CROP_MARGIN
    return np.array([(CANVAS - side) / 2] * 2 + [side] * 2, np.float32)


def find_mouth(crop: GrayImage) -> Mouth:
    """Find the mouth of a crop (96, 96), within 6 px above or below the mean position.

    The lip line is the row that is darkest relative to its surroundings, with a penalty on the distance
    from the mean position. If the gray values above and below it vary as well, the lips are already
    apart (or it is not a mouth), and no opening is painted.
    """
    middle = crop[:, round(MOUTH_X) - 8 : round(MOUTH_X) + 9].mean(axis=1, dtype=np.float32)[:, None]
    smooth = cv2.GaussianBlur(middle, (1, 0), sigmaX=0.01, sigmaY=1.2)[:, 0]
    valley = cv2.GaussianBlur(middle, (1, 0), sigmaX=0.01, sigmaY=5.0)[:, 0] - smooth
    around = np.arange(-MOUTH_RANGE, MOUTH_RANGE + 1)
    depth = valley[round(MOUTH_Y) + around] - 0.15 * np.abs(around)
    best = int(np.argmax(depth))
    line = round(MOUTH_Y) + int(around[best])
    beside = np.concatenate([smooth[line - 9 : line - 3], smooth[line + 4 : line + 10]])
    closed = np.ptp(beside) < LIPS_CONTRAST * beside.mean() and valley[line] > LIPS_DEPTH
    return Mouth(float(around[best]), bool(closed))


def displacement(expression: Expression, mouth_dy: float = 0.0) -> FloatArray:
    """Return the backward displacement of each pixel of the patch, (120, 96, 2) px, x and y.

    A point q of the source moves to q + d(q), d being the sum of the displacements. Warping needs the
    inverse, which is found for each pixel by fixed-point iteration on a coarse grid.
    """
    amounts = {name: amount for name, amount in _amounts(expression).items() if amount}
    table = _displacement_table(tuple(amounts), mouth_dy)
    strength = np.array([amounts[name] for name in table.movements], np.float32)
    by = table.by * strength[:, None]  # (P, 2)
    target = _grid()  # (2, 30 * 24)
    source = target
    for _ in range(4):
        distance = (source[:, None] - table.at) * table.inverse_width  # (2, P, 30 * 24)
        weight = np.exp(-np.einsum("dpn,dpn->pn", distance, distance))
        source = target - by.T @ weight
    width, height = _PATCH[2:]
    coarse = (target - source).T.reshape(height // _STEP, width // _STEP, 2)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def warp_point(point: tuple[float, float], expression: Expression, mouth_dy: float = 0.0) -> FloatArray:
    """Return the position (2,) in px of the crop to which a point of the source moves."""
    amounts = _amounts(expression)
    table = _displacement_table(tuple(amounts), mouth_dy)
    at = np.array(point, np.float32)
    distance = (at[:, None, None] - table.at) * table.inverse_width
    weight = np.exp(-(distance**2).sum(axis=0))[:, 0]
    return at + (table.by * (weight * [amounts[name] for name in table.movements])[:, None]).sum(axis=0)


def _amounts(expression: Expression) -> dict[str, float]:
    amounts = {field.name: getattr(expression, field.name) for field in fields(Expression)}
    # An open jaw already parts the lips.
    amounts["parting"] *= max(0.0, expression.smile) * (1 - expression.jaw)
    del amounts["teeth"]
    return amounts


@dataclass(frozen=True, slots=True, eq=False)
class _DisplacementTable:
    """P displacements as arrays: ``at`` and ``inverse_width`` (2, P, 1), ``by`` (P, 2)."""

    movements: tuple[str, ...]
    at: FloatArray
    inverse_width: FloatArray
    by: FloatArray


@cache
def _displacement_table(movements: tuple[str, ...], mouth_dy: float) -> _DisplacementTable:
    table = [each for each in DISPLACEMENTS if each.movement in movements]
    at = np.array([each.at for each in table], np.float32).reshape(-1, 2)
    at[at[:, 1] > (MOUTH_Y + 55) / 2, 1] += mouth_dy  # cheeks and brows do not follow the mouth
    sigma = np.array([each.sigma for each in table], np.float32).reshape(-1, 2)
    by = np.array([each.by for each in table], np.float32).reshape(-1, 2)
    inverse_width = 1 / (np.sqrt(np.float32(2)) * sigma)
    return _DisplacementTable(
        tuple(each.movement for each in table), at.T[:, :, None], inverse_width.T[:, :, None], by
    )


@cache
def _grid() -> FloatArray:
    left, top, width, height = _PATCH
    middle = (_STEP - 1) / 2
    rows, columns = np.mgrid[top + middle : top + height : _STEP, left + middle : left + width : _STEP]
    return np.stack([columns.ravel(), rows.ravel()]).astype(np.float32)


@cache
def _pixels() -> tuple[FloatArray, FloatArray]:
    """Return the columns and rows (120, 96) of the patch, px of the canvas."""
    left, top, width, height = _PATCH
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    return columns + _MARGIN + left, rows + _MARGIN + top


def _paint_mouth_opening(patch: GrayImage, expression: Expression, mouth_dy: float) -> None:
    """Paint the opening between the lips, in place."""
    parting = _amounts(expression)["parting"]
    gap = 0.55 * (4.0 * parting + 4.5 * expression.jaw)  # px, half the height
    if gap < 0.5:
        return
    smile = max(0.0, expression.smile)
    wide = CORNER_X + 2.5 * smile - 3.5 * expression.pucker - 2.0 * expression.jaw - 3.0
    middle = MOUTH_Y + mouth_dy - _PATCH[1] + 0.5 * parting + 1.8 * expression.jaw
    top, bottom = int(max(0, middle - 14)), int(middle + 15)
    part = patch[top:bottom]
    rows, columns = np.mgrid[top : top + len(part), 0 : patch.shape[1]].astype(np.float32)
    x = (columns - MOUTH_X) / wide
    # The corners of a smiling mouth are higher than its middle.
    y = rows - middle + 3.5 * smile * x**2
    inside = np.clip(1.4 * (1 - x**2 - (y / gap) ** 2), 0, 1) * min(1.0, gap / 1.5)
    skin = float(np.median(patch[40:56, 30:66]))
    upper = np.clip(0.5 - (y - 0.3 * gap * (2 * expression.teeth - 1)), 0, 1) * min(1.0, 2 * expression.teeth)
    shade = 0.25 * skin + upper * (min(235.0, 1.25 * skin + 15) - 0.25 * skin)
    part[:] = (part + 0.85 * inside * (shade - part)).astype(np.uint8)
