"""Draws people, backgrounds and light of synthetic scenes.

Everything is drawn on a canvas with a long side of 320 px, and then reduced as camera images are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from social_perception.perception.scene.reduction import INPUT_PX, GrayArray, reduce
from social_perception.research.training.scene_material import NEGATIVE, NEUTRAL, POSITIVE, Cutouts
from social_perception.research.training.scene_plans import Kind, Plan

CANVASES = ((192, 320), (240, 320), (320, 240))
"""Heights and widths of what is drawn; all images of a batch have one size."""

CELL_PX = 4
"""Pixels of the network's input per cell of the map of faces."""

TILE_PX = 24
"""Side of a single face in the network's input."""

_OVALS = 6
"""Shapes of cut-out faces, from an oval to nearly a square; few, so that their masks are computed once."""

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Person:
    """A face on the canvas: its centre, face width and speed in px and px/s, its roll, and how it looks."""

    cutout: int
    x: float
    y: float
    width: float
    roll_deg: float
    speed: tuple[float, float, float]
    side: float
    mirrored: bool
    oval: float
    gain: float
    hair: int
    body: int

    def after(self, time_s: float) -> Person:
        """The person, moved."""
        x, y, roll = (time_s * each for each in self.speed)
        return replace(self, x=self.x + x, y=self.y + y, roll_deg=self.roll_deg + roll)


def place_people(
    plan: Plan, canvas: tuple[int, ...], cutouts: Cutouts, draw: np.random.Generator
) -> list[Person]:
    """Sample the people, those behind first; they hardly overlap. In the dark there are people, too."""
    count = {
        Kind.GROUP: int(draw.integers(3, 16)), Kind.FEW: int(draw.integers(1, 3)),
        Kind.MANY: int(draw.integers(60, 121)), Kind.EMPTY: 0, Kind.DARK: int(draw.integers(0, 8)),
    }[plan.kind]  # fmt: skip
    if not count:
        return []
    height, width = canvas[:2]
    largest = min(0.75 * np.sqrt(height * width / count) / 1.5, 0.5 * height)
    smallest = min(8.0 if plan.kind is Kind.MANY else 12.0, 0.8 * largest)
    usual = float(smallest * (largest / smallest) ** np.sqrt(draw.random()))
    main = plan.faces if plan.faces is not None else int(draw.integers(3))
    purity = draw.uniform(0.75, 1.0)
    steady = draw.random() < 0.3
    people: list[Person] = []
    for _ in range(count):
        emotion = main if draw.random() < purity else _another(main, draw)
        face = int(draw.choice(cutouts.of(emotion)))
        size = float(np.clip(usual * np.exp(draw.normal(0, 0.18)), 6.0, 0.6 * height))
        place = _free_place(people, size, canvas, draw)
        if place is None:
            continue
        speed = np.zeros(3) if steady else draw.normal(0, [0.25 * size, 0.1 * size, 6.0])
        people.append(
            Person(
                cutout=face,
                x=place[0],
                y=place[1],
                width=size,
                roll_deg=float(draw.uniform(-45, 45) if draw.random() < 0.2 else draw.normal(0, 8)),
                speed=(float(speed[0]), float(speed[1]), float(speed[2])),
                side=size / float(cutouts.width[face]),
                mirrored=bool(draw.random() < 0.5),
                oval=float(draw.integers(_OVALS)) / (_OVALS - 1),
                gain=float(np.exp(draw.normal(0, 0.15))),
                hair=int(draw.integers(0, 256)),
                body=int(draw.integers(0, 256)),
            )
        )
    if people and plan.faces is not None:
        _keep_majority(people, plan.faces, cutouts, draw)
    return sorted(people, key=lambda person: person.y)


def _another(main: int, draw: np.random.Generator) -> int:
    """Another emotion of a single face: mostly neutral."""
    if main == NEUTRAL:
        return int(draw.choice([NEGATIVE, POSITIVE]))
    return NEUTRAL if draw.random() < 0.8 else 2 - main


def _keep_majority(people: list[Person], emotion: int, cutouts: Cutouts, draw: np.random.Generator) -> None:
    """Give faces the scene's emotion until two thirds have it."""
    others = [place for place, each in enumerate(people) if cutouts.emotion[each.cutout] != emotion]
    for place in others[len(people) // 3 :]:
        person = people[place]
        face = int(draw.choice(cutouts.of(emotion)))
        people[place] = replace(person, cutout=face, side=person.width / float(cutouts.width[face]))


def _free_place(
    people: list[Person], size: float, canvas: tuple[int, ...], draw: np.random.Generator
) -> tuple[float, float] | None:
    height, width = canvas[:2]
    for _ in range(30):
        x, y = draw.uniform(0.4 * size, width - 0.4 * size), draw.uniform(0.5 * size, height - 0.5 * size)
        if all(
            abs(x - p.x) > 0.5 * (size + p.width) or abs(y - p.y) > 0.65 * (size + p.width) for p in people
        ):
            return float(x), float(y)
    return None


def paste(canvas: GrayArray, person: Person, face: GrayArray) -> None:
    """Draw a person: body and hair as shapes, and the face with soft edges."""
    x, y, width = person.x, person.y, person.width
    body = (round(x), round(y + 2.1 * width)), (round(1.1 * width), round(1.45 * width))
    cv2.ellipse(canvas, *body, 0, 0, 360, person.body, -1)
    is_portrait = face.shape[0] > person.width and person.side > 1.5 * width
    if not is_portrait:
        hair = (round(x), round(y - 0.12 * width)), (round(0.6 * width), round(0.75 * width))
        cv2.ellipse(canvas, *hair, person.roll_deg, 0, 360, person.hair // 2, -1)
    side = max(3, round(person.side))
    flags = cv2.INTER_AREA if side < face.shape[0] else cv2.INTER_LINEAR
    small = cv2.resize(face[:, ::-1] if person.mirrored else face, (side, side), interpolation=flags)
    radius = int(0.75 * side) + 2
    left, top = round(x) - radius, round(y) - radius
    to_canvas = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), -person.roll_deg, 1.0)
    to_canvas[:, 2] += np.array([x - left, y - top]) - (side - 1) / 2
    place = (2 * radius + 1,) * 2
    turned = cv2.warpAffine(small, to_canvas, place, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpAffine(_mask(side, person.oval), to_canvas, place, flags=cv2.INTER_LINEAR)
    rows = slice(max(0, -top), min(place[0], canvas.shape[0] - top))
    columns = slice(max(0, -left), min(place[1], canvas.shape[1] - left))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    target = canvas[top + rows.start : top + rows.stop, left + columns.start : left + columns.stop]
    weight = mask[rows, columns]
    target[:] = target + weight * (np.clip(person.gain * turned[rows, columns], 0, 255) - target)


@lru_cache(2048)
def _mask(side: int, oval: float) -> FloatArray:
    """Weights (side, side): an oval, or nearly the whole square, with soft edges."""
    at = (np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1
    power = 2.0 + 3.0 * oval
    across, down = np.abs(at / (0.86 + 0.1 * oval)) ** power, np.abs(at / 0.98) ** power
    distance = down[:, None] + across[None, :]
    return np.clip((1.0 - distance) * 0.2 * side + 0.3, 0.0, 1.0).astype(np.float32)


def map_of(
    people: list[Person], emotion: npt.NDArray[np.int64], size: tuple[int, ...], scale: float
) -> FloatArray:
    """Where faces are, by emotion: Gaussians of height 1, (3, h / 4, w / 4).

    Args:
        people: on the canvas.
        emotion: of each cut-out face.
        size: height h and width w of the network's input.
        scale: of the input, relative to the canvas.
    """
    scale /= CELL_PX
    cells = np.zeros((3, size[0] // CELL_PX, size[1] // CELL_PX), np.float32)
    down = np.arange(cells.shape[1], dtype=np.float32)[:, None] + 0.5
    across = np.arange(cells.shape[2], dtype=np.float32)[None, :] + 0.5
    for each in people:
        spread = max(0.25 * scale * each.width, 0.6)
        x, y = scale * each.x, scale * each.y
        bump = np.exp(-((down - y) ** 2 + (across - x) ** 2) / (2 * spread**2))
        channel = cells[emotion[each.cutout]]
        np.maximum(channel, bump, out=channel)
    return cells


def draw_tile(face: GrayArray, width: float, image_px: int, draw: np.random.Generator) -> GrayArray:
    """A single face as small as in a reduced image, enlarged as for the network, (24, 24).

    Args:
        face: cut out, square.
        width: of its square in the network's input, in px.
        image_px: long side of reduced images.
        draw: source of randomness.
    """
    small = image_px / INPUT_PX
    side = round(TILE_PX * small)
    scale, angle = small * width / face.shape[0], np.deg2rad(draw.normal(0, 10))
    if scale < 0.6:
        face = cv2.GaussianBlur(face, (0, 0), 0.4 / scale)
    rotated = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if draw.random() < 0.5:
        rotated[:, 0] *= -1
    middle = (face.shape[0] - 1) / 2
    moved = (side - 1) / 2 + small * draw.uniform(-4, 4, 2) - rotated @ [middle, middle]
    shade, size = int(draw.integers(0, 256)), (side, side)
    tile = cv2.warpAffine(
        face, np.column_stack([rotated, moved]), size, flags=cv2.INTER_LINEAR, borderValue=shade
    )
    gain, noise = np.exp(draw.normal(-0.1, 0.25)), draw.uniform(0, 6) * draw.standard_normal(size, np.float32)
    lit = np.clip(gain * (tile - 128.0) + 128.0 + draw.normal(0, 15) + noise, 0, 255).astype(np.uint8)
    return cv2.resize(lit, (TILE_PX, TILE_PX), interpolation=cv2.INTER_CUBIC)


def draw_background(
    backgrounds: tuple[GrayArray, ...], size: tuple[int, int], draw: np.random.Generator
) -> GrayArray:
    """Sample a part of a background, often with plain shapes before it, as furniture and windows are."""
    height, width = size
    image = backgrounds[int(draw.integers(len(backgrounds)))]
    scale = draw.uniform(0.25, 1.0)
    rows = max(8, int(scale * min(image.shape[0], image.shape[1] * height / width)))
    columns = min(max(8, int(rows * width / height)), image.shape[1])
    top = int(draw.integers(0, image.shape[0] - rows + 1))
    left = int(draw.integers(0, image.shape[1] - columns + 1))
    part = image[top : top + rows, left : left + columns]
    canvas = cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR)
    if draw.random() < 0.5:
        canvas = np.ascontiguousarray(canvas[:, ::-1])
    if draw.random() < 0.25:
        canvas[:] = cv2.blur(canvas, (41, 41)) // 2 + int(draw.integers(0, 128))
    for _ in range(int(draw.integers(0, 7)) if draw.random() < 0.6 else 0):
        corner = draw.uniform(-0.2, 1.0, 2) * (width, height)
        far = corner + draw.uniform(0.02, 0.6, 2) * (width, height)
        shade, filled = int(draw.integers(0, 256)), draw.random() < 0.7
        first, last = ((round(x), round(y)) for x, y in (corner, far))
        cv2.rectangle(canvas, first, last, shade, -1 if filled else int(draw.integers(1, 6)))
    return canvas


class Light:
    """The light, the lens and the sensor of a scene: from the canvas to a reduced image."""

    def __init__(self, kind: Kind, canvas: tuple[int, ...], image_px: int, draw: np.random.Generator) -> None:
        self._image_px = image_px
        gamma, contrast = np.exp(draw.normal(0, 0.25)), np.exp(draw.normal(-0.15, 0.3))
        brightness = draw.normal(0, 20)
        if kind is Kind.DARK:
            contrast, brightness = draw.uniform(0.0, 0.03), -125 + draw.uniform(0, 12)
        levels = np.linspace(0, 1, 256) ** gamma
        self._table = ((levels - 0.5) * 255 * contrast + 127.5 + brightness).astype(np.float32)
        slope = draw.normal(0, 25 if kind is not Kind.DARK else 1, 2) * (draw.random() < 0.4)
        down, across = np.linspace(-1, 1, canvas[0]), np.linspace(-1, 1, canvas[1])
        self._shade = (slope[0] * down[:, None] + slope[1] * across[None, :]).astype(np.float32)
        self._blur_px = draw.uniform(0.5, 1.5) if draw.random() < 0.3 else 0.0
        self._motion_px = int(draw.integers(2, 7)) if draw.random() < 0.15 else 0
        self._noise = draw.uniform(0, 8) if draw.random() < 0.5 else 0.0
        self._quality = int(draw.integers(30, 95)) if draw.random() < 0.3 else 100

    def __call__(self, canvas: GrayArray, draw: np.random.Generator) -> GrayArray:
        lit = self._table[canvas] + self._shade
        if self._blur_px:
            lit = cv2.GaussianBlur(lit, (0, 0), self._blur_px)
        if self._motion_px:
            lit = cv2.blur(lit, (self._motion_px, 1))
        lit = reduce(lit, self._image_px)
        if self._noise:
            lit = lit + self._noise * draw.standard_normal(lit.shape, np.float32)
        image = np.clip(lit, 0, 255).astype(np.uint8)
        if self._quality < 100:
            coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self._quality])[1]
            image = cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE)
        return image
