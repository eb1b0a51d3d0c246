"""A rosbag2 recording (or a ROS 1 bag) as a source: no ROS is needed."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from social_perception.core.clock import RecordingClock
from social_perception.core.errors import ImageError, SourceError
from social_perception.core.types import MAX_STAMP_S, Frame, ImageArray
from social_perception.sources import foxglove
from social_perception.sources.bag_files import Topic, in_one_line, open_recording
from social_perception.sources.bag_messages import message_reader
from social_perception.sources.bag_sound import BagSound
from social_perception.sources.images import decode_image
from social_perception.sources.mcap_scan import Message
from social_perception.sources.raw_images import decode_raw
from social_perception.sources.source import Source, plausible_rate
from social_perception.sources.video_messages import Times, VideoMessages, is_video

_logger = logging.getLogger(__name__)

_RAW, _COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
_NOT_FOR_FACES = ("depth", "disparity", "infra", "confidence", "mask", "overlay")
"""Words in the names of image topics that are used only on request."""

_IMAGE_LIKE = re.compile(r"image(?!\w*(annotation|marker))|video|packet", re.IGNORECASE)
"""In the types of messages that seem to be images."""


_MANY_IMAGES = 1000
"""Number of images in which header stamps must change, for them to be used."""


class BagSource(Source):
    """Reads the images of one topic, with the stamps of their headers, and the sound of another.

    Where the header stamps never change, the images have the times at which they were recorded. Single
    images without a stamp (0) have that time, too, on the clock of the others. Jumps are bridged
    (:class:`.clock.RecordingClock`).
    """

    live = False

    def __init__(self, path: Path, topic: str = "", sound_rate_hz: int | None = None) -> None:
        """Open the bag.

        Args:
            path: a rosbag2 folder, an .mcap, .db3 or .bag file, or one of these compressed by zstd.
            topic: of sensor_msgs or Foxglove images; empty: the first one in the bag whose name
                contains no word for depth, infrared and the like.
            sound_rate_hz: rate in Hz at which the frames' sound is requested; None: no sound is decoded.

        Raises:
            SourceError: the bag cannot be read or has no such images.
            MissingDependencyError: rosbags is not installed.
        """
        self.name = str(path)
        self._recording = open_recording(path)
        try:
            self.topic = _choose(self._recording.topics, topic, self.name)
        except BaseException:
            self._recording.close()
            raise
        self.frame_count: int | None = self.topic.count
        duration_s = self._recording.duration_s
        self.rate_hz = plausible_rate(self.topic.count / duration_s if duration_s > 0 else None)
        self._read_message = message_reader(self.topic)
        self._video = VideoMessages()
        self._recorder = RecordingClock(self.name, None, is_reported=False)
        self._sound = None
        if sound_rate_hz is not None:
            self._sound = BagSound.open(path, self._recording, sound_rate_hz, self._recorder)
        self.sound_rate_hz = None if self._sound is None else sound_rate_hz
        self._skipped = 0
        self._frames = self._read()

    def __next__(self) -> Frame:
        return next(self._frames)

    def _read(self) -> Iterator[Frame]:
        index = 0
        # The rate by the recorder's clock is wrong where that was set.
        clock = RecordingClock(self.name, None)
        stamps = _Stamps(self.name, self.topic.name, self._first_stamps())
        for header_s, recorded_s, image in self._images():
            measured_s = recorded_s if self.rate_hz else math.nan
            stamp_s = clock.admit(stamps.stamp(header_s, recorded_s), measured_s)
            at_s = self._recorder.admit(recorded_s)
            sound = None if self._sound is None else self._sound.until(stamp_s, at_s)
            yield Frame(image, stamp_s, index, sound)
            index += 1
        if self._skipped > 1:
            _logger.warning("%s: %d images were skipped", self.name, self._skipped)
        if index == 0:
            raise SourceError(f"{self.name}: no image of {self.topic.name} can be read")

    def _first_stamps(self) -> Iterator[tuple[float, float]]:
        """The header stamps of the first images, until two differ, and when these were recorded."""
        known: set[float] = set()
        for entry in islice(self._recording.messages(self.topic), _MANY_IMAGES):
            with suppress(ImageError):  # reported where the image is read
                header_s = _header_s(self._message(entry.data))
                yield header_s, _recorded_s(entry)
                known |= set() if math.isnan(header_s) else {header_s}
            if len(known) > 1:
                return

    def _images(self) -> Iterator[tuple[float, float, ImageArray]]:
        """Yield each image's header stamp, when it was recorded, and its pixels."""
        for entry in self._recording.messages(self.topic):
            try:
                message = self._message(entry.data)
                decoded = self._decode(message, (_header_s(message), _recorded_s(entry)))
            except ImageError as error:
                self._skip(error)
                continue
            for times_s, image in decoded:
                yield *times_s, image
        for times_s, image in self._video.finish():
            yield *times_s, image

    def _message(self, data: bytes) -> Any:
        try:
            return self._read_message(data)
        # rosbags, struct and numpy have errors of their own, with no base in common.
        except Exception as error:
            raise ImageError(f"a message is damaged: {in_one_line(error)}") from error

    def _decode(self, message: Any, times_s: Times) -> list[tuple[Times, ImageArray]]:
        if not hasattr(message, "format"):
            return [(times_s, decode_raw(message))]
        if is_video(message.format):
            return self._video.decode(bytes(message.data), message.format, times_s)
        return [(times_s, decode_image(bytes(message.data), "an image"))]

    def _skip(self, error: ImageError) -> None:
        # A topic that cannot be decoded has thousands of them.
        if not self._skipped:
            _logger.warning("%s: %s; skipped", self.name, error)
        self._skipped += 1

    def close(self) -> None:
        self._frames = iter(())
        self._recording.close()


def _header_s(message: Any) -> float:
    """An image's header stamp in s; NaN for one of 0, as of a node without a clock, and one out of range."""
    stamp = message.header.stamp
    # As the nodes compute it, to the last bit.
    stamp_s = stamp.sec + stamp.nanosec * 1e-9
    return stamp_s if stamp_s and abs(stamp_s) < MAX_STAMP_S else math.nan


def _recorded_s(entry: Message) -> float:
    recorded_s = entry.time_ns * 1e-9
    return recorded_s if abs(recorded_s) < MAX_STAMP_S else math.nan


class _Stamps:
    """The stamps of a topic's images: all on one clock, whatever each header holds.

    Args:
        name: of the bag, for the log.
        topic: name of the topic.
        first: the header stamps and the times of recording of the first images.
    """

    def __init__(self, name: str, topic: str, first: Iterable[tuple[float, float]]) -> None:
        self._name, self._topic = name, topic
        self._last_s = math.nan
        self._is_reported = False
        first = tuple(first)
        known = [(header_s, at_s) for header_s, at_s in first if not math.isnan(header_s)]
        self._by_header = len(known) == 1 or len({header_s for header_s, _ in known}) > 1
        self._recorder_ahead_s = known[0][1] - known[0][0] if self._by_header else 0.0
        if first and not self._by_header:
            text = "%s: the header stamps of %s never change; the times of recording are used instead"
            _logger.warning(text, name, topic)

    def stamp(self, header_s: float, recorded_s: float) -> float:
        """The stamp of the next image; NaN where neither time is known."""
        if not self._by_header:
            return recorded_s
        if math.isnan(header_s) or header_s == self._last_s:
            self._report()
            return recorded_s - self._recorder_ahead_s
        self._last_s = header_s
        if not math.isnan(recorded_s):
            self._recorder_ahead_s = recorded_s - header_s
        return header_s

    def _report(self) -> None:
        if not self._is_reported:
            self._is_reported = True
            text = "%s: images of %s have no header stamp of their own; their times of recording are used"
            _logger.warning(text, self._name, self._topic)


def _is_image(topic: Topic) -> bool:
    if foxglove.schema(topic.kind):
        return topic.encoding in foxglove.ENCODINGS
    return topic.kind in (_RAW, _COMPRESSED) and topic.encoding in ("cdr", "ros1")


def _choose(topics: Sequence[Topic], requested: str, name: str) -> Topic:
    images = [each for each in topics if each.count and _is_image(each)]
    if not images:
        others = "; ".join(
            f"{each.name} has {each.kind} in {each.encoding or 'an unknown encoding'}, which is not supported"
            for each in topics
            if each.count and _IMAGE_LIKE.search(each.kind)
        )
        supported = "sensor_msgs Image or CompressedImage, or Foxglove's images and videos"
        raise SourceError(f"{name} has no images ({supported})" + (f": {others}" if others else ""))
    names = ", ".join(sorted({each.name for each in images}))
    if requested:
        found = [each for each in images if each.name.strip("/") == requested.strip("/")]
        if not found:
            raise SourceError(f"{name} has no images of {requested}; it has {names}")
        return found[0]
    # Stable: among equals the first one in the bag.
    chosen = min(images, key=lambda each: any(word in each.name.lower() for word in _NOT_FOR_FACES))
    if len(images) > 1:
        _logger.warning("%s has images of %s; %s is used, --topic chooses another", name, names, chosen.name)
    return chosen
