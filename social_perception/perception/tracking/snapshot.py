"""A frame made small: all that tracking needs of it, cheap enough to keep the last few dozen."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from social_perception.core.types import ImageArray
from social_perception.perception.tracking.geometry import FloatArray

LONGEST_SIDE_PX = 640
"""Longest side of the gray image. Flow at full size costs four times as much and finds no more."""

THUMBNAIL_SIZE = (32, 18)
SCENE_AGREEMENT = 0.5
"""Correlation of two thumbnails under which a cut lies between them; moving cameras stay above 0.8."""


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A small copy of one frame.

    Attributes:
        gray: (h, w) uint8, for flow; its longer side is at most 640 px.
        color: (h / 2, w / 2, 3) uint8, RGB, for appearance.
        width: the source image's width in px.
        height: the source image's height in px.
    """

    gray: ImageArray
    color: ImageArray
    width: int
    height: int

    @classmethod
    def of(cls, image: ImageArray) -> Snapshot:
        """Shrink an (H, W, 3) RGB image; an image that is small already keeps its size."""
        height, width = image.shape[:2]
        scale = min(1.0, LONGEST_SIDE_PX / max(width, height))
        small = _shrink(image, scale)
        return cls(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), _shrink(small, 0.5), width, height)

    def same_size(self, other: Snapshot) -> bool:
        """Tell whether the source images had one size."""
        return (self.width, self.height) == (other.width, other.height)

    @property
    def gray_scale(self) -> FloatArray:
        """Px of the gray image per px of the source image: (x, y)."""
        return self._scale_of(self.gray)

    def shows_another_scene(self, before: Snapshot) -> bool:
        """Tell whether the picture has changed as a whole since the snapshot before: a cut."""
        now, then = _thumbnail(self.gray), _thumbnail(before.gray)
        norm = float(np.linalg.norm(now) * np.linalg.norm(then))
        return norm > 0.0 and float((now * then).sum()) < SCENE_AGREEMENT * norm

    def sample(self, image: ImageArray, points: FloatArray) -> npt.NDArray[np.float32]:
        """Read an image of this snapshot at points given in px of the source image.

        All points are read in one call. A point outside gets the nearest pixel of the edge.

        Args:
            image: ``gray`` or ``color``.
            points: (M, K, 2), x and y.

        Returns:
            (M, K) for gray, (M, K, 3) for color.
        """
        # Pixel i covers [i, i + 1) in box coordinates, and cv2 counts from its centre.
        places = (points * self._scale_of(image) - 0.5).astype(np.float32)
        read = cv2.remap(image, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return read.reshape(*points.shape[:2], *image.shape[2:]).astype(np.float32)

    def _scale_of(self, image: ImageArray) -> FloatArray:
        return np.array([image.shape[1] / self.width, image.shape[0] / self.height])


def _thumbnail(gray: ImageArray) -> FloatArray:
    small = cv2.resize(gray, THUMBNAIL_SIZE, interpolation=cv2.INTER_AREA).astype(np.float64)
    return small - small.mean()


def _shrink(image: ImageArray, scale: float) -> ImageArray:
    if scale >= 1.0:
        return image
    height, width = image.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
