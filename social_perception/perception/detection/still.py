"""Detects faces in still images, including tightly cropped 48x48 face images.

The CNN detector needs faces of about 80 px with some context. The images of face data sets are smaller and
cropped more tightly, so small images are padded and upsampled before the search, and an image without a
detection is searched again: with other padding and scale, then mirrored. Training, evaluation and
``social-perception score`` share this function, so that their crops are framed alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from social_perception.core.types import Box, Face, ImageArray
from social_perception.perception.detection.schedule import Detector

MAX_FACE_IMAGE_PX = 100
"""Images with no side longer than this are assumed to be filled by one face."""

MAX_SEARCHED_PX = 2400.0
"""Maximum longer side of an upsampled image. Larger images are searched in their own size."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """The preparation of an image for one search: padding relative to its longer side, then scale."""

    padding: float
    longest_px: float
    mirrored: bool = False


def detect_in_still(detector: Detector, image: ImageArray) -> tuple[Face, ...]:
    """Return the faces of a still image, sorted by decreasing confidence; boxes are in px of the image.

    Args:
        detector: any detector; one without upsampling (``min_face_px`` of 80 or more) is fastest, because
            small images are upsampled before the search.
        image: (H, W, 3) uint8, RGB, of any size. It is padded by 15 to 45 % by replicating its border, so a
            box may exceed the image.

    Raises:
        DetectionError: the detector failed on this image.
    """
    for attempt in _attempts(max(image.shape[:2])):
        faces = _search(detector, image, attempt)
        if faces:
            return faces
    return ()


def _attempts(longest_px: int) -> Iterator[_Attempt]:
    if longest_px <= MAX_FACE_IMAGE_PX:
        yield _Attempt(0.30, 110.0)
        yield _Attempt(0.45, 160.0)
        # A CNN is not symmetric: a quarter of the missed faces are detected in the mirror image.
        yield _Attempt(0.30, 110.0, mirrored=True)
        yield _Attempt(0.45, 160.0, mirrored=True)
    elif longest_px >= MAX_SEARCHED_PX:
        # Neither more padding nor upsampling shows more of the faces in a large image.
        yield _Attempt(0.15, longest_px)
        yield _Attempt(0.15, longest_px, mirrored=True)
    else:
        yield _Attempt(0.15, max(longest_px, 160.0))
        yield _Attempt(0.30, max(longest_px, 420.0))
        yield _Attempt(0.15, max(longest_px, 160.0), mirrored=True)
        # No near face: search for faces half as large.
        yield _Attempt(0.15, max(longest_px, min(2.0 * longest_px, MAX_SEARCHED_PX)))


def _search(detector: Detector, image: ImageArray, attempt: _Attempt) -> tuple[Face, ...]:
    pad = round(attempt.padding * max(image.shape[:2]))
    padded = cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
    scale = attempt.longest_px / max(image.shape[:2])
    if scale > 1.0:
        padded = cv2.resize(padded, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    x_scale = padded.shape[1] / (image.shape[1] + 2 * pad)
    y_scale = padded.shape[0] / (image.shape[0] + 2 * pad)
    if attempt.mirrored:
        padded = padded[:, ::-1]
    found = detector.detect(np.ascontiguousarray(padded))
    faces = [Face(_to_image(face.box, x_scale, y_scale, pad), face.confidence) for face in found]
    if attempt.mirrored:
        faces = [Face(_mirrored(face.box, image.shape[1]), face.confidence) for face in faces]
    return tuple(faces)


def _mirrored(box: Box, width: int) -> Box:
    return Box(width - box.right, box.top, box.width, box.height)


def _to_image(box: Box, x_scale: float, y_scale: float, pad: int) -> Box:
    return Box(box.left / x_scale - pad, box.top / y_scale - pad, box.width / x_scale, box.height / y_scale)
