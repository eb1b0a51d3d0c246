"""The sample: people with known faces and known smiles, for demonstrations and tests.

Copies of one public-domain portrait sit in rows, sway slowly, and smile at their own times. An
image is a function of the frame's index alone, so that every run is the same.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from social_perception.core.errors import ConfigurationError
from social_perception.core.types import Box, Frame, ImageArray
from social_perception.sources.portrait import BUST, CHANGED, FACE, bust_alpha, load_portrait, smiling_busts
from social_perception.sources.sample_sound import SILENT, SampleVoices, Voice
from social_perception.sources.source import Source

WIDTH_PX, HEIGHT_PX, RATE_HZ = 1280, 720, 30.0
MAX_PEOPLE = 16

_SMILE_STEPS = 16
_OPENINGS = 3
_SMALLEST_FACE_PX = 48.0
# Busts end below the panel in front of their row.
_HIDDEN_PX = 20.0
_BELOW_FACE_CENTER = (BUST[3] - FACE.center[1]) / FACE.width


@dataclass(frozen=True, slots=True)
class SampleFace:
    """The truth about one person in one frame: the face's box, its smile in [0, 1], and its voice."""

    box: Box
    intensity: float
    voice: Voice = SILENT


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of people: how many, their face width, and the top of the panel they sit behind."""

    people: int
    face_px: float
    panel_top_px: int


@dataclass(frozen=True, slots=True, eq=False)
class _Sprite:
    """A person ready to be pasted.

    ``steps`` has an image per opening of the mouth and smile step, already multiplied by alpha;
    ``remaining`` is the share of the background that shines through (0 to 255); ``offset`` is where the face
    begins in them (x, y in px).
    """

    steps: tuple[tuple[ImageArray, ...], ...]
    remaining: ImageArray
    offset: tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Person:
    """Where a person sits, how it moves and when it smiles; all follow from its number."""

    number: int
    row: int
    face_px: float
    home_x: float
    home_y: float
    sway_px: float

    def face(self, time_s: float) -> SampleFace:
        """The face's box and smile at a time; the box lies on whole pixels, as it is drawn."""
        turn = 2.0 * math.pi
        x = self.home_x + self.sway_px * math.sin(
            turn * (time_s / (11.0 + 1.3 * self.number) + 0.37 * self.number)
        )
        y = self.home_y + 0.06 * self.face_px * math.sin(turn * (time_s / 7.0 + 0.21 * self.number))
        left, top = round(x - self.face_px / 2), round(y - self.face_px / 2)
        wave = math.sin(turn * (time_s / (6.5 + 0.9 * (self.number % 5)) + 0.29 * self.number))
        # Steeper than a sine: people are mostly neutral or mostly smiling, with an onset in between.
        smile = min(1.0, max(0.0, 0.5 + 0.85 * wave))
        return SampleFace(Box(left, top, self.face_px, self.face_px), smile * smile * (3.0 - 2.0 * smile))


class SampleSource(Source):
    """Several people of different sizes in a 1280x720 image at 30 Hz, whose smiles come and go.

    With sound they speak in turns, and laugh together.
    """

    live = False

    def __init__(
        self, people: int = 5, duration_s: float | None = None, sound_rate_hz: int | None = None
    ) -> None:
        """Draw everybody once.

        Args:
            people: 1 to 16.
            duration_s: length in s; None: endless.
            sound_rate_hz: rate in Hz of the frames' sound; None: there is none, and nobody speaks.

        Raises:
            ConfigurationError: an argument is out of its range.
        """
        if not 1 <= people <= MAX_PEOPLE:
            raise ConfigurationError(f"people must be in [1, {MAX_PEOPLE}], got {people}")
        if duration_s is not None and not duration_s > 0:
            raise ConfigurationError(f"duration_s must be positive, got {duration_s}")
        self.name = "sample"
        self.rate_hz: float | None = RATE_HZ
        self.frame_count: int | None = None if duration_s is None else math.ceil(duration_s * RATE_HZ)
        self._rows = _rows(people)
        self._people = _seat(self._rows)
        self.sound_rate_hz = sound_rate_hz
        self._voices = None if sound_rate_hz is None else SampleVoices(people, sound_rate_hz)
        self._sprites = _draw(self._people, 1 if self._voices is None else _OPENINGS)
        self._wall = _wall()
        self._panels = tuple(_panel(row) for row in range(len(self._rows)))
        self._index = 0

    def __next__(self) -> Frame:
        if self.frame_count is not None and self._index >= self.frame_count:
            raise StopIteration
        index, self._index = self._index, self._index + 1
        sound = None
        if self._voices is not None:
            sound = self._voices.between(max(0, index - 1) / RATE_HZ, index / RATE_HZ)
        return Frame(self.image(index), index / RATE_HZ, index, sound)

    def image(self, index: int, present: Collection[int] | None = None) -> ImageArray:
        """The image of an index; with ``present``, only people of these numbers are in it."""
        return self._render(self.truth(index), range(MAX_PEOPLE) if present is None else present)

    def truth(self, index: int) -> tuple[SampleFace, ...]:
        """Everybody's face and smile in the frame of an index, always in the same order."""
        faces = tuple(person.face(index / RATE_HZ) for person in self._people)
        if self._voices is None:
            return faces
        voices = [self._voices.of(person.number, index / RATE_HZ) for person in self._people]
        return tuple(
            replace(face, intensity=max(face.intensity, voice.laughs), voice=voice)
            for face, voice in zip(faces, voices)
        )

    def close(self) -> None:
        self.frame_count = self._index

    def _render(self, faces: tuple[SampleFace, ...], present: Collection[int]) -> ImageArray:
        image = self._wall.copy()
        for number, row in enumerate(self._rows):
            for person, sprite, face in zip(self._people, self._sprites, faces):
                if person.row == number and person.number in present:
                    _paste(image, sprite, face)
            image[row.panel_top_px :] = self._panels[number][: HEIGHT_PX - row.panel_top_px]
        return image


def _rows(people: int) -> tuple[_Row, ...]:
    """Spread the people over one to three rows, back row first."""
    if people <= 3:
        return (_Row(people, 150.0, HEIGHT_PX),)
    if people <= 8:
        front = people // 2
        return (_Row(people - front, 92.0, 330), _Row(front, 132.0, HEIGHT_PX))
    front = people // 3
    middle = (people - front) // 2
    back = people - front - middle
    return (_Row(back, 62.0, 205), _Row(middle, 80.0, 425), _Row(front, 106.0, HEIGHT_PX))


def _seat(rows: tuple[_Row, ...]) -> tuple[_Person, ...]:
    people: list[_Person] = []
    for row_number, row in enumerate(rows):
        cell_px = WIDTH_PX / row.people
        for seat in range(row.people):
            number = len(people)
            face_px = float(round(row.face_px * (1.0, 1.12, 0.94, 1.06)[number % 4]))
            if number == 0 and len(rows) > 1:
                face_px = max(_SMALLEST_FACE_PX, float(round(0.66 * row.face_px)))
            people.append(
                _Person(
                    number=number,
                    row=row_number,
                    face_px=face_px,
                    home_x=(seat + 0.5) * cell_px,
                    home_y=row.panel_top_px + _HIDDEN_PX - _BELOW_FACE_CENTER * face_px,
                    # Hair reaches 0.85 of the face's width to one side: nobody hides a neighbour.
                    sway_px=min(130.0, max(0.0, cell_px / 2 - 0.85 * face_px)),
                )
            )
    return tuple(people)


def _draw(people: tuple[_Person, ...], openings: int = 1) -> tuple[_Sprite, ...]:
    steps = np.linspace(0.0, 1.0, _SMILE_STEPS)
    busts = [
        smiling_busts(load_portrait(), steps, float(opening)) for opening in np.linspace(0.0, 1.0, openings)
    ]
    alpha = bust_alpha()
    return tuple(_sprite(person, busts, alpha) for person in people)


def _sprite(person: _Person, busts: Sequence[tuple[ImageArray, ...]], alpha: np.ndarray) -> _Sprite:
    scale = person.face_px / FACE.width
    size = (round((BUST[2] - BUST[0]) * scale), round((BUST[3] - BUST[1]) * scale))
    small_alpha = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)[:, :, np.newaxis]

    # Above the suit, with a margin for the resizing: all that differs from one step to the next.
    columns = slice(int((CHANGED[0] - BUST[0]) * scale) - 1, int((CHANGED[2] - BUST[0]) * scale) + 2)
    rows = slice(int((CHANGED[1] - BUST[1]) * scale) - 1, int((CHANGED[3] - BUST[1]) * scale) + 2)
    first = cv2.resize(busts[0][0], size, interpolation=cv2.INTER_AREA)
    drawn = _lit(_dressed(first, person.number), person.number, small_alpha)

    def with_smile(bust: ImageArray) -> ImageArray:
        small, image = cv2.resize(bust, size, interpolation=cv2.INTER_AREA), drawn.copy()
        image[rows, columns] = _lit(small[rows, columns], person.number, small_alpha[rows, columns])
        return _mirror(image, person)

    steps = tuple(tuple(with_smile(bust) for bust in row) for row in busts)
    remaining = np.rint(255.0 * (1.0 - small_alpha)).astype(np.uint8)
    face_x = BUST[2] - FACE.right if _mirrored(person) else FACE.left - BUST[0]
    offset = (scale * face_x, scale * (FACE.top - BUST[1]))
    return _Sprite(steps, _mirror(np.repeat(remaining, 3, axis=2), person), offset)


def _mirrored(person: _Person) -> bool:
    return person.number % 2 == 1


def _mirror(image: ImageArray, person: _Person) -> ImageArray:
    return np.ascontiguousarray(image[:, ::-1]) if _mirrored(person) else image


def _dressed(bust: ImageArray, number: int) -> np.ndarray:
    """Give each person another suit colour."""
    hsv = cv2.cvtColor(bust, cv2.COLOR_RGB2HSV)
    hue, saturation = hsv[:, :, 0].astype(np.int32), hsv[:, :, 1]
    suit = ((hue < 25) | (hue > 170)) & (saturation > 70)
    suit[: round(bust.shape[0] * 0.63)] = False
    hsv[:, :, 0] = (hue + 25 * number) % 180
    # Bright greens and magentas would draw all attention.
    hsv[:, :, 1] = (saturation * 0.75).astype(np.uint8)
    share = cv2.GaussianBlur(suit.astype(np.float32), (0, 0), 1.0)[:, :, np.newaxis]
    return np.asarray(bust + share * (cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.float32) - bust))


def _lit(bust: np.ndarray, number: int, alpha: np.ndarray) -> ImageArray:
    """Give each person a little other light, and multiply by alpha."""
    brightness = (1.0, 0.86, 1.06, 0.93)[number % 4]
    warmth = (0.0, 0.05, -0.04, 0.02)[(number // 2) % 4]
    gains = brightness * np.array([1.0 + warmth, 1.0, 1.0 - warmth], np.float32)
    return np.rint(np.clip(np.rint(bust * gains), 0, 255) * alpha).astype(np.uint8)


def _paste(image: ImageArray, sprite: _Sprite, face: SampleFace) -> None:
    row = sprite.steps[round(face.voice.opening * (len(sprite.steps) - 1))]
    step = row[round(face.intensity * (_SMILE_STEPS - 1))]
    height, width = step.shape[:2]
    left = round(face.box.left - sprite.offset[0])
    top = round(face.box.top - sprite.offset[1])
    x0, y0, x1, y1 = max(0, left), max(0, top), min(WIDTH_PX, left + width), min(HEIGHT_PX, top + height)
    if x0 >= x1 or y0 >= y1:
        return
    part = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
    place = image[y0:y1, x0:x1]
    place[:] = cv2.add(cv2.multiply(place, sprite.remaining[part], scale=1 / 255), step[part])


def _texture(seed: int, height: int, stretch: tuple[int, int]) -> np.ndarray:
    """Smooth noise around 0, (height, 1280) float32, the same for the same seed."""
    noise = np.random.default_rng(seed).normal(size=(height // stretch[1] + 2, WIDTH_PX // stretch[0] + 2))
    smooth = cv2.resize(noise.astype(np.float32), (WIDTH_PX, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth)


def _wall() -> ImageArray:
    shade = np.linspace(1.04, 0.90, HEIGHT_PX, dtype=np.float32)[:, np.newaxis]
    light = shade * (1.0 + 0.012 * _texture(1, HEIGHT_PX, (90, 90)) + 0.012 * _texture(2, HEIGHT_PX, (3, 3)))
    return _colored(light, (158.0, 170.0, 176.0))


def _panel(row: int) -> ImageArray:
    shade = np.linspace(1.0, 0.78, HEIGHT_PX, dtype=np.float32)[:, np.newaxis].copy()
    shade[:7] = 1.18
    grain = 0.02 * _texture(10 + row, HEIGHT_PX, (160, 3)) + 0.01 * _texture(20 + row, HEIGHT_PX, (2, 2))
    return _colored(shade * (1.0 + grain), (122.0, 104.0, 88.0))


def _colored(light: np.ndarray, color: tuple[float, float, float]) -> ImageArray:
    return np.clip(np.rint(light[:, :, np.newaxis] * np.array(color, np.float32)), 0, 255).astype(np.uint8)
