"""Cuts the face crops that the smile network sees.

The framing is part of what the network was trained on: training, evaluation and the live pipeline
all cut with :func:`crop_faces`.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from social_perception.core.types import CROP_SIZE_PX, Box, ImageArray

CROP_MARGIN = 1.25
"""Side of the square that is cut, as a multiple of the detector's box."""


def crop_faces(image: ImageArray, boxes: Sequence[Box], margin: float = CROP_MARGIN) -> ImageArray:
    """Cut a square around each box and resize it to the network's input.

    Args:
        image: (H, W, 3) uint8, RGB.
        boxes: N boxes in px of the image; they may reach over its edge, which is then repeated.
        margin: side of the square as a multiple of the box's longer side.

    Returns:
        (N, 96, 96, 3) uint8, RGB; N may be 0.
    """
    crops = np.empty((len(boxes), CROP_SIZE_PX, CROP_SIZE_PX, 3), np.uint8)
    for crop, box in zip(crops, boxes):
        crop[:] = _crop(image, box, margin)
    return crops


def _crop(image: ImageArray, box: Box, margin: float) -> ImageArray:
    side = margin * max(box.width, box.height)
    center_x, center_y = box.center
    left, top = center_x - side / 2, center_y - side / 2
    x0, y0 = int(np.floor(left)), int(np.floor(top))
    x1, y1 = int(np.ceil(left + side)), int(np.ceil(top + side))
    height, width = image.shape[:2]
    # Far outside the picture there is only the repeated edge; keep the part that is cut small.
    inner_x0, inner_x1 = np.clip([x0, x1], 0, width)
    inner_y0, inner_y1 = np.clip([y0, y1], 0, height)
    if inner_x0 >= inner_x1 or inner_y0 >= inner_y1:
        return np.zeros((CROP_SIZE_PX, CROP_SIZE_PX, 3), np.uint8)
    part = image[inner_y0:inner_y1, inner_x0:inner_x1]
    borders = (inner_y0 - y0, y1 - inner_y1, inner_x0 - x0, x1 - inner_x1)
    if any(borders):
        part = cv2.copyMakeBorder(part, *map(int, borders), borderType=cv2.BORDER_REPLICATE)
    shrinks = part.shape[0] > CROP_SIZE_PX
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(part, (CROP_SIZE_PX, CROP_SIZE_PX), interpolation=method)
