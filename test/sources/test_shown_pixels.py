"""Images are as a player shows them: turned, mirrored, with square pixels; a path may have any name."""

import io
import os
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from social_perception.sources.geometry import square_size, upright
from social_perception.sources.video import VideoSource
from test.sources.test_video import write_video

ONE = 1 << 16
MATRICES = {  # a, b, c, d; the corner to which the upper left one goes; whether the sides are swapped
    "as stored": ((ONE, 0, 0, ONE), (0, 0), False),
    "mirrored": ((-ONE, 0, 0, ONE), (0, -1), False),
    "half turn": ((-ONE, 0, 0, -ONE), (-1, -1), False),
    "upside down": ((ONE, 0, 0, -ONE), (-1, 0), False),
    "transposed": ((0, ONE, ONE, 0), (0, 0), True),
    "quarter turn right": ((0, ONE, -ONE, 0), (0, -1), True),
    "transverse": ((0, -ONE, -ONE, 0), (-1, -1), True),
    "quarter turn left": ((0, -ONE, ONE, 0), (-1, 0), True),
}


def set_matrix(path, a, b, c, d):
    """Write a display matrix into an MP4's track header."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 40
    data[place : place + 20] = struct.pack(">5i", a, b, 0, c, d)
    path.write_bytes(data)


@pytest.mark.parametrize(("matrix", "corner", "swapped"), MATRICES.values(), ids=MATRICES)
def test_the_whole_display_matrix_is_applied(tmp_path, matrix, corner, swapped):
    path = write_video(tmp_path / "turned.mp4", [0, 40])
    set_matrix(path, *matrix)
    with VideoSource(path) as source:
        image = next(source).image
    assert image.shape[:2] == ((64, 48) if swapped else (48, 64))
    bright = {(row, column) for row in (0, -1) for column in (0, -1) if image[row, column].mean() > 200}
    assert bright == {corner}


@pytest.mark.parametrize("matrix", [(0,) * 9, (ONE, 2000, 0, -2000, ONE, 0, 0, 0, 1 << 30)])
def test_no_direction_or_a_slight_one_leaves_the_image(matrix):
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    assert (upright(image, matrix) == image).all()


def video_of_aspects(*aspects, frames=12, codec="libx264"):
    """A transport stream of parts, 64x48 px each, whose pixels have these aspects; each part is brighter."""
    joined = b""
    for number, aspect in enumerate(aspects):
        part = io.BytesIO()
        with av.open(part, "w", format="mpegts") as container:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.codec_context.sample_aspect_ratio = aspect
            for index in range(frames):
                pixels = np.full((48, 64, 3), 20 + 100 * number, np.uint8)
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = number * frames + index, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        joined += part.getvalue()
    return joined


@pytest.mark.parametrize(
    ("aspect", "shape"),
    [
        (Fraction(4, 3), (48, 85)),
        (Fraction(3, 4), (64, 64)),
        (Fraction(2), (48, 128)),
        (Fraction(0, 1), (48, 64)),
        (Fraction(201, 200), (48, 64)),
        (Fraction(30, 1), (48, 64)),
    ],
)
def test_images_have_square_pixels(tmp_path, aspect, shape):
    path = tmp_path / "video.ts"
    path.write_bytes(video_of_aspects(aspect))
    with VideoSource(path) as source:
        frames = list(source)
    assert len(frames) == 12
    assert {frame.image.shape[:2] for frame in frames} == {shape}
    assert square_size(64, 48, aspect) == shape[::-1]


def test_an_aspect_that_changes_counts_from_its_own_frame_on(tmp_path):
    path = tmp_path / "video.ts"
    path.write_bytes(video_of_aspects(Fraction(1), Fraction(4, 3)))
    with VideoSource(path) as source:
        shown = [(round(frame.image.mean(), -1), frame.image.shape[1]) for frame in source]
    assert shown == [(20, 64)] * 12 + [(120, 85)] * 12


def test_pixels_are_squared_before_the_image_is_turned(tmp_path):
    path = tmp_path / "turned.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))))
        container.mux(stream.encode(None))
    set_matrix(path, 0, ONE, -ONE, 0)
    with VideoSource(path) as source:
        assert next(source).image.shape == (128, 48, 3)


def test_the_aspect_in_the_header_overrides_that_of_the_frames(tmp_path):
    path = tmp_path / "video.mp4"
    with (
        av.open(io.BytesIO(video_of_aspects(Fraction(4, 3)))) as stored,
        av.open(str(path), "w") as container,
    ):
        stream = container.add_stream_from_template(stored.streams.video[0])
        for packet in stored.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    data = path.read_bytes()
    place = data.index(b"pasp") + 4
    path.write_bytes(data[:place] + struct.pack(">II", 3, 2) + data[place + 8 :])
    with VideoSource(path) as source:
        assert {frame.image.shape for frame in source} == {(48, 96, 3)}


@pytest.mark.parametrize(("orientation", "shape", "corner"), [(1, (48, 64), (0, 0)), (7, (64, 48), (-1, -1))])
def test_the_exif_orientation_of_mjpeg_is_applied(tmp_path, orientation, shape, corner):
    exif, data = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:16, :16] = 255
    Image.fromarray(pixels).save(data, "JPEG", exif=exif)
    path = tmp_path / "video.mjpeg"
    path.write_bytes(data.getvalue() * 2)
    with VideoSource(path) as source:
        images = [frame.image for frame in source]
    assert [image.shape[:2] for image in images] == [shape] * 2
    assert images[1][corner].mean() > 200


NAMES = (
    "2024-08-20T13:28:35.mp4", "concat:a.mp4", "data:a.mp4", "http:a.mp4", "file:a.mp4", "fd:0.mp4",
    "img%03d.mp4", "what?.mp4", "gl*b[1].mp4", "-i.mp4", " a b .mp4", "%20.mp4", "line\nbreak.mp4",
    "Übung.mp4", os.fsdecode(b"na\xefve.mp4"),
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_path_is_a_file_whatever_it_is_called(tmp_path, monkeypatch, name):
    plain = write_video(tmp_path / "plain.mp4", [0, 40])
    folder = tmp_path / name.removesuffix(".mp4")
    folder.mkdir()
    plain.rename(folder / name)
    monkeypatch.chdir(folder)
    for path in (folder / name, name):
        with VideoSource(path) as source:
            assert len(list(source)) == 2
