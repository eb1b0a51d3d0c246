"""Applies a detection to the tracks: confirms and corrects them, counts misses, and starts new tracks.

The detection may belong to an earlier frame. Everything is compared as of that frame and then propagated to
the newest one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from social_perception.core.config import TrackingConfig
from social_perception.core.types import Face, Scope
from social_perception.perception.tracking import occlusion
from social_perception.perception.tracking.appearance import (
    compute_descriptors,
    patches_from,
    row_similarities,
)
from social_perception.perception.tracking.association import KnownFaces, associate
from social_perception.perception.tracking.face import FaceTrack
from social_perception.perception.tracking.geometry import (
    MIN_VISIBLE,
    FloatArray,
    overlaps,
    to_box,
    to_rows,
    visible_fractions,
)
from social_perception.perception.tracking.history import History, SlotArray
from social_perception.perception.tracking.snapshot import Snapshot

SAME_FACE_SIMILARITY = 0.6
"""Minimum similarity to the last confirmed descriptor for which a box still shows its face."""

VELOCITY_FRAMES = 6


@dataclass(frozen=True, slots=True, eq=False)
class Lookback:
    """The L frames from that of a detection to the newest one.

    Attributes:
        history: the stored frames.
        slots: (L,) slots of the frames, at least one.
        clock_s: current tracker clock.
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
class DetectedFaces:
    """N detected faces: boxes (N, 4), descriptors (N, DESCRIPTOR_SIZE), scores (N,), and the scope of the
    search.
    """

    rows: FloatArray
    descriptors: FloatArray
    scores: FloatArray
    scope: Scope | None = None

    @classmethod
    def from_faces(
        cls, faces: Sequence[Face], snapshot: Snapshot, scope: Scope | None = None
    ) -> DetectedFaces:
        """Compute the descriptors of the faces in their frame; faces mostly outside the image are dropped."""
        rows = to_rows(face.box for face in faces)
        scores = np.array([face.confidence for face in faces], np.float64)
        inside = visible_fractions(rows, snapshot.width, snapshot.height) >= MIN_VISIBLE
        return cls(rows[inside], compute_descriptors(snapshot, rows[inside]), scores[inside], scope)

    def in_scope(self, row: FloatArray) -> bool:
        """Return whether a face at this box (4,) would have been detected."""
        if self.scope is None:
            return True
        return self.scope.holds(row[0], row[1], row[2]) and to_box(row) not in self.scope.skipped


def apply_detection(
    found: DetectedFaces, faces: Sequence[FaceTrack], back: Lookback, config: TrackingConfig
) -> list[FaceTrack]:
    """Apply a detection to the tracks; return the new tracks."""
    known = [face for face in faces if _existed_then(face, back, config.max_lost_s)]
    candidates = _to_known_faces(known, back)
    owners = {j: i for i, j in associate(candidates, found.rows, found.descriptors, config.min_iou)}
    overlap = overlaps(candidates.rows, found.rows)
    sure = candidates.visible[:, None] & ~(candidates.doubtful[:, None] & (overlap < config.min_iou))
    # A face that was tracked then and lost since stays lost: the loss is more recent.
    tracked = {j: known[i] for j, i in owners.items() if sure[i, j]}
    confirmed = {j: face for j, face in tracked.items() if face.visible}
    _confirm(confirmed, found, back)
    present = [face for face in known if face.visible and face.seen[back.slot]]
    _check(present, confirmed, found, back)
    searched = [j for j in range(len(found.rows)) if j not in tracked]
    return _propagate_new(searched, {j: known[i] for j, i in owners.items()}, found, faces, back)


def _existed_then(face: FaceTrack, back: Lookback, max_lost_s: float) -> bool:
    return not np.isnan(face.path[back.slot, 0]) and face.lost_s(back.clock_then_s) <= max_lost_s


def _to_known_faces(faces: Sequence[FaceTrack], back: Lookback) -> KnownFaces:
    rows = np.array([face.path[back.slot] for face in faces]).reshape(-1, 4)
    current_descriptors = compute_descriptors(back.then, rows)
    descriptors = np.array([face.descriptor for face in faces]).reshape(current_descriptors.shape)
    visible = np.array([face.seen[back.slot] for face in faces], np.bool_)
    doubtful = visible & (row_similarities(descriptors, current_descriptors) < SAME_FACE_SIMILARITY)
    reach = np.array([face.search_radius_px(back.clock_then_s) for face in faces])
    return KnownFaces(rows, descriptors, visible, doubtful, reach)


def _confirm(owners: dict[int, FaceTrack], found: DetectedFaces, back: Lookback) -> None:
    """Correct the faces that were tracked then and still are, by index of their detection."""
    if not owners:
        return
    for j, face in owners.items():
        face.confirm(found.rows[j], float(found.scores[j]), back.slots)
        face.found_at_s = back.clock_then_s
    rows = np.stack([face.path[back.slot] for face in owners.values()])
    descriptors, overlapped = compute_descriptors(back.then, rows), occlusion.overlapped(rows)
    for face, descriptor, covered in zip(owners.values(), descriptors, overlapped):
        face.update_descriptor(descriptor, covered=bool(covered))


def _check(
    faces: Sequence[FaceTrack], confirmed: dict[int, FaceTrack], found: DetectedFaces, back: Lookback
) -> None:
    """Count misses; mark faces as lost if the appearance in their boxes has changed."""
    if not faces:
        return
    shown = compute_descriptors(back.history.newest, np.stack([face.row for face in faces]))
    similarity = (
        row_similarities(np.stack([face.descriptor for face in faces]), shown) >= SAME_FACE_SIMILARITY
    )
    found_faces = {id(face) for face in confirmed.values()}
    for face, similar in zip(faces, similarity):
        if id(face) not in found_faces and found.in_scope(face.path[back.slot]):
            face.mark_missed(back.clock_s, similar=bool(similar))
        elif id(face) in found_faces and not similar and back.lag_s > 0.0:
            face.mark_lost(back.clock_s)


def _propagate_new(
    searched: Sequence[int],
    owners: dict[int, FaceTrack],
    found: DetectedFaces,
    faces: Sequence[FaceTrack],
    back: Lookback,
) -> list[FaceTrack]:
    """Propagate new and reacquired faces to the newest frame; return the new tracks."""
    for j in searched:
        if j in owners and owners[j].visible and owners[j].seen[back.slot]:
            owners[j].mark_lost(back.clock_s)
    if not searched:
        return []
    visible = [face for face in faces if face.visible]
    others = np.array([np.where(face.seen, face.path.T, np.nan).T[back.slots] for face in visible])
    others = others.reshape(-1, len(back.slots), 4).swapaxes(0, 1)
    paths, arrived = back.history.propagate(found.rows[searched], back.slots, others)
    arrived &= (
        row_similarities(found.descriptors[searched], compute_descriptors(back.history.newest, paths[-1]))
        >= SAME_FACE_SIMILARITY
    )
    new: list[FaceTrack] = []
    for path, has_arrived, j in zip(paths.swapaxes(0, 1), arrived, searched):
        owner = owners.get(j)
        if (
            not has_arrived
            or occlusion.is_occupied(path[-1], visible)
            or (owner is not None and owner.visible)
        ):
            continue
        descriptor, score = found.descriptors[j], float(found.scores[j])
        if owner is None:
            owner = FaceTrack(path[-1], descriptor, patches_from(descriptor[None])[0], score)
            new.append(owner)
        else:
            owner.reacquire(descriptor, score)
        owner.set_path(path, back.slots, _velocity(path, back))
        owner.found_at_s = back.clock_then_s
        visible.append(owner)
    return new


def _velocity(path: FloatArray, back: Lookback) -> FloatArray:
    """Return the mean velocity in px/s over the last boxes of a path; 0 if the path is too short."""
    first = max(0, len(path) - VELOCITY_FRAMES)
    elapsed_s = back.clock_s - back.history.clock_s(int(back.slots[first]))
    return (path[-1, :2] - path[first, :2]) / elapsed_s if elapsed_s > 0.0 else np.zeros(2)
