"""Reads smile levels from ELAN annotation tiers (.eaf), as annotators draw them.

ELAN: https://archive.mpi.nl/tla/elan; the file is read by pympi-ling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np
import numpy.typing as npt
from pympi.Elan import Eaf

from social_perception.core.errors import SourceError
from social_perception.core.files import read_limited
from social_perception.core.types import SmileLevel

NOT_ANNOTATED = -1
WORDS = {level.label.lower(): int(level) for level in SmileLevel if level is not SmileLevel.UNKNOWN}
SUBTLE = "subtle"
SUBTLE_AS = ("drop", *WORDS)
"""What can be made of the class Subtle: left out, or taken for a level."""

MAX_FILE_BYTES = 64 * 2**20
"""Larger files are refused; an hour of frame by frame annotation has some 20 MB."""

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv")


@dataclass(frozen=True, slots=True, eq=False)
class LevelTier:
    """One person's annotations: start and end (A,) in s, the end not part of it; level (A,) 0 to 3."""

    name: str
    start_s: npt.NDArray[np.float64]
    end_s: npt.NDArray[np.float64]
    level: npt.NDArray[np.int64]

    def at(self, stamps_s: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """The level at each time (N,); NOT_ANNOTATED where there is none."""
        if not len(self.start_s):
            return np.full(len(stamps_s), NOT_ANNOTATED)
        place = np.searchsorted(self.start_s, stamps_s, side="right") - 1
        inside = (place >= 0) & (stamps_s < self.end_s[place])
        return np.where(inside, self.level[place], NOT_ANNOTATED)


def read_tiers(path: Path, tier: str = "", subtle: str = "drop") -> tuple[LevelTier, ...]:
    """Read the tiers with smile levels, one per person.

    Args:
        path: the .eaf file.
        tier: the one tier to read; empty: all whose annotations are levels. Others (speech, notes)
            are passed over.
        subtle: see SUBTLE_AS.

    Raises:
        SourceError: the file cannot be read, has no such tier, or the named tier has a word that is
            no level.
    """
    eaf = _open(path)
    names = list(eaf.get_tier_names())
    if tier and tier not in names:
        raise SourceError(f"{path} has no tier {tier}; it has {_listed(names) or 'none'}")
    spoken = {name: _annotations(path, eaf, name) for name in ([tier] if tier else names)}
    for start_s, _, word in spoken.get(tier, ()):
        if word not in WORDS and word != SUBTLE:
            raise SourceError(
                f"{path}: tier {tier} says {word!r} at {start_s:.2f} s; levels are {', '.join(WORDS)}"
            )
    levels = {SUBTLE: WORDS.get(subtle), **WORDS}
    chosen = {
        name: rows for name, rows in spoken.items() if rows and all(word in levels for *_, word in rows)
    }
    if not chosen:
        raise SourceError(f"{path} has no tier with levels ({', '.join(WORDS)}); it has {_listed(names)}")
    return tuple(_tier(name, rows, levels) for name, rows in chosen.items())


def video_of(path: Path) -> Path:
    """The video that an .eaf file is about: as it is linked, or else the one of the same name beside it.

    Raises:
        SourceError: there is none.
    """
    tried = []
    for link in _open(path).get_linked_files():
        if link.get("RELATIVE_MEDIA_URL"):
            tried.append(path.parent / unquote(link["RELATIVE_MEDIA_URL"].removeprefix("file:")))
        tried.append(_path_in(link.get("MEDIA_URL", "")))
    tried += [path.with_suffix(suffix) for suffix in VIDEO_SUFFIXES]
    # Files are moved about: a linked name is also looked for beside the annotations.
    tried += [path.parent / each.name for each in tried]
    for each in tried:
        if each.suffix.lower() in VIDEO_SUFFIXES and _is_file(each):
            return each
    raise SourceError(f"{path}: its video is neither where it is linked nor beside it")


def _open(path: Path) -> Any:
    try:
        content = read_limited(path, MAX_FILE_BYTES)
        # ELAN defines no entities: whoever does wants the parser to expand them.
        if b"<!DOCTYPE" in content:
            raise ValueError("it declares a document type")
        eaf = Eaf(str(path))
        _check_references(eaf)
        return eaf
    # pympi lets through whatever its XML parser and its look-ups raise on a damaged file.
    except Exception as error:
        reason = (str(error) or repr(error)).splitlines()[0]
        raise SourceError(f"{path} cannot be read as an ELAN file: {reason}") from error


def _check_references(eaf: Any) -> None:
    """Raise ValueError where annotations refer to each other in a circle, in which pympi never ends."""
    refers = {name: row[0] for tier in eaf.tiers.values() for name, row in tier[1].items()}
    ending: set[str] = set()
    for name in refers:
        way = {}
        while name in refers and name not in ending:
            if name in way:
                raise ValueError(f"annotation {name} refers to itself")
            way[name] = None
            name = refers[name]
        ending.update(way)


def _annotations(path: Path, eaf: Any, tier: str) -> list[tuple[float, float, str]]:
    """Start and end in s and the word in small letters; empty ones and those without times are left out."""
    try:
        rows = [row[:3] for row in eaf.get_annotation_data_for_tier(tier)]
        timed = [
            (start, end, word.strip().lower()) for start, end, word in rows if None not in (start, end, word)
        ]
        return sorted((start / 1000, end / 1000, word) for start, end, word in timed if word)
    # References to what is not there, and times that are no numbers.
    except (LookupError, TypeError, OverflowError) as error:
        raise SourceError(f"{path}: tier {_listed([tier])} is damaged: {error!r}") from error


def _listed(names: Sequence[str]) -> str:
    """Names in one line that can be read, however many there are."""
    text = " ".join(", ".join(names).split())
    return text if len(text) <= 500 else f"{text[:500]} ..."


def _path_in(url: str) -> Path:
    try:
        return Path(unquote(urlparse(url).path))
    except ValueError:  # no URL
        return Path()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than a name can be
        return False


def _tier(name: str, rows: list[tuple[float, float, str]], levels: dict[str, int | None]) -> LevelTier:
    kept = [(start, end, level) for start, end, word in rows if (level := levels[word]) is not None]
    table = np.array(kept, float).reshape(-1, 3)
    return LevelTier(name, table[:, 0], table[:, 1], table[:, 2].astype(np.int64))
