"""Cuts crops around the places where faces are expected, for dlib's CNN to judge.

In the crop, a face of the expected size is as large as the network's window. All crops have equal sizes, so
that they form one batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from social_perception.core.types import Box, ImageArray

SIDE_PX = 173
"""Side of a crop: 19 cells of 8 px, and what the first layers see around them. Of the 190 px that the network
sees around a face, the outer ones change the score by some hundredths.
"""


@dataclass(frozen=True, slots=True)
class Crop:
    """Where a crop was cut: its left and top edge, and the px of the image per px of the crop."""

    left: float
    top: float
    scale: float


def cut_crops(
    image: ImageArray, faces: Sequence[Box], window_px: float, background: Sequence[float]
) -> tuple[ImageArray, tuple[Crop, ...]]:
    """Cut the crops of all expected faces of an RGB image (H, W, 3) uint8.

    Args:
        image: the image.
        faces: N boxes as wide as the expected faces.
        window_px: width of the face in the crop.
        background: RGB color outside the image.

    Returns:
        The crops, (N, SIDE_PX, SIDE_PX, 3) uint8, and where they were cut.
    """
    crops: list[Crop] = []
    pixels = np.empty((len(faces), SIDE_PX, SIDE_PX, 3), np.uint8)
    halves = [image]
    for face, target in zip(faces, pixels):
        scale = face.width / window_px
        x, y = face.center
        crop = Crop(x - scale * SIDE_PX / 2, y - scale * SIDE_PX / 2, scale)
        _draw(halves, crop, background, target)
        crops.append(crop)
    return pixels, tuple(crops)


def _draw(halves: list[ImageArray], crop: Crop, background: Sequence[float], target: ImageArray) -> None:
    """Draw a crop from the smallest of the successively halved images that has its resolution."""
    level, scale = 0, crop.scale
    while scale > 1.5 and min(halves[level].shape[:2]) > 1:
        level, scale = level + 1, scale / 2
        if level == len(halves):
            halves.append(_halved(halves[-1]))
    image, source = halves[0], halves[level]
    y_scale, x_scale = (whole / part for whole, part in zip(image.shape[:2], source.shape[:2]))
    # cv2 accepts images of up to 32767 px a side, so only the part under the crop is passed.
    left, right = _bounds(crop.left / x_scale, crop.scale * SIDE_PX / x_scale, source.shape[1])
    top, bottom = _bounds(crop.top / y_scale, crop.scale * SIDE_PX / y_scale, source.shape[0])
    if left >= right or top >= bottom:
        target[:] = np.round(background)
        return
    # Pixel i covers [i, i + 1) in box coordinates; cv2 has its center at i.
    inverse = np.array(
        [
            [crop.scale / x_scale, 0.0, (crop.left + crop.scale / 2) / x_scale - left - 0.5],
            [0.0, crop.scale / y_scale, (crop.top + crop.scale / 2) / y_scale - top - 0.5],
        ]
    )
    cv2.warpAffine(
        source[top:bottom, left:right],
        inverse,
        (target.shape[1], target.shape[0]),
        dst=target,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=tuple(background),
    )


def _bounds(first: float, length: float, size: int) -> tuple[int, int]:
    """Return the px of the image under a part of it, with a margin for the interpolation."""
    return max(0, math.floor(first) - 2), min(size, math.ceil(first + length) + 2)


def _halved(image: ImageArray) -> ImageArray:
    height, width = image.shape[:2]
    return cv2.resize(image, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)
