"""Draws what the pipeline says of a frame into the picture."""

from __future__ import annotations

import cv2
import numpy as np

from social_perception.core.types import FrameAffect, GroupAffect, ImageArray
from social_perception.views.colors import LEVEL_COLORS, Color
from social_perception.views.face_marks import Area, Mark, draw_labels, draw_mark
from social_perception.views.ink import BLACK, WHITE, Sizes, darken, fitting, text_size, write
from social_perception.views.traces import Traces
from social_perception.views.words import group_words

WARNING_COLOR: Color = (213, 94, 0)
"""Vermilion of the same scale as the levels', which none of them has."""

STALE_GROUP = "the group's figures are old"

_SMALLEST_WITH_TEXT_PX = 96
_GAP = "     "
_LONGEST_HEADER = _GAP.join(
    ("group of 16", "Medium 0.00", "smiling 100 %", "trend +0.00/s", "synchrony +0.00")
)


def draw_overlay(
    image: ImageArray,
    affect: FrameAffect,
    *,
    header: bool = True,
    legend: bool = True,
    labels: bool = True,
    traces: Traces | None = None,
    warning: str = "",
) -> ImageArray:
    """Return a copy of the picture with every face's box, id, level and intensity, and the group's figures.

    Args:
        image: (H, W, 3) uint8, RGB; pictures smaller than 96 px get boxes only.
        affect: what the pipeline said of this picture.
        header: whether the group's figures are written along the top.
        legend: whether the colours are explained, in the header where it is wide enough, else at the
            lower left.
        labels: whether a face's id, level and intensity are written beside its box.
        traces: the last seconds, this picture included; None: no traces are drawn.
        warning: shown across the picture, for example that there are no results; a group that is stale
            is warned of without being told.
    """
    drawn = np.ascontiguousarray(image).copy()
    sizes = Sizes.of(drawn)
    with_text = min(drawn.shape[:2]) >= _SMALLEST_WITH_TEXT_PX
    with_trace = with_text and traces is not None
    # Small faces stand in the background: what is drawn for them lies under that of the large ones.
    faces = sorted(affect.faces, key=lambda each: each.track.box.area)
    marks = [Mark.of(face, drawn, sizes, with_trace=with_trace) for face in faces]
    for mark in marks:
        draw_mark(drawn, mark, sizes, traces)
    if not with_text:
        return drawn
    used_px = _draw_header(drawn, affect.group, sizes) if header else 0
    taken = _draw_legend(drawn, sizes, used_px) if legend else None
    warning = warning or (STALE_GROUP if affect.group is not None and affect.group.stale else "")
    if warning:
        used_px = _draw_warning(drawn, warning, sizes, used_px)
    if labels:
        draw_labels(drawn, marks, sizes, used_px, [taken] if taken is not None else [])
    return drawn


def _draw_header(image: ImageArray, group: GroupAffect | None, sizes: Sizes) -> int:
    """Write as many of the group's figures as fit; return the height used in px."""
    words = list(group_words(group))
    room_px = image.shape[1] - 4 * sizes.pad_px
    while len(words) > 1 and text_size(_GAP.join(words), sizes.text)[0] > room_px:
        words.pop()
    text = _GAP.join(words)
    scale = fitting(text, sizes.text, room_px, 0.2)
    text_height = text_size("Ag", sizes.text)[1]
    height = text_height + 4 * sizes.pad_px
    darken(image[:height])
    write(image, text, (2 * sizes.pad_px, 2 * sizes.pad_px + text_height), scale, WHITE)
    return height


def _draw_legend(image: ImageArray, sizes: Sizes, header_px: int) -> Area | None:
    """Explain the colours; return what this takes of the picture, None in the header or without room."""
    height, width = image.shape[:2]
    scale = 0.75 * sizes.text
    square = text_size("Ag", scale)[1] + 2
    widths = [square + 3 * sizes.pad_px + text_size(level.label, scale)[0] for level, _ in LEVEL_COLORS]
    total = sum(widths) + 2 * sizes.pad_px
    area = Area(0, height - square - 2 * sizes.pad_px, total, height)
    # By the longest figures, not by those of this picture: the legend must not hop.
    figures_px = text_size(_LONGEST_HEADER, sizes.text)[0] + 4 * sizes.pad_px
    in_header = bool(header_px) and figures_px + total <= width
    if in_header:
        top = (header_px - square) // 2 - sizes.pad_px
        area = Area(width - total, top, width, top + square + 2 * sizes.pad_px)
    elif total > width or area.bottom - area.top > height // 4:
        return None
    else:
        darken(area.part_of(image))
    x, y = area.left + sizes.pad_px, area.top + sizes.pad_px
    for (level, color), step in zip(LEVEL_COLORS, widths):
        cv2.rectangle(image, (x, y), (x + square, y + square), color, cv2.FILLED)
        write(image, level.label, (x + square + sizes.pad_px, y + square - 1), scale, WHITE)
        x += step
    return None if in_header else area


def _draw_warning(image: ImageArray, text: str, sizes: Sizes, top: int) -> int:
    """Write a warning across the picture; return the height used with what lies above, in px."""
    width = image.shape[1]
    largest = 1.3 * sizes.text
    sign = text_size("Ag", largest)[1] + 2 * sizes.pad_px
    scale = fitting(text, largest, width - sign - 6 * sizes.pad_px, 0.2)
    text_width, text_height = text_size(text, scale)
    bottom = top + sign + 2 * sizes.pad_px
    cv2.rectangle(image, (0, top), (width, bottom - 1), WARNING_COLOR, cv2.FILLED)
    x = max(sizes.pad_px, (width - sign - sizes.pad_px - text_width) // 2)
    y = top + sizes.pad_px
    _draw_sign(image, (x, y), sign)
    write(image, text, (x + sign + 2 * sizes.pad_px, (top + bottom + text_height) // 2), scale, BLACK)
    return bottom


def _draw_sign(image: ImageArray, corner: tuple[int, int], size: int) -> None:
    """A triangle with an exclamation mark, for those to whom the colour says nothing."""
    x, y = corner
    triangle = np.array([(x + size // 2, y), (x + size, y + size), (x, y + size)], np.int32)
    cv2.fillPoly(image, [triangle], BLACK, cv2.LINE_AA)
    line = max(1, size // 9)
    middle = x + size // 2
    cv2.line(image, (middle, y + round(0.4 * size)), (middle, y + round(0.65 * size)), WARNING_COLOR, line)
    cv2.line(image, (middle, y + round(0.84 * size)), (middle, y + round(0.86 * size)), WARNING_COLOR, line)
