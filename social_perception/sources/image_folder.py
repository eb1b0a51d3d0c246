"""Folders of still images, as a source and for the commands that read images one by one."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

from social_perception.core.errors import ImageError, SourceError
from social_perception.core.types import Frame, ImageArray
from social_perception.sources.images import extensions, is_image, read_image
from social_perception.sources.source import Source

_logger = logging.getLogger(__name__)

_NAMED = 20


def list_images(path: str | Path) -> tuple[Path, ...]:
    """The images of a folder in natural order (``2.png`` before ``10.png``), or the file itself.

    Raises:
        SourceError: the path does not exist, or the folder has no image files.
    """
    path = Path(path)
    if path.is_file():
        return (path,)
    if not path.is_dir():
        raise SourceError(f"{path} does not exist")
    try:
        entries = [each for each in path.iterdir() if not each.name.startswith(".")]
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    found = [each for each in entries if each.is_file() and is_image(each)]
    if not found:
        raise SourceError(f"{path} has no image files ({', '.join(sorted(extensions()))})")
    return tuple(sorted(found, key=lambda entry: _natural(entry.name)))


def _natural(name: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", name.lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]


class Images:
    """Reads images one after the other; those that cannot be read are counted, and named in one warning.

    Attributes:
        unread: how many could not be read so far.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._errors: list[str] = []

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def unread(self) -> int:
        return len(self._errors)

    def __iter__(self) -> Iterator[tuple[Path, ImageArray | None]]:
        """Yield each path with its image; None: it cannot be read.

        Raises:
            ImageError: the only image cannot be read.
            SourceError: none of several can be read.
        """
        try:
            for path in self._paths:
                yield path, self._read(path)
        finally:
            if self.unread < len(self):
                warn_of_skipped(self._paths[0].parent, self._errors, len(self))
        if self._errors and self.unread == len(self):
            raise SourceError(
                f"none of the {self.unread} images in {self._paths[0].parent} can be read: {self._errors[0]}"
            )

    def _read(self, path: Path) -> ImageArray | None:
        try:
            return read_image(path)
        except ImageError as error:
            if len(self) == 1:
                raise
            self._errors.append(str(error).removeprefix(f"{path.parent}{os.sep}"))
            return None


def warn_of_skipped(place: Path | str, errors: Sequence[str], count: int) -> None:
    """Name the images that cannot be read in one warning; nothing without errors.

    Args:
        place: the folder, or the name of the set.
        errors: why each of them cannot be read, with its name.
        count: of all images.
    """
    if errors:
        named = "; ".join(errors[:_NAMED])
        more = f"; and {len(errors) - _NAMED} more" if len(errors) > _NAMED else ""
        _logger.warning("%s: %d of %d images were skipped: %s%s", place, len(errors), count, named, more)


class ImageFolderSource(Source):
    """Reads the images of a folder, or one image; see :class:`Images`."""

    live = False

    def __init__(self, path: str | Path, rate_hz: float) -> None:
        """List the folder's images.

        Raises:
            SourceError: the path does not exist or has no image files.
        """
        self.name = str(path)
        self.rate_hz: float | None = rate_hz
        paths = list_images(path)
        self.frame_count: int | None = len(paths)
        self._images = Images(paths)
        self._frames = self._read(1.0 / rate_hz)

    def __next__(self) -> Frame:
        return next(self._frames)

    def _read(self, period_s: float) -> Generator[Frame]:
        index = 0
        try:
            for _, image in self._images:
                self.unread = self._images.unread
                if image is not None:
                    yield Frame(image, index * period_s, index)
                    index += 1
        except ImageError as error:  # the only image
            raise SourceError(str(error)) from error
        self.frame_count = index

    def close(self) -> None:
        self._frames.close()
