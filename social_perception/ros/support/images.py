"""The subscription of a camera's images, and the conversion between image messages and RGB arrays.

Raw pixels are decoded by :mod:`social_perception.sources.raw_images`, as for bags; encodings that it does not
support are left to cv_bridge, if it is installed.
"""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from social_perception.core.types import ImageArray
from social_perception.ros.convert import blob
from social_perception.ros.support.config import ImageInputConfig
from social_perception.ros.support.qos import image_qos
from social_perception.sources.images import decode_image
from social_perception.sources.raw_images import decode_raw, is_known

if TYPE_CHECKING:
    from social_perception.ros.support.stage import Stage

COMPRESSED_FORMATS = ("JPEG", "PNG")


def subscribe_images(node: Stage, depth: int = 1) -> None:
    """Make the camera's images the input of a node, which works on them in a thread.

    Args:
        node: has the settings of ImageInputConfig.
        depth: images that the middleware keeps for the node; 1: the newest.
    """
    config = node.parameters[ImageInputConfig]
    compressed = config.image_transport == "compressed"
    kind, topic = (CompressedImage, "image/compressed") if compressed else (Image, "image")
    node.subscribe(
        kind,
        topic,
        image_qos(reliable=config.reliability == "reliable", depth=depth),
        reliable_qos=image_qos(reliable=True, depth=depth) if config.reliability == "auto" else None,
        noun="images",
        origin="the camera",
        parameter="reliability",
        in_worker=True,
    )


def decode(message: Image | CompressedImage) -> ImageArray:
    """Decode a message to (H, W, 3) uint8, RGB.

    Raises:
        ImageError: the encoding is not supported, or size, step and data are inconsistent.
    """
    if isinstance(message, CompressedImage):
        return decode_image(bytes(message.data), "compressed image", COMPRESSED_FORMATS)
    if not is_known(message.encoding) and (bridge := cv_bridge()) is not None:
        # What cv_bridge does not know either is reported below.
        with contextlib.suppress(Exception):
            return np.asarray(bridge.imgmsg_to_cv2(message, "rgb8"), np.uint8)
    return decode_raw(message)


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
def cv_bridge() -> Any:
    """A CvBridge; None where cv_bridge is not installed or does not work."""
    try:
        from cv_bridge import CvBridge
    # If it was built for another numpy, cv_bridge fails with an AttributeError.
    except (ImportError, AttributeError):
        return None
    return CvBridge()
