"""Follows faces from one image to the next by sparse optical flow.

Median Flow: a grid of points in each face is followed by pyramidal Lucas-Kanade, forwards and back
again; points that do not come back are left out, and the medians of the others give the face's
displacement and change of scale. Kalal, Mikolajczyk, Matas: "Forward-Backward Error: Automatic
Detection of Tracking Failures", ICPR 2010. The points of all faces are followed in one call.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from social_perception.perception.tracking.appearance import patch_agreement, patches_of
from social_perception.perception.tracking.geometry import BoolArray, FloatArray, heads_of
from social_perception.perception.tracking.snapshot import Snapshot

POINTS_PER_SIDE = 7
GRID_SHARE = 0.8
"""Side of the grid as a share of the box: the box's rim often shows background."""

WINDOW_PX = 11
PYRAMID_LEVELS = 3
REACH_PX = 64
MIN_IMAGE_SIDE_PX = 16

MAX_ERROR_PX = 1.0
MAX_ERROR_SHARE = 0.02
"""Forward-backward error, in px of the small image or in box sides, up to which a point is followed."""

MIN_POINTS = 4
MIN_FOLLOWED = 0.35
MIN_AGREEMENT = 0.5
SURE_AGREEMENT = 0.8
"""Agreement that makes up for lost points: a laugh moves half of them in other ways than the head."""

MAX_SCALE_STEP = 1.12
MIN_SIDE_PX = 6.0
"""Side of a face in the small image below which there is nothing to follow."""


def _grid() -> FloatArray:
    steps = (np.arange(POINTS_PER_SIDE) / (POINTS_PER_SIDE - 1) - 0.5) * GRID_SHARE
    return np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)


def _distant_pairs() -> tuple[np.ndarray, np.ndarray]:
    """Pairs of grid points at least half a grid apart: near ones say little about scale."""
    first, second = np.triu_indices(len(GRID), 1)
    apart = np.linalg.norm(GRID[first] - GRID[second], axis=1) >= GRID_SHARE / 2
    # A fixed quarter of the pairs gives the same median and costs a quarter.
    return first[apart][::4], second[apart][::4]


GRID = _grid()
PAIR_FIRST, PAIR_SECOND = _distant_pairs()


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """How M faces moved from one image to the next.

    Attributes:
        rows: (M, 4) the boxes in the later image, in px of the source image.
        quality: (M,) in [0, 1]: share of points followed, times the agreement of both pictures.
        followed: (M,) false where the face cannot be followed; its box is then the old one.
    """

    rows: FloatArray
    quality: FloatArray
    followed: BoolArray


def points_in(rows: FloatArray) -> FloatArray:
    """Return the grid points of M boxes, (M, P, 2), in px of the source image."""
    return rows[:, None, :2] + GRID * rows[:, None, 2:]


def unshared_points(rows: FloatArray, others: FloatArray) -> BoolArray:
    """Mark the grid points, (M, P), of M boxes that lie in none of N other heads.

    Where two faces overlap it is unknown whose skin a point shows. A face with nearly all of its
    points shared keeps them all. A row of ``others`` that is NaN, or the face's own, hides nothing.
    """
    heads = heads_of(others)
    offsets = np.abs(points_in(rows)[:, :, None] - heads[None, None, :, :2])
    inside = (offsets <= heads[None, None, :, 2:] / 2).all(axis=3)
    own = (rows[:, None] == others[None]).all(axis=2)
    unshared = ~(inside & ~own[:, None]).any(axis=2)
    unshared[unshared.mean(axis=1) < MIN_FOLLOWED] = True
    return unshared


def follow(before: Snapshot, after: Snapshot, rows: FloatArray, usable: BoolArray | None = None) -> Motion:
    """Follow M boxes from one snapshot to a later one of the same size.

    Args:
        before: the earlier image.
        after: the later image.
        rows: (M, 4) the boxes in the earlier image; M may be 0.
        usable: (M, P) the grid points to be looked at; all by default.
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
    agreement = patch_agreement(patches_of(before, rows), patches_of(after, moved))
    followed = (share >= MIN_FOLLOWED) & (agreement >= MIN_AGREEMENT) | (agreement >= SURE_AGREEMENT)
    followed &= (sides >= MIN_SIDE_PX) & (good.sum(axis=1) >= MIN_POINTS)
    quality = np.where(followed, share * np.clip(agreement, 0.0, 1.0), 0.0)
    return Motion(np.where(followed[:, None], moved, rows), quality, followed)


def _forward_backward(
    before: Snapshot, after: Snapshot, start: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Follow points (M, P, 2) there and back; return their ends, errors in px, and residuals."""
    corner, first, second = _cut(before, after, start)
    here = (start - corner).reshape(-1, 1, 2).astype(np.float32)
    follow = partial(
        cv2.calcOpticalFlowPyrLK,
        winSize=(WINDOW_PX, WINDOW_PX),
        maxLevel=PYRAMID_LEVELS,
        criteria=(3, 10, 0.03),
    )
    there, found, residual = follow(first, second, here, None)
    back, found_back, _ = follow(second, first, there, None)
    error = np.linalg.norm(here - back, axis=2)
    error[(found == 0) | (found_back == 0)] = np.inf
    end = there.reshape(start.shape).astype(np.float64) + corner
    return end, error.reshape(start.shape[:2]), residual.reshape(start.shape[:2])


def _cut(before: Snapshot, after: Snapshot, points: FloatArray) -> tuple[FloatArray, np.ndarray, np.ndarray]:
    """Cut both images to what the points can reach: few faces then cost little."""
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
    """Keep the points whose error and whose residual are both at most the face's median."""
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
