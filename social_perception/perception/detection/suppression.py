"""Non-maximum suppression and box voting over the candidates of the detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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
    kept: list[Candidate] = []
    for candidate in candidates:
        if not any(_overlaps(other, candidate, overlap) for other in kept):
            kept.append(candidate)
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
    voted = []
    for best in kept:
        voters = [other for other in candidates if other is best or _overlaps(best, other, overlap)]
        weights = np.square([max(voter.score - threshold, 1e-3) for voter in voters])
        sides = np.array([(voter.left, voter.top, voter.right, voter.bottom) for voter in voters])
        left, top, right, bottom = (weights @ sides / weights.sum()).tolist()
        voted.append(Candidate(left, top, right, bottom, best.score))
    return voted


def _overlaps(a: Candidate, b: Candidate, overlap: BoxOverlap) -> bool:
    width = min(a.right, b.right) - max(a.left, b.left) + 1
    height = min(a.bottom, b.bottom) - max(a.top, b.top) + 1
    if width <= 0 or height <= 0:
        return False
    inner = width * height
    outer_width = max(a.right, b.right) - min(a.left, b.left) + 1
    outer_height = max(a.bottom, b.bottom) - min(a.top, b.top) + 1
    covered = max(inner / a.area, inner / b.area)
    return inner / (outer_width * outer_height) > overlap.iou or covered > overlap.covered
