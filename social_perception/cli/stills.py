"""Reading many still images, as ``score`` and ``detect`` do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from social_perception.core.types import ImageArray

if TYPE_CHECKING:
    from social_perception.sources.image_folder import Images

MIN_FACE_PX = 80
"""Small stills are enlarged before the detection: enlarging them twice would only cost time."""

NOT_FOR_STILLS = frozenset({"cpu_budget", "detection_interval", "warmup_frames", "max_gap_s", "max_faces"})
"""Settings that apply to video alone."""


def with_progress(images: Images) -> Iterator[tuple[Path, ImageArray | None]]:
    """The images, with a progress bar."""
    from tqdm import tqdm

    yield from tqdm(images, total=len(images), unit="image", disable=None)
