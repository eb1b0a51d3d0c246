"""How stored pixels are shown: turned or mirrored, and with square pixels."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from social_perception.core.types import ImageArray

MAX_PIXELS = 100_000_000
"""Larger images are refused: 100 megapixels are 300 MB in memory."""

MAX_ASPECT = 8
"""A pixel that is more than this many times as wide as high, or as high as wide, is an error of the file."""

MIN_DIFFERENCE = 0.01
"""Pixels whose sides differ by a smaller share are square: resizing them would only blur the image."""


def upright(image: ImageArray, matrix: Sequence[int]) -> ImageArray:
    """Turn and mirror an image as a display matrix says.

    Args:
        image: (H, W, 3), as stored.
        matrix: nine numbers by rows, as in ISO/IEC 14496-12 (MP4): with a, b, c, d as the first two of
            the first and of the second row, a stored pixel at (x, y) is shown at (a x + c y, b x + d y).
            Angles are rounded to right ones; a matrix of zeros leaves the image as it is.
    """
    a, b, _, c, d = matrix[:5]
    if max(abs(a), abs(d)) >= max(abs(b), abs(c)):
        across, down = a, d
    else:
        image = image.swapaxes(0, 1)
        across, down = c, b
    return np.ascontiguousarray(image[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1])


def square_size(width: int, height: int, aspect: Fraction | float | None) -> tuple[int, int]:
    """The size, in px, that an image has with square pixels; one side grows, so that nothing is lost.

    Args:
        width: of the image, px.
        height: of the image, px.
        aspect: width of a pixel divided by its height; None, 0 and impossible ones count as 1.
    """
    aspect = float(aspect or 1)
    if not 1 / MAX_ASPECT <= aspect <= MAX_ASPECT or abs(aspect - 1) < MIN_DIFFERENCE:
        return width, height
    size = (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))
    return size if size[0] * size[1] <= MAX_PIXELS else (width, height)
