"""A downscaled frame for tracking, small enough to store many of them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from social_perception.core.types import ImageArray
from social_perception.perception.tracking.geometry import FloatArray

LONGEST_SIDE_PX = 640
"""Longest side of the gray image. Flow at full resolution costs four times as much without a benefit."""

THUMBNAIL_SIZE = (32, 18)
SCENE_AGREEMENT = 0.5
"""Correlation of two thumbnails below which the scene has changed; moving cameras stay above 0.8."""


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A small copy of one frame.

    Attributes:
        gray: (h, w) uint8, for flow; its longer side is at most 640 px.
        color: (h / 2, w / 2, 3) uint8, RGB, for appearance.
        thumbnail: (18, 32), gray with mean 0, for scene changes.
        width: the source image's width in px.
        height: the source image's height in px.
    """

    gray: ImageArray
    color: ImageArray
    thumbnail: FloatArray
    width: int
    height: int

    @classmethod
    def of(cls, image: ImageArray) -> Snapshot:
        """Downscale an (H, W, 3) uint8 RGB image; a small image keeps its size."""
        height, width = image.shape[:2]
        scale = min(1.0, LONGEST_SIDE_PX / max(width, height))
        small = _shrink(image, scale)
        gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        return cls(gray, _shrink(small, 0.5), _thumbnail(gray), width, height)

    def same_size(self, other: Snapshot) -> bool:
        """Return whether the source images have equal sizes."""
        return (self.width, self.height) == (other.width, other.height)

    @property
    def gray_scale(self) -> FloatArray:
        """Px of the gray image per px of the source image: (x, y)."""
        return self._scale_of(self.gray)

    def is_scene_change(self, before: Snapshot) -> bool:
        """Return whether the image shows another scene than the previous snapshot (a cut)."""
        now, then = self.thumbnail, before.thumbnail
        norm = float(np.linalg.norm(now) * np.linalg.norm(then))
        return norm > 0.0 and float((now * then).sum()) < SCENE_AGREEMENT * norm

    def sample(self, image: ImageArray, points: FloatArray) -> npt.NDArray[np.float32]:
        """Read an image of this snapshot at points given in px of the source image.

        All points are sampled in one call. Outside the image, the nearest border pixel is used.

        Args:
            image: ``gray`` or ``color``.
            points: (M, K, 2), x and y.

        Returns:
            (M, K) for gray, (M, K, 3) for color.
        """
        # Pixel i covers [i, i + 1) in box coordinates; cv2 has its center at i.
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
