"""Reads annotated videos as training data: a level per frame, split by video, cut into sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    LEVEL_NAMES,
    NOT_ANNOTATED,
    LevelTier,
    find_video,
    read_tiers,
)
from social_perception.research.training.reference_settings import VideoSettings
from social_perception.research.training.video_faces import VideoFaces, assign_people, video_faces


@dataclass(frozen=True, slots=True, eq=False)
class PersonFrames:
    """The K annotated frames of one person that show a face.

    ``rows`` (K,) index ``crops``; ``level`` (K,) is 0 to 3; ``stamps_s`` (K,) increases.
    ``annotated`` is the number of annotated frames, those without a face included.
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
    """The names of the videos of each split."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


def read_corpus(settings: VideoSettings, cache: Path) -> tuple[PersonFrames, ...]:
    """Read every .eaf file under the folder with its video; frames without a face are dropped and counted.

    Raises:
        SourceError: there is no .eaf file, or an .eaf file or its video cannot be read.
    """
    folder = Path(settings.folder).expanduser()
    files = sorted(folder.rglob("*.eaf"))
    if not files:
        raise SourceError(f"no ELAN files (.eaf) in {folder}")
    detector = make_detector(DetectionConfig(min_face_px=settings.min_face_px))
    corpus: list[PersonFrames] = []
    for file in files:
        tiers = read_tiers(file, settings.tier, settings.subtle)
        faces = video_faces(find_video(file), detector, settings.detect_every, cache)
        corpus += _person_frames(str(file.relative_to(folder).with_suffix("")), tiers, faces)
    for person in corpus:
        print(_drop_summary(f"{person.video}, {person.person}", person.annotated, person.without_face))
    total, dropped = (sum(getattr(each, name) for each in corpus) for name in ("annotated", "without_face"))
    print(_drop_summary("all videos", total, dropped))
    return tuple(corpus)


def split_by_video(names: Sequence[str], shares: Sequence[float], seed: int) -> Split:
    """Split the videos at random into training, validation and test.

    Validation and test get at least one video each; of only two videos, none is left for the test.

    Args:
        names: names of the videos; duplicates count once.
        shares: share of each split; they add up to 1.
        seed: seed of the permutation.

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


def class_balance(splits: Mapping[str, Sequence[PersonFrames]]) -> str:
    """Format a table with the share of each level in each split."""
    lines = [
        f"{'':<12}{'videos':>8}{'frames':>10}" + "".join(f"{word.capitalize():>10}" for word in LEVEL_NAMES)
    ]
    for name, people in splits.items():
        levels = np.concatenate([np.zeros(0, np.int64), *(person.level for person in people)])
        counts = np.bincount(levels, minlength=len(LEVEL_NAMES))
        shares = "".join(f"{count / max(1, len(levels)):>10.1%}" for count in counts)
        lines.append(f"{name:<12}{len({person.video for person in people}):>8}{len(levels):>10}{shares}")
    return "\n".join(lines)


class FrameSequences(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Sequences of T frames of one person: crops (T, 96, 96, 3) uint8 and levels (T,).

    A sequence skips dropped frames, but does not span a gap longer than ``max_gap_s``. A segment shorter
    than T yields no sequence.
    """

    def __init__(self, people: Sequence[PersonFrames], length: int, max_gap_s: float) -> None:
        self._person_frames = people
        self._sequences = [
            (number, start)
            for number, person in enumerate(people)
            for start in _sequence_starts(person.stamps_s, length, max_gap_s)
        ]
        self._length = length

    def __len__(self) -> int:
        return len(self._sequences)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        number, start = self._sequences[index]
        person, window = self._person_frames[number], slice(start, start + self._length)
        return torch.from_numpy(person.crops[person.rows[window]]), torch.from_numpy(person.level[window])


def _sequence_starts(stamps_s: npt.NDArray[np.float64], length: int, max_gap_s: float) -> list[int]:
    edges = [0, *(np.flatnonzero(np.diff(stamps_s) > max_gap_s) + 1), len(stamps_s)]
    starts: list[int] = []
    for first, end in pairwise(edges):
        starts += range(int(first), int(end) - length + 1, length)
        rest = (end - first) % length
        if end - first > length and rest:  # the last one overlaps, so that no frame is lost
            starts.append(int(end) - length)
    return starts


def _person_frames(video: str, tiers: Sequence[LevelTier], faces: VideoFaces) -> list[PersonFrames]:
    person = assign_people(faces, len(tiers))
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


def _drop_summary(name: str, annotated: int, dropped: int) -> str:
    share = dropped / max(1, annotated)
    return f"{name}: {annotated} annotated frames, {dropped} dropped without a face ({share:.1%})"
