"""The weight of each person in the group.

Source: A. Dhall, R. Goecke, T. Gedeon, "Automatic Group Happiness Intensity Analysis", IEEE
Transactions on Affective Computing 6(1), 2015, weighted group expression model (GEM_w): a face
counts in proportion to its size relative to the group's mean, reduced by its distance from the
group's centroid. Here the distance is relative to the farthest person, and the weights are
normalized, so that the result is in the range of the single intensities.

With depth, distance replaces size: a child in front counts more than an adult behind, though the child's
face may be the smaller one in the image. Depth can be missing for single people, who are hidden, at the edge
of the image or in front of a window. Their distance is then estimated from the size of their face, using
people with known distance and size; missing depth does not affect the weights of others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from social_perception.core.types import FaceAffect, Track

NEAREST_M, FARTHEST_M = 0.01, 1000.0
"""Positions outside this range are ignored: they come from other programs."""

FloatArray = npt.NDArray[np.float64]
NpBools = npt.NDArray[np.bool_]


def person_weights(faces: Sequence[FaceAffect], size_exponent: float, center_weight: float) -> FloatArray:
    """Return the weights of N people, (N,), with sum 1 (empty for N = 0).

    Args:
        faces: the people. Where 3-D positions are known, distance replaces the size in the image.
        size_exponent: exponent of the relative size; 0: size has no effect.
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
    if weights.sum() <= 0:  # two people with center_weight 1 are equally far from the centroid
        weights = np.ones(len(faces))
    return np.asarray(weights / weights.sum())


def _geometry(tracks: Sequence[Track]) -> tuple[FloatArray, FloatArray]:
    """Return positions (N, 2 or 3) and sizes (N,), in meters if positions are known, else in px."""
    centers = np.array([track.box.center for track in tracks])
    areas = np.array([track.box.area for track in tracks])
    positions = np.array([_known_position(track) for track in tracks])
    known = ~np.isnan(positions[:, 2])
    if not known.any():
        return centers, areas
    places, rays = positions, _rays(centers, positions, known)
    if not known.all() and rays is None:
        distances = _completed(np.linalg.norm(positions, axis=1), areas)
        return centers, 1.0 / distances**2
    if rays is not None:
        depths = _completed(positions[:, 2], areas)
        places = np.where(known[:, None], positions, rays * depths[:, None])
    # The area that a face of one size takes in the image falls with the square of its distance.
    return places, 1.0 / np.linalg.norm(places, axis=1) ** 2


def _completed(distances: FloatArray, areas: FloatArray) -> FloatArray:
    """Replace unknown (NaN) distances (N,) by estimates from the areas of the faces."""
    # The width of a face in the image falls with its distance; people's faces differ little.
    widths = np.sqrt(areas)
    return np.where(np.isnan(distances), np.nanmedian(distances * widths) / widths, distances)


def _known_position(track: Track) -> tuple[float, float, float]:
    position = track.position
    if position is None or not NEAREST_M <= position.z <= FARTHEST_M:
        return (np.nan, np.nan, np.nan)
    # Implausible lateral positions would make sums overflow.
    if not abs(position.x) + abs(position.y) <= 10.0 * FARTHEST_M:
        return (np.nan, np.nan, np.nan)
    return position.x, position.y, position.z


def _rays(centers: FloatArray, positions: FloatArray, known: NpBools) -> FloatArray | None:
    """Return the position of each face's center at a depth of 1 m, (N, 3), from the known positions.

    The camera matrix is not known here, but two people with a pixel and a position determine it:
    x / z = scale * u + offset, and likewise for y with the same scale, by least squares. None for fewer.
    """
    pixels, middle = centers[known], centers[known].mean(axis=0)
    spread = np.square(pixels - middle).sum()
    if spread == 0.0:
        return None
    slopes = positions[known, :2] / positions[known, 2:]
    center = slopes.mean(axis=0)
    scale = ((pixels - middle) * (slopes - center)).sum() / spread
    return np.column_stack([center + scale * (centers - middle), np.ones(len(centers))])
