"""Decides which found face is which known one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from social_perception.perception.tracking.appearance import similarities
from social_perception.perception.tracking.geometry import BoolArray, FloatArray, overlaps

NEAR_LOOK = 0.65
"""Similarity from which a face near a lost one's predicted place is taken for it."""

FAR_LOOK = 0.82
"""Similarity from which a face anywhere is taken for a lost one; two people seldom reach 0.8."""

MAX_SIZE_RATIO = 1.7
SLIPPED_DISTANCE = 0.75
"""Distance, in box sides, within which a face found beside its followed box is still the same."""

LOOK_COST = 2.0
SLIPPED_COST = 0.8
LOST_COST = 0.3
REACH_COST = 0.5
FAR_COST = 0.6
UNMATCHED_COST = 4.0
"""More than any allowed pair costs, so that only forbidden pairs are left unmatched."""


@dataclass(frozen=True, slots=True, eq=False)
class KnownFaces:
    """M faces as they were in the frame of a detection.

    Attributes:
        rows: (M, 4) boxes, in px.
        looks: (M, LOOK_SIZE) what they looked like when last confirmed.
        visible: (M,) whether they were followed in that frame, or lost and their boxes predicted.
        doubtful: (M,) whether they were followed, but their boxes showed something else.
        reach: (M,) how far in px a lost face can be from its predicted place.
    """

    rows: FloatArray
    looks: FloatArray
    visible: BoolArray
    doubtful: BoolArray
    reach: FloatArray


def associate(
    known: KnownFaces, rows: FloatArray, looks: FloatArray, min_iou: float
) -> list[tuple[int, int]]:
    """Match known faces with N found ones so that the sum of the pairs' costs is least.

    A followed face is matched by overlap, a lost one by distance from its predicted place, and
    either by appearance. Pairs outside the gates are never matched.

    Args:
        known: the M known faces; M may be 0.
        rows: (N, 4) the found boxes, in px; N may be 0.
        looks: (N, LOOK_SIZE) the found faces' looks.
        min_iou: overlap from which a followed face can be the found one.

    Returns:
        Pairs (known, found) of indices.
    """
    if len(known.rows) == 0 or len(rows) == 0:
        return []
    alike = similarities(known.looks, looks)
    followed = _followed_costs(known, rows, alike, min_iou)
    lost = _lost_costs(known, rows, alike)
    followed[~known.visible] = np.inf
    lost[known.visible & ~known.doubtful] = np.inf
    costs = np.minimum(followed, lost) + LOOK_COST * (1.0 - alike)
    costs = np.minimum(costs, UNMATCHED_COST)
    lines, columns = linear_sum_assignment(costs)
    return [(int(i), int(j)) for i, j in zip(lines, columns) if costs[i, j] < UNMATCHED_COST]


def _followed_costs(known: KnownFaces, rows: FloatArray, alike: FloatArray, min_iou: float) -> FloatArray:
    overlap = overlaps(known.rows, rows)
    near = _distances(known.rows, rows) <= SLIPPED_DISTANCE * np.sqrt(known.rows[:, 2:].prod(axis=1))[:, None]
    slipped = near & (alike >= NEAR_LOOK) & (_size_ratios(known.rows, rows) <= MAX_SIZE_RATIO)
    costs = np.where(slipped, SLIPPED_COST + 1.0 - overlap, np.inf)
    return np.where(overlap >= min_iou, 1.0 - overlap, costs)


def _lost_costs(known: KnownFaces, rows: FloatArray, alike: FloatArray) -> FloatArray:
    reached = _distances(known.rows, rows) / known.reach[:, None]
    sized = _size_ratios(known.rows, rows) <= MAX_SIZE_RATIO
    near = sized & (reached <= 1.0) & (alike >= NEAR_LOOK)
    far = sized & (alike >= FAR_LOOK)
    costs = np.where(far, LOST_COST + REACH_COST + FAR_COST, np.inf)
    return np.where(near, LOST_COST + REACH_COST * reached, costs)


def _distances(rows: FloatArray, others: FloatArray) -> FloatArray:
    return np.linalg.norm(rows[:, None, :2] - others[None, :, :2], axis=2)


def _size_ratios(rows: FloatArray, others: FloatArray) -> FloatArray:
    return np.exp(np.abs(np.log(rows[:, None, 2:] / others[None, :, 2:])).max(axis=2))
