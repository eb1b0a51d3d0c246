"""Draws the pipeline's results into the image."""

from __future__ import annotations

import cv2
import numpy as np

from social_perception.core.types import FrameAffect, GroupAffect, ImageArray
from social_perception.views.colors import LEVEL_COLORS, Color
from social_perception.views.drawing import BLACK, WHITE, Sizes, darken, fit_scale, text_size, write
from social_perception.views.face_marks import Area, Mark, draw_labels, draw_mark
from social_perception.views.text import group_figures
from social_perception.views.traces import Traces

WARNING_COLOR: Color = (213, 94, 0)
"""Vermilion of the levels' colour scale, which no level uses."""

STALE_GROUP = "the group's figures are old"

_MIN_WITH_TEXT_PX = 96
_GAP = "     "
_LEGEND_SCALE = 0.75
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
    """Return a copy of the image with every face's box and signals and the group's figures.

    Args:
        image: (H, W, 3) uint8, RGB; images smaller than 96 px get boxes only.
        affect: the results for this image.
        header: whether the group's figures are written along the top.
        legend: whether the colours are explained, in the header where it is wide enough, else at the
            lower left.
        labels: whether a face's id, level, intensity and further values are written beside its box.
        traces: the last seconds, this image included; None: no traces are drawn.
        warning: shown across the image, for example that there are no results; a stale group is
            reported without one.
    """
    drawn = np.ascontiguousarray(image).copy()
    sizes = Sizes.of(drawn)
    with_text = min(drawn.shape[:2]) >= _MIN_WITH_TEXT_PX
    with_trace = with_text and traces is not None
    # Small faces are in the background: their marks are drawn below those of large ones.
    faces = sorted(affect.faces, key=lambda each: each.track.box.area)
    marks = [Mark.of(face, drawn, sizes, with_trace=with_trace) for face in faces]
    for mark in marks:
        draw_mark(drawn, mark, sizes, traces)
    if not with_text:
        return drawn
    used_px = text_size("Ag", sizes.text)[1] + 4 * sizes.pad_px if header else 0
    place = _legend_area(drawn, sizes, used_px) if legend else None
    legend_in_header = place is not None and place.top < used_px
    if header:
        right = place.left if place is not None and legend_in_header else drawn.shape[1]
        _draw_header(drawn, affect.group, sizes, used_px, right)
    if place is not None:
        _draw_legend(drawn, sizes, place, panel=not legend_in_header)
    warning = warning or (STALE_GROUP if affect.group is not None and affect.group.stale else "")
    if warning:
        used_px = _draw_warning(drawn, warning, sizes, used_px)
    if labels:
        occupied = [place] if place is not None and not legend_in_header else []
        draw_labels(drawn, marks, sizes, used_px, occupied)
    return drawn


def _draw_header(image: ImageArray, group: GroupAffect | None, sizes: Sizes, height: int, right: int) -> None:
    """Write as many of the group's figures as fit, up to the column ``right``."""
    figures = list(group_figures(group))
    width_px = right - 4 * sizes.pad_px
    while len(figures) > 1 and text_size(_GAP.join(figures), sizes.text)[0] > width_px:
        figures.pop()
    text = _GAP.join(figures)
    scale = fit_scale(text, sizes.text, width_px, 0.2)
    darken(image[:height])
    write(image, text, (2 * sizes.pad_px, height - 2 * sizes.pad_px), scale, WHITE)


def _legend_area(image: ImageArray, sizes: Sizes, header_px: int) -> Area | None:
    """Where the colours are explained: in the header, else at the lower left; None: nowhere fits."""
    height, width = image.shape[:2]
    square, widths = _legend_sizes(sizes)
    total = sum(widths) + 2 * sizes.pad_px
    # By the longest figures, not by those of this image: the legend must not jump.
    figures_px = text_size(_LONGEST_HEADER, sizes.text)[0] + 4 * sizes.pad_px
    if header_px and figures_px + total <= width:
        top = (header_px - square) // 2 - sizes.pad_px
        return Area(width - total, top, width, top + square + 2 * sizes.pad_px)
    area = Area(0, height - square - 2 * sizes.pad_px, total, height)
    return None if total > width or area.bottom - area.top > height // 4 else area


def _legend_sizes(sizes: Sizes) -> tuple[int, list[int]]:
    """The side of a colour's square and the width of each entry, in px."""
    square = text_size("Ag", _LEGEND_SCALE * sizes.text)[1] + 2
    texts = [text_size(level.label, _LEGEND_SCALE * sizes.text)[0] for level, _ in LEVEL_COLORS]
    return square, [square + 3 * sizes.pad_px + text for text in texts]


def _draw_legend(image: ImageArray, sizes: Sizes, area: Area, *, panel: bool) -> None:
    if panel:
        darken(area.part_of(image))
    square, widths = _legend_sizes(sizes)
    x, y = area.left + sizes.pad_px, area.top + sizes.pad_px
    for (level, color), step in zip(LEVEL_COLORS, widths):
        cv2.rectangle(image, (x, y), (x + square, y + square), color, cv2.FILLED)
        corner = x + square + sizes.pad_px, y + square - 1
        write(image, level.label, corner, _LEGEND_SCALE * sizes.text, WHITE)
        x += step


def _draw_warning(image: ImageArray, text: str, sizes: Sizes, top: int) -> int:
    """Write a warning across the image; return its lower edge in px."""
    width = image.shape[1]
    largest = 1.3 * sizes.text
    sign = text_size("Ag", largest)[1] + 2 * sizes.pad_px
    scale = fit_scale(text, largest, width - sign - 6 * sizes.pad_px, 0.2)
    text_width, text_height = text_size(text, scale)
    bottom = top + sign + 2 * sizes.pad_px
    cv2.rectangle(image, (0, top), (width, bottom - 1), WARNING_COLOR, cv2.FILLED)
    x = max(sizes.pad_px, (width - sign - sizes.pad_px - text_width) // 2)
    y = top + sizes.pad_px
    _draw_sign(image, (x, y), sign)
    write(image, text, (x + sign + 2 * sizes.pad_px, (top + bottom + text_height) // 2), scale, BLACK)
    return bottom


def _draw_sign(image: ImageArray, corner: tuple[int, int], size: int) -> None:
    """A triangle with an exclamation mark, for people who do not see the colour."""
    x, y = corner
    triangle = np.array([(x + size // 2, y), (x + size, y + size), (x, y + size)], np.int32)
    cv2.fillPoly(image, [triangle], BLACK, cv2.LINE_AA)
    line = max(1, size // 9)
    middle = x + size // 2
    cv2.line(image, (middle, y + round(0.4 * size)), (middle, y + round(0.65 * size)), WARNING_COLOR, line)
    cv2.line(image, (middle, y + round(0.84 * size)), (middle, y + round(0.86 * size)), WARNING_COLOR, line)
