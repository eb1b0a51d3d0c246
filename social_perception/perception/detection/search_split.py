"""Splits the search of a video frame over several frames.

Most of the cost is due to small faces, for which the image is upsampled. One part therefore searches the
whole image for faces of the network's native size and larger; each other part searches a strip of it for
smaller faces. Strips overlap, so that a face on a seam is complete in the strip whose area contains its
center.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from social_perception.core.types import Box, Scope

MAX_FINE_PIXELS = 6_000_000
"""Pixels of all scales of one strip: about twice the pixels of a 1280x720 image."""

MIN_UPSAMPLING = 1.25
"""With less upsampling the search is not split: it would save little."""


@dataclass(frozen=True, slots=True)
class SearchPart:
    """A search of a region of the image for a range of face sizes.

    Attributes:
        scope: the faces that it covers; other faces in its region are covered by another part.
        left, top, right, bottom: its region, in px of the image.
        width, height: the size in px to which the region is resized.
        levels: number of scales, from the finest; 0: all.
        roll_deg: roll of the faces, where the search depends on it.
        due_only: of the tracked faces, only those that are due are searched for.
    """

    scope: Scope
    left: int
    top: int
    right: int
    bottom: int
    width: int
    height: int
    levels: int = 0
    roll_deg: float = 0.0
    due_only: bool = False


def levels_below(window_px: float, limit_px: float, rate: float) -> int:
    """Return the number of scales for faces below ``limit_px`` if the finest is for ``window_px``."""
    if window_px >= limit_px:
        return 0
    # A scale that equals the limit, except for rounding, is not below it.
    return math.ceil(math.log(limit_px / window_px) / -math.log(rate) - 1e-9)


def split_search(
    width: int, height: int, scale: float, native_px: float, rate: float
) -> tuple[SearchPart, ...]:
    """Split the search of a width x height image.

    Args:
        width: width of the image in px.
        height: height of the image in px.
        scale: upsampling factor for the smallest faces.
        native_px: smallest face that needs no upsampling.
        rate: size of a scale relative to the next finer one.

    Returns:
        The part for larger faces, then the strips; empty if a split would save little.
    """
    if scale < MIN_UPSAMPLING:
        return ()
    # One extra scale, so that boxes near the native size come from scales on both sides.
    levels = levels_below(native_px / scale, native_px, rate) + 1
    handover_px = native_px / rate
    work = width * height * scale**2 * sum(rate ** (2 * level) for level in range(levels))
    margin = max(width, height)
    everywhere = Box(-margin, -margin, width + 2 * margin, height + 2 * margin)
    coarse = SearchPart(Scope(everywhere, handover_px, math.inf), 0, 0, width, height, width, height)
    count = math.ceil(work / MAX_FINE_PIXELS)
    strips = [_strip(number, count, width, height, handover_px) for number in range(count)]
    return (
        coarse,
        *(
            SearchPart(
                Scope(area, 0.0, handover_px),
                *sides,
                round((sides[2] - sides[0]) * scale),
                round((sides[3] - sides[1]) * scale),
                levels,
            )
            for area, sides in strips
        ),
    )


def _strip(
    number: int, count: int, width: int, height: int, margin_px: float
) -> tuple[Box, tuple[int, int, int, int]]:
    """Return the area that a strip covers, and the region that it searches (left, top, right, bottom)."""
    longer = max(width, height)
    first, end = round(number * longer / count), round((number + 1) * longer / count)
    region_first, region_end = max(0, first - math.ceil(margin_px)), min(longer, end + math.ceil(margin_px))
    # Boxes and their centers may be outside the image.
    low = -longer if number == 0 else first
    high = 2 * longer if number == count - 1 else end
    if width >= height:
        return Box(low, -longer, high - low, height + 2 * longer), (region_first, 0, region_end, height)
    return Box(-longer, low, width + 2 * longer, high - low), (0, region_first, width, region_end)
