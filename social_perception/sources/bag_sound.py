"""The sound of a bag: audio messages of ros-drivers' audio_common_msgs, on the clock of the images.

The topic is chosen by its type. An ``AudioInfo`` message, which audio_capture publishes beside it, says
how the samples are coded: 16-bit PCM (``wave``, ``S16LE``) or ``mp3``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from social_perception.core.clock import Follower, RecordingClock
from social_perception.core.errors import SoundError
from social_perception.core.sound import Sound
from social_perception.sources.bag_files import Recording, Topic, in_one_line
from social_perception.sources.bag_messages import message_reader
from social_perception.sources.mcap_scan import Message
from social_perception.sources.sound import SoundReader, SoundTrack

_logger = logging.getLogger(__name__)

_PLAIN, _STAMPED = "audio_common_msgs/msg/AudioData", "audio_common_msgs/msg/AudioDataStamped"
_INFO = "audio_common_msgs/msg/AudioInfo"
_DEFINITIONS = {
    _PLAIN: "uint8[] data",
    _STAMPED: "std_msgs/Header header\naudio_common_msgs/AudioData audio",
    _INFO: "uint8 channels\nuint32 sample_rate\nstring sample_format\nuint32 bitrate\nstring coding_format",
}

_SAME_CLOCK_S = 1.0
"""Times that differ by less are of the same clock: the rest is what the message needed on its way."""


@dataclass(frozen=True, slots=True)
class AudioCoding:
    """How the samples are coded; the defaults are audio_capture's for raw data."""

    channels: int = 1
    rate_hz: int = 16_000
    is_mp3: bool = False

    @classmethod
    def of_info(cls, info: Any) -> AudioCoding:
        """That of an AudioInfo message.

        Raises:
            SoundError: it is not supported.
        """
        is_mp3 = info.coding_format.lower() == "mp3"
        if not is_mp3 and info.sample_format.upper() != "S16LE":
            raise SoundError(f"sample format {info.sample_format!r} is not supported; supported is S16LE")
        return cls(info.channels, info.sample_rate, is_mp3)

    @classmethod
    def of_data(cls, data: bytes) -> AudioCoding:
        """A guess by the data of a message: MP3, or else the defaults."""
        # They begin with an ID3 tag or the header of an MPEG layer III frame.
        return cls(
            is_mp3=data[:3] == b"ID3" or (len(data) > 1 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2)
        )


class BagSound:
    """Reads the sound of a bag by the times at which its messages were recorded.

    A stamp in an audio message's header says when its samples begin. A message without one ends when it was
    recorded. Where the images' stamps are of another clock than the recorder's (simulated time), the sound is
    moved to theirs.
    """

    def __init__(
        self, name: str, recording: Recording, topic: Topic, rate_hz: int, recorder: RecordingClock | None
    ) -> None:
        """Find out how the sound is coded.

        Raises:
            SoundError: its format is not supported.
        """
        self._name, self._recording, self._topic = name, recording, topic
        self._rate_hz = rate_hz
        self._recorder, self._clock = recorder, Follower(recorder)
        self._read_message = message_reader(topic, _DEFINITIONS)
        self._coding = self._read_coding()
        self._recorder_ahead_s = 0.0
        self._is_damaged = False
        self._reader = SoundReader(self.blocks(), rate_hz)

    @classmethod
    def open(
        cls, path: Path, recording: Recording, rate_hz: int, recorder: RecordingClock | None
    ) -> BagSound | None:
        """The sound of a bag, by the recorder's clock; None where no topic has any that can be read.

        Without a clock of the images' recorder, the sound is read alone, and begins at 0.
        """
        audio = sorted(
            (each for each in recording.topics if each.kind in (_PLAIN, _STAMPED) and each.count),
            key=lambda each: each.kind != _STAMPED,
        )
        if not audio:
            return None
        if len(audio) > 1:
            names = ", ".join(sorted(each.name for each in audio))
            _logger.info("%s has sound on %s; %s is used", path, names, audio[0].name)
        try:
            return cls(str(path), recording, audio[0], rate_hz, recorder)
        # rosbags, struct and numpy have errors of their own, with no base in common.
        except Exception as error:
            _logger.warning("%s: sound of %s cannot be read: %s", path, audio[0].name, in_one_line(error))
            return None

    def _read_coding(self) -> AudioCoding | None:
        """How the samples are coded, by the AudioInfo of the topic's namespace or else any; None: none."""
        infos = [each for each in self._recording.topics if each.kind == _INFO and each.count]
        if not infos:
            return None
        namespace = self._topic.name.rpartition("/")[0]
        topic = next((each for each in infos if each.name.rpartition("/")[0] == namespace), infos[0])
        info = message_reader(topic, _DEFINITIONS)(next(self._recording.messages(topic)).data)
        return AudioCoding.of_info(info)

    def until(self, stamp_s: float, recorded_s: float) -> Sound:
        """The sound before an image with this stamp, which was recorded at a time of the recorder's clock."""
        ahead_s = recorded_s - stamp_s
        if abs(ahead_s - self._recorder_ahead_s) > _SAME_CLOCK_S:
            self._recorder_ahead_s = ahead_s
        sound = self._reader.until(stamp_s + self._recorder_ahead_s)
        return sound.moved(-self._recorder_ahead_s)

    def blocks(self) -> Iterator[Sound]:
        """The sound in blocks, in their order, to be read once."""
        track = SoundTrack(self._rate_hz)
        decoder: AudioDecoder | None = None
        for entry in self._recording.messages(self._topic):
            try:
                message = self._read_message(entry.data)
                audio = message.audio if self._topic.kind == _STAMPED else message
                data = np.asarray(audio.data, np.uint8).tobytes()
                decoder = decoder or AudioDecoder(self._coding or self._guess(data))
                yield from self._converted(track, decoder.decode(data), entry, message)
            except Exception as error:  # noqa: PERF203 (as above, and PyAV has its own)
                self._report_damage(error)
        yield from track.finish()

    def _converted(
        self, track: SoundTrack, frames: Sequence[av.AudioFrame], entry: Message, message: Any
    ) -> Iterator[Sound]:
        time_s: float | None
        duration_s = sum(frame.samples / frame.sample_rate for frame in frames)
        while (time_s := self._clock.admit(entry.time_ns * 1e-9 - duration_s, duration_s)) is None:
            # The images have not jumped yet: there is no sound until they do.
            yield Sound.empty(
                self._rate_hz, 0.0 if self._recorder is None else self._recorder.newest_s or 0.0
            )
        time_s = self._time(time_s, message)
        for frame in frames:
            yield from track.add(frame, time_s)
            time_s = None

    def _guess(self, data: bytes) -> AudioCoding:
        coding = AudioCoding.of_data(data)
        kind = "MP3" if coding.is_mp3 else f"S16LE with {coding.channels} channel at {coding.rate_hz} Hz"
        _logger.warning("%s has no AudioInfo; sound of %s is read as %s", self._name, self._topic.name, kind)
        return coding

    def _time(self, time_s: float, message: Any) -> float:
        """When a message's samples begin, on the recorder's clock: by the time of recording, or its stamp."""
        if self._topic.kind == _STAMPED:
            stamp = message.header.stamp
            stamp_s = stamp.sec + stamp.nanosec * 1e-9 + self._recorder_ahead_s
            if abs(stamp_s - time_s) < _SAME_CLOCK_S:
                return stamp_s
        return time_s

    def _report_damage(self, error: Exception) -> None:
        if not self._is_damaged:
            self._is_damaged = True
            _logger.warning(
                "%s: sound of %s cannot be read, parts are skipped: %s",
                self._name,
                self._topic.name,
                in_one_line(error),
            )


class AudioDecoder:
    """Turns the bytes of audio messages into frames of audio."""

    def __init__(self, coding: AudioCoding) -> None:
        self._coding = coding
        self._mp3: Any = av.CodecContext.create("mp3float", "r") if coding.is_mp3 else None

    def decode(self, data: bytes) -> list[av.AudioFrame]:
        """The frames that are complete with a message.

        Raises:
            SoundError: the data cannot be decoded.
        """
        try:
            return self._decoded(data)
        except SoundError:
            raise
        # PyAV and numpy have errors of their own, with no base in common.
        except Exception as error:
            raise SoundError(f"sound cannot be decoded: {in_one_line(error)}") from error

    def _decoded(self, data: bytes) -> list[av.AudioFrame]:
        if self._mp3 is not None:
            return [frame for packet in self._mp3.parse(data) for frame in self._mp3.decode(packet)]
        channels = self._coding.channels
        if channels < 1 or not data or len(data) % (2 * channels):
            raise SoundError(f"a message of {channels} channels of 16 bits cannot have {len(data)} bytes")
        layout = {1: "mono", 2: "stereo"}.get(channels, f"{channels} channels")
        planes = np.ascontiguousarray(np.frombuffer(data, "<i2").astype(np.int16).reshape(-1, channels).T)
        frame = av.AudioFrame.from_ndarray(planes, format="s16p", layout=layout)
        frame.sample_rate = self._coding.rate_hz
        return [frame]
