"""Reads smile levels from ELAN annotation tiers (.eaf) with pympi-ling.

ELAN: https://archive.mpi.nl/tla/elan
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from social_perception.core.errors import SourceError
from social_perception.core.types import SmileLevel
from social_perception.sinks.elan_media import find_media, open_eaf

NOT_ANNOTATED = -1
LEVEL_NAMES = {level.label.lower(): int(level) for level in SmileLevel if level is not SmileLevel.UNKNOWN}
SUBTLE = "subtle"
SUBTLE_CHOICES = ("drop", *LEVEL_NAMES)
"""How annotations of the class Subtle are read: dropped, or as a level."""


@dataclass(frozen=True, slots=True, eq=False)
class LevelTier:
    """One person's annotations: start and (exclusive) end (A,) in s; level (A,) 0 to 3."""

    name: str
    start_s: npt.NDArray[np.float64]
    end_s: npt.NDArray[np.float64]
    level: npt.NDArray[np.int64]

    def at(self, stamps_s: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Return the level at each time (N,); NOT_ANNOTATED where there is none."""
        if not len(self.start_s):
            return np.full(len(stamps_s), NOT_ANNOTATED)
        index = np.searchsorted(self.start_s, stamps_s, side="right") - 1
        inside = (index >= 0) & (stamps_s < self.end_s[index])
        return np.where(inside, self.level[index], NOT_ANNOTATED)


def read_tiers(path: Path, tier: str = "", subtle: str = "drop") -> tuple[LevelTier, ...]:
    """Read the tiers with smile levels, one per person, on the clock of the video.

    Args:
        path: the .eaf file.
        tier: name of the only tier to read; empty: all tiers that hold nothing but levels. Other tiers
            (speech, notes) are ignored.
        subtle: one of SUBTLE_CHOICES.

    Raises:
        SourceError: the file cannot be read, has no such tier, or the requested tier has an annotation
            that is not a level.
    """
    eaf = open_eaf(path)
    origin_s = find_media(path, eaf).origin_ms / 1000
    names = list(eaf.get_tier_names())
    if tier and tier not in names:
        raise SourceError(f"{path} has no tier {tier}; it has {_name_list(names) or 'none'}")
    annotations = {name: _annotations(path, eaf, name) for name in ([tier] if tier else names)}
    for start_s, _, word in annotations.get(tier, ()):
        if word not in LEVEL_NAMES and word != SUBTLE:
            raise SourceError(
                f"{path}: tier {tier} has {word!r} at {start_s:.2f} s; levels are {', '.join(LEVEL_NAMES)}"
            )
    levels = {SUBTLE: LEVEL_NAMES.get(subtle), **LEVEL_NAMES}
    level_tiers = {
        name: rows for name, rows in annotations.items() if rows and all(word in levels for *_, word in rows)
    }
    if not level_tiers:
        raise SourceError(
            f"{path} has no tier with levels ({', '.join(LEVEL_NAMES)}); it has {_name_list(names)}"
        )
    return tuple(_tier(name, rows, levels, origin_s) for name, rows in level_tiers.items())


def read_annotations(path: Path) -> tuple[Path, dict[str, list[tuple[float, float, str]]]]:
    """Return the video of an .eaf file and its annotations by tier, on the clock of the video.

    Each is its start and end in s and its text in lower case.

    Raises:
        SourceError: the file cannot be read or its video is missing.
    """
    eaf = open_eaf(path)
    origin_s = find_media(path, eaf).origin_ms / 1000
    tiers = {name: _annotations(path, eaf, name) for name in eaf.get_tier_names()}
    return find_video(path), {
        name: [(start + origin_s, end + origin_s, word) for start, end, word in rows]
        for name, rows in tiers.items()
    }


def find_video(path: Path) -> Path:
    """Return the video of an .eaf file: the linked one, else a file of the same name in the same folder.

    Raises:
        SourceError: there is no such video.
    """
    video = find_media(path, open_eaf(path)).path
    if video is None:
        raise SourceError(f"{path}: its video was found neither at the linked path nor in the same folder")
    return video


def _annotations(path: Path, eaf: Any, tier: str) -> list[tuple[float, float, str]]:
    """Return start and end in s and the text in lower case; annotations without text or times are dropped."""
    try:
        rows = [row[:3] for row in eaf.get_annotation_data_for_tier(tier)]
        timed = [
            (start, end, word.strip().lower()) for start, end, word in rows if None not in (start, end, word)
        ]
        return sorted((start / 1000, end / 1000, word) for start, end, word in timed if word)
    # Dangling references, and times that are not numbers.
    except (LookupError, TypeError, OverflowError) as error:
        raise SourceError(f"{path}: tier {_name_list([tier])} is damaged: {error!r}") from error


def _name_list(names: Sequence[str]) -> str:
    """Join names into one line of limited length."""
    text = " ".join(", ".join(names).split())
    return text if len(text) <= 500 else f"{text[:500]} ..."


def _tier(
    name: str, rows: list[tuple[float, float, str]], levels: dict[str, int | None], origin_s: float
) -> LevelTier:
    levels_found = [(start, end, level) for start, end, word in rows if (level := levels[word]) is not None]
    table = np.array(levels_found, float).reshape(-1, 3)
    return LevelTier(name, table[:, 0] + origin_s, table[:, 1] + origin_s, table[:, 2].astype(np.int64))
