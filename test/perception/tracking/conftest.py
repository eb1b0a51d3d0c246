"""A small theatre: actors move over a 1280x720 patch, and a detector that knows where they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from social_perception.core.config import TrackingConfig
from social_perception.core.types import Box, Face, Frame, Track
from social_perception.perception.tracking.tracker import Tracker

WIDTH, HEIGHT, RATE_HZ = 1280, 720, 30.0
Path2D = Callable[[int], tuple[float, float]]


def straight(x: float, y: float, dx: float = 0.0, dy: float = 0.0) -> Path2D:
    """A tile's upper left corner in px by frame."""
    return lambda index: (x + dx * index, y + dy * index)


def swaying(x: float, y: float, dx: float, dy: float, period: float) -> Path2D:
    def path(index: int) -> tuple[float, float]:
        angle = 2.0 * np.pi * index / period
        return x + dx * float(np.sin(angle)), y + dy * float(np.cos(angle))

    return path


@dataclass
class Actor:
    """Moving patches of one person (side x side px), and where the face is in them."""

    name: str
    patches: Sequence[np.ndarray]
    faces: Sequence[Box]
    path: Path2D
    present: Callable[[int], bool] = lambda index: True

    @property
    def side(self) -> int:
        return len(self.patches[0])

    def corner(self, index: int) -> tuple[int, int]:
        x, y = self.path(index)
        return round(x), round(y)

    def cut(self, index: int) -> int:
        """The patch shown: forwards and backwards, so that there is no cut at the end."""
        last = len(self.patches) - 1
        position = index % (2 * last) if last else 0
        return min(position, 2 * last - position)

    def face(self, index: int) -> Box:
        x, y = self.corner(index)
        box = self.faces[self.cut(index)]
        return Box(box.left + x, box.top + y, box.width, box.height)


class Stage:
    """Actors before a background; later ones are nearer."""

    def __init__(self, actors: Sequence[Actor], seed: int = 0) -> None:
        self.actors = actors
        noise = np.random.default_rng(seed)
        coarse = noise.integers(60, 190, (18, 32, 3), dtype=np.uint8)
        self._background = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)

    def image(self, index: int) -> np.ndarray:
        image = self._background.copy()
        for actor in self.actors:
            if actor.present(index):
                _paste(image, actor.patches[actor.cut(index)], *actor.corner(index))
        return image

    def truth(self, index: int) -> dict[str, tuple[Box, float]]:
        """Each present person's face, and the share of it that can be seen."""
        found = {}
        for position, actor in enumerate(self.actors):
            if actor.present(index):
                box = actor.face(index)
                seen = box.visible_fraction(WIDTH, HEIGHT)
                nearer = [other for other in self.actors[position + 1 :] if other.present(index)]
                seen = min([seen, *(1.0 - _hidden(box, other, index) for other in nearer)])
                found[actor.name] = (box, seen)
        return found


class FakeDetector:
    """Knows the true faces; its boxes jitter, it misses some, and it is late by some frames."""

    def __init__(self, stage: Stage, *, interval: int = 10, delay: int = 0, miss: float = 0.1, seed: int = 1):
        self._stage, self._interval, self._delay, self._miss = stage, interval, delay, miss
        self._random = np.random.default_rng(seed)
        self._waiting: list[tuple[int, list[Face]]] = []

    def update(self, index: int) -> list[tuple[int, list[Face]]]:
        if index % self._interval == 0:
            self._waiting.append((index, self._search(index)))
        ready = [found for found in self._waiting if found[0] + self._delay <= index]
        self._waiting = [found for found in self._waiting if found[0] + self._delay > index]
        return ready

    def _search(self, index: int) -> list[Face]:
        faces = []
        for box, seen in self._stage.truth(index).values():
            x, y, size = self._random.normal(0.0, 1.0, 3)
            if seen >= 0.6 and self._random.random() >= self._miss:
                scale = float(np.clip(1.0 + 0.08 * size, 0.85, 1.18))
                faces.append(Face(box.moved(0.02 * x * box.width, 0.02 * y * box.width, scale), 1.0))
        return faces


@dataclass(frozen=True)
class Moment:
    """One played frame: what is true, and what the tracker says."""

    index: int
    truth: dict[str, tuple[Box, float]]
    tracks: tuple[Track, ...]

    def best(self, name: str) -> tuple[str, float]:
        """The visible track that fits a person best, and its overlap; ("", 0) if none does."""
        box = self.truth[name][0]
        fits = [(track.id, track.box.iou(box)) for track in self.tracks if track.visible]
        return max(fits, key=lambda fit: fit[1], default=("", 0.0))


def play(stage: Stage, detector: FakeDetector, frames: int, tracker: Tracker | None = None) -> list[Moment]:
    tracker = tracker or Tracker(TrackingConfig())
    moments = []
    for index in range(frames):
        tracker.advance(Frame(stage.image(index), index / RATE_HZ, index))
        for found_in, faces in detector.update(index):
            tracker.correct(found_in, faces)
        moments.append(Moment(index, stage.truth(index), tracker.tracks()))
    return moments


def ids_of(moments: Sequence[Moment], name: str, *, min_seen: float = 0.9) -> list[str]:
    """The ids that a person had while to be seen, in order, without repetitions."""
    ids: list[str] = []
    for moment in moments:
        if name in moment.truth and moment.truth[name][1] >= min_seen:
            found, overlap = moment.best(name)
            if overlap >= 0.4 and ids[-1:] != [found]:
                ids.append(found)
    return ids


def painted(name: str, seed: int, side: int, path: Path2D, **options: object) -> Actor:
    """A person who never was: blots in a few colours of their own, the face in the middle."""
    noise = np.random.default_rng(seed)
    color = noise.integers(40, 216, 3)
    blots = noise.normal(0.0, 1.0, (side, side)).astype(np.float32)
    blots = sum(cv2.GaussianBlur(blots, (0, 0), side / share) * side / share for share in (12, 30))
    patch = np.clip(color + 30.0 * blots[:, :, None], 0, 255).astype(np.uint8)
    face = Box(0.22 * side, 0.22 * side, 0.56 * side, 0.56 * side)
    return Actor(name, [patch], [face], path, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def filmed(shared: Path) -> Callable[..., Actor]:
    """Makes actors of real people; their faces are found by dlib's HOG detector, smoothed over time."""
    dlib = pytest.importorskip("dlib")
    search = dlib.get_frontal_face_detector()
    films: dict[tuple[str, int], tuple[list[np.ndarray], list[Box]]] = {}

    def make(name: str, side: int, path: Path2D, **options: object) -> Actor:
        if (name, side) not in films:
            films[name, side] = _film(shared / "clips" / f"{name}.mp4", side, search)
        return Actor(name, *films[name, side], path, **options)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def theatre() -> SimpleNamespace:
    return SimpleNamespace(
        Stage=Stage,
        FakeDetector=FakeDetector,
        play=play,
        ids_of=ids_of,
        painted=painted,
        straight=straight,
        swaying=swaying,
    )


def _film(path: Path, side: int, search: Callable) -> tuple[list[np.ndarray], list[Box]]:
    capture = cv2.VideoCapture(str(path))
    patches, rows = [], []
    for _ in range(40):
        read, image = capture.read()
        if not read:
            break
        small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        patches.append(np.ascontiguousarray(small[:, :, ::-1]))
        found = search(patches[-1], 0)
        last = rows[-1] if rows else None
        rows.append([found[0].left(), found[0].top(), found[0].width()] if found else last)
    first = next(row for row in rows if row is not None)
    values = np.pad(np.array([row or first for row in rows], float), ((4, 4), (0, 0)), mode="edge")
    smooth = np.stack([np.convolve(column, np.ones(9) / 9, "valid") for column in values.T], axis=1)
    return patches, [Box(left, top, size, size) for left, top, size in smooth.tolist()]


def _oval(side: int) -> np.ndarray:
    mask = np.zeros((side, side), np.uint8)
    cv2.ellipse(mask, (side // 2, side // 2), (int(0.37 * side), int(0.49 * side)), 0, 0, 360, 1, -1)
    return mask.astype(bool)


def _paste(image: np.ndarray, patch: np.ndarray, x: int, y: int) -> None:
    side = len(patch)
    x0, y0, x1, y1 = max(0, x), max(0, y), min(image.shape[1], x + side), min(image.shape[0], y + side)
    if x0 < x1 and y0 < y1:
        part = (slice(y0 - y, y1 - y), slice(x0 - x, x1 - x))
        mask = _oval(side)[part]
        image[y0:y1, x0:x1][mask] = patch[part][mask]


def _hidden(box: Box, nearer: Actor, index: int) -> float:
    x, y = nearer.corner(index)
    head = Box(x + 0.13 * nearer.side, y, 0.74 * nearer.side, nearer.side)
    width = min(box.right, head.right) - max(box.left, head.left)
    height = min(box.bottom, head.bottom) - max(box.top, head.top)
    return max(0.0, width) * max(0.0, height) / box.area
