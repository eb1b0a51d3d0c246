"""How far away each face is, from a depth image that is aligned with the colour image.

A face's box shows more than the face: the wall beside a thin head, a hand or a cup in front of it.
Therefore the middle of the box is sampled on a grid, and the slab of space, as deep as a head, that
holds the most samples is the face: the mode of the depths, not their mean or their median. Of several
such slabs those count first in which the box would be as wide as a face can be. The distance is the
median of the slab's samples.

Nothing is smoothed over time: where the depth is unknown for a frame, it is said to be unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from social_perception.core.camera import Intrinsics
from social_perception.core.errors import ImageError
from social_perception.core.types import Box, Position

FloatArray = npt.NDArray[np.float64]

CENTRAL_SHARE = 0.5
"""Share of the box's width and height that is sampled, around its centre: from brow to mouth."""
GRID = 16
"""Samples along each side."""
MIN_SHARE = 0.2
"""Share of the samples that must be known, and of those that must lie in the slab."""
RANGE_M = (0.15, 20.0)
"""What a depth camera can know of people; beyond it lie 65535 mm and other marks of the unknown."""
SLAB_M = 0.15
"""Depth of the front half of a head, from the nose to the ears."""
SLAB_PER_M = 0.03
"""What stereo noise adds to it per m of distance (2 % is usual for a RealSense at 4 m)."""
FACE_WIDTH_M = (0.08, 0.40)
"""Widths of a face's box: from a child's face to a box that shows the whole head."""
_ASPECT_TOLERANCE = 0.03


@dataclass(frozen=True, slots=True, eq=False)
class DepthImage:
    """Distances along the optical axis: (H, W), uint16 or float32, times ``unit_m``; 0 or NaN: unknown."""

    values: npt.NDArray[Any]
    unit_m: float

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or 0 in self.values.shape:
            raise ImageError(f"depth image must have shape (H, W), got {self.values.shape}")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        return int(self.values.shape[1]), int(self.values.shape[0])


def face_depths(
    depth: DepthImage, boxes: Sequence[Box], image_size: tuple[int, int], focal_px: float
) -> FloatArray:
    """The distances of N faces along the optical axis in m, shape (N,); NaN where unknown.

    Args:
        depth: aligned with the colour image; it may have another resolution.
        boxes: of the faces, in px of the colour image.
        image_size: width and height in px of the colour image.
        focal_px: the colour camera's focal length.

    Raises:
        ImageError: the depth image has another aspect ratio, so that it cannot be aligned.
    """
    scale = _scale(depth.size, image_size)
    if not boxes:
        return np.zeros(0)
    rows = np.array([(box.left, box.top, box.width, box.height) for box in boxes])
    samples = _samples(depth, rows, scale)
    least = MIN_SHARE * samples.shape[1]
    widths = rows[:, 2:3] * samples / focal_px
    plausible = np.where((widths >= FACE_WIDTH_M[0]) & (widths <= FACE_WIDTH_M[1]), samples, np.inf)
    enough = np.isfinite(plausible).sum(axis=1) >= least
    # A face on a poster has no plausible size; then whatever is there counts.
    return _modes(np.where(enough[:, None], plausible, samples), least)


def face_positions(
    depth: DepthImage, boxes: Sequence[Box], image_size: tuple[int, int], camera: Intrinsics
) -> tuple[Position | None, ...]:
    """The centres of N faces in the camera's optical frame in m; None where the depth is unknown.

    Args:
        depth: aligned with the colour image.
        boxes: of the faces, in px of the colour image.
        image_size: width and height in px of the colour image.
        camera: of the colour image of this size.

    Raises:
        ImageError: the depth image has another aspect ratio, so that it cannot be aligned.
    """
    depths = face_depths(depth, boxes, image_size, camera.fx).tolist()
    return tuple(
        None if depth_m != depth_m else camera.position(*box.center, depth_m)  # NaN differs from itself
        for box, depth_m in zip(boxes, depths)
    )


def _scale(depth_size: tuple[int, int], image_size: tuple[int, int]) -> tuple[float, float]:
    x_scale, y_scale = (depth / image for depth, image in zip(depth_size, image_size))
    if abs(x_scale / y_scale - 1.0) > _ASPECT_TOLERANCE:
        raise ImageError(
            f"depth image of {depth_size[0]} x {depth_size[1]} px cannot be aligned with a colour image of "
            f"{image_size[0]} x {image_size[1]} px: their aspect ratios differ"
        )
    return x_scale, y_scale


def _samples(depth: DepthImage, rows: FloatArray, scale: tuple[float, float]) -> FloatArray:
    """Depths in m on a grid in the middle of each box, (N, GRID * GRID); infinite where unknown."""
    steps = 0.5 + CENTRAL_SHARE * ((np.arange(GRID) + 0.5) / GRID - 0.5)
    width, height = depth.size
    x = np.floor((rows[:, 0:1] + rows[:, 2:3] * steps) * scale[0])
    y = np.floor((rows[:, 1:2] + rows[:, 3:4] * steps) * scale[1])
    inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]
    columns = x.clip(0, width - 1).astype(np.intp)[:, None, :]
    lines = y.clip(0, height - 1).astype(np.intp)[:, :, None]
    metres = depth.values[lines, columns].astype(np.float64) * depth.unit_m
    known = inside & (metres >= RANGE_M[0]) & (metres <= RANGE_M[1])  # NaN is in no range
    return np.where(known, metres, np.inf).reshape(len(rows), -1)


def _modes(samples: FloatArray, least: float) -> FloatArray:
    """Per row the median of the slab with the most samples; NaN if they are fewer than ``least``."""
    ordered = np.sort(samples, axis=1)
    faces, count = ordered.shape
    known = np.isfinite(ordered)
    # All rows in one ascending line, each beyond the reach of the one before.
    starts = np.where(known, ordered, 1.9 * RANGE_M[1]) + 2.0 * RANGE_M[1] * np.arange(faces)[:, None]
    ends = starts + SLAB_M + SLAB_PER_M * np.where(known, ordered, 0.0)
    after = np.searchsorted(starts.ravel(), ends.ravel(), side="right")
    held = np.where(known, after.reshape(faces, count) - np.arange(faces * count).reshape(faces, count), 0)
    row = np.arange(faces)
    first = held.argmax(axis=1)  # the nearest of equal ones
    most = held[row, first]
    middle = ordered[row, np.minimum(first + most // 2, count - 1)]
    return np.where(most >= least, middle, np.nan)
