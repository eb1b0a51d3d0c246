"""The raw pixels of a camera, as sensor_msgs/Image holds them, to RGB; no ROS is needed.

Any layout (rows with padding, 16 bits of either byte order, planes) becomes dense 8-bit pixels here, or an
error with a reason. OpenCV mixes and interpolates the colours, as cv_bridge and rosbags-image have it do; the
tests hold the pixels equal to theirs.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np

from social_perception.core.errors import ImageError
from social_perception.core.types import ImageArray

BYTES_PER_PIXEL = {
    "rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1,
    "rgb16": 6, "bgr16": 6, "rgba16": 8, "bgra16": 8, "mono16": 2,
    "yuv422": 2, "yuv422_yuy2": 2,
    "bayer_rggb8": 1, "bayer_bggr8": 1, "bayer_gbrg8": 1, "bayer_grbg8": 1,
    "bayer_rggb16": 2, "bayer_bggr16": 2, "bayer_gbrg16": 2, "bayer_grbg16": 2,
}  # fmt: skip
"""The encodings whose pixels lie one after the other."""

PLANAR = ("nv12", "nv21", "nv24")
"""The encodings with a plane of luma, followed by one of chroma pairs."""

_SAME_AS = {"uyvy": "yuv422", "yuyv": "yuv422_yuy2", "8UC1": "mono8", "8UC3": "bgr8", "8UC4": "bgra8"}
# Newer names of the same layout, and OpenCV's types, which stand for its own order of channels.

_TO_RGB = {
    "bgr8": cv2.COLOR_BGR2RGB,
    "rgba8": cv2.COLOR_RGBA2RGB,
    "bgra8": cv2.COLOR_BGRA2RGB,
    "mono8": cv2.COLOR_GRAY2RGB,
    "yuv422": cv2.COLOR_YUV2RGB_UYVY,
    "yuv422_yuy2": cv2.COLOR_YUV2RGB_YUYV,
    # OpenCV names the pattern by its second row and column.
    "bayer_rggb8": cv2.COLOR_BayerBG2RGB,
    "bayer_bggr8": cv2.COLOR_BayerRG2RGB,
    "bayer_gbrg8": cv2.COLOR_BayerGR2RGB,
    "bayer_grbg8": cv2.COLOR_BayerGB2RGB,
}


class RawMessage(Protocol):
    """A sensor_msgs/Image, of rclpy or of rosbags."""

    encoding: str
    width: int
    height: int
    step: int
    is_bigendian: Any
    data: Any


class Layout(NamedTuple):
    """How an image lies in its bytes."""

    rows: int
    row_bytes: int
    step: int


def is_known(encoding: str) -> bool:
    """Whether :func:`decode_raw` supports an encoding."""
    return _SAME_AS.get(encoding, encoding) in {*BYTES_PER_PIXEL, *PLANAR}


def decode_raw(message: RawMessage) -> ImageArray:
    """Return the image of a message as (H, W, 3) uint8, RGB.

    An rgb8 image without padding is not copied. 16 bits become 8 by rounding.

    Raises:
        ImageError: the encoding is not supported, or size, step and data do not fit together.
    """
    encoding = _SAME_AS.get(message.encoding, message.encoding)
    height, width = message.height, message.width
    if encoding in PLANAR:
        return _decode_planar(message, encoding)
    rows = dense_rows(message, _layout(message, encoding))
    if encoding.endswith("16"):
        rows, encoding = _to_8_bits(rows, bool(message.is_bigendian)), encoding[:-2] + "8"
    channels = BYTES_PER_PIXEL[encoding]
    pixels = rows.reshape((height, width) if channels == 1 else (height, width, channels))
    if encoding == "rgb8":
        return pixels
    try:
        return np.asarray(cv2.cvtColor(pixels, _TO_RGB[encoding]), np.uint8)
    except cv2.error as error:
        reason = " ".join(str(error).split())
        raise ImageError(f"image of encoding {message.encoding} cannot be converted: {reason}") from error


def check_layout(message: RawMessage, layout: Layout) -> None:
    """Check that size, step and data of a message fit together.

    Raises:
        ImageError: they do not.
    """
    size = f"{message.width} x {message.height} px"
    if message.width < 1 or message.height < 1:
        raise ImageError(f"image is empty: {size}")
    if layout.step < layout.row_bytes:
        raise ImageError(
            f"image step must be at least {layout.row_bytes} for {size} of {message.encoding}, "
            f"got {layout.step}"
        )
    needed = (layout.rows - 1) * layout.step + layout.row_bytes
    if len(message.data) < needed:
        raise ImageError(
            f"image is truncated: {size} of {message.encoding} need {needed} bytes, got {len(message.data)}"
        )


def strided_rows(message: RawMessage, layout: Layout) -> ImageArray:
    """The rows without their padding as (rows, row_bytes) uint8, a view that cannot be written to."""
    check_layout(message, layout)
    return np.lib.stride_tricks.as_strided(
        np.frombuffer(message.data, np.uint8),
        (layout.rows, layout.row_bytes),
        (layout.step, 1),
        writeable=False,
    )


def dense_rows(message: RawMessage, layout: Layout) -> ImageArray:
    """As :func:`strided_rows`, but one after the other in memory; copied only if there is padding."""
    if layout.step != layout.row_bytes:
        return np.ascontiguousarray(strided_rows(message, layout))
    check_layout(message, layout)
    pixels = np.frombuffer(message.data, np.uint8, layout.rows * layout.row_bytes)
    return pixels.reshape(layout.rows, layout.row_bytes)


def _layout(message: RawMessage, encoding: str) -> Layout:
    if encoding not in BYTES_PER_PIXEL:
        known = ", ".join([*BYTES_PER_PIXEL, *PLANAR])
        raise ImageError(f"image encoding {message.encoding!r} is not supported; supported are {known}")
    if encoding.startswith("yuv422"):
        _check_even_width(message)
    return Layout(message.height, message.width * BYTES_PER_PIXEL[encoding], message.step)


def _check_even_width(message: RawMessage) -> None:
    if message.width % 2:
        raise ImageError(f"image of {message.encoding} must have an even width, got {message.width}")


def _to_8_bits(rows: ImageArray, big_endian: bool) -> ImageArray:
    words = rows.view(">u2" if big_endian else "<u2").astype(np.uint16, copy=False)
    return np.asarray(cv2.convertScaleAbs(words, alpha=255.0 / 65535.0), np.uint8)


def _decode_planar(message: RawMessage, encoding: str) -> ImageArray:
    height, width = message.height, message.width
    if encoding == "nv24":
        return _decode_nv24(message)
    _check_even_width(message)
    rows = dense_rows(message, Layout(height + (height + 1) // 2, width, message.step))
    if height % 2:
        # The last row of chroma serves one row of luma instead of two.
        rows = np.insert(rows, height, rows[height - 1], axis=0)
    code = cv2.COLOR_YUV2RGB_NV12 if encoding == "nv12" else cv2.COLOR_YUV2RGB_NV21
    return np.ascontiguousarray(cv2.cvtColor(rows, code)[:height], np.uint8)


def _decode_nv24(message: RawMessage) -> ImageArray:
    """Luma and, for each pixel, a chroma pair, in rows twice as long."""
    height, width, step = message.height, message.width, message.step
    check_layout(message, Layout(3 * height, width, step))
    every = np.frombuffer(message.data, np.uint8)
    luma = np.lib.stride_tricks.as_strided(every, (height, width), (step, 1), writeable=False)
    chroma = np.lib.stride_tricks.as_strided(
        every[height * step :], (height, width, 2), (2 * step, 2, 1), writeable=False
    )
    # Each pixel twice is an image of 4:2:2, of which OpenCV knows the formula.
    twice = np.stack([chroma[..., 0], luma, chroma[..., 1], luma], axis=-1).reshape(height, 2 * width, 2)
    return np.ascontiguousarray(cv2.cvtColor(twice, cv2.COLOR_YUV2RGB_UYVY)[:, ::2], np.uint8)
