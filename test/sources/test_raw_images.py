"""Every encoding against colour bars made by the formulas of its own definition."""

from __future__ import annotations

import array
from types import SimpleNamespace

import numpy as np
import pytest

from social_perception.core.errors import ImageError
from social_perception.sources.raw_images import BYTES_PER_PIXEL, PLANAR, decode_raw, is_known

BARS = ((235, 235, 235), (200, 200, 20), (30, 190, 190), (40, 180, 30), (190, 30, 180), (200, 60, 30),
        (25, 35, 200), (16, 16, 16))  # fmt: skip


def bars(width: int, height: int, bar_px: int = 8) -> np.ndarray:
    """Colour bars (H, W, 3); the lower half has them in reverse order, so that rows differ, too."""
    row = np.repeat(np.array(BARS, np.uint8), bar_px, axis=0)[:width]
    upper = -(-height // 2 // 2) * 2
    return np.stack([row if y < upper else row[::-1] for y in range(height)])


def ycbcr(rgb: np.ndarray) -> np.ndarray:
    """ITU-R BT.601 with limited range (16 to 235), as cameras deliver it; (H, W, 3) uint8."""
    red, green, blue = np.moveaxis(rgb.astype(float) / 255, -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    channels = (16 + 219 * luma, 128 + 224 * (blue - luma) / 1.772, 128 + 224 * (red - luma) / 1.402)
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def message_of(encoding: str, rgb: np.ndarray, rows: np.ndarray, padding=0, big_endian=False):
    """A message of these rows of bytes, (rows, row_bytes) uint8, padded with what must not be seen."""
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    height, width = rgb.shape[:2]
    return SimpleNamespace(
        encoding=encoding, height=height, width=width, step=padded.shape[1],
        is_bigendian=int(big_endian), data=padded.tobytes(),
    )  # fmt: skip


def as_rows(pixels: np.ndarray, big_endian: bool = False) -> np.ndarray:
    if pixels.dtype != np.uint8:
        pixels = pixels.astype(pixels.dtype.newbyteorder(">" if big_endian else "<"))
    return np.frombuffer(pixels.tobytes(), np.uint8).reshape(len(pixels), -1)


def wide(pixels: np.ndarray) -> np.ndarray:
    """As 16 bits; the two bytes differ, so that their order matters."""
    return pixels.astype(np.uint16) * 256 + (255 - pixels)


def with_alpha(pixels: np.ndarray) -> np.ndarray:
    return np.dstack([pixels, np.full(pixels.shape[:2], 9, pixels.dtype)])


COLOURS = {
    "rgb8": lambda rgb: rgb,
    "bgr8": lambda rgb: rgb[..., ::-1],
    "8UC3": lambda rgb: rgb[..., ::-1],
    "rgba8": with_alpha,
    "bgra8": lambda rgb: with_alpha(rgb[..., ::-1]),
    "8UC4": lambda rgb: with_alpha(rgb[..., ::-1]),
    "rgb16": wide,
    "bgr16": lambda rgb: wide(rgb[..., ::-1]),
    "rgba16": lambda rgb: wide(with_alpha(rgb)),
    "bgra16": lambda rgb: wide(with_alpha(rgb[..., ::-1])),
}


@pytest.mark.parametrize("size", [(64, 8), (63, 7), (1, 1)])
@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("encoding", COLOURS)
def test_packed_colours(encoding, big_endian, padding, size) -> None:
    rgb = bars(*size)
    pixels = np.ascontiguousarray(COLOURS[encoding](rgb))
    decoded = decode_raw(message_of(encoding, rgb, as_rows(pixels, big_endian), padding, big_endian))
    assert decoded.dtype == np.uint8
    tolerance = 1 if "16" in encoding else 0
    np.testing.assert_allclose(decoded.astype(int), rgb, atol=tolerance)


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("encoding", ["mono8", "8UC1", "mono16"])
def test_gray_is_repeated_in_three_channels(encoding, big_endian, padding) -> None:
    gray = bars(63, 7)[..., 1]
    pixels = wide(gray) if encoding == "mono16" else gray
    message = message_of(encoding, gray, as_rows(pixels, big_endian), padding, big_endian)
    np.testing.assert_allclose(decode_raw(message).astype(int), np.dstack([gray] * 3), atol=1)


@pytest.mark.parametrize(
    ("word", "byte"), [(0, 0), (128, 0), (129, 1), (32896, 128), (65406, 254), (65535, 255)]
)
def test_16_bits_are_rounded_to_8(word, byte) -> None:
    pixels = np.full((1, 1, 3), word, np.uint16)
    message = message_of("rgb16", pixels, as_rows(pixels))
    assert decode_raw(message).ravel().tolist() == [byte] * 3


def packed_422(order: str, yuv: np.ndarray) -> np.ndarray:
    pairs = yuv.reshape(len(yuv), -1, 2, 3)
    channels = {
        "Y": pairs[:, :, 0, 0],
        "y": pairs[:, :, 1, 0],
        "U": pairs[:, :, 0, 1],
        "V": pairs[:, :, 0, 2],
    }
    return np.stack([channels[each] for each in order], axis=-1).reshape(len(yuv), -1)


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize(
    ("encoding", "order"),
    [("yuv422", "UYVy"), ("uyvy", "UYVy"), ("yuyv", "YUyV"), ("yuv422_yuy2", "YUyV")],
)
def test_422(encoding, order, padding) -> None:
    rgb = bars(62, 7)
    decoded = decode_raw(message_of(encoding, rgb, packed_422(order, ycbcr(rgb)), padding))
    np.testing.assert_allclose(decoded.astype(int), rgb, atol=3)


def planar_420(order: str, yuv: np.ndarray) -> np.ndarray:
    chroma = yuv[::2, ::2][..., [1, 2] if order == "UV" else [2, 1]]
    return np.concatenate([yuv[..., 0], chroma.reshape(len(chroma), -1)])


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("height", [8, 7, 1])
@pytest.mark.parametrize(("encoding", "order"), [("nv12", "UV"), ("nv21", "VU")])
def test_420(encoding, order, height, padding) -> None:
    rgb = bars(62, height)
    decoded = decode_raw(message_of(encoding, rgb, planar_420(order, ycbcr(rgb)), padding))
    np.testing.assert_allclose(decoded.astype(int), rgb, atol=3)


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("size", [(64, 8), (63, 7), (1, 1)])
def test_nv24(size, padding) -> None:
    rgb = bars(*size, bar_px=1 if size[0] == 1 else 8)
    yuv = ycbcr(rgb)
    height, width = rgb.shape[:2]
    luma = np.pad(yuv[..., 0], ((0, 0), (0, padding)))
    chroma = np.pad(yuv[..., 1:].reshape(height, -1), ((0, 0), (0, 2 * padding)))
    message = message_of("nv24", rgb, luma)
    message.data = luma.tobytes() + chroma.tobytes()
    assert message.step == width + padding
    np.testing.assert_allclose(decode_raw(message).astype(int), rgb, atol=3)


@pytest.mark.parametrize("size", [(64, 16), (63, 15)])
@pytest.mark.parametrize("padding", [0, 4])
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("encoding", [name for name in BYTES_PER_PIXEL if name.startswith("bayer")])
def test_bayer_mosaics_give_the_colour_inside_each_bar(encoding, big_endian, padding, size) -> None:
    rgb = bars(*size)
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]]
    letters = np.array(list(encoding[6:10])).reshape(2, 2)[rows % 2, columns % 2]
    mosaic = np.choose(np.select([letters == "r", letters == "g"], [0, 1], 2), np.moveaxis(rgb, -1, 0))
    pixels = wide(mosaic) if encoding.endswith("16") else mosaic
    decoded = decode_raw(message_of(encoding, rgb, as_rows(pixels, big_endian), padding, big_endian))
    # Interpolation mixes colours where two bars meet.
    inside = [x for x in range(size[0]) if 2 <= x % 8 < 6 and 2 <= (size[0] - 1 - x) % 8 < 6 and x < 56]
    chosen = np.ix_([2, 3, 4, 5, 10, 11, 12], inside)
    np.testing.assert_allclose(decoded[chosen].astype(int), rgb[chosen], atol=1)


def test_an_rgb_image_without_padding_is_not_copied() -> None:
    data = np.arange(24, dtype=np.uint8)
    message = SimpleNamespace(encoding="rgb8", height=2, width=4, step=12, is_bigendian=0, data=data)
    decoded = decode_raw(message)
    assert np.shares_memory(decoded, data)
    assert decoded.flags.writeable


def whole(encoding: str) -> SimpleNamespace:
    """A message of 6 x 4 px that is as long as it must be."""
    bytes_per_pixel = BYTES_PER_PIXEL.get(encoding, 1)
    size = 24 * bytes_per_pixel if encoding not in PLANAR else {"nv24": 72}.get(encoding, 36)
    return SimpleNamespace(
        encoding=encoding, height=4, width=6, step=6 * bytes_per_pixel, is_bigendian=0, data=bytes(size)
    )


@pytest.mark.parametrize("encoding", [*BYTES_PER_PIXEL, *PLANAR])
def test_each_encoding_is_decoded_whole_and_refused_if_a_byte_is_missing(encoding) -> None:
    message = whole(encoding)
    decoded = decode_raw(message)
    assert (decoded.shape, decoded.dtype) == ((4, 6, 3), np.uint8)
    message.data = message.data[:-1]
    with pytest.raises(ImageError, match="truncated"):
        decode_raw(message)


@pytest.mark.parametrize(
    ("encoding", "change", "problem"),
    [
        ("rgb8", {"encoding": "32FC1"}, "encoding '32FC1' is not supported; supported are rgb8"),
        ("rgb8", {"encoding": "16UC1"}, "encoding '16UC1' is not supported"),
        ("rgb8", {"width": 0}, "image is empty: 0 x 4 px"),
        ("nv12", {"step": 5}, "image step must be at least 6 for 6 x 4 px of nv12, got 5"),
        ("nv24", {"height": 0}, "image is empty"),
        ("nv21", {"width": 5}, "image of nv21 must have an even width, got 5"),
        ("yuv422", {"width": 5}, "image of yuv422 must have an even width, got 5"),
    ],
)
def test_what_does_not_fit_together_is_refused_by_name(encoding, change, problem) -> None:
    message = whole(encoding)
    vars(message).update(change)
    with pytest.raises(ImageError) as caught:
        decode_raw(message)
    assert problem in str(caught.value)


def rosbags_image(message) -> np.ndarray:
    image = pytest.importorskip("rosbags.image", reason="needs rosbags-image")
    return image.image_to_cvimage(message, "rgb8")


def cv_bridge(message) -> np.ndarray:
    reason = "needs cv_bridge, which is not on PyPI: it comes with ROS 2 from packages"
    images = pytest.importorskip("social_perception.ros.support.images", reason="needs ROS 2")
    from sensor_msgs.msg import Image

    bridge = images.cv_bridge() or pytest.skip(reason)
    return bridge.imgmsg_to_cv2(Image(**{**vars(message), "data": array.array("B", message.data)}), "rgb8")


@pytest.mark.parametrize("reference", [rosbags_image, cv_bridge])
@pytest.mark.parametrize("encoding", [each for each in BYTES_PER_PIXEL if not each.endswith("16")])
def test_pixels_equal_those_of_the_libraries_that_ros_uses(encoding, reference) -> None:
    rgb = bars(16, 12)
    rows = np.random.default_rng(8).integers(0, 256, (12, 16 * BYTES_PER_PIXEL[encoding]), np.uint8)
    message = message_of(encoding, rgb, rows)
    np.testing.assert_array_equal(decode_raw(message), reference(message))


def test_a_known_encoding_is_known_by_each_of_its_names() -> None:
    assert all(map(is_known, (*BYTES_PER_PIXEL, *PLANAR, "uyvy", "yuyv", "8UC3")))
    assert not is_known("32FC1")


def test_other_encodings_are_left_to_cv_bridge(monkeypatch) -> None:
    images = pytest.importorskip("social_perception.ros.support.images", reason="needs ROS 2")
    known = {"yuv444": np.full((4, 6, 3), 9, np.uint8)}
    bridge = SimpleNamespace(imgmsg_to_cv2=lambda message, encoding: known[message.encoding])
    monkeypatch.setattr(images, "cv_bridge", lambda: bridge)
    message = whole("bgr8")
    assert (images.decode(message) == decode_raw(message)).all()
    message.encoding = "yuv444"
    assert (images.decode(message) == 9).all()
    message.encoding = "yuv555"
    with pytest.raises(ImageError, match="encoding 'yuv555' is not supported; supported are rgb8"):
        images.decode(message)
