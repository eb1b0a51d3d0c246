"""Writes images as a video that plays everywhere: H.264 in MP4 where FFmpeg has it, else MPEG-4."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import cv2

from social_perception.core.errors import OutputError
from social_perception.core.files import ffmpeg_url
from social_perception.core.types import Frame, FrameAffect, ImageArray
from social_perception.sinks.sink import Draw, FaceHider, Output, Sink, output_error

# Whole numbers of it make 24, 25, 30 and 29.97 Hz, and MPEG-4 allows no finer one than 1/65535.
_TIME_BASE = Fraction(1, 60_000)

_MAX_WAITING = 2
"""Frames that wait for the encoder, at most."""


class VideoWriter(Output):
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
        self._rate = Fraction(rate_hz or 30.0).limit_denominator(1001) or Fraction(1)
        try:
            # FFmpeg itself opens the file only with the first frame.
            self.path.open("wb").close()
            # The index comes first, so that browsers begin to play before they have everything.
            self._container = av.open(ffmpeg_url(path), "w", format="mp4", options={"movflags": "+faststart"})
        except (av.error.FFmpegError, OSError) as error:
            raise output_error(self.path, error) from error
        self._stream: av.VideoStream | None = None
        self._last_pts = -1

    def add(self, image: ImageArray, stamp_s: float) -> None:
        """Append an RGB image, (H, W, 3) uint8; later ones of another size are fitted into the first's."""
        if self._stream is None:
            self._stream = self._begin(image)
        image = _fitted(image, self._stream.width, self._stream.height)
        # OpenCV converts in a third of FFmpeg's time, with the same matrix (BT.601).
        planes = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = self._last_pts = max(self._last_pts + 1, round(stamp_s / _TIME_BASE))
        frame.time_base = _TIME_BASE
        self._mux(frame)

    def _begin(self, image: ImageArray) -> av.VideoStream:
        has_h264 = "libx264" in av.codecs_available
        codec = "libx264" if has_h264 else "mpeg4"
        stream = self._container.add_stream(codec, rate=self._rate)
        assert isinstance(stream, av.VideoStream)
        # These codecs want even sides.
        stream.width, stream.height = (max(2, side // 2 * 2) for side in (image.shape[1], image.shape[0]))
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = _TIME_BASE
        if has_h264:
            # Without look-ahead and B-frames: two thirds of the time at the same quality, in larger files.
            stream.options = {"preset": "superfast", "crf": "23", "x264-params": "rc-lookahead=0:bframes=0"}
        else:
            stream.bit_rate = 6_000_000
        return stream

    def _mux(self, frame: av.VideoFrame | None) -> None:
        assert self._stream is not None
        try:
            self._container.mux(self._stream.encode(frame))
        except (av.error.FFmpegError, OSError) as error:
            raise OutputError(f"{self.path} cannot be written: {error}") from error

    def close(self) -> None:
        try:
            if self._stream is not None:
                self._mux(None)
        except OutputError:
            self.abort()
            raise
        try:
            self._container.close()
        except (av.error.FFmpegError, OSError) as error:
            raise output_error(self.path, error) from error

    def abort(self) -> None:
        with suppress(av.error.FFmpegError, OSError):  # the error before says more
            self._container.close()


def _fitted(image: ImageArray, width: int, height: int) -> ImageArray:
    """The image in this size: its shape is kept, with black bars where it differs by more than a rounding."""
    scale = min(width / image.shape[1], height / image.shape[0])
    sides = [round(side * scale) for side in (image.shape[1], image.shape[0])]
    inner = tuple(full if full - side <= 2 else max(1, side) for side, full in zip(sides, (width, height)))
    if (image.shape[1], image.shape[0]) != inner:
        image = cv2.resize(image, inner, interpolation=cv2.INTER_AREA)
    across, down = width - inner[0], height - inner[1]
    if not across and not down:
        return image
    left, top = across // 2, down // 2
    return cv2.copyMakeBorder(image, top, down - top, left, across - left, cv2.BORDER_CONSTANT)


class VideoSink(Sink):
    """The annotated video: frames are drawn and encoded in a thread while later ones are processed.

    Args:
        path: of the .mp4 file.
        rate_hz: see :class:`VideoWriter`.
        draw: draws the results into the image.
        hider: hides the faces; frames then wait until it is known who was in them.
    """

    def __init__(self, path: Path, rate_hz: float | None, draw: Draw, hider: FaceHider | None = None) -> None:
        self._writer = VideoWriter(path, rate_hz)
        self._draw = draw
        self._hider = hider
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="video")
        self._waiting: deque[Future[None]] = deque()

    def add(self, frame: Frame, affect: FrameAffect) -> None:
        for each in [(frame, affect)] if self._hider is None else self._hider.add(frame, affect):
            self._submit(*each)

    def _submit(self, frame: Frame, affect: FrameAffect) -> None:
        if len(self._waiting) >= _MAX_WAITING:
            self._wait()
        self._waiting.append(self._executor.submit(self._encode, frame, affect))

    def _encode(self, frame: Frame, affect: FrameAffect) -> None:
        self._writer.add(self._draw(frame, affect), frame.stamp_s)

    def _wait(self) -> None:
        """Wait for the oldest frame that is not encoded yet; raises its error."""
        self._waiting.popleft().result()

    def close(self) -> None:
        try:
            for each in () if self._hider is None else self._hider.finish():
                self._submit(*each)
            while self._waiting:
                self._wait()
        except BaseException:
            self.abort()
            raise
        self._executor.shutdown()
        self._writer.close()

    def abort(self) -> None:
        self._executor.shutdown(cancel_futures=True)
        self._writer.abort()
