"""A rosbag2 recording (or a ROS 1 bag) as a source: no ROS is needed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from social_perception.core.errors import ImageError, SourceError
from social_perception.core.types import Frame, ImageArray
from social_perception.sources.bag_files import Topic, in_one_line, message_reader, open_recording
from social_perception.sources.bag_sound import BagSound
from social_perception.sources.images import decode_image
from social_perception.sources.raw_images import decode_raw
from social_perception.sources.source import Source

_logger = logging.getLogger(__name__)

_RAW, _COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
_NOT_FOR_FACES = ("depth", "disparity", "infra", "confidence", "mask", "overlay")
"""Words in the names of image topics that are used only on request."""


class BagSource(Source):
    """Reads the images of one topic, with the stamps of their headers, and the sound of another."""

    live = False

    def __init__(self, path: Path, topic: str = "", sound_rate_hz: int | None = None) -> None:
        """Open the bag.

        Args:
            path: a rosbag2 folder, an .mcap, .db3 or .bag file.
            topic: of sensor_msgs Image or CompressedImage; empty: the first one in the bag whose name
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
        self.rate_hz: float | None = self.topic.count / duration_s if duration_s > 0 else None
        self._read_message = message_reader(path)
        self._sound = None if sound_rate_hz is None else BagSound.open(path, self._recording, sound_rate_hz)
        self.sound_rate_hz = None if self._sound is None else sound_rate_hz
        self._skipped = 0
        self._frames = self._read()

    def __next__(self) -> Frame:
        return next(self._frames)

    def _read(self) -> Iterator[Frame]:
        index = 0
        for stamp_s, recorded_s, image in self._images():
            sound = None if self._sound is None else self._sound.until(stamp_s, recorded_s)
            yield Frame(image, stamp_s, index, sound)
            index += 1
        if self._skipped > 1:
            _logger.warning("%s: %d images were skipped", self.name, self._skipped)
        if index == 0:
            raise SourceError(f"{self.name}: no image of {self.topic.name} can be read")

    def _images(self) -> Iterator[tuple[float, float, ImageArray]]:
        """Yield each image's stamp, when it was recorded, and its pixels."""
        for entry in self._recording.messages(self.topic):
            try:
                message = self._message(entry.data)
                image = self._decode(message)
            except ImageError as error:
                self._skip(error)
                continue
            stamp = message.header.stamp
            # As the nodes compute it, to the last bit.
            stamp_s = stamp.sec + stamp.nanosec * 1e-9
            recorded_s = entry.time_ns * 1e-9
            yield stamp_s or recorded_s, recorded_s, image

    def _message(self, data: bytes) -> Any:
        try:
            return self._read_message(data, self.topic.kind)
        # rosbags, struct and numpy have errors of their own, with no base in common.
        except Exception as error:
            raise ImageError(f"a message is damaged: {in_one_line(error)}") from error

    def _decode(self, message: Any) -> ImageArray:
        if self.topic.kind == _COMPRESSED:
            return decode_image(bytes(message.data), "an image")
        return decode_raw(message)

    def _skip(self, error: ImageError) -> None:
        # A topic that cannot be decoded has thousands of them.
        if not self._skipped:
            _logger.warning("%s: %s; skipped", self.name, error)
        self._skipped += 1

    def close(self) -> None:
        self._frames = iter(())
        self._recording.close()


def _choose(topics: Sequence[Topic], requested: str, name: str) -> Topic:
    images = [each for each in topics if each.kind in (_RAW, _COMPRESSED) and each.count]
    if not images:
        raise SourceError(f"{name} has no images (sensor_msgs Image or CompressedImage)")
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
