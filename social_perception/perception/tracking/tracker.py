"""Follows faces through the frames between detections, and gives each person one id.

In every frame the known faces are followed by optical flow (flow.py). Detections, of this frame or
of an earlier one, are matched with the faces as they were in that frame (association.py) and correct
them; what they find new is carried to the present frame. Nothing here reads a clock: times are the
frames' stamps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from social_perception.core.config import TrackingConfig
from social_perception.core.types import Face, Frame, Scope, Track
from social_perception.perception.tracking import contact
from social_perception.perception.tracking.appearance import looks_of, row_similarities
from social_perception.perception.tracking.correction import SAME_LOOK, Found, Lookback, take_in
from social_perception.perception.tracking.face import FollowedFace
from social_perception.perception.tracking.flow import follow, unshared_points
from social_perception.perception.tracking.geometry import MIN_VISIBLE, visible_fractions
from social_perception.perception.tracking.history import History
from social_perception.perception.tracking.ids import RandomIds
from social_perception.perception.tracking.snapshot import Snapshot

NOMINAL_STEP_S = 1.0 / 30.0
"""Stands for the time between two frames whose stamps do not grow."""

MIN_STEP_S, MAX_STEP_S = 1e-6, 3600.0
"""Time that two frames are taken to lie apart, whatever their stamps say: velocities stay finite, and
after a stamp from a far future the tracker's clock still has the resolution to go on."""

MAX_LOST_FACES = 64


class Tracker:
    """Follows all faces of a video.

    Call :meth:`advance` with every frame and :meth:`correct` with each detection, whenever it is
    ready; then :meth:`tracks` lists the faces of the newest frame. Not thread-safe.
    """

    def __init__(self, config: TrackingConfig, new_id: Callable[[], str] | None = None) -> None:
        self.config = config
        self._new_id = new_id or RandomIds(prefix=config.id_prefix)
        self.reset()

    def reset(self) -> None:
        """Forget all faces and frames; ids that were given stay used."""
        self._faces: list[FollowedFace] = []
        self._history = History()
        self._last: Snapshot | None = None
        self._stamp_s: float | None = None
        # Grows with the stamps, but never stands still or goes back as they may.
        self._clock_s = 0.0
        self._lag_s = 0.0

    def tracks(self) -> tuple[Track, ...]:
        """The faces of the newest frame, in the order in which they were first found.

        A face just lost is listed as not visible for ``coast_s``, while its predicted box is in the
        picture.
        """
        return tuple(face.as_track() for face in self._faces if self._listed(face))

    def advance(self, frame: Frame) -> None:
        """Follow all known faces into the next frame."""
        snapshot = Snapshot.of(frame.image)
        step_s = self._step_to(frame.stamp_s)
        self._clock_s += step_s
        if self._last is not None and not snapshot.same_size(self._last):
            self._resize(self._last, snapshot)
        for face in self._lost():
            face.coast(step_s)
        if self._last is not None and snapshot.shows_another_scene(self._last):
            for face in self._faces:
                face.uproot(self._clock_s)
        elif self._last is not None and snapshot.same_size(self._last):
            self._follow(self._last, snapshot, step_s)
        contact.settle(self._visible(), snapshot, self._clock_s)
        self._forget_gone()
        self._remember(frame.index, snapshot)

    def correct(self, frame_index: int, faces: Sequence[Face], scope: Scope | None = None) -> None:
        """Take in the faces that a detector found in this frame or an earlier one.

        A frame that is unknown, or so old that it is kept no longer, is ignored.

        Args:
            frame_index: the frame that was searched.
            faces: those found in it.
            scope: the faces that were looked for; only these can have been missed. None: all.
        """
        slots = self._history.slots_since(frame_index)
        if len(slots) == 0:
            return
        back = Lookback(self._history, slots, self._clock_s)
        self._lag_s = back.lag_s
        self._faces += take_in(Found.of(faces, back.then, scope), self._faces, back, self.config)
        contact.settle(self._visible(), self._history.newest, self._clock_s)
        self._name()
        self._forget_gone()
        for face in self._faces:
            face.remember(int(slots[-1]))

    def _name(self) -> None:
        for face in self._faces:
            if not face.id and face.hits >= self.config.confirm_detections:
                face.id = self._new_id()

    def _follow(self, before: Snapshot, after: Snapshot, step_s: float) -> None:
        faces = self._visible()
        if not faces:
            return
        rows = np.stack([face.row for face in faces])
        motion = follow(before, after, rows, unshared_points(rows, rows))
        inside = visible_fractions(motion.rows, after.width, after.height) >= MIN_VISIBLE
        followed = motion.followed & inside
        for i, face in enumerate(faces):
            if followed[i]:
                face.moved_to(motion.rows[i], float(motion.quality[i]), step_s)
            else:
                face.lose(self._clock_s - step_s)
                face.coast(step_s)

    def _resize(self, before: Snapshot, after: Snapshot) -> None:
        """Bring the boxes into a picture of another size; faces that are not there then are lost."""
        ratio = np.array([after.width / before.width, after.height / before.height])
        for face in self._faces:
            face.row = face.row * np.tile(ratio, 2)
            face.forget_path()
        visible = self._visible()
        if not visible:
            return
        looks = looks_of(after, np.stack([face.row for face in visible]))
        alike = row_similarities(np.stack([face.look for face in visible]), looks) >= SAME_LOOK
        for face, still_alike in zip(visible, alike):
            if not still_alike:
                face.lose(self._clock_s)

    def _forget_gone(self) -> None:
        """Drop faces lost for too long, and those lost before they were confirmed."""
        kept = [face for face in self._faces if face.visible or self._awaited(face)]
        lost = sorted((face for face in kept if not face.visible), key=lambda face: -face.lost_at_s)
        surplus = {id(face) for face in lost[MAX_LOST_FACES:]}
        self._faces = [face for face in kept if id(face) not in surplus]

    def _awaited(self, face: FollowedFace) -> bool:
        # A detection on its way may have found it again while there was still time.
        return bool(face.id) and face.lost_s(self._clock_s) <= self.config.max_lost_s + self._lag_s

    def _remember(self, frame_index: int, snapshot: Snapshot) -> None:
        if frame_index <= self._history.newest_index:
            for face in self._faces:
                face.forget_path()
        slot = self._history.add(frame_index, snapshot, self._clock_s)
        for face in self._faces:
            face.remember(slot)
        self._last = snapshot

    def _step_to(self, stamp_s: float) -> float:
        before, self._stamp_s = self._stamp_s, stamp_s
        if before is None or not stamp_s > before:
            return NOMINAL_STEP_S
        return min(max(stamp_s - before, MIN_STEP_S), MAX_STEP_S)

    def _visible(self) -> list[FollowedFace]:
        return [face for face in self._faces if face.visible]

    def _lost(self) -> list[FollowedFace]:
        return [face for face in self._faces if not face.visible]

    def _listed(self, face: FollowedFace) -> bool:
        if not face.id or self._last is None:
            return False
        if face.visible or not face.placed:
            return face.visible
        in_picture = visible_fractions(face.row[None], self._last.width, self._last.height)[0] > 0.0
        return bool(in_picture) and face.lost_s(self._clock_s) <= self.config.coast_s
