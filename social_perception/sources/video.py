"""A video file as a source, images and sound, decoded by FFmpeg through PyAV.

PyAV rather than OpenCV's VideoCapture: it gives each frame's presentation time (phones record at
varying rates), the display matrix, and the reason for which a file cannot be read, as an exception.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from social_perception.core.clock import MAX_PAUSE_S, Follower, RecordingClock
from social_perception.core.errors import SoundError, SourceError
from social_perception.core.files import ffmpeg_url
from social_perception.core.sound import Sound
from social_perception.core.types import Frame
from social_perception.sources.geometry import MAX_PIXELS
from social_perception.sources.shown import ShownFrames
from social_perception.sources.sound import SoundReader, SoundTrack
from social_perception.sources.source import Source, plausible_rate

_logger = logging.getLogger(__name__)

# FFmpeg "plays" text files as terminal art.
_NOT_VIDEO_FORMATS = {"tty"}
_ATTACHED_PICTURE = 0x0400
_RAW_STREAM_RATE_HZ = 25.0  # as FFmpeg assumes

# Flags of FFmpeg's formats: raw streams without time stamps, and those whose parts may have their own clocks.
_NO_STAMPS, _JOINABLE = 0x0080, 0x0200
_MIN_BYTES_PER_S = 100
"""A file with less has stamps that jump."""
_MAX_JOINED_PAUSE_S = 10.0
"""Of a joinable format; FFmpeg has the same limit (``dts_delta_threshold``)."""

# Decoders hold frames back, and counts in headers are often off by a few.
_FRAMES_THAT_MAY_MISS = 5


class VideoSource(Source):
    """Reads a video file to its end; what precedes a damaged part is kept.

    The images are those that a player shows: turned and mirrored by the display matrix, with square pixels.
    The stamps are the presentation times from the start of the file, as a player and ELAN show them; jumps
    are bridged (:class:`.clock.RecordingClock`). The sound is that of the first audio stream, on the same
    clock; what follows the last image is not delivered.

    Opening a video turns off PyAV's logging (``av.logging.set_level``) in the whole process: decoders with
    several threads can deadlock with it.
    """

    live = False

    def __init__(self, path: str | Path, sound_rate_hz: int | None = None) -> None:
        """Open the file and decode its first frame.

        Args:
            path: of the file.
            sound_rate_hz: rate in Hz at which the frames' sound is requested; None: no sound is decoded.

        Raises:
            SourceError: the file is missing, empty, no video, or has no frame that can be decoded.
        """
        self.name = str(path)
        self._container = _open(Path(path))
        self._sound: SoundFile | None = None
        try:
            self._stream = _video_stream(self._container, self.name)
            self._stream.thread_type = "AUTO"
            if self._stream.codec_context is not None:  # there is a decoder for it
                # A file of a few bytes can announce images of gigabytes.
                self._stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            format_flags = int(self._container.format.flags)
            self._has_stamps = not format_flags & _NO_STAMPS
            self.rate_hz: float | None = self._rate() if self._has_stamps else self._raw_rate()
            self.frame_count: int | None = _frame_count(self._container, self._stream, self.rate_hz)
            max_pause_s = _MAX_JOINED_PAUSE_S if format_flags & _JOINABLE else MAX_PAUSE_S
            self._clock = RecordingClock(self.name, self.rate_hz, max_pause_s, begins_at_0=True)
            start = self._container.start_time
            self._start_s = start / av.time_base if start is not None else 0.0
            if sound_rate_hz is not None:
                self._sound = SoundFile.open(Path(path), self._start_s, sound_rate_hz, self._clock)
            self.sound_rate_hz = None if self._sound is None else sound_rate_hz
            self._shown = ShownFrames(self._stream)
            self._index = 0
            self._damaged = 0
            self._frames = self._decode()
            self._first: Frame | None = self._decode_first()
        except BaseException:
            self._close_files()
            raise

    def _decode_first(self) -> Frame:
        frame = next(self._frames, None)
        if frame is None:
            raise SourceError(f"{self.name} is not a video that can be read: no frame can be decoded")
        return frame

    def __next__(self) -> Frame:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return next(self._frames)

    def _decode(self) -> Iterator[Frame]:
        for decoded in self._decoded():
            stamp_s = self._stamp(decoded)
            try:
                image = self._shown.to_rgb(decoded)
            except av.error.FFmpegError:
                self._damaged += 1
                continue
            sound = None if self._sound is None else self._sound.reader.until(stamp_s)
            yield Frame(image, stamp_s, self._index, sound)
            self._index += 1
        self._report_damage()

    def _decoded(self) -> Iterator[Any]:
        packets = self._container.demux(self._stream)
        while (decoded := self._next_decoded(packets)) is not None:
            yield from decoded

    def _next_decoded(self, packets: Iterator[Any]) -> list[Any] | None:
        """The frames of the next packet, none where it is damaged; None at the end."""
        try:
            packet = next(packets, None)
            return None if packet is None else list(packet.decode())
        except av.error.EOFError:
            return None
        except av.error.FFmpegError:
            self._damaged += 1
            return []

    def _stamp(self, decoded: Any) -> float:
        if not self._has_stamps or decoded.pts is None or decoded.time_base is None:
            return self._clock.admit(math.nan)
        return self._clock.admit(float(decoded.pts * decoded.time_base) - self._start_s)

    def _rate(self) -> float | None:
        rates = (float(each or 0) for each in (self._stream.average_rate, self._stream.guessed_rate))
        return next(filter(plausible_rate, rates), None)

    def _raw_rate(self) -> float:
        """The rate that a raw stream's own parameters report; FFmpeg's averages are of its assumption."""
        rate = plausible_rate(float(getattr(self._stream.codec_context, "framerate", None) or 0))
        if rate:
            return rate
        text = "%s is a raw stream that has neither time stamps nor a rate: %g frames per second are assumed"
        _logger.warning(text, self.name, _RAW_STREAM_RATE_HZ)
        return _RAW_STREAM_RATE_HZ

    def _report_damage(self) -> None:
        if self._index == 0:
            return
        expected = self._stream.frames
        if expected and self._index < expected - _FRAMES_THAT_MAY_MISS:
            _logger.warning("%s is damaged: %d of %d frames could be read", self.name, self._index, expected)
        elif self._damaged:
            _logger.warning(
                "%s is damaged: %d parts of it were skipped, %d frames read",
                self.name,
                self._damaged,
                self._index,
            )

    def close(self) -> None:
        self._frames = iter(())
        self._first = None
        self._close_files()

    def _close_files(self) -> None:
        self._container.close()
        if self._sound is not None:
            self._sound.close()


class SoundFile:
    """The sound of a file, through a demuxer of its own; damage is reported once, and skipped."""

    def __init__(
        self, container: Any, stream: Any, start_s: float, rate_hz: int, images: RecordingClock | None
    ) -> None:
        self._container, self._stream = container, stream
        self._start_s, self._rate_hz = start_s, rate_hz
        self._images, self._clock = images, Follower(images)
        self._is_damaged = False
        for other in container.streams:
            if other is not stream:
                other.discard = av.stream.Discard.all  # not even read, where the format allows it
        self.reader = SoundReader(self.blocks(), rate_hz)

    @classmethod
    def open(
        cls, path: Path, start_s: float | None, rate_hz: int, images: RecordingClock | None
    ) -> SoundFile | None:
        """Open a file's sound; None where it has none.

        Args:
            path: of the file.
            start_s: the stamp at which the file begins; None: as it says.
            rate_hz: to which the sound is converted.
            images: the clock of its images, which the sound follows; None: the sound is read alone.

        Raises:
            SourceError: the file cannot be read.
        """
        container = _open(path, "video" if images is not None else "sound or video")
        stream = next(iter(container.streams.audio), None)
        if start_s is None:
            start_s = (container.start_time or 0) / av.time_base
        if stream is not None and stream.codec_context is not None:
            return cls(container, stream, start_s, rate_hz, images)
        container.close()
        if stream is not None:
            _logger.warning("%s: there is no decoder for its sound", path)
        return None

    def blocks(self) -> Iterator[Sound]:
        """The sound in blocks, in their order, to be read once."""
        track = SoundTrack(self._rate_hz)
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    break
                for audio in packet.decode():
                    yield from self._timed(track, audio)
            except av.error.EOFError:
                break
            except (av.error.FFmpegError, SoundError, ValueError) as error:
                self._report_damage(error)
        yield from track.finish()

    def _timed(self, track: SoundTrack, audio: Any) -> Iterator[Sound]:
        time_s: float | None = None
        if audio.pts is not None and audio.time_base is not None:
            stamp_s = float(audio.pts * audio.time_base) - self._start_s
            duration_s = audio.samples / max(1, audio.sample_rate)
            while (time_s := self._clock.admit(stamp_s, duration_s)) is None:
                # The images have not jumped yet: there is no sound until they do.
                yield Sound.empty(
                    self._rate_hz, 0.0 if self._images is None else self._images.newest_s or 0.0
                )
        yield from track.add(audio, time_s)

    def _report_damage(self, error: Exception) -> None:
        if not self._is_damaged:
            self._is_damaged = True
            name = self._container.name
            _logger.warning("%s: its sound is damaged, parts are skipped: %s", name, _reason(error))

    def close(self) -> None:
        self._container.close()


def _open(path: Path, kind: str = "video") -> Any:
    if not path.exists():
        raise SourceError(f"{path} does not exist")
    if path.is_file() and path.stat().st_size == 0:
        raise SourceError(f"{path} is not a {kind} that can be read: it is empty")
    try:
        # A frame thread that logs through Python waits for the interpreter's lock, which closing the decoder
        # holds while it waits for the thread. None: FFmpeg's messages are dropped without Python.
        av.logging.set_level(None)
        container = av.open(ffmpeg_url(path))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise SourceError(f"{path} is not a {kind} that can be read: {_reason(error)}") from error
    if container.format.name in _NOT_VIDEO_FORMATS:
        container.close()
        raise SourceError(f"{path} is not a {kind} that can be read: it is a text file")
    return container


def _reason(error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    return "it cannot be decoded" if "Invalid data" in reason else " ".join(reason.split())


def _video_stream(container: Any, name: str) -> Any:
    for stream in container.streams.video:
        if not int(getattr(stream, "disposition", 0)) & _ATTACHED_PICTURE:
            return stream
    raise SourceError(f"{name} is not a video that can be read: it has no images")


def _frame_count(container: Any, stream: Any, rate_hz: float | None) -> int | None:
    if stream.frames:
        return int(stream.frames)
    duration_s = (container.duration or 0) / av.time_base
    if rate_hz and 0 < duration_s * _MIN_BYTES_PER_S < container.size:
        return round(duration_s * rate_hz)
    return None
