"""Stills of every format are read by their content, as a viewer shows them; animations are videos."""

import io
import logging
import os
import struct

import numpy as np
import pytest
from PIL import Image, features

from social_perception.cli.main import main
from social_perception.core.errors import ImageError, SourceError
from social_perception.sources import images
from social_perception.sources.animation import AnimationSource
from social_perception.sources.factory import open_source
from social_perception.sources.image_folder import ImageFolderSource, list_images
from social_perception.sources.images import is_animation, read_image
from social_perception.sources.video import VideoSource
from test.sources.test_video import write_video
from test.sources.tiled_heif import tiled

needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
AVIF = pytest.param("AVIF", marks=needs_avif)
CORNERS = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}
"""Where the upper left corner goes with each EXIF orientation."""


def picture(width=64, height=48):
    """A dark image whose upper left corner is white."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 4, : width // 4] = 255
    return Image.fromarray(pixels)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def oriented(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(picture(), kind, exif=exif)


@pytest.mark.parametrize("orientation", CORNERS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", AVIF])
def test_each_orientation_is_applied_in_each_format(tmp_path, kind, orientation):
    path = tmp_path / "image"
    path.write_bytes(oriented(kind, orientation))
    check_orientation(read_image(path), orientation)


@needs_avif
@pytest.mark.parametrize("orientation", CORNERS)
def test_ffmpeg_reads_what_pillow_cannot(tmp_path, monkeypatch, orientation):
    monkeypatch.setattr(images, "_available", lambda: frozenset({"JPEG", "PNG"}))
    path = tmp_path / "IMG_0001.HEIC"
    path.write_bytes(oriented("AVIF", orientation))
    check_orientation(read_image(path), orientation)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ImageError, match=r"IMG_0001\.HEIC is damaged"):
        read_image(path)


@needs_avif
def test_an_image_of_tiles_is_read_as_a_whole_or_refused(tmp_path, monkeypatch):
    path = tmp_path / "IMG_0001.HEIC"
    path.write_bytes(tiled(encoded(picture(64, 64), "AVIF")))
    assert (read_image(path)[0, [0, 32, 64, 96]].mean(axis=1) > 200).tolist() == [True, False, True, False]
    monkeypatch.setattr(images, "_available", lambda: frozenset({"JPEG", "PNG"}))
    with pytest.raises(ImageError, match=r"IMG_0001\.HEIC consists of tiles, which need pillow-heif"):
        read_image(path)


def check_orientation(image, orientation):
    assert image.shape == ((64, 48, 3) if orientation > 4 else (48, 64, 3))
    bright = {(row, column) for row in (0, -1) for column in (0, -1) if image[row, column].mean() > 200}
    assert bright == {CORNERS[orientation]}


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"dpi": (100, 200)}),
        ("PNG", {"dpi": (100, 200)}),
        ("TIFF", {"dpi": (100, 200)}),
        ("BMP", {"dpi": (100, 200)}),
    ],
)
def test_pixels_of_two_densities_become_square(tmp_path, kind, options):
    path = tmp_path / "image"
    path.write_bytes(encoded(picture(), kind, **options))
    assert read_image(path).shape == (48, 128, 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    if kind != "BMP":
        path.write_bytes(encoded(picture(), kind, exif=exif, **options))
        assert read_image(path).shape == (128, 48, 3)


def test_shapes_of_pixels_in_the_header_are_applied(tmp_path):
    path = tmp_path / "image"
    gif = bytearray(encoded(picture(), "GIF"))
    gif[12] = 49 + 64 - 15 - 2  # (96 + 15) / 64
    path.write_bytes(gif)
    assert read_image(path).shape == (48, round(64 * 111 / 64), 3)
    jpeg = encoded(picture(), "JPEG")
    place = jpeg.index(b"JFIF") + 7
    for shape, size in {(4, 3): (48, 85), (0, 0): (48, 64), (1, 90): (48, 64)}.items():
        path.write_bytes(jpeg[:place] + struct.pack(">BHH", 0, *shape) + jpeg[place + 5 :])
        assert read_image(path).shape[:2] == size


@needs_avif
@pytest.mark.parametrize("formats", [images._available(), {"JPEG", "PNG"}], ids=["pillow", "ffmpeg"])
def test_the_shape_of_the_pixels_of_avif_is_applied(tmp_path, monkeypatch, formats):
    path = tmp_path / "image.avif"
    data = encoded(picture(), "AVIF")
    # A property of the same size, which may be missing, makes way.
    place = data.index(b"pixi")
    path.write_bytes(data[:place] + struct.pack(">4sII", b"pasp", 2, 1) + data[place + 12 :])
    monkeypatch.setattr(images, "_available", lambda: formats)
    assert read_image(path).shape == (48, 128, 3)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.jfif", "JPEG"),
        ("a.jpe", "JPEG"),
        ("a.mpo", "MPO"),
        pytest.param("a.avif", "AVIF", marks=needs_avif),
        pytest.param("IMG_0001.HEIC", "AVIF", marks=needs_avif),
        ("a.jp2", "JPEG2000"),
        ("a.qoi", "QOI"),
        ("a.tga", "TGA"),
        ("a.png", "JPEG"),
        ("IMG_0001", "JPEG"),
        ("a.jpeg_large", "WEBP"),
    ],
)
def test_what_can_be_read_is_an_image_whatever_its_name_is(tmp_path, name, kind):
    if kind == "JPEG2000" and not features.check("jpg_2000"):
        pytest.skip("this Pillow has no JPEG 2000")
    (tmp_path / name).write_bytes(encoded(picture(), kind))
    assert list_images(tmp_path) == (tmp_path / name,)
    assert read_image(tmp_path / name).shape == (48, 64, 3)
    with open_source(str(tmp_path / name)) as source:
        assert isinstance(source, ImageFolderSource)


def test_other_files_of_a_folder_are_no_images(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded(picture(), "JPEG"))
    (tmp_path / "labels.csv").write_text("name,level\na.jpg,2\n")
    (tmp_path / "notes").write_text("BM, P6 and other words")
    (tmp_path / "a.jpg.d").mkdir()
    write_video(tmp_path / "video.mp4", [0, 40])
    assert list_images(tmp_path) == (tmp_path / "a.jpg",)


GRAY = Image.new("L", (8, 6), 128)
MODES = {
    **{mode: GRAY.convert(mode) for mode in ("L", "LA", "P", "RGBA", "RGBX", "CMYK", "YCbCr")},
    "La": GRAY.convert("LA").convert("La"),
    "PA": GRAY.convert("P").convert("PA"),
    "RGBa": GRAY.convert("RGBA").convert("RGBa"),
    "LAB": Image.new("LAB", (8, 6), (137, 128, 128)),
    "HSV": GRAY.convert("RGB").convert("HSV"),
    "I;16": Image.fromarray(np.full((6, 8), 128 * 257, np.uint16)),
    "I": Image.fromarray(np.full((6, 8), 128 * 257, np.int32)),
    "F": Image.fromarray(np.full((6, 8), 128, np.float32)),
}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_becomes_rgb(mode):
    assert MODES[mode].mode == mode
    rgb = images.to_rgb(MODES[mode])
    assert rgb.shape == (6, 8, 3)
    assert np.abs(rgb.astype(int) - 128).max() <= 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", AVIF])
def test_an_image_that_was_cut_off_is_damaged(tmp_path, kind):
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8))
    data = encoded(noise, kind)
    path = tmp_path / "image.jpg"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match=r"image\.jpg is (damaged|not an image)"):
        read_image(path)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.heic", b"\0\0\0\x18ftypheic" + bytes(200), "damaged"),
        ("a.jxl", b"\xff\x0a" + bytes(200), "not an image that can be read"),
        ("a.nef", encoded(picture(), "TIFF"), "a camera's raw file"),
        ("a.svg", b"<svg/>", None),
    ],
)
def test_an_image_that_cannot_be_read_is_named_and_changes_the_status(
    tmp_path, name, content, reason, caplog
):
    (tmp_path / name).write_bytes(content)
    (tmp_path / "b.jpg").write_bytes(encoded(picture(), "JPEG"))
    with ImageFolderSource(tmp_path, 10.0) as source:
        assert len(list(source)) == 1
    assert source.unread == (reason is not None)
    if reason is not None:
        assert f"1 of 2 images were skipped: {name} is" in caplog.text
        assert reason in caplog.text


def test_pages_that_are_not_read_are_reported(tmp_path, caplog):
    path = tmp_path / "pages.tif"
    path.write_bytes(encoded(picture(), "TIFF", save_all=True, append_images=[picture(8, 8)]))
    assert read_image(path).shape == (48, 64, 3)
    assert "pages.tif has 2 pages; the first is used" in caplog.text


def animated(kind, durations_ms=(100, 200, 300)):
    shades = [Image.new("RGB", (16, 12), (80 * number,) * 3) for number in range(len(durations_ms))]
    options = {} if kind != "AVIF" else {"quality": 95}
    return encoded(shades[0], kind, save_all=True, append_images=shades[1:], duration=durations_ms, **options)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.jpg"])
@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", AVIF])
def test_an_animation_is_a_video_whatever_its_name_is(tmp_path, name, kind):
    path = tmp_path / name
    path.write_bytes(animated(kind))
    with open_source(str(path)) as source:
        assert isinstance(source, AnimationSource)
        assert (source.live, source.frame_count) == (False, 3)
        frames = list(source)
    assert [frame.stamp_s for frame in frames] == pytest.approx([0.0, 0.1, 0.3])
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert [frame.image.mean() for frame in frames] == pytest.approx([0, 80, 160], abs=6)
    with pytest.raises(ImageError, match="is a video of 3 frames"):
        read_image(path)


def test_frames_without_a_duration_last_as_long_as_in_a_browser(tmp_path):
    path = tmp_path / "a.gif"
    path.write_bytes(animated("GIF", (0, 10, 50)))
    with AnimationSource(path) as source:
        assert [frame.stamp_s for frame in source] == pytest.approx([0.0, 0.1, 0.2])


def test_what_precedes_the_damaged_part_of_an_animation_is_kept(tmp_path, caplog):
    noise = np.random.default_rng(1).integers(0, 255, (4, 48, 64, 3), np.uint8)
    first, *others = map(Image.fromarray, noise)
    data = encoded(first, "GIF", save_all=True, append_images=others, duration=100)
    path = tmp_path / "a.gif"
    path.write_bytes(data[: len(data) * 5 // 8])
    with AnimationSource(path) as source:
        assert 1 <= len(list(source)) <= 3


@pytest.mark.parametrize("content", [b"words", b"GIF89a"])
def test_what_is_no_animation_is_one_clear_line(tmp_path, content):
    path = tmp_path / "a.gif"
    path.write_bytes(content)
    assert not is_animation(path)
    with pytest.raises(SourceError, match="is not an animation that can be read"):
        AnimationSource(path)


def test_a_named_pipe_is_not_opened_to_see_what_it_is(tmp_path):
    os.mkfifo(tmp_path / "a.gif")
    assert not is_animation(tmp_path / "a.gif")


def test_pillow_prints_no_warnings_of_large_images(tmp_path, monkeypatch, recwarn):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    path = tmp_path / "a.gif"
    path.write_bytes(animated("GIF"))
    assert is_animation(path)
    with AnimationSource(path) as source:
        assert len(list(source)) == 3
    assert not recwarn.list


def test_jpeg_after_jpeg_is_a_video(tmp_path):
    path = tmp_path / "video.mjpeg"
    path.write_bytes(encoded(picture(), "JPEG") * 3)
    with open_source(str(path)) as source:
        assert isinstance(source, VideoSource)


def test_detect_names_what_it_skips(tmp_path, caplog, capsys):
    caplog.set_level(logging.WARNING)
    (tmp_path / "a.jpg").write_bytes(encoded(Image.new("RGB", (1, 1)), "JPEG"))
    (tmp_path / "b.gif").write_bytes(animated("GIF"))
    argv = ["detect", str(tmp_path), "--output", str(tmp_path / "boxes.csv"), "--backend", "mmod-torch"]
    assert main(argv) == 1
    assert "0 faces in 1 images" in capsys.readouterr().out
    assert "b.gif is a video of 3 frames" in caplog.text
