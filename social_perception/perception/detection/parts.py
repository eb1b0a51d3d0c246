"""How the search of a video frame is shared out over several frames.

Most of the work goes into small faces, for which the picture is enlarged. So one part looks for
faces of the network's own size and larger in the whole picture, and the others look for the smaller
ones, each in a strip of it. Strips overlap, so that a face on a seam lies whole in one of them: the
one in whose own area its centre is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from social_perception.core.types import Box, Scope

MAX_FINE_PIXELS = 6_000_000
"""Searched px in all scales of one strip: about twice what the whole of a 1280x720 picture has."""

MIN_ENLARGEMENT = 1.25
"""Pictures enlarged by less are searched at once: there is little to share out."""


@dataclass(frozen=True, slots=True)
class SearchPart:
    """One search of a part of the picture for faces of some sizes.

    Attributes:
        scope: which faces it would have found; others that it sees are found by another part too.
        left, top, right, bottom: what it looks at, in px of the picture.
        width, height: the size in px to which that is resized.
        levels: scales searched, from the finest; 0 for all.
    """

    scope: Scope
    left: int
    top: int
    right: int
    bottom: int
    width: int
    height: int
    levels: int = 0


def levels_below(window_px: float, limit_px: float, rate: float) -> int:
    """How many scales look for faces smaller than the limit, when the finest looks for window_px."""
    if window_px >= limit_px:
        return 0
    # A scale that falls on the limit but for rounding is not below it.
    return math.ceil(math.log(limit_px / window_px) / -math.log(rate) - 1e-9)


def share_out(width: int, height: int, scale: float, native_px: float, rate: float) -> tuple[SearchPart, ...]:
    """Share out the search of a width x height picture that is to be enlarged by a factor.

    Args:
        width: the picture's width in px.
        height: the picture's height in px.
        scale: the enlargement that the smallest faces need.
        native_px: the smallest face that needs none.
        rate: a scale's size over the next finer one's.

    Returns:
        The part for larger faces, then the strips; or nothing, if it is not worth sharing out.
    """
    if scale < MIN_ENLARGEMENT:
        return ()
    # One scale more than is needed, so that boxes near the native size come from scales on both sides.
    levels = levels_below(native_px / scale, native_px, rate) + 1
    handover_px = native_px / rate
    work = width * height * scale**2 * sum(rate ** (2 * level) for level in range(levels))
    reach = max(width, height)
    everywhere = Box(-reach, -reach, width + 2 * reach, height + 2 * reach)
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
    """The area that a strip answers for, and what it looks at (left, top, right, bottom)."""
    longer = max(width, height)
    first, end = round(number * longer / count), round((number + 1) * longer / count)
    seen_first, seen_end = max(0, first - math.ceil(margin_px)), min(longer, end + math.ceil(margin_px))
    # Boxes may reach over the picture's edge, and their centres too.
    low = -longer if number == 0 else first
    high = 2 * longer if number == count - 1 else end
    if width >= height:
        return Box(low, -longer, high - low, height + 2 * longer), (seen_first, 0, seen_end, height)
    return Box(-longer, low, width + 2 * longer, high - low), (0, seen_first, width, seen_end)
