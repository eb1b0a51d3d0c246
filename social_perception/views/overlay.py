"""Draws what the pipeline says of a frame into the picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from social_perception.core.types import Box, FaceAffect, FrameAffect, ImageArray, SmileLevel
from social_perception.views.colors import LEVEL_COLORS, Color, level_color, text_color
from social_perception.views.words import group_words, number

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_REFERENCE_HEIGHT_PX = 720
_SMALLEST_WITH_TEXT_PX = 96
_PANEL: Color = (24, 24, 24)
_WHITE: Color = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class _Style:
    """Sizes that go with the picture's, in px; text is a factor of the font's own size."""

    text: float
    line_px: int
    pad_px: int
    bar_px: int

    @classmethod
    def of(cls, image: ImageArray) -> _Style:
        height, width = image.shape[:2]
        scale = min(height / _REFERENCE_HEIGHT_PX, width / _REFERENCE_HEIGHT_PX)
        return cls(
            max(0.3, 0.6 * scale),
            max(1, round(2 * scale)),
            max(2, round(5 * scale)),
            max(2, round(8 * scale)),
        )


def draw_overlay(
    image: ImageArray, affect: FrameAffect, *, header: bool = True, legend: bool = True
) -> ImageArray:
    """Return a copy of the picture with every face's box, id, level and intensity, and the group's figures.

    Args:
        image: (H, W, 3) uint8, RGB; pictures smaller than 96 px get boxes only.
        affect: what the pipeline said of this picture.
        header: whether the group's figures are written along the top.
        legend: whether the colours are explained at the lower left.
    """
    drawn = np.ascontiguousarray(image).copy()
    style = _Style.of(drawn)
    with_text = min(drawn.shape[:2]) >= _SMALLEST_WITH_TEXT_PX
    for face in affect.faces:
        _draw_box(drawn, face, style)
    if not with_text:
        return drawn
    top = _draw_header(drawn, affect, style) if header else 0
    # Small faces stand in the background: their labels lie under those of the large ones.
    for face in sorted(affect.faces, key=lambda each: each.track.box.area):
        _draw_label(drawn, face, style, top)
    if legend:
        _draw_legend(drawn, style)
    return drawn


def _color(face: FaceAffect) -> Color:
    return level_color(face.smile.level if face.smile.valid else SmileLevel.UNKNOWN)


def _corners(box: Box, image: ImageArray) -> tuple[int, int, int, int]:
    """The box's edges in whole px, not farther out than the picture is large: OpenCV's numbers are short."""
    height, width = image.shape[:2]
    left, right = (round(min(max(x, -width), 2.0 * width)) for x in (box.left, box.right))
    top, bottom = (round(min(max(y, -height), 2.0 * height)) for y in (box.top, box.bottom))
    return left, top, right, bottom


def _draw_box(image: ImageArray, face: FaceAffect, style: _Style) -> None:
    left, top, right, bottom = _corners(face.track.box, image)
    if not face.track.visible:
        cv2.rectangle(image, (left, top), (right, bottom), _color(face), 1)
        return
    # A dark rim keeps the colour visible on any background.
    cv2.rectangle(image, (left, top), (right, bottom), _PANEL, style.line_px + 2)
    cv2.rectangle(image, (left, top), (right, bottom), _color(face), style.line_px)
    if face.smile.valid:
        _draw_bar(image, (left, bottom), right - left, face.smile.intensity, _color(face), style)


def _draw_bar(
    image: ImageArray, corner: tuple[int, int], width: int, share: float, color: Color, style: _Style
) -> None:
    """The intensity as a bar below the box; its full length is 1."""
    left, top = corner
    bottom = top + style.bar_px
    cv2.rectangle(image, (left, top), (left + width, bottom), _PANEL, cv2.FILLED)
    filled = round((width - 2) * min(1.0, max(0.0, share)))
    if filled > 0:
        cv2.rectangle(image, (left + 1, top + 1), (left + filled, bottom - 1), color, cv2.FILLED)


def _draw_label(image: ImageArray, face: FaceAffect, style: _Style, header_px: int) -> None:
    height, width = image.shape[:2]
    left, top, right, bottom = _corners(face.track.box, image)
    if right < 0 or left > width or bottom < 0 or top > height:
        return
    text = face.track.id
    if face.smile.valid:
        text += f"  {face.smile.level.label} {number(face.smile.intensity)}"
    scale = _fitting(text, style.text, 1.35 * (right - left) - 2 * style.pad_px, 0.62 * style.text)
    text_width, text_height = _size(text, scale)
    label_width, label_height = text_width + 2 * style.pad_px, text_height + 2 * style.pad_px
    x = min(max(0, left), max(0, width - label_width))
    y = top - label_height
    if y < header_px:
        y = min(max(top, header_px), height - label_height)
    color = _color(face)
    cv2.rectangle(image, (x, y), (x + label_width, y + label_height), color, cv2.FILLED)
    _write(image, text, (x + style.pad_px, y + style.pad_px + text_height), scale, text_color(color))


def _draw_header(image: ImageArray, affect: FrameAffect, style: _Style) -> int:
    """Write as many of the group's figures as fit; return the height used in px."""
    words = list(group_words(affect.group))
    gap = "     "
    room_px = image.shape[1] - 4 * style.pad_px
    while len(words) > 1 and _size(gap.join(words), style.text)[0] > room_px:
        words.pop()
    text = gap.join(words)
    scale = _fitting(text, style.text, room_px, 0.2)
    text_height = _size("Ag", style.text)[1]
    height = text_height + 4 * style.pad_px
    _darken(image[:height])
    _write(image, text, (2 * style.pad_px, 2 * style.pad_px + text_height), scale, _WHITE)
    return height


def _draw_legend(image: ImageArray, style: _Style) -> None:
    scale = 0.75 * style.text
    square = _size("Ag", scale)[1] + 2
    entries = [(level.label, color) for level, color in LEVEL_COLORS]
    widths = [square + 3 * style.pad_px + _size(label, scale)[0] for label, _ in entries]
    total = sum(widths) + 2 * style.pad_px
    height = square + 2 * style.pad_px
    if total > image.shape[1] or height > image.shape[0] // 4:
        return
    top = image.shape[0] - height
    _darken(image[top:, :total])
    x = style.pad_px
    for (label, color), width in zip(entries, widths):
        y = top + style.pad_px
        cv2.rectangle(image, (x, y), (x + square, y + square), color, cv2.FILLED)
        _write(image, label, (x + square + style.pad_px, y + square - 1), scale, _WHITE)
        x += width


def _darken(part: ImageArray) -> None:
    part[:] = (0.35 * part + 0.65 * np.array(_PANEL)).astype(np.uint8)


def _size(text: str, scale: float) -> tuple[int, int]:
    (width, height), _ = cv2.getTextSize(text, _FONT, scale, _thickness(scale))
    return int(width), int(height)


def _fitting(text: str, scale: float, room_px: float, smallest: float) -> float:
    """The scale at which the text fits into the room, but not below the smallest."""
    width = _size(text, scale)[0]
    return scale if width <= room_px else max(smallest, scale * max(room_px, 1.0) / width)


def _thickness(scale: float) -> int:
    return max(1, round(1.6 * scale))


def _write(image: ImageArray, text: str, baseline: tuple[int, int], scale: float, color: Color) -> None:
    cv2.putText(image, text, baseline, _FONT, scale, color, _thickness(scale), cv2.LINE_AA)
