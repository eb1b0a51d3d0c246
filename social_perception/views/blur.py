"""Hides faces in images that are shown or stored: each head becomes a few cells of colour.

This cannot be undone: of each head at most five by five mean colours remain, and these are blurred. Faces
that the detector misses are not hidden; docs/privacy.md says how often that happens.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from social_perception.core.types import Box, Frame, FrameAffect, ImageArray

CELLS = 4
"""Cells along a side of a head."""

HOLD_S = 2.0
"""Time for which the place of a lost face stays hidden: the person may be there, turned away."""

LOOK_BACK_S = 2.0
"""Time before a face was first found for which its place is hidden, where images are delayed for it."""

MAX_WAITING_BYTES = 384_000_000
"""Of delayed images: two seconds of 1920 x 1080 at 30 Hz."""

# The detector's box reaches from the eyebrows to the chin and from temple to temple.
_WIDTHS, _HEIGHTS, _UP = 2.0, 2.3, 0.15
_GROWTH = 0.6
"""By how much a hidden place grows, relative to its sides, while it is predicted."""


def head_box(box: Box, grown: float = 0.0) -> Box:
    """The whole head with hair and neck around a face's box.

    Args:
        box: of the face.
        grown: uncertainty of the place, in [0, 1].
    """
    x, y = box.center
    scale = 1.0 + _GROWTH * grown
    width, height = scale * _WIDTHS * box.width, scale * _HEIGHTS * box.height
    return Box(x - width / 2, y - _UP * box.height - height / 2, width, height)


def hide(image: ImageArray, heads: Iterable[Box]) -> ImageArray:
    """A copy of an image in which these places are a few blurred cells.

    Args:
        image: (H, W, 3) uint8, RGB.
        heads: places to hide, in px; may reach over the edge.
    """
    hidden = np.ascontiguousarray(image).copy()
    for head in heads:
        _hide_one(hidden, head)
    return hidden


def hide_all(image: ImageArray) -> ImageArray:
    """The whole image as a few cells, for images whose faces are not known."""
    height, width = image.shape[:2]
    return hide(image, [Box(0.0, 0.0, float(width), float(height))])


def _hide_one(image: ImageArray, head: Box) -> None:
    import cv2  # here, as commands that import this must not load it for their --help

    height, width = image.shape[:2]
    x0, x1 = (int(min(max(edge, 0), width)) for edge in (head.left, np.ceil(head.right)))
    y0, y1 = (int(min(max(edge, 0), height)) for edge in (head.top, np.ceil(head.bottom)))
    if x0 >= x1 or y0 >= y1:
        return
    part = image[y0:y1, x0:x1]
    # Cells at the image's edge are as large as elsewhere: half a head has half the cells.
    across, down = (
        max(1, min(CELLS + 1, round(CELLS * seen / whole)))
        for seen, whole in ((x1 - x0, head.width), (y1 - y0, head.height))
    )
    cells = cv2.resize(part, (across, down), interpolation=cv2.INTER_AREA)
    # Linear interpolation between the cells' centres is the blur, whatever the size.
    part[:] = cv2.resize(cells, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)


@dataclass(slots=True)
class _Known:
    box: Box
    stamp_s: float


class HeadWatch:
    """Keeps the places where heads are or may still be, from frame to frame."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._epoch = 0

    def update(self, affect: FrameAffect) -> tuple[Box, ...]:
        """Add the faces of a frame; return the places to hide in it."""
        if affect.epoch != self._epoch:
            self._epoch = affect.epoch
            self._known.clear()
        for face in affect.faces:
            if face.track.visible or face.track.id in self._known:
                self._known[face.track.id] = _Known(face.track.box, affect.stamp_s)
        return self.heads(affect.stamp_s)

    def heads(self, now_s: float) -> tuple[Box, ...]:
        """The places to hide at a time, in s of the stamps, in a frame without results."""
        ages_s = {name: now_s - known.stamp_s for name, known in self._known.items()}
        for name, age_s in ages_s.items():
            if age_s > HOLD_S:
                del self._known[name]
        return tuple(head_box(known.box, ages_s[name] / HOLD_S) for name, known in self._known.items())


@dataclass(slots=True)
class _Waiting:
    frame: Frame
    affect: FrameAffect
    heads: list[Box] = field(default_factory=list)


class LookBack:
    """Hides faces also before they were found: images are delayed until their faces are known.

    Args:
        look_back_s: delay of the images, in s of the stamps.
    """

    def __init__(self, look_back_s: float = LOOK_BACK_S) -> None:
        self._look_back_s = look_back_s
        self._watch = HeadWatch()
        self._waiting: deque[_Waiting] = deque()
        self._seen: frozenset[str] = frozenset()

    def add(self, frame: Frame, affect: FrameAffect) -> Sequence[tuple[Frame, FrameAffect]]:
        """Add a frame; return those that were delayed long enough, with their faces hidden."""
        # Another epoch has other faces.
        ready = self.finish() if self._waiting and self._waiting[-1].affect.epoch != affect.epoch else []
        heads = list(self._watch.update(affect))
        visible = {face.track.id: face.track.box for face in affect.faces if face.track.visible}
        for name in visible.keys() - self._seen:
            self._hide_before(visible[name], affect.stamp_s)
        self._seen = frozenset(visible)
        self._waiting.append(_Waiting(frame, affect, heads))
        most = max(1, MAX_WAITING_BYTES // frame.image.nbytes)
        while len(self._waiting) > most or self._is_old(affect.stamp_s):
            ready.append(self._hidden())
        return ready

    def finish(self) -> list[tuple[Frame, FrameAffect]]:
        """The remaining frames, at the end."""
        return [self._hidden() for _ in range(len(self._waiting))]

    def _hide_before(self, box: Box, found_s: float) -> None:
        """Hide a face that is new, or visible again, in the frames before."""
        for each in self._waiting:
            age_s = found_s - each.affect.stamp_s
            each.heads.append(head_box(box, min(1.0, age_s / self._look_back_s)))

    def _is_old(self, now_s: float) -> bool:
        return bool(self._waiting) and now_s - self._waiting[0].affect.stamp_s >= self._look_back_s

    def _hidden(self) -> tuple[Frame, FrameAffect]:
        each = self._waiting.popleft()
        image = hide(each.frame.image, each.heads)
        return replace(each.frame, image=image), each.affect
