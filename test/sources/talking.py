"""Videos with sound, made in code."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np


def write_talking_video(
    path, sound, seconds=4, start_s=0.0, audio_start_s=0.0, codec="aac", layout="mono", apart=False
):
    """25 frames a second with 48 kHz sound, (channels, N) in [-1, 1].

    The file's first time stamp is start_s, and the sound begins audio_start_s later; apart: all images lie
    before all sound.
    """
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream(codec, rate=48_000, layout=layout)
        images, packets = [], []
        for number in range(25 * seconds):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = number + round(25 * start_s), Fraction(1, 25)
            images += video.encode(frame)
        images += video.encode(None)
        for first in range(0, sound.shape[1] - 1023, 1024):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(sound[:, first : first + 1024], np.float32), format="fltp", layout=layout
            )
            frame.sample_rate, frame.time_base = 48_000, Fraction(1, 48_000)
            frame.pts = first + round(48_000 * (start_s + audio_start_s))
            packets += audio.encode(frame)
        packets += audio.encode(None)
        for packet in [*images, *packets] if apart else sorted([*images, *packets], key=time_of):
            container.mux(packet)
    return path


def time_of(packet):
    return packet.pts * packet.time_base


def beep(at_s, channels=1, seconds=4, length_s=0.1):
    """Silence with a tone of 1 kHz at full scale."""
    time_s = np.arange(48_000 * seconds) / 48_000
    tone = np.sin(2 * np.pi * 1000 * time_s) * ((time_s >= at_s) & (time_s < at_s + length_s))
    return np.repeat(tone[None], channels, 0)
