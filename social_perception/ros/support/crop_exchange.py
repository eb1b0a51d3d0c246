"""Hands face crops from face_tracker to smile_intensity in one process, so that no topic carries pictures."""

from __future__ import annotations

import threading
from collections import OrderedDict

from social_perception.core.types import ImageArray
from social_perception.ros.convert import nanoseconds
from social_perception.ros.support.messages import TrackedFaceArray

KEPT = 32
"""Messages whose crops wait at most: a second of a camera, while the process has no time for callbacks."""

_Key = tuple[int, tuple[tuple[str, int, int, int, int], ...]]


class CropExchange:
    """Crops on their way from who cuts them to who scores them, found by the message they belong to.

    A message is known by its stamp, ids and boxes, so that no crop meets another face's box, even where a
    camera stamps two images alike. Any thread may call.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shelves: dict[str, OrderedDict[_Key, ImageArray]] = {}

    def open(self, topic: str) -> None:
        """Say that the crops of the faces on a topic (its full name) will be taken."""
        with self._lock:
            self._shelves.setdefault(topic, OrderedDict())

    def close(self, topic: str) -> None:
        """Say that they will not any more; those that wait are forgotten."""
        with self._lock:
            self._shelves.pop(topic, None)

    def is_open(self, topic: str) -> bool:
        """Whether somebody takes the crops of a topic."""
        with self._lock:
            return topic in self._shelves

    def put(self, topic: str, message: TrackedFaceArray, crops: ImageArray) -> None:
        """Leave the crops of a message; to be called before it is published.

        Args:
            topic: full name of the topic that it is published on.
            message: the faces.
            crops: (N, 96, 96, 3) uint8, RGB, in the order of the faces.
        """
        with self._lock:
            shelf = self._shelves.get(topic)
            if shelf is None:
                return
            key = _key(message)
            shelf[key] = crops
            shelf.move_to_end(key)
            if len(shelf) > KEPT:
                shelf.popitem(last=False)

    def take(self, topic: str, message: TrackedFaceArray) -> ImageArray | None:
        """The crops of a message, and forget those of the messages before it; None: there are none."""
        key = _key(message)
        with self._lock:
            shelf = self._shelves.get(topic)
            if shelf is None or key not in shelf:
                return None
            while next(iter(shelf)) != key:
                shelf.popitem(last=False)
            return shelf[key]

    @property
    def waiting(self) -> int:
        """How many messages' crops wait."""
        with self._lock:
            return sum(map(len, self._shelves.values()))


def _key(message: TrackedFaceArray) -> _Key:
    faces = (
        (face.id, face.roi.x_offset, face.roi.y_offset, face.roi.width, face.roi.height)
        for face in message.faces
    )
    return nanoseconds(message.header.stamp), tuple(faces)
