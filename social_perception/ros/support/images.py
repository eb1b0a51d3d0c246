"""Conversion between image messages and RGB arrays.

Raw pixels are decoded by :mod:`social_perception.sources.raw_images`, as for bags, and converted by cv_bridge
if it is installed, otherwise by rosbags-image, with the same results.
"""

from __future__ import annotations

import functools

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from social_perception.core.types import ImageArray
from social_perception.ros.convert import blob
from social_perception.sources.images import decode_image
from social_perception.sources.raw_images import Converter, decode_raw, rosbags_converter

COMPRESSED_FORMATS = ("JPEG", "PNG")


def decode(message: Image | CompressedImage) -> ImageArray:
    """Decode a message to (H, W, 3) uint8, RGB.

    Raises:
        ImageError: the encoding is not supported, or size, step and data are inconsistent.
        MissingDependencyError: neither cv_bridge nor rosbags-image is installed.
    """
    if isinstance(message, CompressedImage):
        return decode_image(bytes(message.data), "compressed image", COMPRESSED_FORMATS)
    return decode_raw(message, _converter)


def encode(image: ImageArray, header: Header) -> Image:
    """Encode an RGB image as a message of encoding rgb8."""
    height, width = image.shape[:2]
    message = Image(header=header, height=height, width=width, encoding="rgb8", step=3 * width)
    message.data = blob(image)
    return message


def image_header(stamp: Time, frame_id: str) -> Header:
    """The header of an image with this stamp and optical frame."""
    return Header(stamp=stamp, frame_id=frame_id)


@functools.cache
def _converter() -> Converter:
    return cv_bridge_converter() or rosbags_converter()


def cv_bridge_converter() -> Converter | None:
    """The converter of cv_bridge; None where it is not installed or does not work."""
    try:
        from cv_bridge import CvBridge
    # If it was built for another numpy, cv_bridge fails with an AttributeError.
    except (ImportError, AttributeError):
        return None
    bridge = CvBridge()

    def convert(pixels: ImageArray, encoding: str) -> ImageArray:
        height, width = pixels.shape[:2]
        message = Image(height=height, width=width, encoding=encoding, step=pixels.nbytes // height)
        message.data = blob(pixels)
        return np.asarray(bridge.imgmsg_to_cv2(message, "rgb8"))

    return convert
