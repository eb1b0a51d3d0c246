"""The live picture as a JPEG, with what was found drawn into it."""

from __future__ import annotations

import cv2
import numpy as np

from social_perception.core.errors import ImageError
from social_perception.core.types import FrameAffect, ImageArray
from social_perception.views.overlay import draw_overlay

_QUALITY = 80


def make_jpeg(image: ImageArray, affect: FrameAffect, longest_px: int) -> bytes:
    """The picture with the overlay, its longer side at most so long.

    Args:
        image: (H, W, 3) uint8, RGB.
        affect: what was said of it.
        longest_px: of the result.

    Raises:
        ImageError: it cannot be encoded.
    """
    # The page writes all there is to read, and shows the picture as in a mirror.
    drawn = draw_overlay(image, affect, header=False, legend=False, labels=False)
    height, width = drawn.shape[:2]
    scale = longest_px / max(height, width)
    if scale < 1.0:
        size = (max(1, round(scale * width)), max(1, round(scale * height)))
        drawn = np.asarray(cv2.resize(drawn, size, interpolation=cv2.INTER_AREA), np.uint8)
    done, found = cv2.imencode(
        ".jpg", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    if not done:
        raise ImageError("the live picture cannot be encoded as JPEG")
    return bytes(found)
