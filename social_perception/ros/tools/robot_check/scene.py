"""What the camera of the check shows: a short piece of a recording, with faces in front of a wall."""

from __future__ import annotations

import itertools
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from social_perception.core.config import PipelineConfig
from social_perception.core.errors import SourceError
from social_perception.core.types import Box, ImageArray
from social_perception.sources.factory import open_source

WALL_M = 1.5
FACE_M = 1.0
_MAX_BYTES = 300_000_000
_IMAGES, _BOXES = "images.npy", "boxes.npy"


@dataclass(frozen=True, slots=True)
class Scene:
    """Pictures and the faces in them.

    Attributes:
        images: (N, height, width, 3) uint8, RGB; N is at least 1.
        boxes: of the visible faces, one tuple per picture.
    """

    images: ImageArray
    boxes: tuple[tuple[Box, ...], ...]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        return self.images.shape[2], self.images.shape[1]

    @property
    def people(self) -> int:
        """Most faces seen in one picture."""
        return max(map(len, self.boxes))

    def depth_mm(self, index: int) -> np.ndarray:
        """Depth of a picture in mm, (height, width) uint16: a wall, and the faces nearer."""
        width, height = self.size
        depth = np.full((height, width), round(1000 * WALL_M), np.uint16)
        for box in self.boxes[index]:
            left, top = max(0, round(box.left)), max(0, round(box.top))
            depth[top : round(box.bottom), left : round(box.right)] = round(1000 * FACE_M)
        return depth

    def there_and_back(self, turn: int) -> int:
        """Index of the picture shown in this turn: forwards, then backwards, so that nobody jumps."""
        last = len(self.images) - 1
        position = turn % max(1, 2 * last)
        return min(position, 2 * last - position) if last else 0

    def save(self, folder: Path) -> None:
        np.save(folder / _IMAGES, self.images)
        rows = [
            (index, box.left, box.top, box.width, box.height)
            for index, boxes in enumerate(self.boxes)
            for box in boxes
        ]
        np.save(folder / _BOXES, np.array(rows, np.float64).reshape(-1, 5))


def load_scene(folder: Path) -> Scene:
    """A saved scene; its pictures stay on disk."""
    images = np.load(folder / _IMAGES, mmap_mode="r")
    boxes: list[list[Box]] = [[] for _ in images]
    for index, *box in np.load(folder / _BOXES).tolist():
        boxes[int(index)].append(Box(*box))
    return Scene(images, tuple(map(tuple, boxes)))


def film(spec: str, frames: int) -> Scene:
    """Take the first pictures of a source and find the faces in them, with the library.

    Raises:
        SourceError: the source cannot be opened, is live, or shows nobody.
    """
    # Imported here: this brings in torch.
    from social_perception.perception.pipeline import make_tracking

    images, boxes = [], []
    with open_source(spec) as source, closing(make_tracking(PipelineConfig(), live=False)) as tracking:
        if source.live:
            raise SourceError(f"{source.name} is live; the check needs a recording")
        for frame in itertools.islice(source, frames):
            if (len(images) + 1) * frame.image.nbytes > _MAX_BYTES:
                break
            tracks = tracking.process(frame).tracks
            images.append(frame.image.copy())
            boxes.append(tuple(track.box for track in tracks if track.visible))
    if not any(boxes):
        raise SourceError(f"{spec} shows no face in its first {len(images)} pictures")
    return Scene(np.stack(images), tuple(boxes))
