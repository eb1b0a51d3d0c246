"""Video files, decoded by FFmpeg."""

from __future__ import annotations

import itertools
import math
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from fuzzing.pictures import MAX_PIXELS, check_image
from fuzzing.target import Target, lowered, promise
from social_perception.core.sound import MAX_SOUND_S
from social_perception.core.types import Frame
from social_perception.sources import video
from social_perception.sources.video import VideoSource

_FOLDER = tempfile.TemporaryDirectory(prefix="fuzz_videos_")
_MOST_FRAMES = 100

KINDS = (
    ("mp4", "mpeg4"),
    ("mp4", "libx264"),
    ("mov", "mjpeg"),
    ("avi", "mjpeg"),
    ("matroska", "mpeg4"),
    ("webm", "libvpx"),
    ("mpegts", "mpeg2video"),
    ("gif", "gif"),
    ("flv", "flv"),
)
SOUND_KINDS = (("mp4", "aac"), ("matroska", "flac"), ("avi", "pcm_s16le"), ("mpegts", "mp2"))


def encoded(container: str, codec: str, frames: int = 4) -> bytes:
    """A video of 32 x 32 px."""
    path = Path(_FOLDER.name) / "seed"
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=Fraction(25))
        stream.width = stream.height = 32
        stream.pix_fmt = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
        for index in range(frames):
            picture = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 60 * index, np.uint8), format="rgb24")
            output.mux(stream.encode(picture))
        output.mux(stream.encode())
    return path.read_bytes()


def with_sound(container: str, codec: str, seconds: float = 0.2) -> bytes:
    """A video of 32 x 32 px, shown as 43 x 32 px, with stereo sound."""
    path = Path(_FOLDER.name) / "seed"
    with av.open(str(path), "w", format=container) as output:
        video = output.add_stream("mpeg4", rate=Fraction(25))
        video.width = video.height = 32
        video.pix_fmt = "yuv420p"
        video.codec_context.sample_aspect_ratio = Fraction(4, 3)
        audio = output.add_stream(codec, rate=32_000, layout="stereo")
        noise = np.random.default_rng(0).uniform(-1, 1, (2, int(32_000 * seconds))).astype(np.float32)
        block = av.AudioFrame.from_ndarray(noise, format="fltp", layout="stereo")
        block.sample_rate, block.pts = 32_000, 0
        for index in range(4):
            picture = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 60 * index, np.uint8), format="rgb24")
            output.mux(video.encode(picture))
        for packets in (audio.encode(block), audio.encode(), video.encode()):
            output.mux(packets)
    return path.read_bytes()


def _videos() -> list[bytes]:
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"
    texts = [
        playlist,
        b"ffconcat version 1.0\nfile seed\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    ]
    talking = [with_sound(*kind) for kind in SOUND_KINDS]
    return [*(encoded(*kind) for kind in KINDS), *talking, *texts]


def check_sound(frame: Frame) -> None:
    """Check that the sound of a frame lies before it, and is bounded."""
    if frame.sound is not None:
        late_s = frame.sound.end_s - frame.stamp_s
        promise(late_s < 1e-3, f"sound that ends {late_s} s after its frame")
        promise(frame.sound.duration_s <= MAX_SOUND_S, f"sound of {frame.sound.duration_s} s")


def _video(data: bytes) -> None:
    path = Path(_FOLDER.name) / "video"
    path.write_bytes(data)
    last_s = -math.inf
    with lowered(video, "MAX_PIXELS", MAX_PIXELS), VideoSource(path, 16_000) as source:
        for frame in itertools.islice(source, _MOST_FRAMES):
            check_image(frame.image)
            check_sound(frame)
            promise(
                math.isfinite(frame.stamp_s) and frame.stamp_s > last_s, f"{frame.stamp_s} after {last_s}"
            )
            last_s = frame.stamp_s


TARGETS = {
    "video_file": Target(
        "images whose stamps grow, with the sound before them, or SourceError",
        _video,
        _videos,
        max_bytes=8192,
        limit_s=20.0,
        memory_mb=1024,
    )
}
