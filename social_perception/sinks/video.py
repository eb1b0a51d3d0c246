"""Writes pictures as a video that plays everywhere: H.264 in MP4 where FFmpeg has it, else MPEG-4."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import cv2

from social_perception.core.errors import OutputError
from social_perception.core.types import ImageArray

# Whole numbers of it make 24, 25, 30 and 29.97 Hz, and MPEG-4 allows no finer one than 1/65535.
_TIME_BASE = Fraction(1, 60_000)


class VideoWriter:
    """An MP4 file that grows; frames keep their own times. Use it as a context manager."""

    def __init__(self, path: str | Path, rate_hz: float | None) -> None:
        """Begin the file.

        Args:
            path: of the .mp4 file.
            rate_hz: about how many frames a second has; None: 30.

        Raises:
            OutputError: the file cannot be written.
        """
        self.path = Path(path)
        self._rate = Fraction(rate_hz or 30.0).limit_denominator(1001)
        try:
            # FFmpeg itself opens the file only with the first frame.
            self.path.open("wb").close()
            # The index comes first, so that browsers begin to play before they have everything.
            self._container = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        except (av.error.FFmpegError, OSError) as error:
            raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
        self._stream: av.VideoStream | None = None
        self._last_pts = -1

    def add(self, image: ImageArray, stamp_s: float) -> None:
        """Append an RGB picture, (H, W, 3); later ones of another size are resized to the first's."""
        if self._stream is None:
            self._stream = self._begin(image)
        # These codecs want even sides.
        size = (self._stream.width, self._stream.height)
        if (image.shape[1], image.shape[0]) != size:
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts = self._last_pts = max(self._last_pts + 1, round(stamp_s / _TIME_BASE))
        frame.time_base = _TIME_BASE
        self._mux(frame)

    def _begin(self, image: ImageArray) -> av.VideoStream:
        has_h264 = "libx264" in av.codecs_available
        codec = "libx264" if has_h264 else "mpeg4"
        stream = self._container.add_stream(codec, rate=self._rate)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = (max(2, side // 2 * 2) for side in (image.shape[1], image.shape[0]))
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = _TIME_BASE
        if has_h264:
            stream.options = {"preset": "veryfast", "crf": "23"}
        else:
            stream.bit_rate = 6_000_000
        return stream

    def _mux(self, frame: av.VideoFrame | None) -> None:
        assert self._stream is not None
        try:
            self._container.mux(self._stream.encode(frame))
        except (av.error.FFmpegError, OSError) as error:
            raise OutputError(f"{self.path} cannot be written: {error}") from error

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._stream is not None:
                self._mux(None)
        finally:
            self._close(quietly=kind is not None)

    def _close(self, *, quietly: bool) -> None:
        try:
            self._container.close()
        except (av.error.FFmpegError, OSError) as error:
            # What went wrong before says more.
            if not quietly:
                raise OutputError(f"{self.path} cannot be written: {error.strerror or error}") from error
