"""Videos made by code."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np


def write_video(path: Path, images: list[np.ndarray], rate_hz: int, samples: np.ndarray | None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        height, width = images[0].shape[:2]
        video = container.add_stream("mpeg4", rate=rate_hz, width=width, height=height, pix_fmt="yuv420p")
        video.bit_rate = 4_000_000
        audio = None if samples is None else container.add_stream("aac", rate=16_000, layout="mono")
        for image in images:
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode(None))
        if audio is not None and samples is not None:
            for first in range(0, len(samples), 1024):
                block = av.AudioFrame.from_ndarray(samples[None, first : first + 1024], "fltp", "mono")
                block.sample_rate, block.pts = 16_000, first
                container.mux(audio.encode(block))
            container.mux(audio.encode(None))
    return path


def gray(seconds: float, rate_hz: int = 10) -> list[np.ndarray]:
    """Images whose brightness is the time: 20 per second."""
    return [np.full((48, 64, 3), 20 * row / rate_hz + 20, np.uint8) for row in range(int(seconds * rate_hz))]


def tone(seconds: float, hz: float = 500.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(int(seconds * 16_000)) / 16_000)).astype(np.float32)
