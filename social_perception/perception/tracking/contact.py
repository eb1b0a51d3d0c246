"""What happens where followed boxes meet: one goes behind the other, or both sit on one face."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from social_perception.perception.tracking.appearance import patch_agreement, patches_of
from social_perception.perception.tracking.face import FollowedFace
from social_perception.perception.tracking.geometry import BoolArray, FloatArray, coverages, hidden_shares
from social_perception.perception.tracking.snapshot import Snapshot

TOUCHING = 0.05
"""Share of a box in another's head from which what it shows may not be its own."""

HALF_HIDDEN = 0.25
ONE_PLACE = 0.65
"""Shared area over the smaller box's, from which two boxes cannot be two visible faces."""

HIDDEN_AGREEMENT = 0.6
CLEAR_DIFFERENCE = 0.1


def touched(rows: FloatArray) -> BoolArray:
    """Mark, (M,), the boxes that another head may cover in part."""
    return hidden_shares(rows).max(axis=1, initial=0.0) > TOUCHING


def is_taken(row: FloatArray, faces: Sequence[FollowedFace]) -> bool:
    """Tell whether a followed face sits at this box (4,) already."""
    if not faces:
        return False
    return bool(coverages(row[None], np.stack([face.row for face in faces])).max() > ONE_PLACE)


def settle(faces: Sequence[FollowedFace], snapshot: Snapshot, clock_s: float) -> None:
    """Lose the hidden one of every two followed faces that cover each other in this snapshot.

    The face in front still looks like its own picture from before, the one behind does not. When
    both do, the box is a second one on the same face, and the younger one goes. Faces are given in
    the order in which they were found.
    """
    if not faces:
        return
    rows = np.stack([face.row for face in faces])
    shown = patches_of(snapshot, rows)
    for face, picture, covered in zip(faces, shown, touched(rows)):
        face.note_contact(picture, covered=bool(covered))
    hidden = hidden_shares(rows)
    hidden = np.maximum(hidden, hidden.T)
    first, second = np.nonzero(np.triu(hidden > HALF_HIDDEN, 1))
    if len(first) == 0:
        return
    agreement = patch_agreement(np.stack([face.picture for face in faces]), shown)
    shared = coverages(rows, rows)
    for i, j in sorted(zip(first.tolist(), second.tolist()), key=lambda pair: -hidden[pair]):
        if faces[i].visible and faces[j].visible:
            back, front = (i, j) if _is_behind(faces, agreement, i, j) else (j, i)
            is_hidden = agreement[back] < min(HIDDEN_AGREEMENT, agreement[front] - CLEAR_DIFFERENCE)
            if is_hidden or shared[i, j] > ONE_PLACE:
                faces[back].lose(clock_s)


def _is_behind(faces: Sequence[FollowedFace], agreement: FloatArray, i: int, j: int) -> bool:
    if abs(agreement[i] - agreement[j]) > CLEAR_DIFFERENCE:
        return bool(agreement[i] < agreement[j])
    return faces[i].hits < faces[j].hits or (faces[i].hits == faces[j].hits and i > j)
