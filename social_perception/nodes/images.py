"""Image messages to RGB arrays, and back.

The pixels are converted by cv_bridge where ROS has it, else by rosbags-image. Neither tells a user
what is wrong with a message, and rosbags-image ignores the step, so both are checked here first.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from social_perception.core.errors import ImageError, MissingDependencyError
from social_perception.core.types import ImageArray
from social_perception.nodes.blob import blob
from social_perception.sources.images import decode_image

BYTES_PER_PIXEL = {
    "rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1,
    "rgb16": 6, "bgr16": 6, "rgba16": 8, "bgra16": 8, "mono16": 2,
    "yuv422": 2, "yuv422_yuy2": 2,
    "bayer_rggb8": 1, "bayer_bggr8": 1, "bayer_gbrg8": 1, "bayer_grbg8": 1,
    "bayer_rggb16": 2, "bayer_bggr16": 2, "bayer_gbrg16": 2, "bayer_grbg16": 2,
}  # fmt: skip
"""The encodings that are understood."""

_SAME_AS = {"uyvy": "yuv422", "yuyv": "yuv422_yuy2", "8UC1": "mono8", "8UC3": "bgr8", "8UC4": "bgra8"}
# Newer names of the same layout, and OpenCV's types, which stand for its own order of channels.

COMPRESSED_FORMATS = ("JPEG", "PNG")

Converter = Callable[[Image], ImageArray]


def decode(message: Image | CompressedImage) -> ImageArray:
    """Return the picture of a message as (H, W, 3) uint8, RGB.

    Raises:
        ImageError: the encoding is not understood, or size, step and data do not fit together.
        MissingDependencyError: neither cv_bridge nor rosbags-image is installed.
    """
    if isinstance(message, CompressedImage):
        return decode_image(bytes(message.data), "compressed image", COMPRESSED_FORMATS)
    return _decode_raw(message)


def encode(image: ImageArray, header: Header) -> Image:
    """Return an RGB picture as a message of encoding rgb8."""
    height, width = image.shape[:2]
    message = Image(header=header, height=height, width=width, encoding="rgb8", step=3 * width)
    message.data = blob(image)
    return message


def image_header(stamp: Time, frame_id: str) -> Header:
    """The header of an image taken at this time by the camera of this optical frame."""
    return Header(stamp=stamp, frame_id=frame_id)


def _decode_raw(message: Image) -> ImageArray:
    encoding = _SAME_AS.get(message.encoding, message.encoding)
    row_bytes = _check(message, encoding)
    pixels = np.frombuffer(message.data, np.uint8)
    if message.step != row_bytes:
        padded = np.lib.stride_tricks.as_strided(
            pixels, (message.height, row_bytes), (message.step, 1), writeable=False
        )
        pixels = np.ascontiguousarray(padded)
    pixels = pixels.ravel()[: message.height * row_bytes]
    if encoding == "rgb8":
        return pixels.reshape(message.height, message.width, 3)
    return _convert(message, encoding, row_bytes, pixels)


def _check(message: Image, encoding: str) -> int:
    """Return the bytes of one row without padding."""
    if encoding not in BYTES_PER_PIXEL:
        known = ", ".join(BYTES_PER_PIXEL)
        raise ImageError(f"image encoding {message.encoding!r} is not supported; supported are {known}")
    size = f"{message.width} x {message.height} px"
    if message.width < 1 or message.height < 1:
        raise ImageError(f"image is empty: {size}")
    row_bytes = message.width * BYTES_PER_PIXEL[encoding]
    if message.step < row_bytes:
        raise ImageError(
            f"image step must be at least {row_bytes} for {size} of {message.encoding}, got {message.step}"
        )
    needed = (message.height - 1) * message.step + row_bytes
    if len(message.data) < needed:
        raise ImageError(
            f"image is truncated: {size} of {message.encoding} need {needed} bytes, got {len(message.data)}"
        )
    if encoding.startswith("yuv422") and message.width % 2:
        raise ImageError(f"image of {message.encoding} must have an even width, got {message.width}")
    return row_bytes


def _convert(message: Image, encoding: str, row_bytes: int, pixels: ImageArray) -> ImageArray:
    packed = Image(
        height=message.height,
        width=message.width,
        encoding=encoding,
        is_bigendian=message.is_bigendian,
        step=row_bytes,
        data=blob(pixels),
    )
    try:
        return _converter()(packed)
    except (MissingDependencyError, MemoryError):
        raise
    # cv_bridge, rosbags-image and OpenCV each have their own errors, with no base in common.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ImageError(f"image of encoding {message.encoding} cannot be converted: {reason}") from error


@functools.cache
def _converter() -> Converter:
    return _cv_bridge() or _rosbags_image()


def _cv_bridge() -> Converter | None:
    try:
        from cv_bridge import CvBridge
    # Built for another numpy, cv_bridge fails with an AttributeError.
    except (ImportError, AttributeError):
        return None
    bridge = CvBridge()

    def convert(message: Image) -> ImageArray:
        return np.asarray(bridge.imgmsg_to_cv2(message, "rgb8"))

    return convert


def _rosbags_image() -> Converter:
    try:
        from rosbags.image import image_to_cvimage
    except ImportError as error:
        raise MissingDependencyError(
            "images cannot be converted: install cv_bridge (apt install ros-$ROS_DISTRO-cv-bridge) or "
            "rosbags-image (pip install rosbags-image)"
        ) from error

    def convert(message: Any) -> ImageArray:
        return np.asarray(image_to_cvimage(message, "rgb8"))

    return convert
