"""A 1280x720 meeting of eight people, composed from real clips, with known presence and smiles.

Each person is a tile of one clip that enters and leaves at a scripted frame. Smile levels come from
``clip_levels.csv`` (two model-based raters at 4 Hz, not human annotators).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT = 1280, 720
RATE_HZ = 30.0
TILE_PX = 300


@dataclass(frozen=True)
class Person:
    """One person's part: which clip, from which of its frames, where, and from when to when."""

    name: str
    clip: str
    first: int
    column: int
    row: int
    enters: int
    leaves: int
    mirrored: bool = False

    @property
    def left(self) -> int:
        return 10 + 320 * self.column

    @property
    def top(self) -> int:
        return 30 + 350 * self.row

    def present(self, frame: int) -> bool:
        return self.enters <= frame < self.leaves

    def contains(self, x: float, y: float) -> bool:
        return self.left <= x < self.left + TILE_PX and self.top <= y < self.top + TILE_PX


LENGTH = 420
PEOPLE = (
    Person("ann", "talker_d0.mp4", 0, 0, 0, 0, 420),
    Person("ben", "talker_d6.mp4", 0, 1, 0, 0, 300),
    Person("cem", "talker_d9.mp4", 0, 2, 0, 30, 420),
    Person("dee", "talker_d3.mp4", 0, 3, 0, 60, 360),
    Person("eva", "single_face.mp4", 0, 0, 1, 90, 420),
    Person("fay", "talker_d18.mp4", 0, 1, 1, 120, 420),
    Person("gil", "talker_d0.mp4", 40, 2, 1, 150, 420, mirrored=True),
    Person("hal", "face_leaves.mov", 0, 3, 1, 180, 390, mirrored=True),
)
# Only the part of a clip that shows the person is played.
LAST_FRAME = {"face_leaves.mov": 70}


def quiet_frames(settle: int = 20) -> set[int]:
    """Frames that are at least ``settle`` frames after anybody entered or left."""
    changes = {frame for person in PEOPLE for frame in (person.enters, person.leaves) if frame < LENGTH}
    return {frame for frame in range(LENGTH) if not any(0 <= frame - change < settle for change in changes)}


class Meeting:
    """Frames and truth of the meeting; needs about 150 MB while it is played."""

    def __init__(self, clips: Path) -> None:
        self._tiles = {
            person.clip: _read_tiles(clips / person.clip, LAST_FRAME.get(person.clip)) for person in PEOPLE
        }
        self._levels = _read_levels(clips / "clip_levels.csv")
        generator = np.random.default_rng(1)
        coarse = generator.integers(70, 130, (9, 16, 3), np.uint8)
        self._background = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)

    def frames(self) -> Iterator[np.ndarray]:
        """Yield LENGTH images of shape (720, 1280, 3), RGB."""
        for frame in range(LENGTH):
            picture = self._background.copy()
            for person in PEOPLE:
                if person.present(frame):
                    tile = self._tiles[person.clip][self._clip_frame(person, frame)]
                    tile = tile[:, ::-1] if person.mirrored else tile
                    picture[person.top : person.top + TILE_PX, person.left : person.left + TILE_PX] = tile
            yield picture

    def level(self, person: Person, frame: int) -> float | None:
        """The raters' mean level of a person in a frame; None where no rating is within 0.2 s."""
        clip_frame = self._clip_frame(person, frame)
        ratings = self._levels.get(person.clip, {})
        nearest = min(ratings, key=lambda rated: abs(rated - clip_frame), default=None)
        if nearest is None or abs(nearest - clip_frame) > 6:
            return None
        return ratings[nearest]

    def _clip_frame(self, person: Person, frame: int) -> int:
        """Clips shorter than the presence are played forwards and backwards."""
        last = len(self._tiles[person.clip]) - 1
        place = (person.first + frame - person.enters) % (2 * last)
        return place if place <= last else 2 * last - place


def _read_tiles(path: Path, last_frame: int | None) -> list[np.ndarray]:
    video = cv2.VideoCapture(str(path))
    tiles: list[np.ndarray] = []
    while last_frame is None or len(tiles) <= last_frame:
        found, picture = video.read()
        if not found or len(tiles) > LENGTH:
            break
        side = min(picture.shape[:2])
        left = (picture.shape[1] - side) // 2
        square = cv2.resize(
            picture[:side, left : left + side], (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA
        )
        tiles.append(cv2.cvtColor(square, cv2.COLOR_BGR2RGB))
    assert tiles, f"{path} could not be read"
    return tiles


def _read_levels(path: Path) -> dict[str, dict[int, float]]:
    levels: dict[str, dict[int, float]] = {}
    with path.open(newline="") as lines:
        for row in csv.DictReader(lines):
            ratings = [float(row[rater]) for rater in ("rater1", "rater2") if row[rater] != ""]
            if ratings:
                levels.setdefault(row["clip"], {})[int(row["frame"])] = sum(ratings) / len(ratings)
    return levels
