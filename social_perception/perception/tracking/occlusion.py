"""Resolves overlapping tracks: occlusions, and two tracks on the same face."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from social_perception.perception.tracking.appearance import compute_patches, patch_agreement
from social_perception.perception.tracking.face import FaceTrack
from social_perception.perception.tracking.geometry import BoolArray, FloatArray, coverages, hidden_shares
from social_perception.perception.tracking.snapshot import Snapshot

MIN_COVERED = 0.05
"""Minimum share of a box inside another head for which its content may belong to the other face."""

HALF_HIDDEN = 0.25
SAME_POSITION = 0.65
"""Intersection over the smaller box from which two boxes cannot be two visible faces."""

HIDDEN_AGREEMENT = 0.6
CLEAR_DIFFERENCE = 0.1


def overlapped(rows: FloatArray) -> BoolArray:
    """Return which boxes (M,) another head may partly cover."""
    return hidden_shares(rows).max(axis=1, initial=0.0) > MIN_COVERED


def is_occupied(row: FloatArray, faces: Sequence[FaceTrack]) -> bool:
    """Return whether a track already exists at this box (4,)."""
    if not faces:
        return False
    return bool(coverages(row[None], np.stack([face.row for face in faces])).max() > SAME_POSITION)


def resolve(faces: Sequence[FaceTrack], snapshot: Snapshot, clock_s: float) -> None:
    """Mark the occluded one of every two overlapping tracks as lost.

    The content of the front track still matches its stored patch, that of the occluded one does not. If both
    match, they are two tracks on the same face, and the newer one is marked as lost. Tracks are in the order
    of their creation.
    """
    if not faces:
        return
    rows = np.stack([face.row for face in faces])
    shown = compute_patches(snapshot, rows)
    for face, patch, covered in zip(faces, shown, overlapped(rows)):
        face.update_overlap(patch, covered=bool(covered))
    hidden = hidden_shares(rows)
    hidden = np.maximum(hidden, hidden.T)
    first, second = np.nonzero(np.triu(hidden > HALF_HIDDEN, 1))
    if len(first) == 0:
        return
    agreement = patch_agreement(np.stack([face.patch for face in faces]), shown)
    shared = coverages(rows, rows)
    for i, j in sorted(zip(first.tolist(), second.tolist()), key=lambda pair: -hidden[pair]):
        if faces[i].visible and faces[j].visible:
            back, front = (i, j) if _is_behind(faces, agreement, i, j) else (j, i)
            is_hidden = agreement[back] < min(HIDDEN_AGREEMENT, agreement[front] - CLEAR_DIFFERENCE)
            if is_hidden or shared[i, j] > SAME_POSITION:
                faces[back].mark_lost(clock_s)


def _is_behind(faces: Sequence[FaceTrack], agreement: FloatArray, i: int, j: int) -> bool:
    if abs(agreement[i] - agreement[j]) > CLEAR_DIFFERENCE:
        return bool(agreement[i] < agreement[j])
    return faces[i].hits < faces[j].hits or (faces[i].hits == faces[j].hits and i > j)
