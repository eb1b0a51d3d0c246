"""A rosbag2 recording (or a ROS 1 bag) as a source, read by rosbags: no ROS is needed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from social_perception.core.errors import ImageError, MissingDependencyError, SourceError
from social_perception.core.types import Frame, ImageArray
from social_perception.sources.images import decode_image
from social_perception.sources.raw_images import decode_raw
from social_perception.sources.source import Source

_logger = logging.getLogger(__name__)

_RAW, _COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"


class BagSource(Source):
    """Reads the pictures of one topic; the stamps are those of their headers."""

    live = False

    def __init__(self, path: Path, topic: str = "") -> None:
        """Open the bag.

        Args:
            path: a rosbag2 folder, an .mcap, .db3 or .bag file.
            topic: of sensor_msgs Image or CompressedImage; empty: the first one in the bag.

        Raises:
            SourceError: the bag cannot be read or has no such pictures.
            MissingDependencyError: rosbags is not installed.
        """
        self.name = str(path)
        self._reader = _open(path)
        self._is_open = True
        try:
            connection = _choose(self._reader, topic, self.name)
            self.frame_count: int | None = connection.msgcount
            duration_s = self._reader.duration * 1e-9
            self.rate_hz: float | None = self.frame_count / duration_s if duration_s > 0 else None
            self._frames = self._read(connection)
        except BaseException:
            self._reader.close()
            raise

    def __next__(self) -> Frame:
        return next(self._frames)

    def _read(self, connection: Any) -> Iterator[Frame]:
        index = 0
        for stamp_ns, image in self._images(connection):
            yield Frame(image, stamp_ns * 1e-9, index)
            index += 1
        if index == 0:
            raise SourceError(f"{self.name}: no picture of {connection.topic} can be read")

    def _images(self, connection: Any) -> Iterator[tuple[int, ImageArray]]:
        messages = self._reader.messages([connection])
        while True:
            try:
                entry = next(messages, None)
                if entry is None:
                    return
                _, received_ns, data = entry
                message = self._reader.deserialize(data, connection.msgtype)
            # rosbags, sqlite and zstandard each have their own errors, with no base in common.
            except Exception as error:
                _logger.warning("%s is damaged: %s", self.name, _in_one_line(error))
                return
            image = self._decode(message, connection)
            if image is not None:
                stamp = message.header.stamp
                yield stamp.sec * 1_000_000_000 + stamp.nanosec or received_ns, image

    def _decode(self, message: Any, connection: Any) -> ImageArray | None:
        try:
            if connection.msgtype == _COMPRESSED:
                return decode_image(bytes(message.data), "a picture")
            return decode_raw(message)
        except ImageError as error:
            _logger.warning("%s: %s; skipped", self.name, error)
            return None

    def close(self) -> None:
        self._frames = iter(())
        if self._is_open:
            self._is_open = False
            self._reader.close()


def _open(path: Path) -> Any:
    try:
        from rosbags.highlevel import AnyReader
        from rosbags.typesys import Stores, get_typestore
    except ImportError as error:
        raise MissingDependencyError(f"{path} needs rosbags: pip install rosbags rosbags-image") from error
    try:
        # Bags recorded before Iron do not say what their messages look like.
        reader = AnyReader([path], default_typestore=get_typestore(Stores.ROS2_HUMBLE))
        reader.open()
    except Exception as error:
        raise SourceError(f"{path} is not a bag that can be read: {_in_one_line(error)}") from error
    return reader


def _choose(reader: Any, topic: str, name: str) -> Any:
    pictures = [c for c in reader.connections if c.msgtype in (_RAW, _COMPRESSED) and c.msgcount]
    if not pictures:
        raise SourceError(f"{name} has no pictures (sensor_msgs Image or CompressedImage)")
    for connection in pictures:
        if topic in ("", connection.topic):
            return connection
    known = ", ".join(sorted({connection.topic for connection in pictures}))
    raise SourceError(f"{name} has no pictures of {topic}; it has {known}")


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
