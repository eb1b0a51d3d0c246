"""Annotated videos to training data: levels frame by frame, split by video, in sequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from social_perception.core.config import DetectionConfig
from social_perception.core.errors import SourceError
from social_perception.core.types import ImageArray
from social_perception.perception.detection.factory import make_detector
from social_perception.research.training.elan_tiers import (
    NOT_ANNOTATED,
    WORDS,
    LevelTier,
    read_tiers,
    video_of,
)
from social_perception.research.training.reference_settings import VideoSettings
from social_perception.research.training.video_faces import VideoFaces, people_of, video_faces


@dataclass(frozen=True, slots=True, eq=False)
class PersonFrames:
    """The K annotated frames of one person that show a face.

    ``rows`` (K,) point into ``crops``; ``level`` (K,) is 0 to 3; ``stamps_s`` (K,) rise.
    ``annotated`` is the number of annotated frames, with those that show no face.
    """

    video: str
    person: str
    crops: ImageArray
    rows: npt.NDArray[np.int64]
    level: npt.NDArray[np.int64]
    stamps_s: npt.NDArray[np.float64]
    annotated: int

    @property
    def without_face(self) -> int:
        return self.annotated - len(self.rows)


@dataclass(frozen=True, slots=True)
class Split:
    """The names of the videos of each part."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


def read_corpus(settings: VideoSettings, cache: Path) -> tuple[PersonFrames, ...]:
    """Read every .eaf file under the folder with its video; frames without a face are dropped and counted.

    Raises:
        SourceError: there is no .eaf file, or one of them or its video cannot be read.
    """
    folder = Path(settings.folder).expanduser()
    files = sorted(folder.rglob("*.eaf"))
    if not files:
        raise SourceError(f"no ELAN files (.eaf) in {folder}")
    detector = make_detector(DetectionConfig(min_face_px=settings.min_face_px))
    corpus: list[PersonFrames] = []
    for file in files:
        tiers = read_tiers(file, settings.tier, settings.subtle)
        faces = video_faces(video_of(file), detector, settings.detect_every, cache)
        corpus += _people(str(file.relative_to(folder).with_suffix("")), tiers, faces)
    for person in corpus:
        print(_sentence(f"{person.video}, {person.person}", person.annotated, person.without_face))
    total, dropped = (sum(getattr(each, name) for each in corpus) for name in ("annotated", "without_face"))
    print(_sentence("all videos", total, dropped))
    return tuple(corpus)


def split_by_video(names: Sequence[str], shares: Sequence[float], seed: int) -> Split:
    """Part the videos by chance; each part gets its share, and validation and test at least one video.

    With only two videos there is none to test on.

    Raises:
        SourceError: there is only one video.
    """
    names = sorted(set(names))
    if len(names) < 2:
        raise SourceError(f"a split by video needs at least 2 annotated videos, got {len(names)}")
    order = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    validation = max(1, round(shares[1] * len(names)))
    test = min(max(1, round(shares[2] * len(names))) if shares[2] > 0 else 0, len(names) - validation - 1)
    held_out = validation + test
    return Split(tuple(order[held_out:]), tuple(order[:validation]), tuple(order[validation:held_out]))


def class_balance(parts: dict[str, Sequence[PersonFrames]]) -> str:
    """A table with the share of each level in each part."""
    lines = [f"{'':<12}{'videos':>8}{'frames':>10}" + "".join(f"{word.capitalize():>10}" for word in WORDS)]
    for name, people in parts.items():
        levels = np.concatenate([np.zeros(0, np.int64), *(person.level for person in people)])
        counts = np.bincount(levels, minlength=len(WORDS))
        shares = "".join(f"{count / max(1, len(levels)):>10.1%}" for count in counts)
        lines.append(f"{name:<12}{len({person.video for person in people}):>8}{len(levels):>10}{shares}")
    return "\n".join(lines)


class FrameSequences(Dataset):  # type: ignore[type-arg]
    """Sequences of T frames of one person: crops (T, 96, 96, 3) uint8 and levels (T,).

    Dropped frames are skipped over, but a sequence does not reach over a gap longer than ``max_gap_s``.
    A stretch shorter than T gives none.
    """

    def __init__(self, people: Sequence[PersonFrames], length: int, max_gap_s: float) -> None:
        self._people = people
        self._places = [
            (number, start)
            for number, person in enumerate(people)
            for start in _starts(person.stamps_s, length, max_gap_s)
        ]
        self._length = length

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        number, start = self._places[index]
        person, window = self._people[number], slice(start, start + self._length)
        return torch.from_numpy(person.crops[person.rows[window]]), torch.from_numpy(person.level[window])


def _starts(stamps_s: npt.NDArray[np.float64], length: int, max_gap_s: float) -> list[int]:
    edges = [0, *(np.flatnonzero(np.diff(stamps_s) > max_gap_s) + 1), len(stamps_s)]
    starts: list[int] = []
    for first, end in pairwise(edges):
        starts += range(int(first), int(end) - length + 1, length)
        rest = (end - first) % length
        if end - first > length and rest:  # the last one overlaps, so that no frame is lost
            starts.append(int(end) - length)
    return starts


def _people(video: str, tiers: Sequence[LevelTier], faces: VideoFaces) -> list[PersonFrames]:
    person = people_of(faces, len(tiers))
    people = []
    for number, tier in enumerate(tiers):
        level = tier.at(faces.stamps_s)
        rows = np.flatnonzero(person == number)
        rows = rows[level[faces.frame[rows]] != NOT_ANNOTATED]
        frames = faces.frame[rows]
        annotated = int((level != NOT_ANNOTATED).sum())
        people.append(
            PersonFrames(
                video, tier.name, faces.crops, rows, level[frames], faces.stamps_s[frames], annotated
            )
        )
    return people


def _sentence(name: str, annotated: int, dropped: int) -> str:
    share = dropped / max(1, annotated)
    return f"{name}: {annotated} annotated frames, {dropped} dropped for want of a face ({share:.1%})"
