import re
import shutil
import struct
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from social_perception.core.errors import SourceError
from social_perception.sources.video import VideoSource
from test.sources.talking import beep, write_talking_video


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


def test_a_sound_file_has_no_images(tmp_path):
    path = tmp_path / "sound.wav"
    samples = b"\0\0" * 800
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(samples), b"WAVE", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16,
        b"data", len(samples),
    )  # fmt: skip
    path.write_bytes(header + samples)
    with pytest.raises(SourceError, match="it has no images"):
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


def loud_at(path):
    """The times between which samples are louder than -20 dBFS, by the frames' sound."""
    with VideoSource(path, 16_000) as source:
        sounds = [frame.sound for frame in source]
    times_s = np.concatenate([sound.start_s + np.arange(len(sound.samples)) / 16_000 for sound in sounds])
    loud = times_s[np.abs(np.concatenate([sound.samples for sound in sounds])) > 0.1]
    return loud.min(), loud.max()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mono.mp4", {}),
        ("stereo.mp4", {"layout": "stereo"}),
        ("later.mkv", {"audio_start_s": 1.0}),
        ("apart.mov", {"apart": True, "codec": "pcm_s16le"}),
        ("flac.mkv", {"codec": "flac"}),
        ("stream.ts", {"codec": "mp2"}),
        ("cut.mkv", {"start_s": 7.0, "codec": "mp2"}),
    ],
)
def test_a_beep_is_in_the_sound_of_the_frames_at_its_time(tmp_path, name, options):
    at_s = 2.0 - options.get("audio_start_s", 0.0)
    sound = beep(at_s, 2 if options.get("layout") == "stereo" else 1)
    path = write_talking_video(tmp_path / name, sound, **options)
    # Lossy codecs spread a sudden tone over a part of their window.
    assert loud_at(path) == pytest.approx((2.0, 2.1), abs=0.02)


def test_the_sound_of_all_frames_is_all_of_it_up_to_the_last(tmp_path):
    path = write_talking_video(tmp_path / "talk.mp4", beep(1.0))
    with VideoSource(path, 16_000) as source:
        assert source.sound_rate_hz == 16_000
        frames = list(source)
    assert len(frames) == 100
    for before, frame in pairwise(frames):
        assert frame.sound.start_s == pytest.approx(before.stamp_s, abs=1e-4)
        assert frame.sound.end_s == pytest.approx(frame.stamp_s, abs=1e-4)


def test_frames_after_the_end_of_the_sound_have_no_samples(tmp_path):
    path = write_talking_video(tmp_path / "talk.mp4", beep(0.5, seconds=1))
    with VideoSource(path, 16_000) as source:
        frames = list(source)
    assert sum(len(frame.sound.samples) for frame in frames) == pytest.approx(16_000, abs=700)
    assert all(len(frame.sound.samples) == 0 for frame in frames[30:])


@pytest.mark.parametrize("rate_hz", [None, 16_000])
def test_frames_of_a_video_without_sound_or_without_a_request_have_none(tmp_path, rate_hz):
    silent = write_video(tmp_path / "silent.mp4", range(0, 400, 40))
    path = silent if rate_hz else write_talking_video(tmp_path / "talk.mp4", beep(0.5))
    with VideoSource(path, rate_hz) as source:
        assert source.sound_rate_hz is None
        assert next(source).sound is None


def test_damaged_sound_is_reported_once_and_costs_no_image(tmp_path, caplog):
    path = write_talking_video(tmp_path / "talk.mkv", beep(0.5, length_s=3.0), codec="mp2")
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.size]
    damaged = packets[20:60]
    for packet in damaged:
        place = data.index(bytes(packet))
        data[place : place + packet.size] = b"\x55" * packet.size
    path.write_bytes(data)
    with VideoSource(path, 16_000) as source:
        frames = list(source)
    assert len(frames) == 100
    assert caplog.text.count("its sound is damaged") == 1
    lost_s = len(damaged) * 1152 / 48_000
    delivered_s = sum(frame.sound.duration_s for frame in frames)
    assert delivered_s == pytest.approx(frames[-1].stamp_s - lost_s, abs=0.1)
    # What follows the damage has its own time.
    assert frames[-1].sound.end_s == pytest.approx(frames[-1].stamp_s, abs=1e-3)


@pytest.mark.parametrize(
    "starts_s", [(0.0, 40_000.0), (40_000.0, 0.0), (0.0, 0.0), (7.0, 2.0), (7.0, 40.0)], ids=str
)
def test_images_and_sound_of_joined_files_go_on_together(tmp_path, caplog, starts_s):
    parts = [
        write_talking_video(tmp_path / f"{n}.ts", beep(1.0 + n), start_s=start_s, codec="mp2")
        for n, start_s in enumerate(starts_s)
    ]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    with VideoSource(path, 16_000) as source:
        assert source.frame_count is None or source.frame_count < 2000
        frames = list(source)
    assert [frame.stamp_s for frame in frames] == pytest.approx([n / 25 for n in range(200)], abs=0.02)
    for at_s in (1.0, 6.0):
        near = [each.sound for each in frames if at_s - 0.3 < each.stamp_s < at_s + 0.4]
        times_s = np.concatenate([each.start_s + np.arange(len(each.samples)) / 16_000 for each in near])
        loud = times_s[np.abs(np.concatenate([each.samples for each in near])) > 0.1]
        assert (loud.min(), loud.max()) == pytest.approx((at_s, at_s + 0.1), abs=0.06)
    assert caplog.text.count("the jump is bridged") == 1
    assert re.search(r"after 3\.9\d+ s the stamps jump (forward|back) by \d", caplog.text)


def test_stamps_of_33_bits_wrap(tmp_path):
    path = write_talking_video(tmp_path / "wrap.ts", beep(2.5), start_s=2**33 / 90_000 - 2.0, codec="mp2")
    with VideoSource(path, 16_000) as source:
        stamps_s = [frame.stamp_s for frame in source]
    assert stamps_s == pytest.approx([n / 25 for n in range(100)], abs=0.02)
    assert loud_at(path) == pytest.approx((2.5, 2.6), abs=0.06)


def test_a_pause_of_minutes_stays_and_a_jump_of_hours_does_not(tmp_path, caplog):
    path = write_video(tmp_path / "jump.mkv", [0, 40, 600_040, 600_080, 20_000_000, 20_000_040])
    with VideoSource(path) as source:
        stamps_s = [frame.stamp_s for frame in source]
        assert source.rate_hz is None or source.rate_hz >= 0.1
    assert stamps_s == pytest.approx([0.0, 0.04, 600.04, 600.08, 600.11, 600.15], abs=0.02)
    assert "jump forward by 19399.9 s (5.4 h)" in caplog.text


@pytest.mark.parametrize(
    ("codec", "name", "rate_hz", "is_assumed"),
    [
        ("libx264", "talk.h264", 30.0, False),
        ("libx264", "talk.264", 50.0, False),
        ("mpeg4", "talk.m4v", 15.0, False),
        ("mpeg2video", "talk.m2v", 24.0, False),
        ("mjpeg", "talk.mjpeg", 25.0, True),
    ],
)
def test_a_raw_stream_has_the_rate_of_its_parameters(tmp_path, caplog, codec, name, rate_hz, is_assumed):
    if codec not in av.codecs_available:
        pytest.skip(f"FFmpeg is built without {codec}")
    kind = {".264": "h264", ".m2v": "mpeg2video"}.get(Path(name).suffix, Path(name).suffix[1:])
    path = tmp_path / name
    with av.open(str(path), "w", format=kind) as container:
        stream = container.add_stream(codec, rate=int(rate_hz))
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(12):
            pixels = np.full((48, 64, 3), 20 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    with VideoSource(path) as source:
        assert source.rate_hz == pytest.approx(rate_hz)
        assert [frame.stamp_s for frame in source] == pytest.approx([n / rate_hz for n in range(12)])
    assert ("25 frames per second are assumed" in caplog.text) is is_assumed
