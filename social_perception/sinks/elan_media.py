"""Which video an ELAN file (.eaf) is about, and where its time begins in it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from social_perception.core.errors import MissingDependencyError, SourceError
from social_perception.core.files import read_limited

_logger = logging.getLogger(__name__)

MAX_FILE_BYTES = 64 * 2**20
"""Larger files are rejected; one hour annotated frame by frame takes about 20 MB."""

VIDEO_SUFFIXES = (
    ".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".ts", ".mts", ".m2ts",
    ".3gp", ".ogv",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Media:
    """The video that an ELAN file links.

    Attributes:
        path: of the video; None: it was not found.
        origin_ms: the video's time at time 0 of the annotations (``TIME_ORIGIN``): ELAN's media offset.
    """

    path: Path | None
    origin_ms: int


def find_media(path: Path, eaf: Any) -> Media:
    """The first linked video that exists, else one of the file's own name in its folder.

    The latter, and one that was not found, have the origin of the first video that is linked.

    Raises:
        SourceError: a time origin is not a whole number of milliseconds.
    """
    linked = list(_linked(path, eaf))
    # Files get moved: look for the linked name in the folder of the annotations, too.
    moved = [(path.parent / place.name, origin_ms) for place, origin_ms in linked]
    origin_ms = linked[0][1] if linked else 0
    same_name = [(path.with_suffix(suffix), origin_ms) for suffix in VIDEO_SUFFIXES]
    found = (Media(*each) for each in (*linked, *moved, *same_name) if _is_file(each[0]))
    return next(found, Media(None, origin_ms))


def origin_of(path: Path, video: Path) -> int:
    """The time origin, in ms, that an ELAN file has for a video; 0 where it links no video of that name."""
    try:
        linked = list(_linked(path, open_eaf(path)))
    except SourceError as error:
        _logger.warning("a time origin in it is not kept: %s", error)
        return 0
    return next((origin_ms for place, origin_ms in linked if place.name == video.name), 0)


def open_eaf(path: Path) -> Any:
    """Open an ELAN file with pympi.

    Raises:
        SourceError: it cannot be read.
        MissingDependencyError: pympi-ling is not installed.
    """
    try:
        from pympi.Elan import Eaf
    except ImportError as error:
        raise MissingDependencyError("ELAN files need pympi-ling: pip install pympi-ling") from error
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


def _linked(path: Path, eaf: Any) -> Iterator[tuple[Path, int]]:
    """The places at which the linked videos may be, video by video, with the origins in ms."""
    for link in eaf.get_linked_files():
        try:
            origin_ms = int(link.get("TIME_ORIGIN") or 0)
            float(origin_ms)
        except (ValueError, OverflowError) as error:
            text = link["TIME_ORIGIN"][:40]
            raise SourceError(f"{path}: TIME_ORIGIN must be a whole number of ms, got {text}") from error
        is_video = str(link.get("MIME_TYPE")).startswith("video/")
        relative = _relative(path.parent, link.get("RELATIVE_MEDIA_URL"))
        for place in (*relative, _absolute(link.get("MEDIA_URL"))):
            if is_video or place.suffix.lower() in VIDEO_SUFFIXES:
                yield place, origin_ms


def _relative(folder: Path, url: str | None) -> Iterator[Path]:
    """ELAN writes these as they are, or as ``file:/./talk.mp4``; other programs with percent signs."""
    if url:
        name = re.sub(r"^file:/*(?=\.)|^file:", "", url)
        yield folder / name
        yield folder / unquote(name, errors="surrogateescape")
        yield folder / name.replace("\\", "/")


def _absolute(url: str | None) -> Path:
    try:
        return Path(unquote(urlparse(url or "").path, errors="surrogateescape"))
    except ValueError:  # not a URL
        return Path()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # for example, the name is too long
        return False
