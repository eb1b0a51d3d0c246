"""Conversion between ROS4HRI's messages (hri_msgs) and our values; hri_msgs is optional."""

from __future__ import annotations

import math

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from social_perception.core.errors import MissingDependencyError
from social_perception.core.types import ImageArray, Smile
from social_perception.ros.support.images import encode
from social_perception.ros.support.ros4hri_values import Expression as CoreExpression
from social_perception.ros.support.ros4hri_values import NormalizedRoi, action_units_of

try:
    from hri_msgs.msg import (
        Expression,
        FacialActionUnits,
        IdsList,
        IdsMatch,
        NormalizedRegionOfInterest2D,
    )
except ImportError:
    Expression = FacialActionUnits = IdsList = IdsMatch = NormalizedRegionOfInterest2D = None

__all__ = ["Expression", "FacialActionUnits", "IdsList", "IdsMatch", "NormalizedRegionOfInterest2D"]

_UNITS = 99


def require_hri_msgs() -> None:
    """Check that hri_msgs is installed.

    Raises:
        MissingDependencyError: it is not.
    """
    if IdsList is None:
        raise MissingDependencyError(
            "the messages of ROS4HRI are not installed: apt install ros-$ROS_DISTRO-hri-msgs, or build "
            "hri_msgs in your workspace and source it"
        )


def match_message(name: str) -> IdsMatch:
    """That a face and a voice of one name are of one person."""
    kinds = {"id1_type": IdsMatch.FACE, "id2_type": IdsMatch.VOICE}
    return IdsMatch(id1=name, id2=name, confidence=1.0, **kinds)


def expression_message(header: Header, smile: Smile) -> Expression | None:
    """The expression of a smile; None while the smile is not valid."""
    values = CoreExpression.of_smile(smile)
    if values is None:
        return None
    return Expression(
        header=header,
        expression=values.name,
        valence=values.valence,
        arousal=values.arousal,
        confidence=values.confidence,
    )


def action_units_message(header: Header, smile: Smile) -> FacialActionUnits | None:
    """The action units of a smile; other units are NaN with confidence 0. None while it is not valid."""
    units = action_units_of(smile)
    if not units:
        return None
    intensity, confidence = np.full(_UNITS, math.nan, np.float32), np.zeros(_UNITS, np.float32)
    for unit in units:
        intensity[unit.code], confidence[unit.code] = unit.intensity, unit.confidence
    return FacialActionUnits(header=header, intensity=intensity, confidence=confidence)


def roi_message(header: Header, roi: NormalizedRoi) -> NormalizedRegionOfInterest2D:
    """A face's rectangle as a message."""
    return NormalizedRegionOfInterest2D(
        header=header, xmin=roi.left, ymin=roi.top, xmax=roi.right, ymax=roi.bottom, c=roi.confidence
    )


def roi_of(message: NormalizedRegionOfInterest2D) -> NormalizedRoi:
    """The rectangle of a message, clipped to the image, with its confidence clipped to [0, 1].

    Raises:
        ImageError: it is empty, or a value is NaN.
    """
    values = (message.xmin, message.ymin, message.xmax, message.ymax, message.c)
    left, top, right, bottom, confidence = (min(max(float(each), 0.0), 1.0) for each in values)
    return NormalizedRoi(left, top, right, bottom, confidence)


def cropped_message(header: Header, image: ImageArray) -> Image:
    """A face's RGB image, with the channel order that other ROS4HRI nodes use."""
    message = encode(image[..., ::-1], header)
    message.encoding = "bgr8"
    return message
