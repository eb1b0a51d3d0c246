"""What is drawn for one face: box, intensity bar, trace of the last seconds, label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from social_perception.core.types import FaceAffect, ImageArray, Smile, SmileLevel
from social_perception.views.colors import Color, level_color, text_color
from social_perception.views.ink import PANEL, WHITE, Sizes, darken, fitting, text_size, write
from social_perception.views.traces import Traces
from social_perception.views.words import number

_NARROWEST_TRACE_PX = 16


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle in whole px; right and bottom do not belong to it."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    def part_of(self, image: ImageArray) -> ImageArray:
        """What the picture has of it, as a view."""
        return image[max(0, self.top) : max(0, self.bottom), max(0, self.left) : max(0, self.right)]


@dataclass(frozen=True, slots=True)
class Mark:
    """A face and where its box and the gauges below it (bar and trace) are drawn."""

    face: FaceAffect
    box: Area
    bar: Area
    trace: Area

    @classmethod
    def of(cls, face: FaceAffect, image: ImageArray, sizes: Sizes, *, with_trace: bool) -> Mark:
        """Lay out a face's marks; gauges that would fall out of the picture move up into the box."""
        box = _corners(face, image)
        trace_px = min(sizes.trace_px, box.width // 2) if with_trace else 0
        if box.width < _NARROWEST_TRACE_PX:
            trace_px = 0
        top = min(box.bottom, image.shape[0] - sizes.bar_px - trace_px - 1)
        middle = top + sizes.bar_px + 1
        return cls(
            face,
            box,
            Area(box.left, top, box.right, middle),
            Area(box.left, middle, box.right, middle + trace_px),
        )

    @property
    def color(self) -> Color:
        return level_color(self.face[Smile].level if self.face[Smile].valid else SmileLevel.UNKNOWN)

    @property
    def gauges(self) -> Area:
        """Bar and trace together; nothing for a smile that is not valid."""
        bottom = self.trace.bottom if self.face[Smile].valid else self.bar.top
        return Area(self.bar.left, self.bar.top, self.bar.right, bottom)


def _corners(face: FaceAffect, image: ImageArray) -> Area:
    """The box in whole px, not farther out than the picture is large: OpenCV's numbers are short."""
    box = face.track.box
    height, width = image.shape[:2]
    left, right = (round(min(max(x, -width), 2.0 * width)) for x in (box.left, box.right))
    top, bottom = (round(min(max(y, -height), 2.0 * height)) for y in (box.top, box.bottom))
    return Area(left, top, right, bottom)


def draw_mark(image: ImageArray, mark: Mark, sizes: Sizes, traces: Traces | None) -> None:
    """Draw the box, and for a valid smile the bar and the trace."""
    corners = (mark.box.left, mark.box.top), (mark.box.right, mark.box.bottom)
    if not mark.face.track.visible:
        cv2.rectangle(image, *corners, mark.color, 1)
        return
    # A dark rim keeps the colour visible on any background.
    cv2.rectangle(image, *corners, PANEL, sizes.line_px + 2)
    cv2.rectangle(image, *corners, mark.color, sizes.line_px)
    if not mark.face[Smile].valid:
        return
    _draw_bar(image, mark)
    if traces is not None and mark.trace.bottom > mark.trace.top:
        _draw_trace(image, mark.trace, traces.curve(mark.face.track.id), sizes)


def _draw_bar(image: ImageArray, mark: Mark) -> None:
    """The intensity as a bar; its full length is 1."""
    left, top, bottom = mark.bar.left, mark.bar.top, mark.bar.bottom - 1
    cv2.rectangle(image, (left, top), (mark.bar.right, bottom), PANEL, cv2.FILLED)
    filled = round((mark.bar.width - 2) * min(1.0, max(0.0, mark.face[Smile].intensity)))
    if filled > 0:
        cv2.rectangle(image, (left + 1, top + 1), (left + filled, bottom - 1), mark.color, cv2.FILLED)


def _draw_trace(image: ImageArray, area: Area, curve: npt.NDArray[np.float64], sizes: Sizes) -> None:
    """The intensity over time, 0 at the panel's lower edge and 1 at the upper; now is at the right."""
    darken(area.part_of(image))
    known = np.isfinite(curve[:, 1])
    points = np.empty((len(curve), 2), np.int32)
    points[:, 0] = area.left + 1 + np.clip(curve[:, 0], 0.0, 1.0) * (area.width - 2)
    # One pixel of rim, above and below.
    share = np.where(known, np.clip(curve[:, 1], 0.0, 1.0), 0.0)
    points[:, 1] = np.rint(area.bottom - 2 - share * (area.bottom - area.top - 4))
    pieces = [points] if known.all() else _pieces(points, known)
    cv2.polylines(image, pieces, False, WHITE, sizes.line_px)


def _pieces(points: npt.NDArray[np.int32], known: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.int32]]:
    """The stretches of a line that are known."""
    cuts = np.flatnonzero(np.diff(known)) + 1
    pieces = zip(np.split(points, cuts), np.split(known, cuts))
    return [piece for piece, is_known in pieces if len(is_known) and is_known[0]]


def draw_labels(
    image: ImageArray, marks: Sequence[Mark], sizes: Sizes, header_px: int, taken: Sequence[Area]
) -> None:
    """Write everybody's id, level and intensity where the fewest faces and labels are covered.

    Args:
        image: drawn into.
        marks: of the faces, those in front last.
        sizes: of text and margins.
        header_px: height of what lies along the picture's top, in px.
        taken: what else must stay free.
    """
    height, width = image.shape[:2]
    boxes, gauges = [mark.box for mark in marks], [mark.gauges for mark in marks]
    obstacles = np.array([_edges(area) for area in (*boxes, *gauges, *taken)], np.int64).reshape(-1, 4)
    # Who stands in front chooses first.
    for mark in reversed(marks):
        box = mark.box
        if box.right < 0 or box.left > width or box.bottom < 0 or box.top > height:
            continue
        text, scale = _label(mark, sizes)
        text_width, text_height = text_size(text, scale)
        size = text_width + 2 * sizes.pad_px, text_height + 2 * sizes.pad_px
        left, top = _place(mark, size, obstacles, (header_px, height), width)
        area = Area(left, top, left + size[0], top + size[1])
        obstacles = np.vstack([obstacles, _edges(area)])
        cv2.rectangle(image, (left, top), (area.right, area.bottom), mark.color, cv2.FILLED)
        baseline = left + sizes.pad_px, top + sizes.pad_px + text_height
        write(image, text, baseline, scale, text_color(mark.color))


def _label(mark: Mark, sizes: Sizes) -> tuple[str, float]:
    smile = mark.face[Smile]
    text = mark.face.track.id
    if smile.valid:
        text += f"  {smile.level.label} {number(smile.intensity)}"
    room_px = 1.35 * mark.box.width - 2 * sizes.pad_px
    return text, fitting(text, sizes.text, room_px, 0.62 * sizes.text)


def _edges(area: Area) -> tuple[int, int, int, int]:
    return area.left, area.top, area.right, area.bottom


def _place(
    mark: Mark,
    size: tuple[int, int],
    obstacles: npt.NDArray[np.int64],
    rows: tuple[int, int],
    image_width: int,
) -> tuple[int, int]:
    """The corner of a label: above the box, else below the gauges, else on the box.

    Args:
        mark: the face's.
        size: width and height of the label.
        obstacles: (N, 4) what may be in the way: left, top, right, bottom.
        rows: between which labels may lie.
        image_width: in px.
    """
    width, height = size
    first, last = rows[0], max(rows[0], rows[1] - height)
    above, below = mark.box.top - height, mark.gauges.bottom + 1
    right_aligned = mark.box.right - width
    wanted = [
        (mark.box.left, above), (right_aligned, above),
        (mark.box.left, below), (right_aligned, below),
        (mark.box.left, mark.box.top),
    ]  # fmt: skip
    corners = np.array(wanted, np.int64)
    corners[:, 0] = np.clip(corners[:, 0], 0, max(0, image_width - width))
    corners[:, 1] = np.clip(corners[:, 1], first, last)
    ends = corners + size
    shared = np.minimum(ends[:, None], obstacles[None, :, 2:]) - np.maximum(
        corners[:, None], obstacles[None, :, :2]
    )
    covered = np.prod(np.maximum(shared, 0), axis=2).sum(axis=1)
    # In tenths of the label: a label that hops to and fro for a few pixels is worse than these.
    best = int(np.argmin(np.rint(10.0 * covered / (width * height))))
    return int(corners[best, 0]), int(corners[best, 1])
