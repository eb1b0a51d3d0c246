"""Appearance descriptors of faces, compared by dot product.

A descriptor combines the color histograms of the head (skin, hair and headgear) and of the shoulders below
it, and a tiny gray patch of the face. Colors are invariant to head pose and expression; the patch
distinguishes faces from walls of the same color. Descriptors distinguish people seen within seconds; they
cannot recognize anybody.
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
DESCRIPTOR_SIZE = 2 * COLOR_SIZE + PATCH_SIDE**2


def _sample_grid(columns: int, rows: int, width: float, height: float, below: float = 0.0) -> FloatArray:
    """Return points (columns * rows, 2) on a rectangle, in units of a box's sides from its center."""
    x = ((np.arange(columns) + 0.5) / columns - 0.5) * width
    y = ((np.arange(rows) + 0.5) / rows - 0.5) * height + below
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


_PATCH_POINTS = _sample_grid(PATCH_SIDE, PATCH_SIDE, 1.0, 1.0)
_HEAD_POINTS = _sample_grid(14, 16, 1.3, 1.6, below=-0.1)
_SHOULDER_POINTS = _sample_grid(16, 6, 1.6, 0.6, below=0.85)


def compute_patches(snapshot: Snapshot, rows: FloatArray) -> FloatArray:
    """Return tiny gray patches of M boxes, (M, 144), each of mean 0 and norm 1 (0 if it is constant)."""
    if len(rows) == 0:
        return np.empty((0, PATCH_SIDE**2))
    values = _sample(snapshot, snapshot.gray, rows, _PATCH_POINTS).astype(np.float64)
    values -= values.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.maximum(norms, 1.0)


def patch_agreement(patches: FloatArray, others: FloatArray) -> FloatArray:
    """Return the normalized cross-correlation, (M,) in [-1, 1], of M patches with M others."""
    return np.einsum("ij,ij->i", patches, others)


def compute_descriptors(snapshot: Snapshot, rows: FloatArray) -> FloatArray:
    """Return the descriptors (M, DESCRIPTOR_SIZE) of M boxes; their dot product is the similarity."""
    if len(rows) == 0:
        return np.empty((0, DESCRIPTOR_SIZE))
    head = _colors(_sample(snapshot, snapshot.color, rows, _HEAD_POINTS))
    shoulders = _colors(_sample(snapshot, snapshot.color, rows, _SHOULDER_POINTS))
    patch = compute_patches(snapshot, rows)
    parts = [(HEAD_WEIGHT, head), (SHOULDERS_WEIGHT, shoulders), (PATCH_WEIGHT, patch)]
    return np.concatenate([np.sqrt(weight) * part for weight, part in parts], axis=1)


def patches_from(descriptors: FloatArray) -> FloatArray:
    """Return the gray patches (M, 144), of norm 1, within descriptors."""
    patches = descriptors[:, -(PATCH_SIDE**2) :]
    return patches / np.maximum(np.linalg.norm(patches, axis=1, keepdims=True), 1e-9)


def similarities(descriptors: FloatArray, others: FloatArray) -> FloatArray:
    """Return the similarity of M descriptors and N others: (M, N), 1 for equal ones, at least -PATCH_WEIGHT.

    Histograms are compared by the Bhattacharyya coefficient, patches by cross-correlation.
    """
    return descriptors @ others.T


def row_similarities(descriptors: FloatArray, others: FloatArray) -> FloatArray:
    """Return the similarity of M descriptors and M others, pair by pair: (M,)."""
    return np.einsum("ij,ij->i", descriptors, others)


def blend(descriptor: FloatArray, newer: FloatArray, share: float) -> FloatArray:
    """Return a descriptor (DESCRIPTOR_SIZE,) blended with a newer one; each part keeps its norm."""
    mixed = (1.0 - share) * descriptor + share * newer
    return mixed / max(float(np.linalg.norm(mixed)), 1e-9)


def _sample(
    snapshot: Snapshot, image: npt.NDArray[np.uint8], rows: FloatArray, lattice: FloatArray
) -> npt.NDArray[np.float32]:
    return snapshot.sample(image, rows[:, None, :2] + lattice * rows[:, None, 2:])


def _colors(samples: npt.NDArray[np.float32]) -> FloatArray:
    """Return square roots, (M, COLOR_SIZE), of luma and chroma histograms; their norm is 1."""
    ycrcb = cv2.cvtColor(samples.astype(np.uint8), cv2.COLOR_RGB2YCrCb).astype(np.int64)
    luma = ycrcb[:, :, 0] * LUMA_BINS // 256
    # The chroma of real scenes is within the middle half of its range.
    chroma = np.clip((ycrcb[:, :, 1:] - 64) * CHROMA_BINS // 128, 0, CHROMA_BINS - 1)
    joint = LUMA_BINS + chroma[:, :, 0] * CHROMA_BINS + chroma[:, :, 1]
    faces = np.arange(len(samples))[:, None] * COLOR_SIZE
    bins = np.concatenate([faces + luma, faces + joint], axis=1).ravel()
    counts = np.bincount(bins, minlength=len(samples) * COLOR_SIZE).reshape(len(samples), COLOR_SIZE)
    return np.sqrt(counts / (2.0 * samples.shape[1]))
