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


def _videos() -> list[bytes]:
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"
    texts = [
        playlist,
        b"ffconcat version 1.0\nfile seed\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    ]
    return [encoded(*kind) for kind in KINDS] + texts


def _video(data: bytes) -> None:
    path = Path(_FOLDER.name) / "video"
    path.write_bytes(data)
    last_s = -math.inf
    with lowered(video, "MAX_PIXELS", MAX_PIXELS), VideoSource(path) as source:
        for frame in itertools.islice(source, _MOST_FRAMES):
            check_image(frame.image)
            promise(
                math.isfinite(frame.stamp_s) and frame.stamp_s > last_s, f"{frame.stamp_s} after {last_s}"
            )
            last_s = frame.stamp_s


TARGETS = {
    "video_file": Target(
        "pictures whose stamps grow, or SourceError",
        _video,
        _videos,
        max_bytes=8192,
        limit_s=20.0,
        memory_mb=1024,
    )
}
