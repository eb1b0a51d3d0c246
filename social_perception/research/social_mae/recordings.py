"""Recordings: files, or parts of them, of one person each, and their division into splits."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

VIDEO_SUFFIXES = {".mp4", ".mov", ".flv", ".avi", ".mkv", ".webm"}

SPLITS = TRAIN, VALIDATION, TEST = "train", "validation", "test"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recording:
    """A file, or a part of it, of one person.

    Attributes:
        path: of a video or sound.
        person: whose face or voice it is.
        label: a class, values, or None.
        start_s: where it begins in the file.
        end_s: where it ends; infinity: at the end of the file.
        split: one of SPLITS; empty: not decided.
        audio: content of the file, where it is inside another one.
    """

    path: Path
    person: str
    label: str | tuple[float, ...] | None = None
    start_s: float = 0.0
    end_s: float = math.inf
    split: str = ""
    audio: bytes = b""


@dataclass(frozen=True, slots=True)
class Corpus:
    """Recordings with the names of their classes, or of their values; none: they have no labels."""

    recordings: tuple[Recording, ...]
    classes: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


def split_by_person(recordings: Sequence[Recording], shares: Sequence[float], seed: int) -> list[Recording]:
    """Assign a split to each recording; nobody is in two.

    Recordings with a split keep it. If none of these is for validation, it gets people of the training.

    Args:
        recordings: with or without splits.
        shares: of the people in training, validation and test; they add up to 1.
        seed: of the choice.
    """
    official = {each.person: each.split for each in recordings if each.split}
    free = sorted({each.person for each in recordings if each.person not in official})
    if official and VALIDATION not in official.values():
        free += sorted(person for person, split in official.items() if split == TRAIN)
        shares = (1.0 - shares[1], shares[1], 0.0)
    free = [free[index] for index in np.random.default_rng(seed).permutation(len(free))]
    test = round(shares[2] * len(free))
    validation = max(round(shares[1] * len(free)), int(shares[1] > 0 and len(free) - test > 1))
    chosen = dict.fromkeys(free, TRAIN)
    chosen |= dict.fromkeys(free[:validation], VALIDATION)
    chosen |= dict.fromkeys(free[validation : validation + test], TEST)
    both = {(each.person, each.split) for each in recordings if each.split and each.person not in chosen}
    if shared := len(both) - len({person for person, _ in both}):
        _logger.warning("%d people are in several of the set's own splits, which are kept", shared)
    return [replace(each, split=chosen.get(each.person) or each.split) for each in recordings]


def files(folder: Path, suffixes: set[str]) -> Iterator[Path]:
    """The files of a folder and those below it with these endings, in order."""
    return (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in suffixes and path.is_file())
