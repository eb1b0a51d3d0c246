"""How a mouth looks and moves, from the face's crops."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from social_perception.core.types import ImageArray

_SIDE = 48
_EYES = (slice(10, 30), slice(10, 38))
"""From the eyebrows to the tip of the nose: what moves here is the head, not the mouth. Its sides are even,
since OpenCV's phase correlation is half a pixel off otherwise.
"""

_MOUTH = (slice(29, 43), slice(14, 34))
_ROWS, _COLUMNS = (0, 4, 9), (0, 5, 10, 15)
"""Where the parts of the mouth's region begin."""

PARTS, PIXELS = len(_ROWS) * len(_COLUMNS), 14 * 20

VIEW = 1 + PARTS + PIXELS
"""Numbers of :func:`mouth_view`."""

_AREAS = np.multiply.outer(np.diff((*_ROWS, 14)), np.diff((*_COLUMNS, 20)))
_WINDOW = cv2.createHanningWindow((28, 20), cv2.CV_32F)
_MAX_SHIFT = 3.0

GrayArray = npt.NDArray[np.float32]


def mouth_image(crop: ImageArray) -> GrayArray:
    """A crop (96, 96, 3), RGB, in gray of half the size, without the contrast of the light."""
    gray = cv2.resize(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    face = gray[8:44, 8:40].astype(np.float32)
    return np.asarray((gray - face.mean()) / (face.std() + 8.0), np.float32)


def mouth_view(before: GrayArray, now: GrayArray) -> GrayArray:
    """What is seen of a mouth, (293,): its motion, the mean change in 12 parts of its region, its pixels."""
    pixels = now[_MOUTH]
    change = np.abs(pixels - before[_MOUTH])
    parts = np.add.reduceat(np.add.reduceat(change, _ROWS, axis=0), _COLUMNS, axis=1) / _AREAS
    return np.concatenate([[mouth_motion(before, now)], parts.ravel(), pixels.ravel()], dtype=np.float32)


def mouth_motion(before: GrayArray, now: GrayArray) -> float:
    """The change of the mouth's region between two images of a face, at least 0.

    The head's shift is estimated by phase correlation of the region of the eyes and taken back.
    """
    eyes = [np.ascontiguousarray(image[_EYES]) for image in (before, now)]
    shift, _ = cv2.phaseCorrelate(eyes[0], eyes[1], _WINDOW)
    x, y = np.clip(shift, -_MAX_SHIFT, _MAX_SHIFT)
    moved = cv2.warpAffine(
        before, np.array([[1, 0, x], [0, 1, y]], np.float32), (_SIDE, _SIDE), borderMode=cv2.BORDER_REPLICATE
    )
    change = np.abs(now - moved)
    # Blinks move less than half of the region of the eyes.
    return max(0.0, float(change[_MOUTH].mean() - np.median(change[_EYES])))
