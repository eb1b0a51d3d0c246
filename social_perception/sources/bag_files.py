"""The messages of a bag, read by rosbags; of a damaged or incomplete one, those that can be read.

A recorder that was killed leaves a folder without metadata.yaml, and an mcap file without an index.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from social_perception.core.errors import MissingDependencyError, SourceError
from social_perception.sources.mcap_scan import Message, scan_mcap

_logger = logging.getLogger(__name__)

SUFFIXES = frozenset({".db3", ".mcap", ".bag"})
_ROSBAG2_SUFFIXES = (".mcap", ".db3")
_MOST_MESSAGES = 1 << 48

ReadMessage = Callable[[bytes, str], Any]
"""From a message's bytes and kind to an object with its fields."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of a bag; count is how many messages it has."""

    name: str
    kind: str
    count: int


class Recording(Protocol):
    """An open bag.

    Attributes:
        topics: in the order of the bag; one whose type changes is listed once for each type.
        duration_s: from the first message to the last.
    """

    topics: tuple[Topic, ...]
    duration_s: float

    def messages(self, topic: Topic) -> Iterator[Message]:
        """Yield a topic's messages by the time at which they were recorded; damage is logged."""

    def close(self) -> None:
        """Release the files."""


def is_bag(path: Path) -> bool:
    """Whether this is a bag's file, or a folder of rosbag2, complete or not.

    A folder without metadata.yaml is recognised by its files, which are named after it.
    """
    if not path.is_dir():
        return path.suffix.lower() in SUFFIXES
    if (path / "metadata.yaml").is_file():
        return True
    name = re.compile(re.escape(path.resolve().name) + r"(_\d+)?")
    files = storage_files(path)
    return bool(files) and all(name.fullmatch(file.stem) for file in files)


def storage_files(folder: Path) -> tuple[Path, ...]:
    """The files with the messages of a rosbag2 folder, in their order: bag_2 before bag_10."""

    def order(path: Path) -> tuple[int, str]:
        number = re.search(r"_(\d+)$", path.stem)
        return (int(number[1]) if number else 0, path.name)

    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in _ROSBAG2_SUFFIXES]
    except OSError as error:
        raise SourceError(f"{folder} cannot be read: {error.strerror or error}") from error
    return tuple(sorted(found, key=order))


def open_recording(path: Path) -> Recording:
    """Open a bag: a rosbag2 folder, or an .mcap, .db3 or .bag file.

    Raises:
        SourceError: nothing can be read of it.
        MissingDependencyError: rosbags is not installed.
    """
    _need_rosbags(path)
    for log in (each.with_name(each.name + "-wal") for each in _files(path) if each.suffix.lower() == ".db3"):
        if log.is_file() and log.stat().st_size:
            _logger.warning("%s holds messages that are not read: the recorder was not stopped cleanly", log)
    try:
        return _Read(path)
    # rosbags, sqlite, yaml and zstandard each have their own errors, with no base in common.
    except Exception as error:
        reason = in_one_line(error)
        recording = _open_in_part(path, reason)
        if recording is None:
            raise SourceError(f"{path} is not a bag that can be read: {reason}") from error
    _logger.warning("%s is not a complete bag (%s): only a part of it can be read", path, reason)
    return recording


def message_reader(path: Path, definitions: Mapping[str, str] = MappingProxyType({})) -> ReadMessage:
    """A function that turns messages of this bag into objects.

    Args:
        path: of the bag.
        definitions: texts of the types that rosbags doesn't know, by name. Those that it does know, such as
            sensor_msgs, are the same in all versions of ROS 2.
    """
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    is_ros1 = path.suffix.lower() == ".bag"
    store = get_typestore(Stores.ROS1_NOETIC if is_ros1 else Stores.ROS2_HUMBLE)
    for name, text in definitions.items():
        store.register(get_types_from_msg(text, name))
    return store.deserialize_ros1 if is_ros1 else store.deserialize_cdr


def in_one_line(error: Exception) -> str:
    """The text of an error, or its kind where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def _need_rosbags(path: Path) -> None:
    try:
        import rosbags.rosbag1
        import rosbags.rosbag2
        import rosbags.typesys  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(f"{path} needs rosbags: pip install rosbags rosbags-image") from error


def _files(path: Path) -> tuple[Path, ...]:
    return storage_files(path) if path.is_dir() else (path,)


def _open_in_part(path: Path, reason: str) -> Recording | None:
    """Open a bag that rosbags rejects: file by file, and by a scan where there is no index."""
    if path.is_dir():
        parts = [part for file in storage_files(path) if (part := _open_if_readable(file)) is not None]
        return _Joined(parts) if any(part.topics for part in parts) else None
    if path.suffix.lower() != ".mcap":
        return None
    try:
        scan = _Scan(path)
    except SourceError:
        return None
    return scan if scan.topics else None


def _open_if_readable(file: Path) -> Recording | None:
    try:
        return open_recording(file)
    except SourceError as error:
        _logger.warning("%s", error)
        return None


class _Read:
    """A bag as rosbags reads it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: list[Any] = []
        self._idle = [self._reader()]
        try:
            self.topics, self.duration_s = self._contents(self._idle[0])
        except BaseException:
            self.close()
            raise

    def _reader(self) -> Any:
        from rosbags.rosbag1 import Reader as Reader1
        from rosbags.rosbag2 import Reader as Reader2

        reader = (Reader1 if self._path.suffix.lower() == ".bag" else Reader2)(self._path)
        reader.open()
        self._open.append(reader)
        return reader

    @staticmethod
    def _contents(reader: Any) -> tuple[tuple[Topic, ...], float]:
        counts: Counter[tuple[str, str]] = Counter()
        for connection in reader.connections:
            count = connection.msgcount
            # metadata.yaml may hold any value.
            if not isinstance(count, int) or not 0 <= count < _MOST_MESSAGES:
                raise ValueError("its metadata have an invalid number of messages")
            counts[connection.topic, connection.msgtype] += count
        duration_s = max(0, reader.duration) * 1e-9 if any(counts.values()) else 0.0
        return tuple(Topic(*name, count) for name, count in counts.items()), duration_s

    def messages(self, topic: Topic) -> Iterator[Message]:
        # A reader has one place in its file: two iterations that take turns need one each.
        reader = self._idle.pop() if self._idle else self._reader()
        connections = [
            each for each in reader.connections if (each.topic, each.msgtype) == (topic.name, topic.kind)
        ]
        last_ns = -1
        try:
            for _, time_ns, data in reader.messages(connections):
                yield Message(topic.name, topic.kind, time_ns, data)
                last_ns = time_ns
        except Exception as error:
            _logger.warning("%s is damaged: %s", self._path, in_one_line(error))
            yield from self._after_damage(topic, last_ns)
        finally:
            self._idle.append(reader)

    def _after_damage(self, topic: Topic, last_ns: int) -> Iterator[Message]:
        """The messages after the damage: the chunks of mcap files are independent."""
        for file in _files(self._path):
            if file.suffix.lower() == ".mcap":
                yield from (each for each in _Scan(file).messages(topic) if each.time_ns > last_ns)

    def close(self) -> None:
        self._idle.clear()
        while self._open:
            self._open.pop().close()


class _Scan:
    """An mcap file without an index, read through once for its topics and once for each iteration."""

    def __init__(self, path: Path) -> None:
        self._path = path
        counts: Counter[tuple[str, str]] = Counter()
        times_ns = [1 << 63, 0]
        for message in scan_mcap(path):
            counts[message.topic, message.kind] += 1
            times_ns = [min(times_ns[0], message.time_ns), max(times_ns[1], message.time_ns)]
        self.topics = tuple(Topic(*name, count) for name, count in counts.items())
        self.duration_s = max(0, times_ns[1] - times_ns[0]) * 1e-9

    def messages(self, topic: Topic) -> Iterator[Message]:
        def report(text: str) -> None:
            _logger.warning("%s: %s", self._path, text)

        for message in scan_mcap(self._path, report):
            if (message.topic, message.kind) == (topic.name, topic.kind):
                yield message

    def close(self) -> None:
        """Nothing stays open."""


class _Joined:
    """The files of a folder without metadata, one after the other."""

    def __init__(self, parts: list[Recording]) -> None:
        self._parts = parts
        counts: Counter[tuple[str, str]] = Counter()
        for topic in (topic for part in parts for topic in part.topics):
            counts[topic.name, topic.kind] += topic.count
        self.topics = tuple(Topic(*name, count) for name, count in counts.items())
        self.duration_s = sum(part.duration_s for part in parts)

    def messages(self, topic: Topic) -> Iterator[Message]:
        for part in self._parts:
            yield from part.messages(topic)

    def close(self) -> None:
        with ExitStack() as stack:
            for part in self._parts:
                stack.callback(part.close)
