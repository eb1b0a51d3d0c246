"""Estimates the distance of each face from a depth image that is aligned with the color image.

The box of a face contains more than the face: the wall beside a thin head, a hand or a cup in front of it.
The middle of the box is therefore sampled on a grid, and the depth interval of the size of a head with the
most samples is the face: the mode of the depths, not their mean or median. Intervals at which the box has
the width of a face are preferred. The distance is the median of the samples of the interval.

Nothing is smoothed over time: a depth that is unknown in a frame stays unknown.
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
"""Share of the box's width and height that is sampled, around its center: from brow to mouth."""
GRID = 16
"""Samples along each side."""
MIN_SHARE = 0.2
"""Minimum share of known samples, and of samples in the interval."""
RANGE_M = (0.15, 20.0)
"""Plausible depths of people; 65535 mm and other markers of unknown depth are outside."""
SLAB_M = 0.15
"""Depth of the front half of a head, from the nose to the ears."""
SLAB_PER_M = 0.03
"""Increase by stereo noise per m of distance (2 % is typical for a RealSense at 4 m)."""
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
    """Return the distances of N faces along the optical axis in m, (N,); NaN where unknown.

    Args:
        depth: aligned with the color image; it may have another resolution.
        boxes: boxes of the faces, in px of the color image.
        image_size: width and height in px of the color image.
        focal_px: the color camera's focal length.

    Raises:
        ImageError: the depth image has another aspect ratio than the color image.
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
    # A face on a poster has an implausible size; then all samples count.
    return _modes(np.where(enough[:, None], plausible, samples), least)


def face_positions(
    depth: DepthImage, boxes: Sequence[Box], image_size: tuple[int, int], camera: Intrinsics
) -> tuple[Position | None, ...]:
    """Return the centers of N faces in the camera's optical frame in m; None where the depth is unknown.

    Args:
        depth: aligned with the color image.
        boxes: boxes of the faces, in px of the color image.
        image_size: width and height in px of the color image.
        camera: intrinsics of the color image at this size.

    Raises:
        ImageError: the depth image has another aspect ratio than the color image.
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
            f"depth image of {depth_size[0]} x {depth_size[1]} px cannot be aligned with a color image of "
            f"{image_size[0]} x {image_size[1]} px: their aspect ratios differ"
        )
    return x_scale, y_scale


def _samples(depth: DepthImage, rows: FloatArray, scale: tuple[float, float]) -> FloatArray:
    """Return depths in m on a grid in the middle of each box, (N, GRID * GRID); infinite where unknown."""
    steps = 0.5 + CENTRAL_SHARE * ((np.arange(GRID) + 0.5) / GRID - 0.5)
    width, height = depth.size
    x = np.floor((rows[:, 0:1] + rows[:, 2:3] * steps) * scale[0])
    y = np.floor((rows[:, 1:2] + rows[:, 3:4] * steps) * scale[1])
    inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]
    columns = x.clip(0, width - 1).astype(np.intp)[:, None, :]
    lines = y.clip(0, height - 1).astype(np.intp)[:, :, None]
    metres = depth.values[lines, columns].astype(np.float64) * depth.unit_m
    known = inside & (metres >= RANGE_M[0]) & (metres <= RANGE_M[1])  # False for NaN
    return np.where(known, metres, np.inf).reshape(len(rows), -1)


def _modes(samples: FloatArray, least: float) -> FloatArray:
    """Return per row the median of the interval with the most samples; NaN for fewer than ``least``."""
    ordered = np.sort(samples, axis=1)
    faces, count = ordered.shape
    known = np.isfinite(ordered)
    # All rows in one increasing sequence, so that one searchsorted call suffices.
    starts = np.where(known, ordered, 1.9 * RANGE_M[1]) + 2.0 * RANGE_M[1] * np.arange(faces)[:, None]
    ends = starts + SLAB_M + SLAB_PER_M * np.where(known, ordered, 0.0)
    after = np.searchsorted(starts.ravel(), ends.ravel(), side="right")
    held = np.where(known, after.reshape(faces, count) - np.arange(faces * count).reshape(faces, count), 0)
    row = np.arange(faces)
    first = held.argmax(axis=1)  # the nearest of equal intervals
    most = held[row, first]
    middle = ordered[row, np.minimum(first + most // 2, count - 1)]
    return np.where(most >= least, middle, np.nan)
