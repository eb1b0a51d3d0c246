"""Moves the features of a still face by known amounts: smiles (AU12, AU6), and what is no smile.

No landmarks are needed: the framing of the crops is fixed, so the mouth, the cheeks and the brows are
at known mean places, and only the height of the mouth is looked for in each face. A movement is a sum
of Gaussian displacements, in px of the 96x96 crop, smooth enough to leave a face a face. What opens
between the lips cannot be warped out of a closed mouth; it is painted: dark, or teeth.

The action units are those of P. Ekman and W. Friesen, "Facial Action Coding System", 1978: AU12 is
zygomaticus major, which pulls the lip corners, AU6 orbicularis oculi, which raises the cheeks, AU26
the jaw drop, AU18 the pucker, AU1+2 the raised brow.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from social_perception.perception.smile.crop import CROP_MARGIN
from social_perception.research.training.augmentation import SIDE, GrayImage, Look, render

FloatArray = npt.NDArray[np.float32]

MOUTH_X, MOUTH_Y = 47.5, 70.5
"""Where the lips meet in the mean crop of faces rated Neutral, px of the crop."""
CORNER_X = 14.5
"""From the middle of the mouth to its corners, px of the crop; likewise."""
MOUTH_RANGE = 6
"""How far, in px, a mouth may be above or below the mean one."""
LIPS_CONTRAST = 0.3
"""Range of the shades above and below closed lips, relative to their mean."""
LIPS_DEPTH = 1.0
"""Gray values by which the line between closed lips is at least darker than its neighbourhood."""
OPEN_PARTING = 0.4
"""How much of a smile's parting is left for lips that are apart already."""

CANVAS = 160
"""Side in px of the picture that is morphed: the crop and what looks bring into it from around."""
_RIM = (CANVAS - SIDE) // 2
_STEP = 4  # the displacements are computed at each fourth pixel
_PATCH = (0, 4, 96, 120)  # left, top, width, height in px of the crop: all that moves


@dataclass(frozen=True, slots=True)
class Expression:
    """Amounts of movement; 0 is the face as it is, 1 as far as it goes in most people."""

    smile: float = 0.0  # from -0.5, corners drawn down, to 1
    jaw: float = 0.0
    pucker: float = 0.0
    brow_left: float = 0.0  # left in the picture
    brow_right: float = 0.0
    parting: float = 0.0  # of the lips by the smile, at smile = 1
    teeth: float = 0.0  # how much of the opening is teeth


@dataclass(frozen=True, slots=True)
class Pull:
    """One Gaussian displacement of a movement of amount 1, in px of the crop."""

    movement: str
    at: tuple[float, float]
    by: tuple[float, float]
    sigma: tuple[float, float]


def _both_sides(
    movement: str, at: tuple[float, float], by: tuple[float, float], sigma: tuple[float, float]
) -> tuple[Pull, Pull]:
    mirrored = Pull(movement, (2 * MOUTH_X - at[0], at[1]), (-by[0], by[1]), sigma)
    return (Pull(movement, at, by, sigma), mirrored)


_LEFT = MOUTH_X - CORNER_X
PULLS: tuple[Pull, ...] = (
    *_both_sides("smile", (_LEFT, MOUTH_Y), (-5.0, -5.5), (9.0, 8.0)),
    *_both_sides("smile", (MOUTH_X - 18, 55.0), (-1.0, -3.0), (9.0, 7.0)),
    *_both_sides("smile", (MOUTH_X - 17, 42.0), (0.0, -1.5), (8.0, 4.5)),
    Pull("smile", (MOUTH_X, MOUTH_Y + 7), (0.0, 0.8), (9.0, 5.0)),
    Pull("parting", (MOUTH_X, MOUTH_Y - 3.5), (0.0, -2.0), (12.0, 4.5)),
    Pull("parting", (MOUTH_X, MOUTH_Y + 4.5), (0.0, 4.0), (12.0, 6.0)),
    Pull("jaw", (MOUTH_X, MOUTH_Y + 6), (0.0, 4.5), (12.0, 5.5)),
    Pull("jaw", (MOUTH_X, MOUTH_Y + 16), (0.0, 5.0), (20.0, 9.0)),
    Pull("jaw", (MOUTH_X, MOUTH_Y - 4), (0.0, -1.2), (10.0, 5.0)),
    *_both_sides("jaw", (_LEFT, MOUTH_Y), (1.2, 0.8), (7.0, 7.0)),
    *_both_sides("pucker", (_LEFT, MOUTH_Y), (4.0, 0.0), (7.0, 7.0)),
    Pull("pucker", (MOUTH_X, MOUTH_Y - 5), (0.0, -1.2), (7.0, 4.5)),
    Pull("pucker", (MOUTH_X, MOUTH_Y + 6), (0.0, 1.2), (7.0, 4.5)),
    Pull("brow_left", (MOUTH_X - 17, 27.0), (0.0, -3.5), (10.0, 5.0)),
    Pull("brow_right", (MOUTH_X + 17, 27.0), (0.0, -3.5), (10.0, 5.0)),
)


@dataclass(frozen=True, slots=True)
class Mouth:
    """How much lower than the mean the lips meet, in px, and whether they are closed."""

    dy: float
    closed: bool


@dataclass(frozen=True, slots=True, eq=False)
class MorphFace:
    """A face ready to be moved: (160, 160) uint8 around its crop, and its mouth."""

    canvas: GrayImage
    mouth: Mouth

    @property
    def box(self) -> FloatArray:
        """The face in the canvas: left, top, width, height in px."""
        side = SIDE / CROP_MARGIN
        return np.array([(CANVAS - side) / 2] * 2 + [side] * 2, np.float32)

    def seen(self, expression: Expression, look: Look, rng: np.random.Generator) -> GrayImage:
        """The crop (96, 96) uint8 of the face with an expression under a look."""
        return render(self.moved(expression), self.box, look, rng)

    def moved(self, expression: Expression) -> GrayImage:
        """The canvas with the expression, (160, 160) uint8; with none it is the canvas itself."""
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
            _open(patch, expression, self.mouth.dy)
        canvas = self.canvas.copy()
        canvas[_RIM + top : _RIM + top + height, _RIM + left : _RIM + left + width] = patch
        return canvas


def morph_face(image: GrayImage, box: FloatArray) -> MorphFace:
    """Cut a face, (H, W) uint8 with the detector's box (4,), so that it can be moved."""
    side = CROP_MARGIN * max(box[2], box[3])
    scale = np.float32(SIDE / side)
    center = box[:2] + box[2:] / 2
    offset = CANVAS / 2 - 0.5 - scale * (center - 0.5)
    matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]], np.float32)
    canvas = cv2.warpAffine(
        image, matrix, (CANVAS, CANVAS), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return MorphFace(canvas, find_mouth(canvas[_RIM:-_RIM, _RIM:-_RIM]))


def find_mouth(crop: GrayImage) -> Mouth:
    """Find the mouth of a crop (96, 96), within 6 px above or below the mean.

    The line between the lips is the darkest in its neighbourhood; the farther from the mean place,
    the darker it must be. Where the shades above and below it differ as well, lips or teeth are
    apart already (or it is no mouth), and nothing is painted between them.
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
    """Where each pixel of the patch that moves came from, as the way from there: (120, 96, 2) px, x and y.

    A point q of the unmoved face goes to q + d(q), d the sum of the pulls. A picture is filled from
    the other end, so q is sought for each pixel, by fixed-point iteration on a coarse grid.
    """
    amounts = {name: amount for name, amount in _amounts(expression).items() if amount}
    pulls = _table(tuple(amounts), mouth_dy)
    strength = np.array([amounts[name] for name in pulls.movements], np.float32)
    by = pulls.by * strength[:, None]  # (P, 2)
    target = _grid()  # (2, 30 * 24)
    source = target
    for _ in range(4):
        apart = (source[:, None] - pulls.at) * pulls.narrow  # (2, P, 30 * 24)
        near = np.exp(-np.einsum("dpn,dpn->pn", apart, apart))
        source = target - by.T @ near
    width, height = _PATCH[2:]
    coarse = (target - source).T.reshape(height // _STEP, width // _STEP, 2)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def moved_point(point: tuple[float, float], expression: Expression, mouth_dy: float = 0.0) -> FloatArray:
    """Where a point of the unmoved face goes, (2,) px of the crop."""
    amounts = _amounts(expression)
    pulls = _table(tuple(amounts), mouth_dy)
    at = np.array(point, np.float32)
    apart = (at[:, None, None] - pulls.at) * pulls.narrow
    near = np.exp(-(apart**2).sum(axis=0))[:, 0]
    return at + (pulls.by * (near * [amounts[name] for name in pulls.movements])[:, None]).sum(axis=0)


def _amounts(expression: Expression) -> dict[str, float]:
    amounts = {field.name: getattr(expression, field.name) for field in fields(Expression)}
    amounts["parting"] *= max(0.0, expression.smile) * (1 - expression.jaw)  # an open jaw parts them already
    del amounts["teeth"]
    return amounts


@dataclass(frozen=True, slots=True, eq=False)
class _Pulls:
    """P pulls as arrays: ``at`` and ``narrow`` (2, P, 1), ``by`` (P, 2)."""

    movements: tuple[str, ...]
    at: FloatArray
    narrow: FloatArray
    by: FloatArray


@cache
def _table(movements: tuple[str, ...], mouth_dy: float) -> _Pulls:
    pulls = [pull for pull in PULLS if pull.movement in movements]
    at = np.array([pull.at for pull in pulls], np.float32).reshape(-1, 2)
    at[at[:, 1] > (MOUTH_Y + 55) / 2, 1] += mouth_dy  # the cheeks and brows stay where they are
    sigma = np.array([pull.sigma for pull in pulls], np.float32).reshape(-1, 2)
    by = np.array([pull.by for pull in pulls], np.float32).reshape(-1, 2)
    narrow = 1 / (np.sqrt(np.float32(2)) * sigma)
    return _Pulls(tuple(pull.movement for pull in pulls), at.T[:, :, None], narrow.T[:, :, None], by)


@cache
def _grid() -> FloatArray:
    left, top, width, height = _PATCH
    middle = (_STEP - 1) / 2
    rows, columns = np.mgrid[top + middle : top + height : _STEP, left + middle : left + width : _STEP]
    return np.stack([columns.ravel(), rows.ravel()]).astype(np.float32)


@cache
def _pixels() -> tuple[FloatArray, FloatArray]:
    """The columns and rows (120, 96) of the patch, px of the canvas."""
    left, top, width, height = _PATCH
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    return columns + _RIM + left, rows + _RIM + top


def _open(patch: GrayImage, expression: Expression, mouth_dy: float) -> None:
    """Paint what is seen between the lips, in place."""
    parting = _amounts(expression)["parting"]
    gap = 0.55 * (4.0 * parting + 4.5 * expression.jaw)  # px, half its height
    if gap < 0.5:
        return
    smile = max(0.0, expression.smile)
    wide = CORNER_X + 2.5 * smile - 3.5 * expression.pucker - 2.0 * expression.jaw - 3.0
    middle = MOUTH_Y + mouth_dy - _PATCH[1] + 0.5 * parting + 1.8 * expression.jaw
    top, bottom = int(max(0, middle - 14)), int(middle + 15)
    part = patch[top:bottom]
    rows, columns = np.mgrid[top : top + len(part), 0 : patch.shape[1]].astype(np.float32)
    x = (columns - MOUTH_X) / wide
    # The corners of a smile's opening are higher than its middle.
    y = rows - middle + 3.5 * smile * x**2
    inside = np.clip(1.4 * (1 - x**2 - (y / gap) ** 2), 0, 1) * min(1.0, gap / 1.5)
    skin = float(np.median(patch[40:56, 30:66]))
    upper = np.clip(0.5 - (y - 0.3 * gap * (2 * expression.teeth - 1)), 0, 1) * min(1.0, 2 * expression.teeth)
    shade = 0.25 * skin + upper * (min(235.0, 1.25 * skin + 15) - 0.25 * skin)
    part[:] = (part + 0.85 * inside * (shade - part)).astype(np.uint8)
