"""What ROS4HRI (REP-155) is told of a face, and what it tells: values and pictures, without ROS.

docs/ros4hri.md says the same for readers, with the limits.
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
    """Tell whether an id can be a part of a topic's name: letters, digits and ``_``, first a letter."""
    return len(text) <= _LONGEST_NAME and _NAME.fullmatch(text) is not None


def topic_name(face_id: str) -> str:
    """The id as ROS4HRI gets it: itself if it can be a part of a topic's name, else one made from it.

    The same id always gets the same name, and two ids get different ones.
    """
    if is_topic_name(face_id):
        return face_id
    legible = re.sub(r"[^A-Za-z0-9]+", "_", face_id).strip("_")[:16]
    digest = hashlib.sha256(face_id.encode()).hexdigest()[:12]
    return "_".join(filter(None, ("f", legible, digest)))


@dataclass(frozen=True, slots=True)
class NormalizedRoi:
    """A rectangle in shares of the image's width and height; fields as in NormalizedRegionOfInterest2D.

    ``confidence`` is in [0, 1]; 0 means not seen in this image, and the rectangle is a prediction.
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
            ImageError: nothing of it is inside.
        """
        left, right = (min(max(edge / width, 0.0), 1.0) for edge in (box.left, box.right))
        top, bottom = (min(max(edge / height, 0.0), 1.0) for edge in (box.top, box.bottom))
        return cls(left, top, right, bottom, float(seen))

    def box(self, width: int, height: int) -> Box:
        """The rectangle in px of an image of this size, to a hundredth.

        What float32 adds to whole px would move the edges of a crop by one.
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
        """What a smile says of the expression; None while it is not valid.

        A smile from Low on is ``happy``, none is ``neutral``, and the confidence is the probability of
        that. Valence is the intensity: between 0 and 1, as the network knows no negative expression.
        Of arousal it knows nothing.
        """
        if not smile.valid or smile.level is SmileLevel.UNKNOWN:
            return None
        neutral = smile.probabilities[0]
        smiles = smile.level is not SmileLevel.NEUTRAL
        confidence = _share(1.0 - neutral if smiles else neutral)
        return cls(HAPPY if smiles else NEUTRAL, _share(smile.intensity), math.nan, confidence)


@dataclass(frozen=True, slots=True)
class ActionUnit:
    """One entry of hri_msgs/FacialActionUnits: the unit's code, and two values in [0, 1]."""

    code: int
    intensity: float
    confidence: float


def action_units_of(smile: Smile) -> tuple[ActionUnit, ...]:
    """The facial action units that a smile tells of; none while it is not valid.

    The lip corner puller alone: its intensity is the smile's, its confidence the probability of the
    smile's level. Cheeks are raised in most broad smiles, but whether they are is what tells a felt
    smile from a posed one, and one intensity cannot tell both.
    """
    if not smile.valid or smile.level is SmileLevel.UNKNOWN:
        return ()
    confidence = _share(smile.probabilities[smile.level])
    return (ActionUnit(LIP_CORNER_PULLER, _share(smile.intensity), confidence),)


def _share(value: float) -> float:
    """A probability or intensity that rounding may have carried out of [0, 1]."""
    return min(max(value, 0.0), 1.0)


def tight_picture(crop: ImageArray, margin: float, size_px: int) -> ImageArray:
    """The face without the margin of our crop.

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


def unpadded(picture: ImageArray, aspect: float) -> ImageArray:
    """The face's rectangle within a ``cropped`` picture, which is filled up with black to a fixed size.

    Args:
        picture: (H, W, 3) uint8.
        aspect: width of the rectangle over its height, in px of the source image.

    Returns:
        The part of this aspect in the middle if all around it is black, else the whole picture.
    """
    height, width = picture.shape[:2]
    inner_width = min(width, max(1, round(height * aspect)))
    inner_height = min(height, max(1, round(width / aspect)))
    left, top = (width - inner_width) // 2, (height - inner_height) // 2
    right, bottom = left + inner_width, top + inner_height
    # Whoever scaled the face may have rounded otherwise: one line at each edge is not looked at.
    bars = (
        picture[: max(top - 1, 0)],
        picture[bottom + 1 :],
        picture[:, : max(left - 1, 0)],
        picture[:, right + 1 :],
    )
    if any(bar.any() for bar in bars):
        return picture
    return picture[top:bottom, left:right]
