"""Between ROS4HRI's messages (hri_msgs) and our values; hri_msgs is optional."""

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
    from hri_msgs.msg import Expression, FacialActionUnits, IdsList, NormalizedRegionOfInterest2D
except ImportError as error:
    raise MissingDependencyError(
        "the messages of ROS4HRI are not installed: apt install ros-$ROS_DISTRO-hri-msgs, or build "
        "hri_msgs in your workspace and source it"
    ) from error

__all__ = ["Expression", "FacialActionUnits", "IdsList", "NormalizedRegionOfInterest2D"]

_UNITS = 99


def expression_message(header: Header, smile: Smile) -> Expression | None:
    """The expression that a smile tells of; None while it is not valid."""
    told = CoreExpression.of_smile(smile)
    if told is None:
        return None
    return Expression(
        header=header,
        expression=told.name,
        valence=told.valence,
        arousal=told.arousal,
        confidence=told.confidence,
    )


def action_units_message(header: Header, smile: Smile) -> FacialActionUnits | None:
    """The action units of a smile, the others NaN with confidence 0; None while it is not valid."""
    units = action_units_of(smile)
    if not units:
        return None
    intensity, confidence = np.full(_UNITS, math.nan, np.float32), np.zeros(_UNITS, np.float32)
    for unit in units:
        intensity[unit.code], confidence[unit.code] = unit.intensity, unit.confidence
    return FacialActionUnits(header=header, intensity=intensity, confidence=confidence)


def roi_message(header: Header, roi: NormalizedRoi) -> NormalizedRegionOfInterest2D:
    """A face's rectangle."""
    return NormalizedRegionOfInterest2D(
        header=header, xmin=roi.left, ymin=roi.top, xmax=roi.right, ymax=roi.bottom, c=roi.confidence
    )


def roi_of(message: NormalizedRegionOfInterest2D) -> NormalizedRoi:
    """The rectangle of a message, clipped to the image; a confidence outside [0, 1] is brought inside.

    Raises:
        ImageError: it is empty, or a number is none.
    """
    edges = (min(max(edge, 0.0), 1.0) for edge in (message.xmin, message.ymin, message.xmax, message.ymax))
    return NormalizedRoi(*edges, confidence=min(max(message.c, 0.0), 1.0))


def picture_message(header: Header, picture: ImageArray) -> Image:
    """A face's RGB picture; in the order of channels that other nodes of ROS4HRI use."""
    message = encode(picture[..., ::-1], header)
    message.encoding = "bgr8"
    return message
