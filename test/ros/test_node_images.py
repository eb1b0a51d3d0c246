from __future__ import annotations

import array
import io

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from PIL import Image as PillowImage
from sensor_msgs.msg import CompressedImage

from social_perception.core.errors import ImageError
from social_perception.ros.support.images import decode, encode, image_header


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
