"""Finds faces in still pictures, also in tight 48x48 face pictures that a detector finds nothing in.

The CNN detector sees faces from about 80 px and needs some surroundings. Face data sets are stored
tighter and smaller than that, so small pictures are padded and enlarged before the search, and a
picture without a find is searched again: with other padding and scale, then mirrored. Training,
evaluation and ``social-perception score`` all look at stills this way, so that all see the same
framing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from social_perception.core.types import Box, Face, ImageArray
from social_perception.perception.detection.schedule import Detector

TIGHT_PICTURE_PX = 100
"""Pictures with no side longer than this are taken for face pictures: one face that fills them."""

LARGEST_SEARCHED_PX = 2400.0
"""Pictures are enlarged to this longer side at most."""


@dataclass(frozen=True, slots=True)
class _View:
    """How a picture is prepared for one search: padding as a share of its longer side, then scale."""

    padding: float
    longest_px: float
    mirrored: bool = False


def detect_in_still(detector: Detector, image: ImageArray) -> tuple[Face, ...]:
    """Return the faces of a still picture, surest first; boxes are in px of the picture as given.

    Args:
        detector: any detector; one that does not enlarge by itself (``min_face_px`` of 80 or more)
            is the fastest here, because small pictures are enlarged before it sees them.
        image: (H, W, 3) uint8, RGB, of any size. Its edge is repeated outwards by 15 to 45 %, so a
            box may reach over the picture's edge.

    Raises:
        DetectionError: the detector failed on this image.
    """
    for view in _views(max(image.shape[:2])):
        faces = _search(detector, image, view)
        if faces:
            return faces
    return ()


def _views(longest_px: int) -> Iterator[_View]:
    if longest_px <= TIGHT_PICTURE_PX:
        yield _View(0.30, 110.0)
        yield _View(0.45, 160.0)
        # A CNN is not symmetric: a quarter of the faces missed are found in the mirror.
        yield _View(0.30, 110.0, mirrored=True)
        yield _View(0.45, 160.0, mirrored=True)
    else:
        yield _View(0.15, max(longest_px, 160.0))
        yield _View(0.30, max(longest_px, 420.0))
        yield _View(0.15, max(longest_px, 160.0), mirrored=True)
        # Nobody near: look for people farther away, half as large.
        yield _View(0.15, max(longest_px, min(2.0 * longest_px, LARGEST_SEARCHED_PX)))


def _search(detector: Detector, image: ImageArray, view: _View) -> tuple[Face, ...]:
    pad = round(view.padding * max(image.shape[:2]))
    picture = cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
    scale = view.longest_px / max(image.shape[:2])
    if scale > 1.0:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    x_scale = picture.shape[1] / (image.shape[1] + 2 * pad)
    y_scale = picture.shape[0] / (image.shape[0] + 2 * pad)
    if view.mirrored:
        picture = picture[:, ::-1]
    found = detector.detect(np.ascontiguousarray(picture))
    faces = [Face(_restored(face.box, x_scale, y_scale, pad), face.confidence) for face in found]
    if view.mirrored:
        faces = [Face(_mirrored(face.box, image.shape[1]), face.confidence) for face in faces]
    return tuple(faces)


def _mirrored(box: Box, width: int) -> Box:
    return Box(width - box.right, box.top, box.width, box.height)


def _restored(box: Box, x_scale: float, y_scale: float, pad: int) -> Box:
    return Box(box.left / x_scale - pad, box.top / y_scale - pad, box.width / x_scale, box.height / y_scale)
