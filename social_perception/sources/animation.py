"""An animated image (GIF, WebP, PNG, AVIF) as a source: FFmpeg reads only some of them, Pillow all."""

from __future__ import annotations

import logging
from collections.abc import Generator
from pathlib import Path
from typing import Any

from social_perception.core.errors import ImageError, SourceError
from social_perception.core.types import Frame
from social_perception.sources.images import (
    ANIMATED_FORMATS,
    check_size,
    open_image,
    to_rgb,
    without_warnings,
)
from social_perception.sources.source import Source

_logger = logging.getLogger(__name__)

_SHORTEST_MS = 10
_INSTEAD_MS = 100
"""As in browsers: files say 0 or 10 ms and mean \"as usual\"."""


class AnimationSource(Source):
    """Reads an animation once, whatever it says of repetitions; what precedes a damaged part is kept."""

    live = False

    def __init__(self, path: str | Path) -> None:
        """Open the file.

        Raises:
            SourceError: it is no animation or too large.
        """
        self.name = str(path)
        self._file = Path(path).open("rb")  # noqa: SIM115 (closed with the source)
        try:
            with without_warnings():
                image: Any = open_image(self._file, ANIMATED_FORMATS)
            self._image = image
            check_size(image.width, image.height, self.name)
            # The first image of a PNG may be for programs without animation.
            first = int(getattr(self._image, "default_image", False))
            self._numbers = range(first, int(self._image.n_frames))
            self.rate_hz: float | None = 1000.0 / self._show(first)
        except ImageError as error:
            self._file.close()
            raise SourceError(str(error)) from error
        # Damaged data make Pillow raise OSError, and a dozen others depending on the format.
        except Exception as error:
            self._file.close()
            raise SourceError(f"{path} is not an animation that can be read: {error}") from error
        self.frame_count: int | None = len(self._numbers)
        self._frames = self._read()

    def _show(self, number: int) -> float:
        """Go to a frame; return for how long it is shown, in ms."""
        with without_warnings():
            self._image.seek(number)
            self._image.load()
        duration_ms = float(self._image.info.get("duration") or 0)
        return duration_ms if duration_ms > _SHORTEST_MS else _INSTEAD_MS

    def __next__(self) -> Frame:
        return next(self._frames)

    def _read(self) -> Generator[Frame]:
        stamp_ms = 0.0
        for index, number in enumerate(self._numbers):
            try:
                duration_ms = self._show(number)
                image = to_rgb(self._image)
            except Exception as error:
                count = f"{index} of {self.frame_count} frames could be read"
                _logger.warning("%s is damaged: %s: %s", self.name, count, error)
                return
            yield Frame(image, stamp_ms / 1000, index)
            stamp_ms += duration_ms

    def close(self) -> None:
        self._frames.close()
        self._file.close()
