"""dlib's CNN at the places where faces are expected. Does not depend on what computes the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from social_perception.core.errors import ImageError
from social_perception.core.types import Box, Face, ImageArray
from social_perception.perception.detection.crops import Crop, cut_crops
from social_perception.perception.detection.mmod_file import MmodModel
from social_perception.perception.detection.suppression import Candidate, suppress, vote_boxes

NATIVE_FACE_PX = 80.0
"""Width of the smallest box without upsampling."""

RELATIVE_SIZES = (5 / 6, 1.0, 6 / 5)
"""Sizes of the face relative to the place; the network also finds faces a sixth smaller or larger."""

UNLIKE_A_FACE = 1.05
"""How far below the threshold the best score of most crops without a face is; the default threshold is 0."""

Scores = Callable[[ImageArray], npt.NDArray[np.float32]]
"""The network: crops (N, side, side, 3) uint8 RGB -> face scores (N, rows, columns)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a face is expected.

    Attributes:
        box: as wide as the face.
        sizes: sizes of the face relative to the box; each takes one crop.
        further_sizes: those that are searched where the first ones show something similar to a face.
    """

    box: Box
    sizes: Sequence[float] = RELATIVE_SIZES
    further_sizes: Sequence[float] = ()


def smallest_face_px(min_face_px: float, upsample: int) -> float:
    """Return the width of the smallest face that is searched for with these settings."""
    return NATIVE_FACE_PX / 2.0**upsample if upsample >= 0 else min_face_px


def search_places(
    image: ImageArray,
    places: Sequence[Place],
    model: MmodModel,
    scores: Scores,
    threshold: float,
    most: int,
) -> list[Candidate]:
    """Return the candidates at the places, sorted by decreasing score.

    Args:
        image: (H, W, 3) uint8, RGB.
        places: where the faces are expected.
        model: the parameters of the detector.
        scores: the network.
        threshold: minimum score.
        most: maximum crops in one batch.
    """
    found: list[Candidate] = []

    def search(boxes: Sequence[Box]) -> Iterator[float]:
        """Add the candidates at the boxes; yield the best score at each."""
        for first in range(0, len(boxes), most):
            group = boxes[first : first + most]
            pixels, crops = cut_crops(image, group, model.window_width, model.mean_rgb)
            for each, crop in zip(scores(pixels), crops):
                found.extend(_candidates(each, crop, model, threshold))
                yield float(each.max())

    best = list(search([place.box.moved(0.0, 0.0, size) for place in places for size in place.sizes]))
    owners = [place for place in places for _ in place.sizes]
    similar = [place for place, score in zip(owners, best) if score > threshold - UNLIKE_A_FACE]
    list(search([place.box.moved(0.0, 0.0, size) for place in similar for size in place.further_sizes]))
    return sorted(found, key=lambda candidate: -candidate.score)


def _candidates(
    scores: npt.NDArray[np.float32], crop: Crop, model: MmodModel, threshold: float
) -> Iterator[Candidate]:
    width, height = model.window_width * crop.scale, model.window_height * crop.scale
    for row, column in np.argwhere(scores > threshold):
        x, y = model.to_input(int(row), int(column))
        left = crop.left + (x + 0.5) * crop.scale - width / 2
        top = crop.top + (y + 0.5) * crop.scale - height / 2
        yield Candidate(left, top, left + width - 1.0, top + height - 1.0, float(scores[row, column]))


def select(
    candidates: Sequence[Candidate], model: MmodModel, threshold: float, vote: bool
) -> list[Candidate]:
    """Return the best of overlapping candidates, which are sorted; with ``vote``, see :func:`vote_boxes`."""
    kept = suppress(candidates, model.overlap)
    return vote_boxes(kept, candidates, model.overlap, threshold) if vote else kept


def to_face(candidate: Candidate, x_scale: float = 1.0, y_scale: float = 1.0) -> Face:
    """Return a candidate as a face."""
    box = Box(
        candidate.left * x_scale,
        candidate.top * y_scale,
        (candidate.right - candidate.left + 1) * x_scale,
        (candidate.bottom - candidate.top + 1) * y_scale,
    )
    return Face(box, candidate.score)


def check_image(image: ImageArray) -> ImageArray:
    """Return the image.

    Raises:
        ImageError: it is not (H, W, 3) uint8, or empty.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ImageError(f"image must be uint8 of shape (H, W, 3), got {image.dtype} of {image.shape}")
    return image
