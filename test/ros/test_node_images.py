from __future__ import annotations

import array
import io

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from PIL import Image as PillowImage
from sensor_msgs.msg import CompressedImage, Image

from social_perception.core.errors import ImageError
from social_perception.ros.support.images import decode, encode, image_header


def message_of(encoding: str, pixels: np.ndarray, *, padding: int = 0, big_endian: bool = False) -> Image:
    height, width = pixels.shape[:2]
    if big_endian:
        pixels = pixels.astype(pixels.dtype.newbyteorder(">"))
    rows = np.frombuffer(pixels.tobytes(), np.uint8).reshape(height, -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    return Image(
        height=height, width=width, encoding=encoding, is_bigendian=int(big_endian), step=rows.shape[1],
        data=array.array("B", rows.tobytes()),
    )  # fmt: skip


def wide(pixels: np.ndarray) -> np.ndarray:
    """As 16 bits; the two bytes differ, so that their order matters."""
    return pixels.astype(np.uint16) * 256 + (255 - pixels)


def gray(rgb: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)


def alpha(pixels: np.ndarray) -> np.ndarray:
    return np.dstack([pixels, np.full(pixels.shape[:2], 9, pixels.dtype)])


COLOR = {
    "rgb8": lambda rgb: rgb,
    "bgr8": lambda rgb: rgb[..., ::-1],
    "rgba8": alpha,
    "bgra8": lambda rgb: alpha(rgb[..., ::-1]),
    "8UC3": lambda rgb: rgb[..., ::-1],
    "rgb16": wide,
    "bgr16": lambda rgb: wide(rgb[..., ::-1]),
}


@pytest.mark.parametrize("padding", [0, 10])
@pytest.mark.parametrize("encoding", COLOR)
def test_colours_come_out_as_rgb(encoding: str, padding: int, picture: np.ndarray) -> None:
    pixels = np.ascontiguousarray(COLOR[encoding](picture))
    decoded = decode(message_of(encoding, pixels, padding=padding))
    assert decoded.dtype == np.uint8
    np.testing.assert_allclose(decoded.astype(int), picture, atol=1)


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize(
    ("encoding", "prepare"), [("mono8", gray), ("8UC1", gray), ("mono16", lambda rgb: wide(gray(rgb)))]
)
def test_gray_is_repeated_in_three_channels(encoding, prepare, big_endian, picture) -> None:
    decoded = decode(message_of(encoding, prepare(picture), padding=6, big_endian=big_endian))
    np.testing.assert_allclose(decoded.astype(int), np.dstack([gray(picture)] * 3), atol=1)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"encoding": "32FC1"}, "image encoding '32FC1' is not supported; supported are rgb8"),
        ({"encoding": ""}, "image encoding '' is not supported"),
        ({"height": 0}, "image is empty: 64 x 0 px"),
        ({"step": 10}, "image step must be at least 192 for 64 x 48 px of rgb8, got 10"),
        ({"data": array.array("B", bytes(9215))}, "truncated: 64 x 48 px of rgb8 need 9216 bytes, got 9215"),
        ({"data": array.array("B")}, "truncated: 64 x 48 px of rgb8 need 9216 bytes, got 0"),
        ({"encoding": "yuv422", "width": 63}, "must have an even width, got 63"),
        ({"height": 2**31, "width": 2**31, "step": 2**32 - 1}, "image step must be at least"),
    ],
)
def test_bad_messages_are_refused_by_name(change, problem, image_message) -> None:
    message = image_message()
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(ImageError, match="image") as caught:
        decode(message)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def compressed(picture: np.ndarray, kind: str) -> CompressedImage:
    stream = io.BytesIO()
    PillowImage.fromarray(picture).save(stream, kind, quality=95)
    return CompressedImage(format=kind.lower(), data=array.array("B", stream.getvalue()))


@pytest.mark.parametrize(("kind", "tolerance"), [("JPEG", 12), ("PNG", 0)])
def test_compressed_images(kind: str, tolerance: int, picture: np.ndarray) -> None:
    smooth = np.full_like(picture, (200, 90, 20))
    np.testing.assert_allclose(decode(compressed(smooth, kind)).astype(int), smooth, atol=tolerance)


@pytest.mark.parametrize("data", [b"", b"no picture at all", b"\xff\xd8\xff\xe0 broken"])
def test_damaged_compressed_images_are_refused(data: bytes) -> None:
    with pytest.raises(ImageError, match="compressed image"):
        decode(CompressedImage(data=array.array("B", data)))


def test_truncated_jpeg_is_refused(picture: np.ndarray) -> None:
    message = compressed(picture, "JPEG")
    message.data = message.data[: len(message.data) // 2]
    with pytest.raises(ImageError, match="damaged"):
        decode(message)


def test_encode_is_the_inverse_of_decode(picture: np.ndarray) -> None:
    from builtin_interfaces.msg import Time

    message = encode(picture, image_header(Time(sec=3), "camera"))
    assert (message.encoding, message.step, message.header.frame_id) == ("rgb8", 192, "camera")
    np.testing.assert_array_equal(decode(message), picture)


def test_an_rgb_image_is_not_copied(picture: np.ndarray) -> None:
    message = encode(picture, image_header(Time(sec=1), "camera"))
    assert np.shares_memory(decode(message), np.frombuffer(message.data, np.uint8))


@pytest.mark.parametrize("view", [slice(None), slice(None, None, -1), slice(None, None, 2), slice(0, 0)])
def test_a_view_is_sent_as_its_pixels(view: slice, picture: np.ndarray) -> None:
    message = encode(picture[view], image_header(Time(sec=1), "camera"))
    assert isinstance(message.data, array.array)
    assert message.data.tobytes() == picture[view].tobytes()
