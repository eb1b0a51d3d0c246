"""Reduces images to a size at which the scene is recognised, but hardly a person."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from social_perception.core.types import ImageArray

LONG_SIDE_PX = 96
"""Long side of a reduced image."""

INPUT_PX = 160
"""Long side to which a reduced image is enlarged for the network."""

MULTIPLE_PX = 8
"""The network's input has sides of multiples of this."""

GrayArray = npt.NDArray[np.uint8]


def reduce(image: ImageArray, long_side_px: int = LONG_SIDE_PX) -> ImageArray:
    """Return an image whose long side is ``long_side_px``; a smaller image is returned as it is.

    Each pixel is the mean of those that it replaces. The aspect ratio is kept.

    Args:
        image: shape (H, W, 3), or gray (H, W).
        long_side_px: long side of the result.
    """
    height, width = image.shape[:2]
    scale = long_side_px / max(height, width)
    if scale >= 1.0:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def to_input(reduced: ImageArray) -> GrayArray:
    """Return a reduced image as the network's input (h, w): gray, with a long side of 160 px.

    Enlarging adds nothing to be recognised, but faces cover more cells of the network's maps. The sides are
    padded with the image's edge to multiples of 8.
    """
    gray = cv2.cvtColor(reduced, cv2.COLOR_RGB2GRAY) if reduced.ndim == 3 else reduced
    scale = INPUT_PX / max(gray.shape)
    if scale > 1.0:
        height, width = (max(1, round(side * scale)) for side in gray.shape)
        gray = cv2.resize(gray, (width, height), interpolation=cv2.INTER_CUBIC)
    below, right = (-side % MULTIPLE_PX for side in gray.shape)
    return cv2.copyMakeBorder(gray, 0, below, 0, right, cv2.BORDER_REPLICATE)
