"""The annotated video plays everywhere: H.264, its index first, every frame at its own time."""

import os
import struct
from pathlib import Path

import av
import numpy as np
import pytest

from social_perception.sinks.video import VideoWriter

needs_h264 = pytest.mark.skipif("libx264" not in av.codecs_available, reason="this FFmpeg has no H.264")
STAMPS_S = {
    "ntsc": [n * 1001 / 30000 for n in range(40)],
    "pal": [n / 25 for n in range(40)],
    "phone": list(np.cumsum([0.0, *np.random.default_rng(1).uniform(0.02, 0.06, 39)])),
}


@pytest.fixture(params=STAMPS_S)
def written(request, tmp_path):
    stamps_s = STAMPS_S[request.param]
    path = tmp_path / "annotated.mp4"
    with VideoWriter(path, 1 / (stamps_s[1] - stamps_s[0])) as writer:
        for number, stamp_s in enumerate(stamps_s):
            writer.add(np.full((120, 160, 3), 6 * number, np.uint8), stamp_s)
    return path, stamps_s


def boxes(path):
    """The names of a MP4 file's outermost boxes, in order."""
    content, place, names = path.read_bytes(), 0, []
    while place < len(content):
        size, name = struct.unpack_from(">I4s", content, place)
        names.append(name.decode())
        place += size
    return names


@needs_h264
def test_it_is_h264_as_browsers_take_it(written):
    path, _ = written
    with av.open(str(path)) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p")


def test_its_index_comes_before_the_pictures(written):
    names = boxes(written[0])
    assert names.index("moov") < names.index("mdat")


def test_its_frames_and_its_length_are_those_of_the_source(written):
    path, stamps_s = written
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        times_s = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
        length_s = float(stream.duration * stream.time_base)
    assert times_s == pytest.approx(stamps_s, abs=1e-4)
    assert stamps_s[-1] < length_s < stamps_s[-1] + 0.1


def test_later_images_of_another_shape_keep_theirs(tmp_path):
    path = tmp_path / "annotated.mp4"
    with VideoWriter(path, 25.0) as writer:
        for number, size in enumerate([(120, 160), (120, 80), (240, 320)]):
            writer.add(np.full((*size, 3), 200, np.uint8), number / 25)
    with av.open(str(path)) as container:
        shown = [frame.to_ndarray(format="rgb24")[60, :, 0] > 100 for frame in container.decode(video=0)]
    assert [row.sum() for row in shown] == pytest.approx([160, 80, 160], abs=2)
    assert shown[1][45:115].all()


@pytest.mark.parametrize("name", ["13:28:35", "concat:a", "100%d", os.fsdecode(b"na\xefve")])
def test_it_is_written_into_a_folder_of_any_name(tmp_path, monkeypatch, name):
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    with VideoWriter(Path(name) / f"{name}.mp4", 25.0) as writer:
        writer.add(np.zeros((48, 64, 3), np.uint8), 0.0)
    assert boxes(tmp_path / name / f"{name}.mp4")[0] == "ftyp"
