"""How much each person counts in the group.

Source: A. Dhall, R. Goecke, T. Gedeon, "Automatic Group Happiness Intensity Analysis", IEEE
Transactions on Affective Computing 6(1), 2015, weighted group expression model (GEM_w): a face
counts in proportion to its size relative to the group's mean, reduced by its distance from the
group's centroid. Here the distance is relative to the farthest person, and the weights are
normalised, so that the result stays in the range of the single intensities.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from social_perception.core.types import FaceAffect, Track

FloatArray = npt.NDArray[np.float64]


def person_weights(faces: Sequence[FaceAffect], size_exponent: float, center_weight: float) -> FloatArray:
    """Weights of N people, shape (N,), summing to 1 (empty for nobody).

    Args:
        faces: the people. If all have a 3-D position, its distance replaces the size in the image.
        size_exponent: power of the relative size; 0 makes sizes irrelevant.
        center_weight: share of weight lost by the person farthest from the centroid, in [0, 1].
    """
    if not faces:
        return np.zeros(0)
    tracks = [face.track for face in faces]
    places, sizes = _geometry(tracks)
    weights = (sizes / sizes.mean()) ** size_exponent
    distances = np.linalg.norm(places - places.mean(axis=0), axis=1)
    if distances.max() > 0:
        weights = weights * (1.0 - center_weight * distances / distances.max())
    if weights.sum() <= 0:  # two people at the rim with center_weight 1: neither is nearer
        weights = np.ones(len(faces))
    return np.asarray(weights / weights.sum())


def _geometry(tracks: Sequence[Track]) -> tuple[FloatArray, FloatArray]:
    """Places (N, 2 or 3) and sizes (N,), in metres if every track has a position, else in px."""
    positions = [track.position for track in tracks if track.position is not None]
    if len(positions) == len(tracks) and all(position.z > 0 for position in positions):
        places = np.array([(position.x, position.y, position.z) for position in positions])
        # The area that a face of one size takes in the image falls with the square of its distance.
        return places, 1.0 / np.linalg.norm(places, axis=1) ** 2
    return np.array([track.box.center for track in tracks]), np.array([track.box.area for track in tracks])
