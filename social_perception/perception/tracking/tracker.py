"""Tracks faces through the frames between detections, and assigns one id per person.

In every frame, known faces are tracked by optical flow (flow.py). Detections, of this or an earlier frame,
are matched with the faces as of that frame (association.py) and correct them; new faces are propagated to
the current frame. No clock is read: times are the frames' stamps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from social_perception.core.config import TrackingConfig
from social_perception.core.types import Face, Frame, KnownBoxes, Scope, Track
from social_perception.perception.tracking import occlusion
from social_perception.perception.tracking.appearance import compute_descriptors, row_similarities
from social_perception.perception.tracking.correction import (
    SAME_FACE_SIMILARITY,
    DetectedFaces,
    Lookback,
    apply_detection,
)
from social_perception.perception.tracking.face import FaceTrack
from social_perception.perception.tracking.flow import track_boxes, unshared_points
from social_perception.perception.tracking.geometry import MIN_VISIBLE, to_box, visible_fractions
from social_perception.perception.tracking.history import History
from social_perception.perception.tracking.ids import RandomIds
from social_perception.perception.tracking.snapshot import Snapshot

NOMINAL_STEP_S = 1.0 / 30.0
"""Assumed time between two frames whose stamps do not increase."""

MIN_STEP_S, MAX_STEP_S = 1e-6, 3600.0
"""Limits of the time between two frames, whatever their stamps: velocities stay finite, and after a stamp
far in the future the tracker clock keeps its resolution.
"""

MAX_LOST_FACES = 64

ESTABLISHED_HITS = 3
"""Detections after which a face is no longer new."""

MAX_CONFIRMED = 4
"""Tracked faces that are confirmed in one search, besides urgent ones: what a search costs is limited."""


class Tracker:
    """Tracks all faces of a video.

    Call :meth:`advance` with every frame and :meth:`correct` with each detection, whenever it is
    ready; then :meth:`tracks` lists the faces of the newest frame. Not thread-safe.
    """

    def __init__(self, config: TrackingConfig, new_id: Callable[[], str] | None = None) -> None:
        self.config = config
        self._new_id = new_id or RandomIds(prefix=config.id_prefix)
        self.reset()

    def reset(self) -> None:
        """Drop all faces and frames; used ids are not reused."""
        self._faces: list[FaceTrack] = []
        self._history = History()
        self._last: Snapshot | None = None
        self._stamp_s: float | None = None
        # Increases with the stamps, strictly, even if they do not.
        self._clock_s = 0.0
        self._lag_s = 0.0

    def tracks(self) -> tuple[Track, ...]:
        """Return the faces of the newest frame, in the order of their first detection.

        A face just lost is returned as not visible for ``coast_s``, while its predicted box is in the
        image.
        """
        return tuple(face.to_track() for face in self._faces if self._is_published(face))

    def known(self) -> KnownBoxes:
        """Return the boxes of all tracked faces in the newest frame, also of those without an id.

        Due for confirmation are new faces, those that a detection missed, and of the others the
        ``MAX_CONFIRMED`` whose last detection is oldest.
        """
        hits = max(ESTABLISHED_HITS, self.config.confirm_detections)
        faces = self._visible()
        established = {id(face): face.hits >= hits and not face.misses for face in faces}
        faces.sort(key=lambda face: (established[id(face)], face.found_at_s))
        urgent = len(faces) - sum(established.values())
        return KnownBoxes(tuple(to_box(face.row) for face in faces), urgent + MAX_CONFIRMED)

    def advance(self, frame: Frame) -> None:
        """Track all known faces into the next frame."""
        snapshot = Snapshot.of(frame.image)
        step_s = self._step_to(frame.stamp_s)
        self._clock_s += step_s
        if self._last is not None and not snapshot.same_size(self._last):
            self._resize(self._last, snapshot)
        for face in self._lost():
            face.coast(step_s)
        if self._last is not None and snapshot.is_scene_change(self._last):
            for face in self._faces:
                face.detach(self._clock_s)
        elif self._last is not None and snapshot.same_size(self._last):
            self._track(self._last, snapshot, step_s)
        occlusion.resolve(self._visible(), snapshot, self._clock_s)
        self._drop_lost()
        self._remember(frame.index, snapshot)

    def correct(self, frame_index: int, faces: Sequence[Face], scope: Scope | None = None) -> None:
        """Apply the detection of this or an earlier frame.

        A frame that is unknown or no longer stored is ignored.

        Args:
            frame_index: the frame that was searched.
            faces: the detected faces.
            scope: the faces that were searched for; only these can be missed. None: all.
        """
        slots = self._history.slots_since(frame_index)
        if len(slots) == 0:
            return
        back = Lookback(self._history, slots, self._clock_s)
        self._lag_s = back.lag_s
        self._faces += apply_detection(
            DetectedFaces.from_faces(faces, back.then, scope), self._faces, back, self.config
        )
        occlusion.resolve(self._visible(), self._history.newest, self._clock_s)
        self._assign_ids()
        self._drop_lost()
        for face in self._faces:
            face.record(int(slots[-1]))

    def forget_before(self, frame_index: int) -> None:
        """Release the frames before this one: no detection of them is pending."""
        self._history.drop_before(frame_index)

    def _assign_ids(self) -> None:
        for face in self._faces:
            if not face.id and face.hits >= self.config.confirm_detections:
                face.id = self._new_id()

    def _track(self, before: Snapshot, after: Snapshot, step_s: float) -> None:
        faces = self._visible()
        if not faces:
            return
        rows = np.stack([face.row for face in faces])
        motion = track_boxes(before, after, rows, unshared_points(rows, rows))
        inside = visible_fractions(motion.rows, after.width, after.height) >= MIN_VISIBLE
        tracked = motion.tracked & inside
        for i, face in enumerate(faces):
            if tracked[i]:
                face.update_by_flow(motion.rows[i], float(motion.quality[i]), step_s)
            else:
                face.mark_lost(self._clock_s - step_s)
                face.coast(step_s)

    def _resize(self, before: Snapshot, after: Snapshot) -> None:
        """Scale the boxes to an image of another size; faces that are no longer there are marked as lost."""
        ratio = np.array([after.width / before.width, after.height / before.height])
        for face in self._faces:
            face.row = face.row * np.tile(ratio, 2)
            face.clear_path()
        visible = self._visible()
        if not visible:
            return
        descriptors = compute_descriptors(after, np.stack([face.row for face in visible]))
        similarity = (
            row_similarities(np.stack([face.descriptor for face in visible]), descriptors)
            >= SAME_FACE_SIMILARITY
        )
        for face, similar in zip(visible, similarity):
            if not similar:
                face.mark_lost(self._clock_s)

    def _drop_lost(self) -> None:
        """Drop faces lost for too long, and those lost before they had an id."""
        kept = [face for face in self._faces if face.visible or self._may_reappear(face)]
        lost = sorted((face for face in kept if not face.visible), key=lambda face: -face.lost_at_s)
        surplus = {id(face) for face in lost[MAX_LOST_FACES:]}
        self._faces = [face for face in kept if id(face) not in surplus]

    def _may_reappear(self, face: FaceTrack) -> bool:
        # A pending detection may belong to a frame in which there was still time.
        return bool(face.id) and face.lost_s(self._clock_s) <= self.config.max_lost_s + self._lag_s

    def _remember(self, frame_index: int, snapshot: Snapshot) -> None:
        if frame_index <= self._history.newest_index:
            for face in self._faces:
                face.clear_path()
        slot = self._history.add(frame_index, snapshot, self._clock_s)
        for face in self._faces:
            face.record(slot)
        self._last = snapshot

    def _step_to(self, stamp_s: float) -> float:
        before, self._stamp_s = self._stamp_s, stamp_s
        if before is None or not stamp_s > before:
            return NOMINAL_STEP_S
        return min(max(stamp_s - before, MIN_STEP_S), MAX_STEP_S)

    def _visible(self) -> list[FaceTrack]:
        return [face for face in self._faces if face.visible]

    def _lost(self) -> list[FaceTrack]:
        return [face for face in self._faces if not face.visible]

    def _is_published(self, face: FaceTrack) -> bool:
        if not face.id or self._last is None:
            return False
        if face.visible or not face.position_valid:
            return face.visible
        in_image = visible_fractions(face.row[None], self._last.width, self._last.height)[0] > 0.0
        return bool(in_image) and face.lost_s(self._clock_s) <= self.config.coast_s
