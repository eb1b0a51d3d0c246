"""From a message's bytes to an object with its fields: ROS 1 and 2, Foxglove's images; also compressed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from social_perception.core.errors import ImageError
from social_perception.sources import foxglove
from social_perception.sources.bag_files import Topic
from social_perception.sources.mcap_scan import MAX_CHUNK_BYTES, decompress

ReadMessage = Callable[[bytes], Any]
"""From a message's bytes to an object with its fields."""

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
"""Begins no CDR message, which begins with a zero."""


def message_reader(topic: Topic, definitions: Mapping[str, str] = MappingProxyType({})) -> ReadMessage:
    """A function that turns messages of a topic into objects.

    Args:
        topic: of the messages.
        definitions: texts of the types that rosbags doesn't know, by name. Those that it does know, such as
            sensor_msgs, are the same in all versions of ROS 2.
    """
    name = foxglove.schema(topic.kind)
    if name:
        return lambda data: foxglove.read_message(_plain(data, topic), name, topic.encoding)
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    is_ros1 = topic.encoding == "ros1"
    store = get_typestore(Stores.ROS1_NOETIC if is_ros1 else Stores.ROS2_HUMBLE)
    for each, text in definitions.items():
        store.register(get_types_from_msg(text, each))
    deserialize = store.deserialize_ros1 if is_ros1 else store.deserialize_cdr
    return lambda data: deserialize(_plain(data, topic), topic.kind)


def _plain(data: bytes, topic: Topic) -> bytes:
    """The message itself: rosbag2 can compress each, which only the metadata of the folder say."""
    if topic.encoding != "cdr" or data[:4] != _ZSTD_MAGIC:
        return data
    plain = decompress(data, "zstd", MAX_CHUNK_BYTES)
    if len(plain) > MAX_CHUNK_BYTES:
        raise ImageError("a message is too large when it is decompressed")
    return plain
