import shutil
import struct
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

from social_perception.core.errors import SourceError
from social_perception.sources.video import VideoSource


def write_video(path, stamps_ms, size=(64, 48), codec="mpeg4", options=None):
    """A video whose frames get brighter, shown at the given times; its upper left corner is white."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number, stamp_ms in enumerate(stamps_ms):
            pixels = np.full((size[1], size[0], 3), 20 + 4 * (number % 40), np.uint8)
            pixels[:16, :16] = 255
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = stamp_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def rotate(path, degrees):
    """Write a rotation into an MP4's track header, as a telephone does."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    cosine, sine = {90: (0, one), 180: (-one, 0), 270: (0, -one)}[degrees]
    data[place : place + 20] = struct.pack(">5i", cosine, sine, 0, -sine, cosine)
    path.write_bytes(data)


def test_stamps_are_the_presentation_times(tmp_path):
    stamps_ms = [0, 40, 80, 200, 240, 1000, 1015]
    with VideoSource(write_video(tmp_path / "uneven.mp4", stamps_ms)) as source:
        assert not source.live
        assert source.frame_count == len(stamps_ms)
        frames = list(source)
    assert [frame.index for frame in frames] == list(range(len(stamps_ms)))
    assert [frame.stamp_s for frame in frames] == pytest.approx([ms / 1000 for ms in stamps_ms], abs=2e-3)


@pytest.mark.parametrize(
    ("degrees", "corner"), [(90, ("top", "right")), (180, ("bottom", "right")), (270, ("bottom", "left"))]
)
def test_the_rotation_is_applied(tmp_path, degrees, corner):
    path = write_video(tmp_path / "turned.mp4", [0, 40])
    rotate(path, degrees)
    with VideoSource(path) as source:
        image = next(source).image
    assert image.shape[:2] == ((48, 64) if degrees == 180 else (64, 48))
    rows = slice(0, 8) if corner[0] == "top" else slice(-8, None)
    columns = slice(0, 8) if corner[1] == "left" else slice(-8, None)
    assert image[rows, columns].mean() > 200


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("meeting.mp4", None, "meeting.mp4 does not exist"),
        ("meeting.mp4", b"", "meeting.mp4 is not a video that can be read: it is empty"),
        (
            "meeting.mp4",
            b"Minutes of the meeting\n" * 200,
            "is not a video that can be read: it cannot be decoded",
        ),
        (
            "meeting.txt",
            b"Minutes of the meeting\n" * 200,
            "is not a video that can be read: it is a text file",
        ),
        ("meeting.mp4", bytes(range(256)) * 64, "is not a video that can be read"),
    ],
    ids=["missing", "empty", "renamed-text", "text", "garbage"],
)
def test_what_is_no_video_is_one_clear_line(tmp_path, name, content, message, capfd):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=message) as caught:
        VideoSource(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_a_folder_is_no_video(tmp_path):
    with pytest.raises(SourceError, match="is not a video that can be read"):
        VideoSource(tmp_path)


def test_a_sound_file_has_no_pictures(tmp_path):
    path = tmp_path / "sound.wav"
    samples = b"\0\0" * 800
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(samples), b"WAVE", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16,
        b"data", len(samples),
    )  # fmt: skip
    path.write_bytes(header + samples)
    with pytest.raises(SourceError, match="it has no pictures"):
        VideoSource(path)


def test_what_precedes_a_damaged_tail_is_kept(tmp_path, caplog):
    whole = write_video(tmp_path / "whole.mkv", range(0, 4000, 40))
    cut = tmp_path / "cut.mkv"
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    with VideoSource(cut) as source:
        frames = list(source)
    assert 20 < len(frames) < 90


def test_an_mp4_that_was_cut_off_says_so(tmp_path, caplog):
    # With its index in front, half a file is half a video.
    whole = write_video(tmp_path / "whole.mp4", range(0, 4000, 40), options={"movflags": "faststart"})
    data = whole.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: len(data) // 2])
    with VideoSource(cut) as source:
        frames = list(source)
    assert 20 < len(frames) < 90
    assert f"cut.mp4 is damaged: {len(frames)} of 100 frames could be read" in caplog.text


def test_an_mp4_without_its_index_is_an_error(tmp_path):
    whole = write_video(tmp_path / "whole.mp4", range(0, 400, 40))
    data = whole.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: data.index(b"moov") - 8])
    with pytest.raises(SourceError, match="is not a video that can be read"):
        VideoSource(cut)


def test_a_closed_video_ends(tmp_path):
    source = VideoSource(write_video(tmp_path / "short.mp4", [0, 40, 80]))
    next(source)
    source.close()
    source.close()
    assert list(source) == []


def test_a_real_clip_in_another_container(shared, tmp_path):
    path = shutil.copy(shared / "clips" / "face_leaves.mov", tmp_path / "clip.mov")
    with VideoSource(path) as source:
        assert source.frame_count == 169
        first, second = next(source), next(source)
    assert (first.width, first.height) == (960, 540)
    assert 0 < second.stamp_s - first.stamp_s < 0.1


def write_damaged_video(path):
    """Noise, so that decoding takes a while, with bytes of every packet but the first overwritten."""
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for number in range(12):
            frame = av.VideoFrame.from_ndarray(np.roll(noise, 3 * number, axis=1), format="rgb24")
            for whole in stream.encode(frame):
                data = bytearray(bytes(whole))
                if number:
                    middle = len(data) // 2
                    data[middle : middle + 200] = b"\x55" * 200
                packet = av.Packet(bytes(data))
                packet.pts, packet.dts, packet.time_base = whole.pts, whole.dts, whole.time_base
                packet.stream, packet.is_keyframe = stream, whole.is_keyframe
                container.mux(packet)
    return path


OPEN_AND_CLOSE = """
import logging, sys, time
import av
from social_perception.sources.video import VideoSource

class SlowHandler(logging.Handler):
    def emit(self, record):
        print(record.getMessage(), file=sys.stderr)
        time.sleep(0.02)

logging.getLogger("libav").addHandler(SlowHandler())
av.logging.set_level(av.logging.ERROR)
for _ in range(30):
    with VideoSource(sys.argv[1]) as source:
        next(source)
"""


def test_closing_a_damaged_video_never_waits_for_a_thread_that_logs(tmp_path):
    # Another library may have turned PyAV's logging on. The handler gives the interpreter's lock up, as one
    # that writes to a disk does, so that without the source's precaution the first close() deadlocks.
    path = write_damaged_video(tmp_path / "damaged.mp4")
    command = [sys.executable, "-c", OPEN_AND_CLOSE, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
