"""The values and images of faces in ROS4HRI (REP-155), without ROS.

docs/ros4hri.md describes the mapping and its limits for users.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass

import cv2
import numpy as np

from social_perception.core.errors import ImageError
from social_perception.core.types import Box, ImageArray, Smile, SmileLevel

NEUTRAL = "neutral"
HAPPY = "happy"
"""Names of expressions, as in hri_msgs/Expression."""

LIP_CORNER_PULLER = 12
"""Code of the action unit that makes a smile, as in hri_msgs/FacialActionUnits."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_LONGEST_NAME = 64


def is_topic_name(text: str) -> bool:
    """Whether an id is valid in a topic name: a letter, then letters, digits and ``_``."""
    return len(text) <= _LONGEST_NAME and _NAME.fullmatch(text) is not None


def topic_name(face_id: str) -> str:
    """The id that is published: the face's own if it is valid in a topic name, otherwise one derived from it.

    The same id always results in the same name, different ids in different names.
    """
    if is_topic_name(face_id):
        return face_id
    legible = re.sub(r"[^A-Za-z0-9]+", "_", face_id).strip("_")[:16]
    digest = hashlib.sha256(face_id.encode()).hexdigest()[:12]
    return "_".join(filter(None, ("f", legible, digest)))


@dataclass(frozen=True, slots=True)
class NormalizedRoi:
    """A rectangle as fractions of the image's width and height, as in NormalizedRegionOfInterest2D.

    ``confidence`` is in [0, 1]; 0 means that the face is not seen in this image and the rectangle is a
    prediction.
    """

    left: float
    top: float
    right: float
    bottom: float
    confidence: float

    def __post_init__(self) -> None:
        if not (0.0 <= self.left < self.right <= 1.0 and 0.0 <= self.top < self.bottom <= 1.0):
            raise ImageError(
                "region of interest must have 0 <= min < max <= 1, got "
                f"x {self.left:g} to {self.right:g}, y {self.top:g} to {self.bottom:g}"
            )
        if not 0.0 <= self.confidence <= 1.0:
            raise ImageError(f"confidence of a region of interest must be in [0, 1], got {self.confidence:g}")

    @classmethod
    def of_box(cls, box: Box, width: int, height: int, *, seen: bool) -> NormalizedRoi:
        """The part of a box in px that is inside the image.

        Raises:
            ImageError: no part is inside.
        """
        left, right = (min(max(edge / width, 0.0), 1.0) for edge in (box.left, box.right))
        top, bottom = (min(max(edge / height, 0.0), 1.0) for edge in (box.top, box.bottom))
        return cls(left, top, right, bottom, float(seen))

    def box(self, width: int, height: int) -> Box:
        """The rectangle in px of an image of this size, rounded to 0.01 px.

        The rounding errors of float32 would otherwise move the edges of a crop by one px.
        """
        left, right = (round(edge * width, 2) for edge in (self.left, self.right))
        top, bottom = (round(edge * height, 2) for edge in (self.top, self.bottom))
        return Box(left, top, max(right - left, 0.01), max(bottom - top, 0.01))


@dataclass(frozen=True, slots=True)
class Expression:
    """The fields of hri_msgs/Expression; unknown is NaN."""

    name: str
    valence: float
    arousal: float
    confidence: float

    @classmethod
    def of_smile(cls, smile: Smile) -> Expression | None:
        """The expression of a smile; None while the smile is not valid.

        A smile of level Low or higher is ``happy``, otherwise the expression is ``neutral``; the
        confidence is the probability of that. Valence is the intensity, in [0, 1], because the network
        does not recognise negative expressions. Arousal is unknown.
        """
        if not smile.valid or smile.level is SmileLevel.UNKNOWN:
            return None
        neutral = smile.probabilities[0]
        smiles = smile.level is not SmileLevel.NEUTRAL
        confidence = _clipped(1.0 - neutral if smiles else neutral)
        return cls(HAPPY if smiles else NEUTRAL, _clipped(smile.intensity), math.nan, confidence)


@dataclass(frozen=True, slots=True)
class ActionUnit:
    """One entry of hri_msgs/FacialActionUnits: the unit's code, and two values in [0, 1]."""

    code: int
    intensity: float
    confidence: float


def action_units_of(smile: Smile) -> tuple[ActionUnit, ...]:
    """The facial action units of a smile; empty while the smile is not valid.

    Only the lip corner puller: its intensity is that of the smile, its confidence the probability of the
    smile's level. The cheek raiser, which distinguishes felt from posed smiles, cannot be derived from
    the intensity of the smile.
    """
    if not smile.valid or smile.level is SmileLevel.UNKNOWN:
        return ()
    confidence = _clipped(smile.probabilities[smile.level])
    return (ActionUnit(LIP_CORNER_PULLER, _clipped(smile.intensity), confidence),)


def _clipped(value: float) -> float:
    """A probability or intensity, clipped to [0, 1] after rounding errors."""
    return min(max(value, 0.0), 1.0)


def without_margin(crop: ImageArray, margin: float, size_px: int) -> ImageArray:
    """The face of a crop, without its margin.

    Args:
        crop: (S, S, 3) uint8, a square around the face's box.
        margin: side of the crop as a multiple of the box's longer side, 1 or more.
        size_px: side of the result.

    Returns:
        (size_px, size_px, 3) uint8.
    """
    side = crop.shape[0]
    border = round(side * (1.0 - 1.0 / margin) / 2.0)
    return np.asarray(cv2.resize(crop[border : side - border, border : side - border], (size_px, size_px)))


def without_padding(image: ImageArray, aspect: float) -> ImageArray:
    """The face's rectangle in a ``cropped`` image, which is padded with black to a fixed size.

    Args:
        image: (H, W, 3) uint8.
        aspect: width of the rectangle over its height, in px of the source image.

    Returns:
        The centred part of this aspect ratio if the rest is black, otherwise the whole image.
    """
    height, width = image.shape[:2]
    inner_width = min(width, max(1, round(height * aspect)))
    inner_height = min(height, max(1, round(width / aspect)))
    left, top = (width - inner_width) // 2, (height - inner_height) // 2
    right, bottom = left + inner_width, top + inner_height
    # The sender may have rounded differently: one line at each edge is ignored.
    bars = (
        image[: max(top - 1, 0)],
        image[bottom + 1 :],
        image[:, : max(left - 1, 0)],
        image[:, right + 1 :],
    )
    if any(bar.any() for bar in bars):
        return image
    return image[top:bottom, left:right]
