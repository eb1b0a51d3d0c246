"""Explains a smile's intensity by regions of the face: how much eyes, cheeks, mouth and the rest contribute.

The contributions are Shapley values (L. Shapley, 1953; for classifiers, S. Lundberg and S.-I. Lee, 2017).
Each region is shown or filled with the crop's mean color, in all 16 combinations. The part of a region is the
mean change of the intensity where it is shown, over all orders of showing the regions. Only the scorer's
intensities are needed, so every runtime explains.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from social_perception.core.config import PipelineConfig
from social_perception.core.types import CROP_SIZE_PX, Explanation, ImageArray, Smile, TrackedFaces

INTERVAL_S = 1.0
"""Faces of a video are explained anew after this time."""

FloatArray = npt.NDArray[np.float32]

# Center and radii in px of the crop (of the left half of the image, where there are two), on upright faces.
_EYES = (30.0, 36.0), (13.0, 9.0)
_CHEEKS = (26.0, 55.0), (13.0, 11.0)
_MOUTH = (48.0, 72.0), (24.0, 13.0)
_SOFTNESS = 8.0  # a sharp edge would be seen as a part of the face
_REGIONS = 4
_SHOWN = tuple(itertools.product((False, True), repeat=_REGIONS))


class StillScorer(Protocol):
    """Scores crops independent of each other."""

    def score_still(self, crops: ImageArray) -> tuple[Smile, ...]:
        """Return one Smile per crop (N, 96, 96, 3) uint8 RGB."""


@cache
def region_masks() -> FloatArray:
    """Return the weight of eyes, cheeks, mouth and the rest in each pixel, (4, 96, 96), with the sum 1."""
    y, x = np.mgrid[0:CROP_SIZE_PX, 0:CROP_SIZE_PX].astype(np.float32) + 0.5

    def ellipse(center: tuple[float, float], radii: tuple[float, float]) -> FloatArray:
        both = np.minimum(x, CROP_SIZE_PX - x) if center[0] < CROP_SIZE_PX / 2 else x
        distance = np.hypot((both - center[0]) / radii[0], (y - center[1]) / radii[1])
        return np.asarray(1 / (1 + np.exp(_SOFTNESS * (distance - 1))), np.float32)

    masks = np.stack([ellipse(*region) for region in (_EYES, _CHEEKS, _MOUTH)])
    masks /= np.maximum(1, masks.sum(axis=0))
    return np.concatenate([masks, 1 - masks.sum(axis=0, keepdims=True)])


def explain(scorer: StillScorer, crops: ImageArray) -> tuple[Explanation, ...]:
    """Explain the intensities of stills, by 16 crops for each.

    Args:
        scorer: of the smiles.
        crops: (N, 96, 96, 3) uint8, RGB; N may be 0.

    Raises:
        ModelError: the network failed, for example out of memory.
    """
    return tuple(_explain(scorer, crop) for crop in crops)


def _explain(scorer: StillScorer, crop: ImageArray) -> Explanation:
    mean = crop.mean(axis=(0, 1))
    kept = np.array(_SHOWN, np.float32) @ region_masks().reshape(_REGIONS, -1)  # (16, 9216)
    pixels = mean + kept[:, :, None] * (crop.reshape(-1, 3) - mean)
    smiles = scorer.score_still(np.rint(pixels).astype(np.uint8).reshape(-1, *crop.shape))
    value = dict(zip(_SHOWN, (smile.intensity for smile in smiles)))
    parts = [_shapley(value, region) for region in range(_REGIONS)]
    # The intensity of a crop without any region belongs to none of them: the parts add up to the intensity.
    parts[-1] += value[(False,) * _REGIONS]
    return Explanation(*parts)


def _shapley(value: dict[tuple[bool, ...], float], region: int) -> float:
    """Return a region's Shapley value from the value of each combination."""
    total = 0.0
    for shown in (each for each in _SHOWN if not each[region]):
        others = sum(shown)
        weight = math.factorial(others) * math.factorial(_REGIONS - 1 - others) / math.factorial(_REGIONS)
        with_it = (*shown[:region], True, *shown[region + 1 :])
        total += weight * (value[with_it] - value[shown])
    return total


class ExplanationEstimator:
    """Explains each visible face of a video once a second, each frame on its own.

    Args:
        scorer: of the smiles; None: nothing is explained.
    """

    def __init__(self, scorer: StillScorer | None) -> None:
        self._scorer = scorer
        self._latest: dict[str, tuple[float, Explanation]] = {}

    def estimate(self, faces: TrackedFaces) -> Sequence[Explanation | None]:
        """Return the latest explanation of each track, in order; None without a scorer."""
        if self._scorer is None:
            return [None] * len(faces.tracks)
        latest = {track.id: self._latest[track.id] for track in faces.tracks if track.id in self._latest}
        for track, crop in zip(faces.tracks, faces.crops):
            due_s = latest[track.id][0] + INTERVAL_S if track.id in latest else -math.inf
            if track.visible and faces.stamp_s >= due_s:
                latest[track.id] = (faces.stamp_s, explain(self._scorer, crop[None])[0])
        self._latest = latest
        return [latest[track.id][1] if track.id in latest else None for track in faces.tracks]

    def configure(self, config: PipelineConfig) -> None:
        """There are no dynamic settings."""

    def reset(self) -> None:
        """Forget every track."""
        self._latest = {}
