"""Text and panels in an image, in sizes that scale with it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2

from social_perception.core.types import ImageArray
from social_perception.views.colors import Color

PANEL: Color = (24, 24, 24)
WHITE: Color = (255, 255, 255)
BLACK: Color = (0, 0, 0)

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_REFERENCE_PX = 720
_PANEL_TRANSPARENCY = 0.35


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes in px; text is a factor of the font's own size."""

    text: float
    line_px: int
    pad_px: int
    bar_px: int
    trace_px: int

    @classmethod
    def of(cls, image: ImageArray) -> Sizes:
        """The sizes for an image, by its shorter side."""
        scale = min(image.shape[:2]) / _REFERENCE_PX
        return cls(
            text=max(0.3, 0.6 * scale),
            line_px=max(1, round(2 * scale)),
            pad_px=max(2, round(5 * scale)),
            bar_px=max(2, round(8 * scale)),
            trace_px=max(8, round(28 * scale)),
        )


def darken(part: ImageArray) -> None:
    """Blend a dark panel over a part of an image, in place."""
    if part.size:
        cv2.convertScaleAbs(part, part, _PANEL_TRANSPARENCY, (1.0 - _PANEL_TRANSPARENCY) * PANEL[0])


def text_size(text: str, scale: float) -> tuple[int, int]:
    """Width and height of a text in px."""
    (width, height), _ = cv2.getTextSize(text, _FONT, scale, _thickness(scale))
    return int(width), int(height)


def fit_scale(text: str, scale: float, width_px: float, min_scale: float) -> float:
    """The scale at which the text fits into the width, at least ``min_scale``."""
    width = text_size(text, scale)[0]
    return scale if width <= width_px else max(min_scale, scale * max(width_px, 1.0) / width)


def write(image: ImageArray, text: str, baseline: tuple[int, int], scale: float, color: Color) -> None:
    """Write into the image, in place; ``baseline`` is its left end in px."""
    cv2.putText(image, text, baseline, _FONT, scale, color, _thickness(scale), cv2.LINE_AA)


def _thickness(scale: float) -> int:
    return max(1, round(1.6 * scale))
