"""What a face looks like, in a few numbers that can be compared by a dot product.

A look joins the colours of the head (skin, hair and what is worn on it), those of the shoulders
under it, and a tiny gray picture of the face. Colours survive a turned head and another expression;
the picture tells faces from walls of the same colour. Looks tell apart people seen seconds ago; they
recognise nobody.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from social_perception.perception.tracking.geometry import FloatArray
from social_perception.perception.tracking.snapshot import Snapshot

HEAD_WEIGHT = 0.65
SHOULDERS_WEIGHT = 0.15
PATCH_WEIGHT = 0.2

PATCH_SIDE = 12
LUMA_BINS = 16
CHROMA_BINS = 16
COLOR_SIZE = LUMA_BINS + CHROMA_BINS**2
LOOK_SIZE = 2 * COLOR_SIZE + PATCH_SIDE**2


def _lattice(columns: int, rows: int, width: float, height: float, below: float = 0.0) -> FloatArray:
    """Points (columns * rows, 2) on a rectangle, in units of a box's sides from its centre."""
    x = ((np.arange(columns) + 0.5) / columns - 0.5) * width
    y = ((np.arange(rows) + 0.5) / rows - 0.5) * height + below
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


_PATCH_POINTS = _lattice(PATCH_SIDE, PATCH_SIDE, 1.0, 1.0)
_HEAD_POINTS = _lattice(14, 16, 1.3, 1.6, below=-0.1)
_SHOULDER_POINTS = _lattice(16, 6, 1.6, 0.6, below=0.85)


def patches_of(snapshot: Snapshot, rows: FloatArray) -> FloatArray:
    """Return tiny gray pictures of M boxes, (M, 144), each of mean 0 and norm 1 (0 if it is flat)."""
    if len(rows) == 0:
        return np.empty((0, PATCH_SIDE**2))
    values = _read(snapshot, snapshot.gray, rows, _PATCH_POINTS).astype(np.float64)
    values -= values.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.maximum(norms, 1.0)


def patch_agreement(patches: FloatArray, others: FloatArray) -> FloatArray:
    """Return the normalised cross-correlation, (M,) in [-1, 1], of M pictures with M others."""
    return np.einsum("ij,ij->i", patches, others)


def looks_of(snapshot: Snapshot, rows: FloatArray) -> FloatArray:
    """Return the looks, (M, LOOK_SIZE), of M boxes; the dot product of two is their similarity."""
    if len(rows) == 0:
        return np.empty((0, LOOK_SIZE))
    head = _colors(_read(snapshot, snapshot.color, rows, _HEAD_POINTS))
    shoulders = _colors(_read(snapshot, snapshot.color, rows, _SHOULDER_POINTS))
    picture = patches_of(snapshot, rows)
    parts = [(HEAD_WEIGHT, head), (SHOULDERS_WEIGHT, shoulders), (PATCH_WEIGHT, picture)]
    return np.concatenate([np.sqrt(weight) * part for weight, part in parts], axis=1)


def patches_in(looks: FloatArray) -> FloatArray:
    """Return the tiny gray pictures, (M, 144), of norm 1, that looks contain."""
    pictures = looks[:, -(PATCH_SIDE**2) :]
    return pictures / np.maximum(np.linalg.norm(pictures, axis=1, keepdims=True), 1e-9)


def similarities(looks: FloatArray, others: FloatArray) -> FloatArray:
    """Return how alike M looks and N others are: (M, N), 1 for equal ones, at least -PATCH_WEIGHT.

    Histograms are compared by Bhattacharyya's coefficient, pictures by cross-correlation.
    """
    return looks @ others.T


def row_similarities(looks: FloatArray, others: FloatArray) -> FloatArray:
    """Return how alike M looks and M others are, pair by pair: (M,)."""
    return np.einsum("ij,ij->i", looks, others)


def blended(look: FloatArray, newer: FloatArray, share: float) -> FloatArray:
    """Return a look (LOOK_SIZE,) moved towards a newer one; each part keeps its norm."""
    mixed = (1.0 - share) * look + share * newer
    return mixed / max(float(np.linalg.norm(mixed)), 1e-9)


def _read(
    snapshot: Snapshot, image: npt.NDArray[np.uint8], rows: FloatArray, lattice: FloatArray
) -> npt.NDArray[np.float32]:
    return snapshot.sample(image, rows[:, None, :2] + lattice * rows[:, None, 2:])


def _colors(samples: npt.NDArray[np.float32]) -> FloatArray:
    """Return square roots, (M, COLOR_SIZE), of luma and chroma histograms; their norm is 1."""
    ycrcb = cv2.cvtColor(samples.astype(np.uint8), cv2.COLOR_RGB2YCrCb).astype(np.int64)
    luma = ycrcb[:, :, 0] * LUMA_BINS // 256
    # Chroma of real scenes keeps to the middle half of its range.
    chroma = np.clip((ycrcb[:, :, 1:] - 64) * CHROMA_BINS // 128, 0, CHROMA_BINS - 1)
    joint = LUMA_BINS + chroma[:, :, 0] * CHROMA_BINS + chroma[:, :, 1]
    faces = np.arange(len(samples))[:, None] * COLOR_SIZE
    places = np.concatenate([faces + luma, faces + joint], axis=1).ravel()
    counts = np.bincount(places, minlength=len(samples) * COLOR_SIZE).reshape(len(samples), COLOR_SIZE)
    return np.sqrt(counts / (2.0 * samples.shape[1]))
