"""The marks of one face: box, intensity bar, trace of the last seconds, label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from social_perception.core.signals import Subject
from social_perception.core.types import FaceAffect, ImageArray, Smile, SmileLevel, Voice
from social_perception.views.colors import Color, level_color, text_color
from social_perception.views.drawing import PANEL, WHITE, Sizes, darken, fit_scale, text_size, write
from social_perception.views.text import further_figures, number
from social_perception.views.traces import Traces

_MIN_TRACE_PX = 16
_VOICE_FROM = 0.5


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle in whole px; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    def part_of(self, image: ImageArray) -> ImageArray:
        """The area's part of an image, as a view."""
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
        """Lay out a face's marks; gauges that would be outside the image move up into the box."""
        box = _corners(face, image)
        trace_px = min(sizes.trace_px, box.width // 2) if with_trace else 0
        if box.width < _MIN_TRACE_PX:
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
    """The box in whole px, at most one image size outside: OpenCV's coordinates are limited."""
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
    # A dark edge keeps the colour visible on any background.
    cv2.rectangle(image, *corners, PANEL, sizes.line_px + 2)
    cv2.rectangle(image, *corners, mark.color, sizes.line_px)
    _draw_voice(image, mark, sizes)
    if not mark.face[Smile].valid:
        return
    _draw_bar(image, mark)
    if traces is not None and mark.trace.bottom > mark.trace.top:
        _draw_trace(image, mark.trace, traces.curve(mark.face.track.id), sizes)


def _draw_voice(image: ImageArray, mark: Mark, sizes: Sizes) -> None:
    """A speech bubble in the box's upper right corner of somebody who speaks, with "ha" for laughter."""
    voice = mark.face[Voice]
    laughs, speaks = voice.laughing >= _VOICE_FROM, voice.speaking >= _VOICE_FROM  # False for NaN
    if not (laughs or speaks):
        return
    width, height = max(12, mark.box.width // 4), max(9, mark.box.width // 6)
    right, top = mark.box.right - 2 * sizes.line_px, mark.box.top + 2 * sizes.line_px
    left, bottom = right - width, top + height
    tail = np.array([(left + 1, bottom - 1), (left + width // 3, bottom - 1), (left, bottom + height // 2)])
    for color, thickness in ((PANEL, 2), (WHITE, cv2.FILLED)):
        cv2.rectangle(image, (left, top), (right, bottom), color, thickness)
        cv2.drawContours(image, [tail.astype(np.int32)], 0, color, thickness)
    text = "ha" if laughs else "..."
    scale = fit_scale(text, sizes.text, width - 4, 0.2)
    text_width, text_height = text_size(text, scale)
    place = (left + (width - text_width) // 2, top + (height + text_height) // 2)
    write(image, text, place, scale, PANEL)


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
    # One pixel of margin, above and below.
    share = np.where(known, np.clip(curve[:, 1], 0.0, 1.0), 0.0)
    points[:, 1] = np.rint(area.bottom - 2 - share * (area.bottom - area.top - 4))
    pieces = [points] if known.all() else _pieces(points, known)
    cv2.polylines(image, pieces, False, WHITE, sizes.line_px)


def _pieces(points: npt.NDArray[np.int32], known: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.int32]]:
    """The parts of a line whose values are known."""
    cuts = np.flatnonzero(np.diff(known)) + 1
    pieces = zip(np.split(points, cuts), np.split(known, cuts))
    return [piece for piece, is_known in pieces if len(is_known) and is_known[0]]


def draw_labels(
    image: ImageArray, marks: Sequence[Mark], sizes: Sizes, header_px: int, occupied: Sequence[Area]
) -> None:
    """Write everybody's id, level and intensity where the fewest faces and labels are covered.

    Args:
        image: drawn into.
        marks: of the faces, those in front last.
        sizes: of text and margins.
        header_px: height of the header and warning along the image's top, in px.
        occupied: further areas to keep free.
    """
    height, width = image.shape[:2]
    boxes, gauges = [mark.box for mark in marks], [mark.gauges for mark in marks]
    obstacles = np.array([_edges(area) for area in (*boxes, *gauges, *occupied)], np.int64).reshape(-1, 4)
    # Faces in front are placed first.
    for mark in reversed(marks):
        box = mark.box
        if box.right < 0 or box.left > width or box.bottom < 0 or box.top > height:
            continue
        lines = _label_lines(mark, sizes)
        line_px = max(line.height for line in lines) + sizes.pad_px
        text_width = max(line.width for line in lines)
        size = text_width + 2 * sizes.pad_px, len(lines) * line_px + sizes.pad_px
        left, top = _place(mark, size, obstacles, (header_px, height), width)
        area = Area(left, top, left + size[0], top + size[1])
        obstacles = np.vstack([obstacles, _edges(area)])
        cv2.rectangle(image, (left, top), (area.right, area.bottom), mark.color, cv2.FILLED)
        for number_of_line, line in enumerate(lines, start=1):
            baseline = left + sizes.pad_px, top + number_of_line * line_px
            write(image, line.text, baseline, line.scale, text_color(mark.color))


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a label; sizes in px."""

    text: str
    scale: float

    @property
    def width(self) -> int:
        return text_size(self.text, self.scale)[0]

    @property
    def height(self) -> int:
        return text_size(self.text, self.scale)[1]


def _label_lines(mark: Mark, sizes: Sizes) -> list[_Line]:
    """Id, level and intensity; below them as many further values as fit, the first always."""
    smile = mark.face[Smile]
    text = mark.face.track.id
    if smile.valid:
        text += f"  {smile.level.label} {number(smile.intensity)}"
    width_px = 1.35 * mark.box.width - 2 * sizes.pad_px
    min_scale = 0.62 * sizes.text
    first = _Line(text, fit_scale(text, sizes.text, width_px, min_scale))
    figures = list(further_figures(Subject.FACE, mark.face.signals))
    while len(figures) > 1 and text_size("  ".join(figures), min_scale)[0] > max(width_px, first.width):
        figures.pop()
    text = "  ".join(figures)
    return [first, _Line(text, fit_scale(text, first.scale, width_px, min_scale))] if text else [first]


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
        obstacles: (N, 4) areas to avoid: left, top, right, bottom.
        rows: first and last row for labels.
        image_width: in px.
    """
    width, height = size
    first, last = rows[0], max(rows[0], rows[1] - height)
    above, below = mark.box.top - height, mark.gauges.bottom + 1
    right_aligned = mark.box.right - width
    candidates = [
        (mark.box.left, above), (right_aligned, above),
        (mark.box.left, below), (right_aligned, below),
        (mark.box.left, mark.box.top),
    ]  # fmt: skip
    corners = np.array(candidates, np.int64)
    corners[:, 0] = np.clip(corners[:, 0], 0, max(0, image_width - width))
    corners[:, 1] = np.clip(corners[:, 1], first, last)
    ends = corners + size
    shared = np.minimum(ends[:, None], obstacles[None, :, 2:]) - np.maximum(
        corners[:, None], obstacles[None, :, :2]
    )
    covered = np.prod(np.maximum(shared, 0), axis=2).sum(axis=1)
    # In tenths of the label: one that jumps because of a few pixels is worse than covering them.
    best = int(np.argmin(np.rint(10.0 * covered / (width * height))))
    return int(corners[best, 0]), int(corners[best, 1])
