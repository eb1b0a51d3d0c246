"""The cascade: YuNet proposes places in a reduced image, dlib's CNN decides there what is a face.

A search by dlib's CNN alone computes many scales of the enlarged image, whoever is there. YuNet takes a
fiftieth of that, but reports pictures and hands as faces, and its boxes are inaccurate. The CNN therefore
searches crops around YuNet's proposals and around the tracked faces, and scores and boxes are its own.

YuNet misses small faces that roll by more than 30 degrees, which dlib's CNN finds. Some searches therefore
look at the rotated image, too.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterator, Sequence
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from social_perception.core.errors import DetectionError
from social_perception.core.failover import error_summary
from social_perception.core.types import NOBODY, Box, Face, ImageArray, KnownBoxes, Scope
from social_perception.perception.detection.places import RELATIVE_SIZES, Place, check_image
from social_perception.perception.detection.search_split import SearchPart
from social_perception.perception.detection.yunet import propose

_logger = logging.getLogger(__name__)

PROPOSAL_FACE_PX = 20.0
"""Width of the smallest face in the image in which YuNet searches."""

MIN_SEARCHED_PX = 320.0
"""A small image is not reduced below this side: the cost does not matter there."""

MIN_PROPOSAL = 0.1
"""Minimum score of a proposal. At 0.3, one in ten small faces that roll by 30 degrees is lost, at 0.15 one in
a hundred, at 0.1 none.
"""

LIKELY = 0.4
"""Score of a proposal below which few are faces; dlib's CNN looks at one crop of such a place first."""

KNOWN_SIZES = (math.sqrt(5 / 6), math.sqrt(6 / 5))
"""Sizes of a tracked face relative to its box; each crop shows faces up to a sixth smaller or larger."""

SMALL_IMAGE_PX = 480
"""Maximum longer side of a still whose rotations are searched only if nothing is found in it upright: such an
image shows one person.
"""

ROLLS_DEG = (45.0, -45.0)
"""Rotations of the image; with the upright one, faces of every roll that dlib's CNN finds are proposed."""

FACE_PER_PROPOSAL = 0.93
"""Width of dlib's box relative to the geometric mean of the sides of YuNet's box, median of 1065 faces."""

SAME_PLACE = 0.4
"""Distance of the centers, in widths, below which two places are one; their sizes differ by less than two."""

SMALLEST, LARGEST = 0.7, 1.25
"""Widths of the smallest and largest returned faces, relative to ``min_face_px`` and ``max_face_px``."""

PROPOSAL_TOLERANCE = 0.75
"""Width of a proposal relative to that of the face, in one of fifty cases."""

MAX_PLACES, MAX_PLACES_THOROUGH = 256, 2048
"""Maximum proposals that are confirmed in one search, which limits the time; the best are."""

TILE_PX, TILE_OVERLAP_PX = 1536, 320
"""Maximum side of the image that YuNet searches at once, which limits the memory, and the overlap of the
tiles of a larger one. Faces larger than the overlap are found in the image that is reduced to a tile.
"""


class Proposer(Protocol):
    """YuNet, see :data:`.yunet.Network`."""

    @property
    def failure(self) -> str:
        """Why it fell back to the CPU; empty: it did not."""

    def __call__(self, image: ImageArray) -> Sequence[npt.NDArray[np.float32]]:
        """Return the levels of an image."""


class Confirmer(Protocol):
    """dlib's CNN at expected places; device, failure and precision are for information.

    Attributes:
        threshold: minimum score of a face; may be changed between two images.
        max_face_px: width of the largest face; 0: no limit.
    """

    threshold: float
    max_face_px: float

    @property
    def smallest_face_px(self) -> float:
        """Width of the smallest face that is searched for."""

    @property
    def device(self) -> str:
        """The device on which it currently runs."""

    @property
    def precision(self) -> str:
        """The numeric precision of its convolutions."""

    @property
    def failure(self) -> str:
        """Why it fell back to the CPU; empty: it did not."""

    def detect_at(self, image: ImageArray, places: Sequence[Place]) -> tuple[Face, ...]:
        """Return the faces at the places, sorted by decreasing confidence."""


class CascadeDetector:
    """A Detector of two networks. Not thread-safe.

    Args:
        yunet: proposes places.
        mmod: confirms them. Its settings apply, except for those of the image pyramid.
        thorough: for stills, where each face has one chance: search a second time at twice the resolution.
    """

    def __init__(self, yunet: Proposer, mmod: Confirmer, *, thorough: bool = False) -> None:
        self._yunet, self._mmod, self._thorough = yunet, mmod, thorough

    @property
    def threshold(self) -> float:
        """Minimum score of a face, by dlib's CNN."""
        return self._mmod.threshold

    @threshold.setter
    def threshold(self, value: float) -> None:
        self._mmod.threshold = value

    @property
    def device(self) -> str:
        """The device on which dlib's CNN currently runs."""
        return self._mmod.device

    @property
    def failure(self) -> str:
        """Why a network fell back to the CPU; empty: none did."""
        return self._mmod.failure or self._yunet.failure

    @property
    def precision(self) -> str:
        """The numeric precision of dlib's CNN."""
        return self._mmod.precision

    def detect(self, image: ImageArray) -> tuple[Face, ...]:
        """Return the faces of an RGB image (H, W, 3) uint8, sorted by decreasing confidence.

        Raises:
            ImageError: the array is not such an image.
            DetectionError: a network failed, for example out of memory.
        """
        is_small = max(check_image(image).shape[:2]) <= SMALL_IMAGE_PX and self._thorough
        attempts = [(0.0,), ROLLS_DEG] if is_small else [(0.0, *ROLLS_DEG)]
        found = (self._confirm(image, self._proposals(image, rolls)) for rolls in attempts)
        return next(filter(None, found), ())

    def parts(self, width: int, height: int) -> tuple[SearchPart, ...]:
        """Return the parts of the search of a video: one that also confirms the tracked faces, and one for
        new faces only per rotation of the image. Empty for stills.
        """
        if self._thorough:
            return ()
        margin = max(width, height)
        everywhere = Box(-margin, -margin, width + 2 * margin, height + 2 * margin)
        sides = (0, 0, width, height, width, height)
        every, new = Scope(everywhere, 0.0, math.inf), Scope(everywhere, 0.0, 0.0)
        return (
            SearchPart(every, *sides, due_only=True),
            *(SearchPart(new, *sides, roll_deg=roll) for roll in ROLLS_DEG),
        )

    def detect_part(
        self, image: ImageArray, part: SearchPart, known: KnownBoxes = NOBODY
    ) -> tuple[Face, ...]:
        """Return the faces of one of the image's :meth:`parts`, sorted by decreasing confidence.

        Args:
            image: (H, W, 3) uint8, RGB.
            part: the part; with a roll, only new faces are returned.
            known: the tracked faces in this image.

        Raises:
            ImageError: the array is not an RGB image.
            DetectionError: a network failed, for example out of memory.
        """
        rolls = (0.0, part.roll_deg) if part.roll_deg else (0.0,)
        proposals = self._proposals(check_image(image), rolls)
        new = [place for place in proposals if not _is_known(place.box, known.boxes)]
        if not part.roll_deg:
            due = [Place(box, KNOWN_SIZES) for box in known.boxes[: known.due]]
            return self._confirm(image, [*due, *new])
        # The crop beside a known face may show it.
        return tuple(face for face in self._confirm(image, new) if not _is_known(face.box, known.boxes))

    def _proposals(self, image: ImageArray, rolls_deg: Sequence[float]) -> list[Place]:
        """Return the best proposals of the image in all rotations, one per place."""
        longest_px = max(image.shape[:2])
        scale = self._scale(longest_px)
        searches = {scale: rolls_deg, min(scale, TILE_PX / longest_px): rolls_deg}
        if self._thorough:
            searches.setdefault(min(1.0, 2.0 * scale), (0.0,))
        try:
            found = [face for each, rolls in searches.items() for face in self._search(image, each, rolls)]
        except (RuntimeError, MemoryError, cv2.error) as error:
            raise DetectionError(f"face detection failed: {error_summary(error)}") from error
        most = MAX_PLACES_THOROUGH if self._thorough else MAX_PLACES
        places: list[Place] = []
        for face in sorted(found, key=lambda each: -each.confidence):
            if _is_known(face.box, [place.box for place in places]):
                continue
            if len(places) == most:
                _logger.warning("the image has more than %d possible faces; the rest is not searched", most)
                break
            places.append(Place(face.box) if face.confidence >= LIKELY else _unlikely(face.box))
        return places

    def _scale(self, longest_px: int) -> float:
        """Return the size of the image in which YuNet searches, relative to the original."""
        return min(1.0, max(PROPOSAL_FACE_PX / self._mmod.smallest_face_px, MIN_SEARCHED_PX / longest_px))

    def _search(self, image: ImageArray, scale: float, rolls_deg: Sequence[float]) -> Iterator[Face]:
        reduced = _reduce(image, scale)
        scale = reduced.shape[1] / image.shape[1]
        for top, left, roll_deg in itertools.product(
            _tiles(reduced.shape[0]), _tiles(reduced.shape[1]), rolls_deg
        ):
            tile = reduced[top : top + TILE_PX, left : left + TILE_PX]
            matrix, rotated = _rotate(tile, roll_deg)
            for face in self._propose(rotated):
                side = FACE_PER_PROPOSAL * math.sqrt(face.box.area) / scale
                x, y = (matrix @ (*face.box.center, 1.0) + (left, top)) / scale
                yield Face(Box(x - side / 2, y - side / 2, side, side), face.confidence)

    def _confirm(self, image: ImageArray, places: Sequence[Place]) -> tuple[Face, ...]:
        wide = [place for place in places if self._is_searched(place.box.width, PROPOSAL_TOLERANCE)]
        faces = self._mmod.detect_at(image, wide)
        return tuple(face for face in faces if self._is_searched(face.box.width))

    def _is_searched(self, width_px: float, tolerance: float = 1.0) -> bool:
        smallest_px = SMALLEST * self._mmod.smallest_face_px
        largest_px = LARGEST * self._mmod.max_face_px or math.inf
        return tolerance * smallest_px <= width_px <= largest_px / tolerance

    def _propose(self, image: ImageArray) -> tuple[Face, ...]:
        return propose(self._yunet, image, MIN_PROPOSAL)


def _unlikely(box: Box) -> Place:
    smaller, same, larger = RELATIVE_SIZES
    return Place(box, (same,), (smaller, larger))


def _same_place(a: Box, b: Box) -> bool:
    larger, smaller = max(a.width, b.width), min(a.width, b.width)
    (ax, ay), (bx, by) = a.center, b.center
    return larger < 2.0 * smaller and max(abs(ax - bx), abs(ay - by)) < SAME_PLACE * smaller


def _is_known(place: Box, known: Sequence[Box]) -> bool:
    return any(_same_place(place, other) for other in known)


def _reduce(image: ImageArray, scale: float) -> ImageArray:
    if scale >= 1.0:
        return image
    size = max(1, round(scale * image.shape[1])), max(1, round(scale * image.shape[0]))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _tiles(length_px: int) -> list[int]:
    """Return where the tiles of a side begin."""
    count = max(1, math.ceil((length_px - TILE_OVERLAP_PX) / (TILE_PX - TILE_OVERLAP_PX)))
    return [round(index * (length_px - TILE_PX) / max(1, count - 1)) for index in range(count)]


def _rotate(image: ImageArray, roll_deg: float) -> tuple[np.ndarray, ImageArray]:
    """Rotate an image about its center; return the matrix (2, 3) from the result to the image, too."""
    height, width = image.shape[:2]
    if not roll_deg:
        return np.eye(2, 3), image
    cosine, sine = abs(math.cos(math.radians(roll_deg))), abs(math.sin(math.radians(roll_deg)))
    wide, high = math.ceil(width * cosine + height * sine), math.ceil(width * sine + height * cosine)
    matrix = cv2.getRotationMatrix2D((wide / 2, high / 2), -roll_deg, 1.0)
    matrix[:, 2] += (width - wide) / 2, (height - high) / 2
    rotated = cv2.warpAffine(image, matrix, (wide, high), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return matrix, rotated
