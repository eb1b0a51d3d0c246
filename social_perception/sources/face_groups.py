"""Groups messages that arrive separately: the list of faces, and each face's rectangle and image.

ROS4HRI publishes each on a topic of its own; messages of one camera image have one stamp. Groups leave in
the order of their stamps, complete or after a bounded wait.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

Roi = TypeVar("Roi")
Image = TypeVar("Image")

_MOST_PENDING = 64
"""Limit for the number of stamps that wait at once, whatever wait_s is."""


@dataclass(frozen=True, slots=True)
class GroupedFace(Generic[Roi, Image]):
    """One face of one image.

    ``seen`` is false if no rectangle has this stamp; ``roi`` is then the last one known.
    """

    id: str
    roi: Roi
    image: Image | None
    seen: bool


@dataclass(frozen=True, slots=True)
class FaceGroup(Generic[Roi, Image]):
    """The listed faces of one image of which a rectangle is known; header is that of its first message."""

    stamp_ns: int
    header: Any
    faces: tuple[GroupedFace[Roi, Image], ...]


@dataclass(slots=True)
class _Pending(Generic[Roi, Image]):
    header: Any
    since_s: float
    ids: tuple[str, ...] | None = None
    rois: dict[str, Roi] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)

    @property
    def senders(self) -> set[str]:
        return {*self.rois, *self.images}


class FaceGroups(Generic[Roi, Image]):
    """Groups messages by stamp.

    A face is waited for only if it sent something since the last group left: one that is listed but
    hidden, or newly subscribed, holds up nobody twice.

    Args:
        wait_s: time in s from a stamp's first message until its group leaves incomplete.
        with_images: whether each face has an image to wait for.
        ready: whether the other data of a stamp (in ns) have arrived.
    """

    def __init__(
        self, wait_s: float, *, with_images: bool, ready: Callable[[int], bool] = lambda stamp_ns: True
    ) -> None:
        self._wait_s, self._with_images, self._ready = wait_s, with_images, ready
        self.late = 0
        """How many messages arrived after their group had left, and were dropped."""
        self.clear()

    def clear(self) -> None:
        """Remove all faces: time has jumped back."""
        self._pending: dict[int, _Pending[Roi, Image]] = {}
        self._left_ns = -1
        self._ids: tuple[str, ...] | None = None
        self._rois: dict[str, Roi] = {}
        self._expected: set[str] = set()
        self._too_late: set[str] = set()

    def add_ids(self, header: Any, stamp_ns: int, ids: Sequence[str], now_s: float) -> None:
        """Add the list of the faces."""
        pending = self._at(header, stamp_ns, now_s)
        if pending is not None:
            pending.ids = tuple(ids)

    def add_roi(self, header: Any, stamp_ns: int, face_id: str, roi: Roi, now_s: float) -> None:
        """Add a face's rectangle."""
        pending = self._at(header, stamp_ns, now_s, face_id)
        if pending is not None:
            pending.rois[face_id] = roi

    def add_image(self, header: Any, stamp_ns: int, face_id: str, image: Image, now_s: float) -> None:
        """Add a face's image."""
        pending = self._at(header, stamp_ns, now_s, face_id)
        if pending is not None:
            pending.images[face_id] = image

    def take(self, now_s: float) -> list[FaceGroup[Roi, Image]]:
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
            # A detector may publish its list only when it changes; before the first one no face is known.
            self._ids = self._ids if pending.ids is None else pending.ids
            # An image alone is not enough: the place of the face in it is unknown.
            if self._ids is not None and (pending.ids is not None or pending.rois):
                taken.append(self._group(stamp_ns, pending, self._ids))
            self._expected = self._too_late.union(*(each.senders for each in self._pending.values()))
            self._expected |= pending.senders
            self._too_late = set()
        return taken

    def _at(self, header: Any, stamp_ns: int, now_s: float, sender: str = "") -> _Pending[Roi, Image] | None:
        if sender:
            self._expected.add(sender)
        if stamp_ns <= self._left_ns:
            self.late += 1
            self._too_late.update(filter(None, (sender,)))
            return None
        if stamp_ns not in self._pending:
            self._pending[stamp_ns] = _Pending(header, now_s)
        return self._pending[stamp_ns]

    def _is_complete(self, stamp_ns: int, pending: _Pending[Roi, Image]) -> bool:
        if pending.ids is None or (pending.ids and not self._ready(stamp_ns)):
            return False
        waited_for = [each for each in pending.ids if each in self._expected]
        parts: list[Container[str]] = [pending.rois]
        if self._with_images:
            parts.append(pending.images)
        return all(each in part for each in waited_for for part in parts)

    def _group(
        self, stamp_ns: int, pending: _Pending[Roi, Image], ids: Sequence[str]
    ) -> FaceGroup[Roi, Image]:
        known = {**self._rois, **pending.rois}
        self._rois = {each: known[each] for each in ids if each in known}
        faces = tuple(
            GroupedFace(each, roi, pending.images.get(each), each in pending.rois)
            for each, roi in self._rois.items()
        )
        return FaceGroup(stamp_ns, pending.header, faces)
