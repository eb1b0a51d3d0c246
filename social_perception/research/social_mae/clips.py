"""Cuts recordings into examples of a few seconds: the largest face, followed and cropped, and its sound.

A file is decoded once, whatever number of its parts are used, and only the open windows are in memory.
Examples are kept encoded, images as JPEG and sound as 16-bit samples: the number of images and of mel bins is
chosen when they are read.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from social_perception.core.errors import ConfigurationError, SourceError
from social_perception.core.sound import Sound, SoundArray, join_sounds
from social_perception.core.types import Box, Frame, ImageArray
from social_perception.perception.hearing.fbank import RATE_HZ, WINDOW, log_mel
from social_perception.perception.smile.crop import crop_faces
from social_perception.research.social_mae.examples import Example, Label
from social_perception.research.social_mae.recordings import VIDEO_SUFFIXES, Recording
from social_perception.research.training.clip_sequences import track_clip
from social_perception.research.training.laughter_sounds import decode
from social_perception.sources.video import VideoSource

_QUALITY = 95


@dataclass(frozen=True, slots=True)
class ClipSettings:
    """How recordings are cut.

    Raises:
        ConfigurationError: a value is invalid.
    """

    window_s: float = 4.0
    """Length of an example; shorter recordings are examples of their own length."""
    sound_s: float = 10.24
    """The same, of sound without video."""
    shortest_s: float = 0.5
    rate_hz: float = 2.0
    """Images per second."""
    side: int = 224
    """Side of the square images in px."""
    cropped: bool = False
    """Whether the videos show one face each, already cropped, as those of VoxCeleb2."""

    def __post_init__(self) -> None:
        for name in ("window_s", "sound_s", "shortest_s", "rate_hz"):
            if not 0.0 < getattr(self, name) <= 25.0:
                raise ConfigurationError(f"{name} must be in (0, 25], got {getattr(self, name)}")
        if not 8 <= self.side <= 1024:
            raise ConfigurationError(f"side must be in [8, 1024], got {self.side}")


@dataclass(frozen=True, slots=True, eq=False)
class EncodedExample:
    """An example as it is stored: JPEG images and samples (N,) int16 at 16 kHz, either may be empty."""

    images: tuple[bytes, ...]
    samples: npt.NDArray[np.int16]
    label: Label
    person: str

    @property
    def size(self) -> int:
        """Bytes in a shard."""
        return sum(map(len, self.images)) + self.samples.nbytes

    def decode(self, bins: int) -> Example:
        """The example with a spectrogram of so many bins."""
        video = np.stack([_decode_image(each) for each in self.images]) if self.images else None
        sound = log_mel(self.samples.astype(np.float32) / 32768.0, bins)
        return Example(video, sound if len(sound) else None, self.label, self.person)


def read_examples(
    parts: Sequence[Recording], settings: ClipSettings
) -> Iterator[tuple[Recording, EncodedExample]]:
    """The examples of the parts of one file, in the order of their ends; their labels are not filled in.

    A window in which no face is followed is sound alone where the recording has a label, or none.

    Raises:
        SourceError: the file cannot be read; what precedes was yielded.
    """
    if parts[0].path.suffix.lower() in VIDEO_SUFFIXES:
        yield from _of_video(parts, settings)
        return
    source = io.BytesIO(parts[0].audio) if parts[0].audio else parts[0].path
    end_s = max(part.end_s for part in parts)
    samples = decode(source, end_s)
    for part in parts:
        cut = samples[round(part.start_s * RATE_HZ) : _index(part.end_s, len(samples))]
        length = round(settings.sound_s * RATE_HZ)
        for first in range(0, len(cut), length):
            piece = cut[first : first + length]
            if len(piece) >= max(WINDOW, settings.shortest_s * RATE_HZ if first else 0):
                yield part, EncodedExample((), _to_int16(piece), None, part.person)


def _of_video(
    parts: Sequence[Recording], settings: ClipSettings
) -> Iterator[tuple[Recording, EncodedExample]]:
    waiting = sorted(parts, key=lambda part: part.start_s, reverse=True)
    windows: list[_Window] = []
    sounds: list[Sound] = []
    stamp_s = before_s = 0.0
    for frame, boxes in _frames(parts[0], settings):
        before_s, stamp_s = stamp_s, frame.stamp_s
        if frame.sound is not None and len(frame.sound.samples):
            sounds.append(frame.sound)
        for window in [each for each in windows if each.end_s <= stamp_s]:
            windows.remove(window)
            yield from window.finish(sounds, window.end_s)
            if rest := window.next(settings):
                windows.append(rest)
        while waiting and waiting[-1].start_s <= stamp_s:
            windows.append(_Window.of(waiting.pop(), settings))
        for window in windows:
            window.add(frame, boxes, settings)
        earliest_s = min((window.start_s for window in windows), default=stamp_s)
        sounds = [each for each in sounds if each.end_s > earliest_s]
        if not (windows or waiting):
            return
    for window in windows:
        end_s = min(window.end_s, 2 * stamp_s - before_s)
        if end_s - window.start_s >= settings.shortest_s or window.is_first:
            yield from window.finish(sounds, end_s)


def _frames(part: Recording, settings: ClipSettings) -> Iterator[tuple[Frame, dict[str, Box]]]:
    """The frames of a video with the boxes of its faces by id."""
    if not settings.cropped:
        for frame, tracks in track_clip(part.path, RATE_HZ, progress=False):
            yield frame, {track.id: track.box for track in tracks}
        return
    with VideoSource(part.path, RATE_HZ) as source:
        for frame in source:
            side = min(frame.width, frame.height)
            left, top = (frame.width - side) / 2, (frame.height - side) / 2
            yield frame, {"": Box(left, top, side, side)}


@dataclass(slots=True)
class _Window:
    """The images of a window that were chosen so far, by the id of the face."""

    recording: Recording
    start_s: float
    end_s: float
    images: dict[str, list[ImageArray]] = field(default_factory=dict)
    areas: dict[str, float] = field(default_factory=dict)
    ticks: int = 0

    @classmethod
    def of(cls, recording: Recording, settings: ClipSettings, start_s: float | None = None) -> _Window:
        begin_s = recording.start_s if start_s is None else start_s
        return cls(recording, begin_s, min(begin_s + settings.window_s, recording.end_s))

    @property
    def is_first(self) -> bool:
        return self.start_s == self.recording.start_s

    def next(self, settings: ClipSettings) -> _Window | None:
        """The window that follows in the same recording; None: what is left is too short."""
        if self.recording.end_s - self.end_s < settings.shortest_s:
            return None
        return self.of(self.recording, settings, self.end_s)

    def add(self, frame: Frame, boxes: dict[str, Box], settings: ClipSettings) -> None:
        """Crop the faces of a frame if the next image is due, in the middle of its time."""
        interval_s = min(1.0 / settings.rate_hz, self.end_s - self.start_s)
        due = math.floor((frame.stamp_s - self.start_s) / interval_s + 0.5)
        if due <= self.ticks:
            return
        is_first, self.ticks = not self.ticks, due
        margin = {"margin": 1.0} if settings.cropped else {}
        crops = crop_faces(frame.image, list(boxes.values()), side_px=settings.side, **margin)
        # A face that is not in all images of the window is none of them.
        self.images = {
            name: [*self.images.get(name, ()), crop]
            for name, crop in zip(boxes, crops)
            if is_first or name in self.images
        }
        for name, box in boxes.items():
            self.areas[name] = self.areas.get(name, 0.0) + box.area

    def finish(self, sounds: Sequence[Sound], end_s: float) -> Iterator[tuple[Recording, EncodedExample]]:
        samples = _cut(sounds, self.start_s, end_s)
        largest = max(self.images, key=self.areas.__getitem__, default=None)
        images = () if largest is None else tuple(map(_encode_image, self.images[largest]))
        has_sound = len(samples) >= WINDOW
        if images or (has_sound and self.recording.label is not None):
            samples = samples if has_sound else samples[:0]
            yield self.recording, EncodedExample(images, _to_int16(samples), None, self.recording.person)


def _cut(sounds: Sequence[Sound], start_s: float, end_s: float) -> SoundArray:
    if not sounds:
        return np.empty(0, np.float32)
    joined = join_sounds(sounds)
    return joined.split(start_s)[1].split(end_s)[0].samples


def _index(end_s: float, length: int) -> int:
    return length if math.isinf(end_s) else round(end_s * RATE_HZ)


def _to_int16(samples: SoundArray) -> npt.NDArray[np.int16]:
    return np.clip(np.round(samples * 32768.0), -32768, 32767).astype(np.int16)


def _encode_image(image: ImageArray) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1])


def _decode_image(data: bytes) -> npt.NDArray[np.uint8]:
    """Decode to (3, H, W) RGB."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise SourceError("a shard holds an image that cannot be decoded")
    return np.asarray(image[..., ::-1].transpose(2, 0, 1), np.uint8)
