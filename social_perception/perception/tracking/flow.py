"""Tracks faces from one image to the next by sparse optical flow.

Median Flow: a grid of points in each face is tracked by pyramidal Lucas-Kanade, forward and backward; points
that do not return to their start are dropped, and the medians of the others give the displacement and the
change of scale of the face. Kalal, Mikolajczyk, Matas: "Forward-Backward Error: Automatic Detection of
Tracking Failures", ICPR 2010. The points of all faces are tracked in one call.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from social_perception.perception.tracking.appearance import compute_patches, patch_agreement
from social_perception.perception.tracking.geometry import BoolArray, FloatArray, head_boxes
from social_perception.perception.tracking.snapshot import Snapshot

POINTS_PER_SIDE = 5
GRID_SHARE = 0.8
"""Side of the grid as a share of the box: the edge of the box often shows background."""

WINDOW_PX = 11
PYRAMID_LEVELS = 3
REACH_PX = 64
MIN_IMAGE_SIDE_PX = 16

MAX_ERROR_PX = 1.0
MAX_ERROR_SHARE = 0.02
"""Forward-backward error, in px of the small image or in box sides, of a tracked point."""

MIN_POINTS = 4
MIN_TRACKED = 0.35
MIN_AGREEMENT = 0.5
SURE_AGREEMENT = 0.8
"""Agreement that outweighs lost points: a laugh moves half of them differently from the head."""

MAX_SCALE_STEP = 1.12
MIN_SIDE_PX = 6.0
"""Side of a face in the small image below which it cannot be tracked."""


def _grid() -> FloatArray:
    steps = (np.arange(POINTS_PER_SIDE) / (POINTS_PER_SIDE - 1) - 0.5) * GRID_SHARE
    return np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)


def _distant_pairs() -> tuple[np.ndarray, np.ndarray]:
    """Return pairs of grid points at least half a grid apart: close pairs carry little scale information."""
    first, second = np.triu_indices(len(GRID), 1)
    apart = np.linalg.norm(GRID[first] - GRID[second], axis=1) >= GRID_SHARE / 2
    return first[apart], second[apart]


GRID = _grid()
PAIR_FIRST, PAIR_SECOND = _distant_pairs()


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """The motion of M faces from one image to the next.

    Attributes:
        rows: (M, 4) the boxes in the later image, in px of the source image.
        quality: (M,) in [0, 1]: share of points tracked, times the agreement of both patches.
        tracked: (M,) false where the face cannot be tracked; its box is then the old one.
    """

    rows: FloatArray
    quality: FloatArray
    tracked: BoolArray


def points_in(rows: FloatArray) -> FloatArray:
    """Return the grid points of M boxes, (M, P, 2), in px of the source image."""
    return rows[:, None, :2] + GRID * rows[:, None, 2:]


def unshared_points(rows: FloatArray, others: FloatArray) -> BoolArray:
    """Return which grid points (M, P) of M boxes lie in none of N other heads.

    Where two faces overlap, it is unknown to which face a point belongs. A face with nearly all points shared
    keeps all of them. Rows of ``others`` that are NaN or the face's own box are ignored.
    """
    heads = head_boxes(others)
    offsets = np.abs(points_in(rows)[:, :, None] - heads[None, None, :, :2])
    inside = (offsets <= heads[None, None, :, 2:] / 2).all(axis=3)
    own = (rows[:, None] == others[None]).all(axis=2)
    unshared = ~(inside & ~own[:, None]).any(axis=2)
    unshared[unshared.mean(axis=1) < MIN_TRACKED] = True
    return unshared


def track_boxes(
    before: Snapshot, after: Snapshot, rows: FloatArray, usable: BoolArray | None = None
) -> Motion:
    """Track M boxes from one snapshot to a later one of equal size.

    Args:
        before: the earlier image.
        after: the later image.
        rows: (M, 4) the boxes in the earlier image; M may be 0.
        usable: (M, P) the grid points to use; all by default.
    """
    scale = before.gray_scale
    sides = (rows[:, 2:] * scale).min(axis=1, initial=np.inf)
    if len(rows) == 0 or min(before.gray.shape) < MIN_IMAGE_SIDE_PX:
        return Motion(rows, np.zeros(len(rows)), np.zeros(len(rows), np.bool_))
    start = points_in(rows) * scale - 0.5
    end, error, residual = _forward_backward(before, after, start)
    usable = _inside(start, before) if usable is None else usable & _inside(start, before)
    limit = np.maximum(MAX_ERROR_PX, MAX_ERROR_SHARE * sides)[:, None]
    good = usable & (error <= limit) & _inside(end, after)
    share = good.sum(axis=1) / np.maximum(1, usable.sum(axis=1))
    moved = _move(rows, start, end, _best_half(good, error, residual), scale)
    agreement = patch_agreement(compute_patches(before, rows), compute_patches(after, moved))
    tracked = (share >= MIN_TRACKED) & (agreement >= MIN_AGREEMENT) | (agreement >= SURE_AGREEMENT)
    tracked &= (sides >= MIN_SIDE_PX) & (good.sum(axis=1) >= MIN_POINTS)
    quality = np.where(tracked, share * np.clip(agreement, 0.0, 1.0), 0.0)
    return Motion(np.where(tracked[:, None], moved, rows), quality, tracked)


def _forward_backward(
    before: Snapshot, after: Snapshot, start: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Track points (M, P, 2) forward and backward; return their ends, errors in px, and residuals."""
    corner, first, second = _crop_to_points(before, after, start)
    here = (start - corner).reshape(-1, 1, 2).astype(np.float32)
    track_boxes = partial(
        cv2.calcOpticalFlowPyrLK,
        winSize=(WINDOW_PX, WINDOW_PX),
        maxLevel=PYRAMID_LEVELS,
        criteria=(3, 10, 0.03),
    )
    there, found, residual = track_boxes(first, second, here, None)
    back, found_back, _ = track_boxes(second, first, there, None)
    error = np.linalg.norm(here - back, axis=2)
    error[(found == 0) | (found_back == 0)] = np.inf
    end = there.reshape(start.shape).astype(np.float64) + corner
    return end, error.reshape(start.shape[:2]), residual.reshape(start.shape[:2])


def _crop_to_points(
    before: Snapshot, after: Snapshot, points: FloatArray
) -> tuple[FloatArray, np.ndarray, np.ndarray]:
    """Crop both images to the area that the points can reach, so that few faces cost little."""
    height, width = before.gray.shape
    low = np.floor(points.min(axis=(0, 1))) - REACH_PX
    high = np.ceil(points.max(axis=(0, 1))) + REACH_PX + 1
    corner = np.clip(low, 0, np.array([width, height]) - MIN_IMAGE_SIDE_PX)
    x0, y0 = (int(value) for value in corner)
    x1 = int(np.clip(high[0], x0 + MIN_IMAGE_SIDE_PX, width))
    y1 = int(np.clip(high[1], y0 + MIN_IMAGE_SIDE_PX, height))
    return corner, before.gray[y0:y1, x0:x1], after.gray[y0:y1, x0:x1]


def _inside(points: FloatArray, snapshot: Snapshot) -> BoolArray:
    height, width = snapshot.gray.shape
    return np.asarray(((points > -1.0) & (points < [width, height])).all(axis=2))


def _best_half(good: BoolArray, error: FloatArray, residual: FloatArray) -> BoolArray:
    """Return the points whose error and residual are at most the median of the face."""
    error_limit = np.maximum(masked_median(error, good), 0.05)
    residual_limit = masked_median(residual, good)
    return good & (error <= error_limit[:, None]) & (residual <= residual_limit[:, None])


def _move(
    rows: FloatArray, start: FloatArray, end: FloatArray, kept: BoolArray, scale: FloatArray
) -> FloatArray:
    flow = end - start
    shift = np.stack([masked_median(flow[:, :, axis], kept) for axis in (0, 1)], axis=1) / scale
    pairs = kept[:, PAIR_FIRST] & kept[:, PAIR_SECOND]
    lengths = np.linalg.norm(start[:, PAIR_FIRST] - start[:, PAIR_SECOND], axis=2)
    stretched = np.linalg.norm(end[:, PAIR_FIRST] - end[:, PAIR_SECOND], axis=2)
    growth = np.where(pairs.sum(axis=1) >= 8, masked_median(stretched / lengths, pairs), 1.0)
    growth = np.clip(growth, 1.0 / MAX_SCALE_STEP, MAX_SCALE_STEP)[:, None]
    return np.concatenate([rows[:, :2] + shift, rows[:, 2:] * growth], axis=1)


def masked_median(values: FloatArray, mask: BoolArray) -> FloatArray:
    """Return the median of each row's marked values, (M,) of (M, P); 0 for a row without marks."""
    ordered = np.sort(np.where(mask, values, np.inf), axis=1)
    count = mask.sum(axis=1)
    lines = np.arange(len(values))
    low = ordered[lines, np.maximum(count - 1, 0) // 2]
    high = ordered[lines, np.minimum(count // 2, ordered.shape[1] - 1)]
    return np.where(count > 0, (low + np.where(count > 0, high, low)) / 2, 0.0)
