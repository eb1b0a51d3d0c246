"""Crops the faces for the smile network.

The network depends on the framing of its training crops: training, evaluation and the live pipeline all use
:func:`crop_faces`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from social_perception.core.types import CROP_SIZE_PX, Box, ImageArray

CROP_MARGIN = 1.25
"""Side of the square crop relative to the detector's box."""


MAX_BORDER_PX = 2048
"""Maximum padding in px that is added before resizing; larger crops are sampled coarsely."""


def crop_faces(
    image: ImageArray, boxes: Sequence[Box], margin: float = CROP_MARGIN, side_px: int = CROP_SIZE_PX
) -> ImageArray:
    """Crop a square around each box and resize it to the network's input size.

    Args:
        image: (H, W, 3) uint8, RGB.
        boxes: N boxes in px of the image; they may exceed the image, whose border is then replicated.
        margin: side of the square as a multiple of the box's longer side.
        side_px: side S of the crops.

    Returns:
        (N, S, S, 3) uint8, RGB; N may be 0.
    """
    crops = np.empty((len(boxes), side_px, side_px, 3), np.uint8)
    # A single cv2.remap, grid_sample or numpy indexing over all faces does not average over the pixels of
    # large faces, and takes longer than this loop for small ones.
    for crop, box in zip(crops, boxes):
        _crop(image, box, margin, crop)
    return crops


def _crop(image: ImageArray, box: Box, margin: float, crop: ImageArray) -> None:
    """Fill a crop with the square around a box."""
    side = margin * max(box.width, box.height)
    center_x, center_y = box.center
    left, top = center_x - side / 2, center_y - side / 2
    x0, y0 = math.floor(left), math.floor(top)
    x1, y1 = math.ceil(left + side), math.ceil(top + side)
    height, width = image.shape[:2]
    inner_x0, inner_y0, inner_x1, inner_y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    if inner_x0 >= inner_x1 or inner_y0 >= inner_y1:
        crop[:] = 0
        return
    part = image[inner_y0:inner_y1, inner_x0:inner_x1]
    borders = (inner_y0 - y0, y1 - inner_y1, inner_x0 - x0, x1 - inner_x1)
    if max(borders) > MAX_BORDER_PX:
        # Padding such a large square would need too much memory.
        _crop_coarsely(part, borders, crop)
        return
    if any(borders):
        part = cv2.copyMakeBorder(part, *borders, borderType=cv2.BORDER_REPLICATE)
    side_px = len(crop)
    shrinks = part.shape[0] > side_px
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    cv2.resize(part, (side_px, side_px), dst=crop, interpolation=method)


def _crop_coarsely(part: ImageArray, borders: tuple[int, int, int, int], crop: ImageArray) -> None:
    """Fill a crop from a part and its borders (above, below, left, right), sampling few pixels."""
    above, below, left, right = borders
    side_px = len(crop)
    scale = side_px / max(part.shape[0] + above + below, part.shape[1] + left + right)
    rows = _places(part.shape[0], above, scale, side_px)
    columns = _places(part.shape[1], left, scale, side_px)
    crop[:] = part[rows[:, np.newaxis], columns]


def _places(length: int, before: int, scale: float, side_px: int) -> npt.NDArray[np.intp]:
    """Return the nearest pixel of a part, with ``before`` px of border, for each pixel of the crop."""
    places = ((np.arange(side_px) + 0.5) / scale - before).astype(np.intp)
    return np.clip(places, 0, length - 1)
