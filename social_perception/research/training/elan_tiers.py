"""Reads smile levels from ELAN annotation tiers (.eaf) with pympi-ling.

ELAN: https://archive.mpi.nl/tla/elan
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
LEVEL_NAMES = {level.label.lower(): int(level) for level in SmileLevel if level is not SmileLevel.UNKNOWN}
SUBTLE = "subtle"
SUBTLE_CHOICES = ("drop", *LEVEL_NAMES)
"""How annotations of the class Subtle are read: dropped, or as a level."""

MAX_FILE_BYTES = 64 * 2**20
"""Larger files are rejected; one hour annotated frame by frame takes about 20 MB."""

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv")


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
    """Read the tiers with smile levels, one per person.

    Args:
        path: the .eaf file.
        tier: name of the only tier to read; empty: all tiers that hold nothing but levels. Other tiers
            (speech, notes) are ignored.
        subtle: one of SUBTLE_CHOICES.

    Raises:
        SourceError: the file cannot be read, has no such tier, or the requested tier has an annotation
            that is not a level.
    """
    eaf = _open_eaf(path)
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
    return tuple(_tier(name, rows, levels) for name, rows in level_tiers.items())


def find_video(path: Path) -> Path:
    """Return the video of an .eaf file: the linked one, else a file of the same name in the same folder.

    Raises:
        SourceError: there is no such video.
    """
    tried = []
    for link in _open_eaf(path).get_linked_files():
        if relative := link.get("RELATIVE_MEDIA_URL", "").removeprefix("file:"):
            # ELAN writes these as they are, other programs with percent signs.
            tried += [path.parent / relative, path.parent / unquote(relative, errors="surrogateescape")]
        tried.append(_path_from_url(link.get("MEDIA_URL", "")))
    tried += [path.with_suffix(suffix) for suffix in VIDEO_SUFFIXES]
    # Files get moved: look for the linked name in the folder of the annotations, too.
    tried += [path.parent / each.name for each in tried]
    for each in tried:
        if each.suffix.lower() in VIDEO_SUFFIXES and _is_file(each):
            return each
    raise SourceError(f"{path}: its video was found neither at the linked path nor in the same folder")


def _open_eaf(path: Path) -> Any:
    try:
        content = read_limited(path, MAX_FILE_BYTES)
        # ELAN uses no entities; a document type could only serve an entity expansion attack.
        if b"<!DOCTYPE" in content:
            raise ValueError("it declares a document type")
        eaf = Eaf(str(path))
        _check_references(eaf)
        return eaf
    # On a damaged file pympi raises whatever its XML parser and dictionary lookups raise.
    except Exception as error:
        reason = (str(error) or repr(error)).splitlines()[0]
        raise SourceError(f"{path} cannot be read as an ELAN file: {reason}") from error


def _check_references(eaf: Any) -> None:
    """Raise ValueError for a cycle of references between annotations, in which pympi never returns."""
    parents = {name: row[0] for tier in eaf.tiers.values() for name, row in tier[1].items()}
    checked: set[str] = set()
    for name in parents:
        path: set[str] = set()
        while name in parents and name not in checked:
            if name in path:
                raise ValueError(f"annotation {name} refers to itself")
            path.add(name)
            name = parents[name]
        checked |= path


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


def _path_from_url(url: str) -> Path:
    try:
        return Path(unquote(urlparse(url).path, errors="surrogateescape"))
    except ValueError:  # not a URL
        return Path()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # for example, the name is too long
        return False


def _tier(name: str, rows: list[tuple[float, float, str]], levels: dict[str, int | None]) -> LevelTier:
    levels_found = [(start, end, level) for start, end, word in rows if (level := levels[word]) is not None]
    table = np.array(levels_found, float).reshape(-1, 3)
    return LevelTier(name, table[:, 0], table[:, 1], table[:, 2].astype(np.int64))
