"""Videos in messages: each holds what makes one image, as Foxglove's CompressedVideo does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import av

from social_perception.core.errors import ImageError
from social_perception.core.types import ImageArray
from social_perception.sources.geometry import MAX_PIXELS

Times = tuple[float, float]
"""The header stamp of a message and the time at which it was recorded, in s."""

_CODECS = {
    "h264": ("h264",), "avc": ("h264",), "h265": ("hevc",), "hevc": ("hevc",), "vp9": ("vp9",),
    "av1": ("libdav1d", "av1"),
}  # fmt: skip
_MAX_WAITING = 64


def is_video(image_format: str) -> bool:
    """Whether a message with this format is a part of a video."""
    return image_format.lower() in _CODECS


class VideoMessages:
    """Decodes the messages of one topic; a decoder may hold images back."""

    def __init__(self) -> None:
        self._codec: Any = None
        self._number = 0
        self._waiting: dict[int, Times] = {}

    def decode(self, data: bytes, image_format: str, times_s: Times) -> list[tuple[Times, ImageArray]]:
        """The images that are complete with a message, each with the times of its own message.

        Raises:
            ImageError: the message cannot be decoded, for example before the first key frame.
        """
        if self._codec is None:
            self._codec = _open_codec(image_format)
        packet = av.Packet(data)
        packet.pts = packet.dts = self._number
        self._waiting[self._number] = times_s
        self._waiting.pop(self._number - _MAX_WAITING, None)
        self._number += 1
        try:
            return self._images(self._codec.decode(packet))
        except (av.error.FFmpegError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ImageError(f"an image of a {image_format} video cannot be decoded: {reason}") from error

    def finish(self) -> list[tuple[Times, ImageArray]]:
        """The images that the decoder still holds."""
        try:
            return [] if self._codec is None else self._images(self._codec.decode(None))
        except (av.error.FFmpegError, ValueError):
            return []

    def _images(self, frames: Sequence[Any]) -> list[tuple[Times, ImageArray]]:
        found = ((self._waiting.pop(frame.pts, None), frame) for frame in frames)
        return [(times_s, frame.to_ndarray(format="rgb24")) for times_s, frame in found if times_s]


def _open_codec(image_format: str) -> Any:
    for name in _CODECS[image_format.lower()]:
        if name in av.codecs_available:
            codec = av.CodecContext.create(name, "r")
            codec.thread_type = "SLICE"  # threads that decode one frame each would hold frames back
            codec.options = {"max_pixels": str(MAX_PIXELS)}
            return codec
    raise ImageError(f"there is no decoder for {image_format}")
