"""Colours of levels and people that colour-blind people can distinguish, too.

Source: M. Okabe, K. Ito, "Color Universal Design", 2008. The levels go from cold to warm and get
lighter, so that their order is visible in gray as well.
"""

from __future__ import annotations

from social_perception.core.types import SmileLevel

Color = tuple[int, int, int]

LEVEL_COLORS: tuple[tuple[SmileLevel, Color], ...] = (
    (SmileLevel.NEUTRAL, (0, 114, 178)),
    (SmileLevel.LOW, (86, 180, 233)),
    (SmileLevel.MEDIUM, (230, 159, 0)),
    (SmileLevel.HIGH, (240, 228, 66)),
    (SmileLevel.UNKNOWN, (150, 150, 150)),
)
"""RGB, 0 to 255."""

PERSON_COLORS: tuple[str, ...] = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#999933",
)  # fmt: skip
"""For lines of a plot; more people than colours repeat them with another dash pattern."""


def level_color(level: SmileLevel) -> Color:
    """The colour of a level, RGB."""
    return dict(LEVEL_COLORS)[level]


def text_color(background: Color) -> Color:
    """Black or white, whichever is more legible on a background (luma of ITU-R BT.601)."""
    red, green, blue = background
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 125 else (255, 255, 255)
