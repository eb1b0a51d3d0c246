import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from social_perception.core.errors import ImageError, SourceError
from social_perception.sources.image_folder import ImageFolderSource, list_images
from social_perception.sources.images import decode_image, read_image

RAMP = np.arange(12 * 16, dtype=np.uint8).reshape(12, 16)


def gray16():
    return Image.fromarray(RAMP.astype(np.uint16) * 257)


def with_alpha():
    rgba = np.dstack([RAMP, RAMP, RAMP, np.full_like(RAMP, 255)])
    return Image.fromarray(rgba, "RGBA")


def float_gray():
    return Image.fromarray(RAMP.astype(np.float32) / 255.0)


def palette():
    image = Image.fromarray(RAMP).quantize(256)
    assert image.mode == "P"
    return image


@pytest.mark.parametrize(
    ("make", "suffix"),
    [
        (lambda: Image.fromarray(RAMP), ".png"),
        (gray16, ".png"),
        (gray16, ".tiff"),
        (with_alpha, ".png"),
        (float_gray, ".tiff"),
        (palette, ".png"),
        (palette, ".gif"),
        (lambda: Image.fromarray(np.dstack([RAMP] * 3)), ".bmp"),
    ],
    ids=[
        "gray",
        "gray16-png",
        "gray16-tiff",
        "four-channel",
        "float",
        "palette-png",
        "palette-gif",
        "rgb-bmp",
    ],
)
def test_every_kind_of_image_becomes_rgb(tmp_path, make, suffix):
    path = tmp_path / f"image{suffix}"
    make().save(path)
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.shape == (12, 16, 3)
    assert np.abs(image.astype(int) - RAMP[:, :, np.newaxis]).max() <= 1


def test_what_is_transparent_becomes_gray():
    rgba = np.zeros((4, 4, 4), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(rgba, "RGBA").save(buffer, "PNG")
    assert (decode_image(buffer.getvalue(), "image") == 128).all()


def test_an_image_of_one_pixel_is_read(tmp_path):
    path = tmp_path / "one.png"
    Image.new("RGB", (1, 1), (1, 2, 3)).save(path)
    assert read_image(path).tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize(
    ("orientation", "corner"),
    [(1, (0, 0)), (3, (11, 15)), (6, (0, 11)), (8, (15, 0))],
)
def test_the_exif_orientation_is_applied(tmp_path, orientation, corner):
    image = Image.new("RGB", (16, 12))
    image.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "rotated.png"
    image.save(path, exif=exif)
    turned = read_image(path)
    assert tuple(np.argwhere(turned[:, :, 0] == 255)[0]) == corner


def png_header_of(width, height):
    """A PNG that claims a size and has next to no data."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def jpeg_bytes():
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"these are words, not pixels", "is not an image that can be read"),
        (png_header_of(12_000, 10_000), "has more than 100 megapixels: 12000 x 10000 px"),
        (png_header_of(60_000, 60_000), "has more than 100 megapixels"),
        (png_header_of(16, 16), "is damaged"),
        (jpeg_bytes()[:900], "is damaged"),
    ],
    ids=["empty", "text", "too-large", "bomb", "no-data", "truncated"],
)
def test_what_is_no_image_is_one_clear_line(tmp_path, data, message):
    path = tmp_path / "image.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=message) as caught:
        read_image(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_image_says_so(tmp_path):
    with pytest.raises(ImageError, match=r"nowhere\.png cannot be read: No such file"):
        read_image(tmp_path / "nowhere.png")


def test_images_are_listed_in_natural_order(tmp_path):
    for name in ["frame10.png", "frame2.PNG", "frame1.jpg", "notes.txt", ".hidden.png", "a.png", "2a.png"]:
        (tmp_path / name).write_bytes(b"")
    names = [path.name for path in list_images(tmp_path)]
    assert names == ["2a.png", "a.png", "frame1.jpg", "frame2.PNG", "frame10.png"]


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_folder_without_images_is_an_error(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"does not exist|has no image files"):
        list_images(tmp_path / name)


def test_a_folder_skips_and_names_what_it_cannot_read(tmp_path, caplog):
    for name in ["1.png", "3.png"]:
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    (tmp_path / "2.png").write_text("no image")
    with ImageFolderSource(tmp_path, rate_hz=10.0) as source:
        assert source.frame_count == 3
        frames = list(source)
    assert [(frame.index, frame.stamp_s) for frame in frames] == [(0, 0.0), (1, 0.1)]
    assert "1 of 3 images were skipped: 2.png is not an image that can be read" in caplog.text
    assert source.unread == 1


def test_a_folder_of_nothing_readable_is_an_error(tmp_path):
    (tmp_path / "1.png").write_text("no image")
    with (
        ImageFolderSource(tmp_path, rate_hz=10.0) as source,
        pytest.raises(SourceError, match=r"1\.png is not an image that can be read"),
    ):
        next(source)


def test_a_format_that_is_run_rather_than_read_is_refused(tmp_path):
    # Pillow would hand it to Ghostscript.
    path = tmp_path / "image.png"
    Image.new("RGB", (8, 6)).save(path, "EPS")
    with pytest.raises(ImageError, match="not an image that can be read"):
        read_image(path)


@pytest.mark.parametrize("error", [struct.error("x"), KeyError("x"), ZeroDivisionError(), zlib.error("x")])
def test_whatever_a_format_raises_for_damaged_data_is_damage(monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(ImageError, match="is damaged"):
        decode_image(b"data", "it")
