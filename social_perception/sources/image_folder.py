"""A folder of still images as a source: one frame per file, in natural order."""

from __future__ import annotations

import logging
from pathlib import Path

from social_perception.core.errors import ImageError, SourceError
from social_perception.core.types import Frame, ImageArray
from social_perception.sources.images import list_images, read_image
from social_perception.sources.source import Source

_logger = logging.getLogger(__name__)


class ImageFolderSource(Source):
    """Reads the images of a folder, or one image; files that cannot be read are skipped with a warning."""

    live = False

    def __init__(self, path: str | Path, rate_hz: float) -> None:
        """List the folder's images.

        Raises:
            SourceError: the path does not exist or has no image files.
        """
        self.name = str(path)
        self.rate_hz: float | None = rate_hz
        self._period_s = 1.0 / rate_hz
        self._left = list(reversed(list_images(path)))
        self.frame_count: int | None = len(self._left)
        self._index = 0

    def __next__(self) -> Frame:
        while self._left:
            image = self._read(self._left.pop())
            if image is not None:
                frame = Frame(image, self._index * self._period_s, self._index)
                self._index += 1
                return frame
        if self._index == 0 and self.frame_count:
            raise SourceError(f"{self.name}: none of its {self.frame_count} images can be read")
        raise StopIteration

    def _read(self, path: Path) -> ImageArray | None:
        try:
            return read_image(path)
        except ImageError as error:
            _logger.warning("%s; skipped", error)
            return None

    def close(self) -> None:
        self._left.clear()
        self.frame_count = self._index
