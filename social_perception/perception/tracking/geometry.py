"""Boxes as array rows, for vectorized computation over all faces of a frame.

A row is (center x, center y, width, height) in px of the source image; M boxes are an array of
shape (M, 4), float64.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from social_perception.core.types import Box

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

HEAD_SHARE = 1.4

MIN_VISIBLE = 0.4
"""Minimum share of a box inside the image; below it the face has left the image."""


def to_rows(boxes: Iterable[Box]) -> FloatArray:
    """Return boxes as an array of shape (M, 4); M may be 0."""
    rows = [(*box.center, box.width, box.height) for box in boxes]
    return np.array(rows, np.float64).reshape(-1, 4)


def to_box(row: FloatArray) -> Box:
    """Return one row as a Box."""
    x, y, width, height = (float(value) for value in row)
    return Box(x - width / 2, y - height / 2, width, height)


def shared_areas(rows: FloatArray, others: FloatArray) -> FloatArray:
    """Return the areas in px^2, of shape (M, N), that M boxes share with N others."""
    low = np.maximum(_low(rows)[:, None], _low(others)[None])
    high = np.minimum(_high(rows)[:, None], _high(others)[None])
    return np.prod(np.clip(high - low, 0.0, None), axis=2)


def overlaps(rows: FloatArray, others: FloatArray) -> FloatArray:
    """Return the intersection over union, of shape (M, N) and in [0, 1], of M boxes with N others."""
    shared = shared_areas(rows, others)
    return shared / (areas(rows)[:, None] + areas(others)[None] - shared)


def coverages(rows: FloatArray, others: FloatArray) -> FloatArray:
    """Return the shared area of each two boxes over the smaller one's area: (M, N), in [0, 1].

    Unlike the intersection over union it is 1 for a small box inside a large one.
    """
    return shared_areas(rows, others) / np.minimum(areas(rows)[:, None], areas(others)[None])


def head_boxes(rows: FloatArray) -> FloatArray:
    """Return the boxes (M, 4) of the heads: a detector's box covers only the face from brow to chin."""
    return rows * [1.0, 1.0, HEAD_SHARE, HEAD_SHARE]


def hidden_shares(rows: FloatArray) -> FloatArray:
    """Return the share of each face's box that another's head may hide: (M, M), 0 for itself."""
    shares = shared_areas(rows, head_boxes(rows)) / areas(rows)[:, None]
    np.fill_diagonal(shares, 0.0)
    return shares


def areas(rows: FloatArray) -> FloatArray:
    """Return the areas in px^2, of shape (M,)."""
    return rows[:, 2] * rows[:, 3]


def visible_fractions(rows: FloatArray, width: int, height: int) -> FloatArray:
    """Return the share, of shape (M,), of each box that lies in an image of the given size."""
    image = np.array([[width / 2, height / 2, width, height]])
    return shared_areas(rows, image)[:, 0] / areas(rows)


def _low(rows: FloatArray) -> FloatArray:
    return rows[:, :2] - rows[:, 2:] / 2


def _high(rows: FloatArray) -> FloatArray:
    return rows[:, :2] + rows[:, 2:] / 2
