"""Associates detected faces with known faces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from social_perception.perception.tracking.appearance import similarities
from social_perception.perception.tracking.geometry import BoolArray, FloatArray, overlaps

NEAR_SIMILARITY = 0.65
"""Minimum similarity of a lost face and a detection near its predicted position."""

FAR_SIMILARITY = 0.82
"""Minimum similarity of a lost face and a detection anywhere; two people rarely reach 0.8."""

MAX_SIZE_RATIO = 1.7
DRIFTED_DISTANCE = 0.75
"""Distance, in box sides, within which a detection beside a tracked box is still the same face."""

APPEARANCE_COST = 2.0
DRIFTED_COST = 0.8
LOST_COST = 0.3
REACH_COST = 0.5
FAR_COST = 0.6
UNMATCHED_COST = 4.0
"""Higher than the cost of any allowed pair, so that only forbidden pairs stay unmatched."""


@dataclass(frozen=True, slots=True, eq=False)
class KnownFaces:
    """M faces as they were in the frame of a detection.

    Attributes:
        rows: (M, 4) boxes, in px.
        descriptors: (M, DESCRIPTOR_SIZE) appearance when last confirmed.
        visible: (M,) whether they were tracked in that frame, or lost with a predicted box.
        doubtful: (M,) whether they were tracked, but the appearance in their boxes had changed.
        reach: (M,) maximum distance in px of a lost face from its predicted position.
    """

    rows: FloatArray
    descriptors: FloatArray
    visible: BoolArray
    doubtful: BoolArray
    reach: FloatArray


def associate(
    known: KnownFaces, rows: FloatArray, descriptors: FloatArray, min_iou: float
) -> list[tuple[int, int]]:
    """Match M known faces with N detections at minimum total cost.

    A tracked face is matched by overlap, a lost one by distance from its predicted position, and both by
    appearance. Pairs outside the gates are never matched.

    Args:
        known: the M known faces; M may be 0.
        rows: (N, 4) boxes of the detections, in px; N may be 0.
        descriptors: (N, DESCRIPTOR_SIZE) descriptors of the detections.
        min_iou: minimum intersection over union of a tracked face and its detection.

    Returns:
        Pairs of indices (known, detected).
    """
    if len(known.rows) == 0 or len(rows) == 0:
        return []
    similarity = similarities(known.descriptors, descriptors)
    tracked = _tracked_costs(known, rows, similarity, min_iou)
    lost = _lost_costs(known, rows, similarity)
    tracked[~known.visible] = np.inf
    lost[known.visible & ~known.doubtful] = np.inf
    costs = np.minimum(tracked, lost) + APPEARANCE_COST * (1.0 - similarity)
    costs = np.minimum(costs, UNMATCHED_COST)
    lines, columns = linear_sum_assignment(costs)
    return [(int(i), int(j)) for i, j in zip(lines, columns) if costs[i, j] < UNMATCHED_COST]


def _tracked_costs(known: KnownFaces, rows: FloatArray, similarity: FloatArray, min_iou: float) -> FloatArray:
    overlap = overlaps(known.rows, rows)
    near = _distances(known.rows, rows) <= DRIFTED_DISTANCE * np.sqrt(known.rows[:, 2:].prod(axis=1))[:, None]
    drifted = near & (similarity >= NEAR_SIMILARITY) & (_size_ratios(known.rows, rows) <= MAX_SIZE_RATIO)
    costs = np.where(drifted, DRIFTED_COST + 1.0 - overlap, np.inf)
    return np.where(overlap >= min_iou, 1.0 - overlap, costs)


def _lost_costs(known: KnownFaces, rows: FloatArray, similarity: FloatArray) -> FloatArray:
    reached = _distances(known.rows, rows) / known.reach[:, None]
    sized = _size_ratios(known.rows, rows) <= MAX_SIZE_RATIO
    near = sized & (reached <= 1.0) & (similarity >= NEAR_SIMILARITY)
    far = sized & (similarity >= FAR_SIMILARITY)
    costs = np.where(far, LOST_COST + REACH_COST + FAR_COST, np.inf)
    return np.where(near, LOST_COST + REACH_COST * reached, costs)


def _distances(rows: FloatArray, others: FloatArray) -> FloatArray:
    return np.linalg.norm(rows[:, None, :2] - others[None, :, :2], axis=2)


def _size_ratios(rows: FloatArray, others: FloatArray) -> FloatArray:
    return np.exp(np.abs(np.log(rows[:, None, 2:] / others[None, :, 2:])).max(axis=2))
