"""Non-maximum suppression and box voting over the candidates of the detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from social_perception.perception.detection.mmod_file import BoxOverlap


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rectangle with inclusive corners, in px of the searched image, as in dlib."""

    left: float
    top: float
    right: float
    bottom: float
    score: float

    @property
    def area(self) -> float:
        return (self.right - self.left + 1) * (self.bottom - self.top + 1)


def suppress(candidates: Sequence[Candidate], overlap: BoxOverlap) -> list[Candidate]:
    """Apply dlib's greedy non-maximum suppression to candidates sorted by decreasing score.

    The intersection is compared with the bounding rectangle of both candidates, not with their union.
    """
    sides, kept = _sides(candidates), []
    suppressed = np.zeros(len(candidates), np.bool_)
    for index, candidate in enumerate(candidates):
        if not suppressed[index]:
            kept.append(candidate)
            suppressed |= _overlapping(candidate, sides, overlap)
    return kept


def vote_boxes(
    kept: Sequence[Candidate], candidates: Sequence[Candidate], overlap: BoxOverlap, threshold: float
) -> list[Candidate]:
    """Replace each kept box by the mean of all candidates that overlap it, weighted by squared score.

    The scores of neighboring cells and scales are nearly equal, so the best candidate jumps by an eighth of
    the face from frame to frame and has sizes in steps of 6/5 only; the mean does not. Source: box voting,
    S. Gidaris, N. Komodakis, "Object Detection via a Multi-region and Semantic Segmentation-aware CNN
    Model", ICCV 2015, section 5.
    """
    sides = _sides(candidates)
    weights = np.square(np.maximum([candidate.score - threshold for candidate in candidates], 1e-3))
    voted = []
    for best in kept:
        voters = _overlapping(best, sides, overlap)
        left, top, right, bottom = np.average(sides[voters], axis=0, weights=weights[voters]).tolist()
        voted.append(Candidate(left, top, right, bottom, best.score))
    return voted


def _sides(candidates: Sequence[Candidate]) -> npt.NDArray[np.float64]:
    """Return left, top, right and bottom of each candidate, (N, 4)."""
    return np.array([(each.left, each.top, each.right, each.bottom) for each in candidates]).reshape(-1, 4)


def _overlapping(
    one: Candidate, sides: npt.NDArray[np.float64], overlap: BoxOverlap
) -> npt.NDArray[np.bool_]:
    """Return which of the candidates (N, 4) overlap one of them; a candidate overlaps itself."""
    left, top, right, bottom = sides.T
    width = np.minimum(one.right, right) - np.maximum(one.left, left) + 1
    height = np.minimum(one.bottom, bottom) - np.maximum(one.top, top) + 1
    inner = np.maximum(width, 0) * np.maximum(height, 0)
    outer_width = np.maximum(one.right, right) - np.minimum(one.left, left) + 1
    outer_height = np.maximum(one.bottom, bottom) - np.minimum(one.top, top) + 1
    smaller = np.minimum(one.area, (right - left + 1) * (bottom - top + 1))
    enough = (inner / (outer_width * outer_height) > overlap.iou) | (inner / smaller > overlap.covered)
    return np.asarray((width > 0) & (height > 0) & enough)
