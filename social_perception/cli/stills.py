"""Reading many still images, as ``score`` and ``detect`` do."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from social_perception.core.errors import ImageError, SourceError
from social_perception.core.types import ImageArray

_logger = logging.getLogger(__name__)

MIN_FACE_PX = 80
"""Small stills are enlarged before the detection: enlarging them twice would only cost time."""

NOT_FOR_STILLS = frozenset({"detection_interval", "warmup_frames", "max_gap_s", "max_faces"})
"""Settings that apply to video alone."""


def readable(paths: tuple[Path, ...]) -> Iterator[tuple[Path, ImageArray | None]]:
    """Read the images with a progress bar; one that cannot be read is logged and returned as None.

    Raises:
        ImageError: the only image cannot be read.
        SourceError: none of several can be read.
    """
    from tqdm import tqdm

    from social_perception.sources.images import read_image

    unread = 0
    for path in tqdm(paths, unit="image", disable=None):
        try:
            image = read_image(path)
        except ImageError as error:
            if len(paths) == 1:
                raise
            unread += 1
            _logger.warning("%s; skipped", error)
            yield path, None
            continue
        yield path, image
    if unread == len(paths):
        raise SourceError(f"none of the {len(paths)} images in {paths[0].parent} can be read")
