"""Puts together what arrives separately: the list of faces, and each face's rectangle and picture.

ROS4HRI publishes each on a topic of its own; what belongs to one image has one stamp. Groups leave in
the order of their stamps, complete or after a bounded wait.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

Roi = TypeVar("Roi")
Picture = TypeVar("Picture")

_MOST_PENDING = 64
"""More stamps than this do not wait at once, whatever the wait is."""


@dataclass(frozen=True, slots=True)
class GroupedFace(Generic[Roi, Picture]):
    """One face of one image.

    ``seen`` is false if no rectangle came with this stamp; ``roi`` is then the last one known.
    """

    id: str
    roi: Roi
    picture: Picture | None
    seen: bool


@dataclass(frozen=True, slots=True)
class FaceGroup(Generic[Roi, Picture]):
    """The listed faces of one image of which a rectangle is known; header is that of its first message."""

    stamp_ns: int
    header: Any
    faces: tuple[GroupedFace[Roi, Picture], ...]


@dataclass(slots=True)
class _Pending(Generic[Roi, Picture]):
    header: Any
    since_s: float
    ids: tuple[str, ...] | None = None
    rois: dict[str, Roi] = field(default_factory=dict)
    pictures: dict[str, Picture] = field(default_factory=dict)

    @property
    def senders(self) -> set[str]:
        return {*self.rois, *self.pictures}


class FaceGroups(Generic[Roi, Picture]):
    """Groups messages by stamp.

    A face is waited for only if it sent something since the last group left: one that is listed but
    hidden, or newly subscribed, holds up nobody twice.

    Args:
        wait_s: time in s from a stamp's first message until its group leaves incomplete.
        with_pictures: whether each face has a picture to wait for.
        ready: whether what else belongs to a stamp (in ns) is there.
    """

    def __init__(
        self, wait_s: float, *, with_pictures: bool, ready: Callable[[int], bool] = lambda stamp_ns: True
    ) -> None:
        self._wait_s, self._with_pictures, self._ready = wait_s, with_pictures, ready
        self.late = 0
        """How many messages came after their group had left, and were dropped."""
        self.clear()

    def clear(self) -> None:
        """Forget all faces: time has jumped back."""
        self._pending: dict[int, _Pending[Roi, Picture]] = {}
        self._left_ns = -1
        self._ids: tuple[str, ...] | None = None
        self._rois: dict[str, Roi] = {}
        self._expected: set[str] = set()
        self._too_late: set[str] = set()

    def add_ids(self, header: Any, stamp_ns: int, ids: Sequence[str], now_s: float) -> None:
        """Take the list of the faces that are there."""
        pending = self._at(header, stamp_ns, now_s)
        if pending is not None:
            pending.ids = tuple(ids)

    def add_roi(self, header: Any, stamp_ns: int, face_id: str, roi: Roi, now_s: float) -> None:
        """Take a face's rectangle."""
        pending = self._at(header, stamp_ns, now_s, face_id)
        if pending is not None:
            pending.rois[face_id] = roi

    def add_picture(self, header: Any, stamp_ns: int, face_id: str, picture: Picture, now_s: float) -> None:
        """Take a face's picture."""
        pending = self._at(header, stamp_ns, now_s, face_id)
        if pending is not None:
            pending.pictures[face_id] = picture

    def take(self, now_s: float) -> list[FaceGroup[Roi, Picture]]:
        """Return the groups that are complete or have waited long enough, the oldest first.

        Args:
            now_s: of the same clock as that of the ``add`` functions.
        """
        taken = []
        for stamp_ns in sorted(self._pending):
            pending = self._pending[stamp_ns]
            overdue = now_s - pending.since_s >= self._wait_s or len(self._pending) > _MOST_PENDING
            if not overdue and not self._is_complete(stamp_ns, pending):
                break
            del self._pending[stamp_ns]
            self._left_ns = stamp_ns
            # A detector may send its list only when it changes; before the first nobody is known.
            self._ids = self._ids if pending.ids is None else pending.ids
            # A picture alone is no image of faces: nothing says where they are in it.
            if self._ids is not None and (pending.ids is not None or pending.rois):
                taken.append(self._group(stamp_ns, pending, self._ids))
            self._expected = self._too_late.union(*(each.senders for each in self._pending.values()))
            self._expected |= pending.senders
            self._too_late = set()
        return taken

    def _at(
        self, header: Any, stamp_ns: int, now_s: float, sender: str = ""
    ) -> _Pending[Roi, Picture] | None:
        if sender:
            self._expected.add(sender)
        if stamp_ns <= self._left_ns:
            self.late += 1
            self._too_late.update(filter(None, (sender,)))
            return None
        if stamp_ns not in self._pending:
            self._pending[stamp_ns] = _Pending(header, now_s)
        return self._pending[stamp_ns]

    def _is_complete(self, stamp_ns: int, pending: _Pending[Roi, Picture]) -> bool:
        if pending.ids is None or (pending.ids and not self._ready(stamp_ns)):
            return False
        waited_for = [each for each in pending.ids if each in self._expected]
        parts: list[Container[str]] = [pending.rois]
        if self._with_pictures:
            parts.append(pending.pictures)
        return all(each in part for each in waited_for for part in parts)

    def _group(
        self, stamp_ns: int, pending: _Pending[Roi, Picture], ids: Sequence[str]
    ) -> FaceGroup[Roi, Picture]:
        known = {**self._rois, **pending.rois}
        self._rois = {each: known[each] for each in ids if each in known}
        faces = tuple(
            GroupedFace(each, roi, pending.pictures.get(each), each in pending.rois)
            for each, roi in self._rois.items()
        )
        return FaceGroup(stamp_ns, pending.header, faces)
