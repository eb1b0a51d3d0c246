"""Takes a detection in: confirms and corrects known faces, notes the missed, welcomes the new.

The detection may be of an earlier frame. Everything is compared as it was in that frame, and then
brought to the newest one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from social_perception.core.config import TrackingConfig
from social_perception.core.types import Face, Scope
from social_perception.perception.tracking import contact
from social_perception.perception.tracking.appearance import looks_of, patches_in, row_similarities
from social_perception.perception.tracking.association import KnownFaces, associate
from social_perception.perception.tracking.face import FollowedFace
from social_perception.perception.tracking.geometry import (
    MIN_VISIBLE,
    FloatArray,
    overlaps,
    to_rows,
    visible_fractions,
)
from social_perception.perception.tracking.history import History, SlotArray
from social_perception.perception.tracking.snapshot import Snapshot

SAME_LOOK = 0.6
"""Similarity to its last confirmed look under which a box shows something else than its face."""

VELOCITY_FRAMES = 6


@dataclass(frozen=True, slots=True, eq=False)
class Lookback:
    """The L frames from a detection's own to the newest one.

    Attributes:
        history: where they are kept.
        slots: (L,) their slots, at least one.
        clock_s: the tracker's clock now.
    """

    history: History
    slots: SlotArray
    clock_s: float

    @property
    def slot(self) -> int:
        return int(self.slots[0])

    @property
    def then(self) -> Snapshot:
        return self.history.snapshot(self.slot)

    @property
    def clock_then_s(self) -> float:
        return self.history.clock_s(self.slot)

    @property
    def lag_s(self) -> float:
        return self.clock_s - self.clock_then_s


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """N faces found by a detector: boxes (N, 4), looks (N, LOOK_SIZE), scores (N,); and what was sought."""

    rows: FloatArray
    looks: FloatArray
    scores: FloatArray
    scope: Scope | None = None

    @classmethod
    def of(cls, faces: Sequence[Face], snapshot: Snapshot, scope: Scope | None = None) -> Found:
        """Look at the found faces in their frame; those mostly outside the picture are left out."""
        rows = to_rows(face.box for face in faces)
        scores = np.array([face.confidence for face in faces], np.float64)
        inside = visible_fractions(rows, snapshot.width, snapshot.height) >= MIN_VISIBLE
        return cls(rows[inside], looks_of(snapshot, rows[inside]), scores[inside], scope)

    def was_sought(self, row: FloatArray) -> bool:
        """Tell whether a face at this box (4,) would have been found."""
        return self.scope is None or self.scope.holds(row[0], row[1], row[2])


def take_in(
    found: Found, faces: Sequence[FollowedFace], back: Lookback, config: TrackingConfig
) -> list[FollowedFace]:
    """Bring the faces up to date with a detection; return the new ones."""
    known = [face for face in faces if _was_known(face, back, config.max_lost_s)]
    lookout = _as_known(known, back)
    owners = {j: i for i, j in associate(lookout, found.rows, found.looks, config.min_iou)}
    overlap = overlaps(lookout.rows, found.rows)
    sure = lookout.visible[:, None] & ~(lookout.doubtful[:, None] & (overlap < config.min_iou))
    # A face that was followed then and lost since stays lost: its loss is the newer news.
    followed = {j: known[i] for j, i in owners.items() if sure[i, j]}
    confirmed = {j: face for j, face in followed.items() if face.visible}
    _confirm(confirmed, found, back)
    present = [face for face in known if face.visible and face.seen[back.slot]]
    _check(present, confirmed, found, back)
    searched = [j for j in range(len(found.rows)) if j not in followed]
    return _carry(searched, {j: known[i] for j, i in owners.items()}, found, faces, back)


def _was_known(face: FollowedFace, back: Lookback, max_lost_s: float) -> bool:
    return not np.isnan(face.path[back.slot, 0]) and face.lost_s(back.clock_then_s) <= max_lost_s


def _as_known(faces: Sequence[FollowedFace], back: Lookback) -> KnownFaces:
    rows = np.array([face.path[back.slot] for face in faces]).reshape(-1, 4)
    seen_looks = looks_of(back.then, rows)
    looks = np.array([face.look for face in faces]).reshape(seen_looks.shape)
    visible = np.array([face.seen[back.slot] for face in faces], np.bool_)
    doubtful = visible & (row_similarities(looks, seen_looks) < SAME_LOOK)
    reach = np.array([face.reach_px(back.clock_then_s) for face in faces])
    return KnownFaces(rows, looks, visible, doubtful, reach)


def _confirm(owners: dict[int, FollowedFace], found: Found, back: Lookback) -> None:
    """Correct the faces that were followed then and are now, by index of what was found."""
    if not owners:
        return
    for j, face in owners.items():
        face.confirm(found.rows[j], float(found.scores[j]), back.slots)
    rows = np.stack([face.path[back.slot] for face in owners.values()])
    looks, touched = looks_of(back.then, rows), contact.touched(rows)
    for face, look, covered in zip(owners.values(), looks, touched):
        face.learn_look(look, covered=bool(covered))


def _check(
    faces: Sequence[FollowedFace], confirmed: dict[int, FollowedFace], found: Found, back: Lookback
) -> None:
    """Note who was missed; lose those whose boxes show something else by now."""
    if not faces:
        return
    shown = looks_of(back.history.newest, np.stack([face.row for face in faces]))
    alike = row_similarities(np.stack([face.look for face in faces]), shown) >= SAME_LOOK
    found_faces = {id(face) for face in confirmed.values()}
    for face, still_alike in zip(faces, alike):
        if id(face) not in found_faces and found.was_sought(face.path[back.slot]):
            face.miss(back.clock_s, still_alike=bool(still_alike))
        elif id(face) in found_faces and not still_alike and back.lag_s > 0.0:
            face.lose(back.clock_s)


def _carry(
    searched: Sequence[int],
    owners: dict[int, FollowedFace],
    found: Found,
    faces: Sequence[FollowedFace],
    back: Lookback,
) -> list[FollowedFace]:
    """Bring faces that are new, or found again, to the newest frame; return the new ones."""
    for j in searched:
        if j in owners and owners[j].visible and owners[j].seen[back.slot]:
            owners[j].lose(back.clock_s)
    if not searched:
        return []
    visible = [face for face in faces if face.visible]
    others = np.array([np.where(face.seen, face.path.T, np.nan).T[back.slots] for face in visible])
    others = others.reshape(-1, len(back.slots), 4).swapaxes(0, 1)
    paths, arrived = back.history.carry(found.rows[searched], back.slots, others)
    arrived &= row_similarities(found.looks[searched], looks_of(back.history.newest, paths[-1])) >= SAME_LOOK
    new: list[FollowedFace] = []
    for path, has_arrived, j in zip(paths.swapaxes(0, 1), arrived, searched):
        owner = owners.get(j)
        if not has_arrived or contact.is_taken(path[-1], visible) or (owner is not None and owner.visible):
            continue
        look, score = found.looks[j], float(found.scores[j])
        if owner is None:
            owner = FollowedFace(path[-1], look, patches_in(look[None])[0], score)
            new.append(owner)
        else:
            owner.find_again(look, score)
        owner.take_path(path, back.slots, _velocity(path, back))
        visible.append(owner)
    return new


def _velocity(path: FloatArray, back: Lookback) -> FloatArray:
    """The mean velocity in px/s over the last few boxes of a path; 0 if that is too short."""
    first = max(0, len(path) - VELOCITY_FRAMES)
    elapsed_s = back.clock_s - back.history.clock_s(int(back.slots[first]))
    return (path[-1, :2] - path[first, :2]) / elapsed_s if elapsed_s > 0.0 else np.zeros(2)
