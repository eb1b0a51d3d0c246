"""dlib's tiled image pyramid: all scales of an image side by side in one image.

The network processes all scales in one pass. The tiles have the positions of dlib
(``compute_tiled_image_pyramid_details`` in ``image_transforms/image_pyramid.h``), because the scores depend
on the position of a tile relative to the network's grid of 8 px.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from social_perception.core.types import ImageArray

RATE = 5 / 6
"""dlib's size of a scale relative to the next finer one."""

MIN_HEIGHT_PX = 5
MIN_SEPARATE_PIXELS = 200_000


@dataclass(frozen=True, slots=True)
class Tile:
    """Position of one scale in the tiled image, in px."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The last column inside, as in dlib."""
        return self.left + self.width - 1

    @property
    def bottom(self) -> int:
        return self.top + self.height - 1

    def distance(self, x: float, y: float) -> float:
        """Return the distance in px from a point to the tile; 0 inside."""
        dx = max(self.left - x, 0.0, x - self.right)
        dy = max(self.top - y, 0.0, y - self.bottom)
        return float((dx * dx + dy * dy) ** 0.5)


@dataclass(frozen=True, slots=True)
class TiledPyramid:
    """The layout for one image size; tiles[k] holds the image at rate**(first_level + k)."""

    width: int
    height: int
    tiles: tuple[Tile, ...]
    rate: float = RATE
    first_level: int = 0

    def tile_at(self, x: float, y: float) -> int:
        """Return the index of the tile that contains, or is nearest to, a point of the tiled image."""
        return min(range(len(self.tiles)), key=lambda tile: self.tiles[tile].distance(x, y))

    def to_image(self, x: float, y: float, tile: int) -> tuple[float, float]:
        """Map a point of the tiled image to the image (dlib's ``point_up``, level times)."""
        x, y = x - self.tiles[tile].left, y - self.tiles[tile].top
        for _ in range(self.first_level + tile):
            x, y = x / self.rate + 0.3, y / self.rate + 0.3
        return x, y


@lru_cache(maxsize=16)
def layout(
    width: int, height: int, padding: int, outer_padding: int, rate: float = RATE, levels: int = 0
) -> TiledPyramid:
    """Lay out the scales of a width x height image as dlib does.

    Args:
        width: width of the image in px.
        height: height of the image in px.
        padding: distance of the tiles in px.
        outer_padding: margin around the tiles in px.
        rate: size of a scale relative to the next finer one.
        levels: number of scales, from the finest; 0: all.
    """
    sizes = _sizes(width, height, rate)
    sizes = sizes[:levels] if levels else sizes
    column = _first_column(sizes, padding)
    inner_height = sum(size[1] + padding for size in sizes[:column]) - padding
    tiles: list[Tile] = []
    top = outer_padding
    for size in sizes[:column]:
        tiles.append(Tile(outer_padding, top, *size))
        top += size[1] + padding
    # The second column grows from the bottom right corner upwards.
    bottom = top - padding - 1
    for size in sizes[column:]:
        tile = Tile(outer_padding + width - size[0], bottom - size[1] + 1, *size)
        if _intersect(tiles[0], tile):
            break
        tiles.append(tile)
        bottom -= size[1] + padding
    return TiledPyramid(width + 2 * outer_padding, inner_height + 2 * outer_padding, tuple(tiles), rate)


@lru_cache(maxsize=16)
def layout_separately(
    width: int, height: int, padding: int, outer_padding: int, rate: float = RATE, levels: int = 0
) -> tuple[TiledPyramid, ...]:
    """Lay out each large scale in its own image, and the small scales together in one.

    dlib's single image has up to a third of empty space, which would be searched, too. For the arguments see
    :func:`layout`.
    """
    pyramids = []
    sizes = _sizes(width, height, rate)
    sizes = sizes[:levels] if levels else sizes
    for level, size in enumerate(sizes):
        if size[0] * size[1] < MIN_SEPARATE_PIXELS:
            rest = layout(*size, padding, outer_padding, rate, len(sizes) - level)
            pyramids.append(replace(rest, first_level=level))
            break
        tile = Tile(outer_padding, outer_padding, *size)
        outer = size[0] + 2 * outer_padding, size[1] + 2 * outer_padding
        pyramids.append(TiledPyramid(*outer, (tile,), rate, level))
    return tuple(pyramids)


def _sizes(width: int, height: int, rate: float) -> list[tuple[int, int]]:
    sizes = [(width, height)]
    while True:
        # dlib computes the floor of the side times the double nearest to 5/6.
        width, height = int(rate * width), int(rate * height)
        if width * height == 0 or height < MIN_HEIGHT_PX:
            return sizes
        sizes.append((width, height))


def _first_column(sizes: Sequence[tuple[int, int]], padding: int) -> int:
    """Return the number of scales in the first column."""
    full_width, full_height = sizes[0]
    total = sum(size[1] + padding for size in sizes) - 2 * padding
    height, previous_width = 0, 0
    for count, size in enumerate(sizes):
        fits_beside = size[0] <= full_width - previous_width - padding
        if fits_beside and (height - full_height) * 2 >= total - full_height:
            return count
        height += size[1] + padding
        previous_width = size[0]
    return len(sizes)


def _intersect(a: Tile, b: Tile) -> bool:
    return max(a.left, b.left) <= min(a.right, b.right) and max(a.top, b.top) <= min(a.bottom, b.bottom)


def draw(image: torch.Tensor, pyramid: TiledPyramid, background: Sequence[float]) -> torch.Tensor:
    """Draw all scales of images (N, 3, H, W) into tiled images (N, 3, height, width)."""
    tiled = image.new_tensor(background).view(1, 3, 1, 1).repeat(len(image), 1, pyramid.height, pyramid.width)
    level = image
    for tile in pyramid.tiles:
        if level.shape[2:] != (tile.height, tile.width):
            level = F.interpolate(level, (tile.height, tile.width), mode="bilinear", align_corners=True)
        tiled[:, :, tile.top : tile.top + tile.height, tile.left : tile.left + tile.width] = level
    return tiled


def new_canvas(pyramid: TiledPyramid, background: Sequence[float]) -> ImageArray:
    """Return a canvas (H, W, 3) uint8 for :func:`draw_bytes`, filled with the background color."""
    tiled = np.empty((pyramid.height, pyramid.width, 3), np.uint8)
    tiled[:] = np.round(background)
    return tiled


def draw_bytes(image: ImageArray, pyramid: TiledPyramid, tiled: ImageArray) -> ImageArray:
    """Like :func:`draw` for one image, but faster and rounded to bytes.

    Args:
        image: (H, W, 3) uint8; resized to the first scale, if it is of another size.
        pyramid: the layout.
        tiled: the canvas, from :func:`new_canvas`; it may have been drawn to before.

    Returns:
        The last scale, (H, W, 3) uint8, the input of the next pyramid.
    """
    level = image
    for tile in pyramid.tiles:
        region = tiled[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width]
        if level.shape[:2] == (tile.height, tile.width):
            region[:] = level
        else:
            cv2.resize(level, (tile.width, tile.height), dst=region, interpolation=cv2.INTER_LINEAR)
        level = region
    return level
