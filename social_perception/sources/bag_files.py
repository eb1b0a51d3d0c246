"""The messages of a bag, read by rosbags; of a damaged or incomplete one, those that can be read.

A recorder that was killed leaves a folder without metadata.yaml, an mcap file without an index, or a
``.bag.active``. MCAP files of something else than rosbag2 (ROS 1, Foxglove) are scanned, too.
"""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

from social_perception.core.errors import MissingDependencyError, SourceError
from social_perception.core.files import read_limited
from social_perception.sources.bag_names import PACKED, bag_suffix, storage_files, without_packing
from social_perception.sources.mcap_scan import (
    Contents,
    Message,
    decompress_file,
    is_foreign,
    read_contents,
    scan_mcap,
)
from social_perception.sources.rosbag1_scan import scan_rosbag1

_logger = logging.getLogger(__name__)

_MOST_MESSAGES = 1 << 48
_MAX_METADATA_BYTES = 1 << 24


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of a bag; count is how many messages it has, encoding how they are serialized."""

    name: str
    kind: str
    count: int
    encoding: str = "cdr"


class Recording(Protocol):
    """An open bag.

    Attributes:
        topics: in the order of the bag; one whose type changes is listed once for each type.
        duration_s: from the first message to the last.
    """

    topics: tuple[Topic, ...]
    duration_s: float

    def messages(self, topic: Topic) -> Iterator[Message]:
        """Yield a topic's messages in the order in which they were recorded; damage is logged."""

    def close(self) -> None:
        """Release the files."""


def open_recording(path: Path) -> Recording:
    """Open a bag: a rosbag2 folder, or a file; see :func:`.bag_names.has_bag_suffix`.

    Raises:
        SourceError: nothing can be read of it.
        MissingDependencyError: rosbags is not installed.
    """
    _need_rosbags(path)
    for log in (each.with_name(each.name + "-wal") for each in _files(path) if each.suffix.lower() == ".db3"):
        if log.is_file() and log.stat().st_size:
            _logger.warning("%s holds messages that are not read: the recorder was not stopped cleanly", log)
    if path.suffix.lower() in PACKED and path.is_file():
        return _Unpacked(path)
    try:
        if path.suffix.lower() == ".mcap" and path.is_file() and is_foreign(path):
            return _Scan(path)
        return _Read(path)
    # rosbags, sqlite, yaml and zstandard each have their own errors, with no base in common.
    except Exception as error:
        reason = in_one_line(error)
        recording = _open_in_part(path, reason)
        if recording is None:
            raise SourceError(f"{path} is not a bag that can be read: {reason}") from error
    _logger.warning("%s is not a complete bag (%s): only a part of it can be read", path, reason)
    return recording


def in_one_line(error: Exception) -> str:
    """The text of an error, or its kind where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def _need_rosbags(path: Path) -> None:
    try:
        import rosbags.rosbag1
        import rosbags.rosbag2
        import rosbags.typesys  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(f"{path} needs rosbags: pip install rosbags") from error


def _files(path: Path) -> tuple[Path, ...]:
    return storage_files(path) if path.is_dir() else (path,)


def _listed_files(path: Path) -> tuple[Path, ...]:
    """The files of a bag that is complete, as its metadata list them."""
    if not path.is_dir():
        return (path,)
    text = read_limited(path / "metadata.yaml", _MAX_METADATA_BYTES)
    names = yaml.safe_load(text)["rosbag2_bagfile_information"]["relative_file_paths"]
    return tuple(path / Path(name).name for name in names)


def _open_in_part(path: Path, reason: str) -> Recording | None:
    """Open a bag that rosbags rejects: file by file, and by a scan where there is no index."""
    if path.is_dir():
        parts = [part for file in storage_files(path) if (part := _open_if_readable(file)) is not None]
        return _Joined(parts) if any(part.topics for part in parts) else None
    if bag_suffix(path) not in (".mcap", ".bag"):
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
    """A bag whose contents rosbags knows.

    The messages are read in the order in which they were written. rosbags sorts them by the time of
    recording, which mixes them up where the recorder's clock was set back.
    """

    def __init__(self, path: Path) -> None:
        from rosbags.rosbag1 import Reader as Reader1
        from rosbags.rosbag2 import Reader as Reader2

        is_ros1 = bag_suffix(path) == ".bag"
        with (Reader1 if is_ros1 else Reader2)(path) as reader:
            counts, self.duration_s = self._contents(reader)
        encoding = "ros1" if is_ros1 else "cdr"
        self.topics = tuple(Topic(*name, count, encoding) for name, count in counts.items())
        self._parts: list[Recording] = []
        try:
            for file in _listed_files(path):
                self._parts.append(_part(file))
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _contents(reader: Any) -> tuple[Mapping[tuple[str, str], int], float]:
        counts: Counter[tuple[str, str]] = Counter()
        for connection in reader.connections:
            count = connection.msgcount
            # metadata.yaml may hold any value.
            if not isinstance(count, int) or not 0 <= count < _MOST_MESSAGES:
                raise ValueError("its metadata have an invalid number of messages")
            counts[connection.topic, connection.msgtype] += count
        duration_s = max(0, reader.duration) * 1e-9 if any(counts.values()) else 0.0
        return counts, duration_s

    def messages(self, topic: Topic) -> Iterator[Message]:
        for part in self._parts:
            yield from part.messages(topic)

    def close(self) -> None:
        while self._parts:
            self._parts.pop().close()


def _part(file: Path) -> Recording:
    if file.suffix.lower() in PACKED:
        return _Unpacked(file)
    return _Database(file) if bag_suffix(file) == ".db3" else _Scan(file, Contents({}, 0.0))


class _Database:
    """A file of SQLite, whose topics are known; a log beside it is not read."""

    topics: tuple[Topic, ...] = ()
    duration_s = 0.0

    def __init__(self, path: Path) -> None:
        self._path = path

    def messages(self, topic: Topic) -> Iterator[Message]:
        import sqlite3

        query = (
            "SELECT messages.timestamp, messages.data FROM messages JOIN topics "
            "ON messages.topic_id = topics.id WHERE topics.name = ? AND topics.type = ? ORDER BY messages.id"
        )
        with closing(sqlite3.connect(f"{self._path.resolve().as_uri()}?immutable=1", uri=True)) as database:
            try:
                for time_ns, data in database.execute(query, (topic.name, topic.kind)):
                    yield Message(topic.name, topic.kind, int(time_ns), bytes(data))
            except (sqlite3.Error, TypeError, ValueError) as error:
                _logger.warning("%s is damaged: %s", self._path, in_one_line(error))

    def close(self) -> None:
        """Nothing stays open."""


class _Scan:
    """A file that is read from its beginning: for each iteration, and for its contents if not known."""

    def __init__(self, path: Path, contents: Contents | None = None) -> None:
        self._path = path
        self._reported: set[str] = set()
        self._scan = scan_mcap if bag_suffix(path) == ".mcap" else scan_rosbag1
        if contents is None and bag_suffix(path) == ".mcap":
            contents = read_contents(path)
        contents = contents or _count(self._scan(path))
        self.topics = tuple(
            Topic(name, kind, count, encoding) for (name, kind, encoding), count in contents.counts.items()
        )
        self.duration_s = contents.duration_s

    def messages(self, topic: Topic) -> Iterator[Message]:
        for message in self._scan(self._path, self._report):
            if (message.topic, message.kind, message.encoding) == (topic.name, topic.kind, topic.encoding):
                yield message

    def _report(self, text: str) -> None:
        """Log a fault once: the file may be read several times."""
        if text not in self._reported:
            self._reported.add(text)
            _logger.warning("%s: %s", self._path, text)

    def close(self) -> None:
        """Nothing stays open."""


def _count(messages: Iterator[Message]) -> Contents:
    counts: Counter[tuple[str, str, str]] = Counter()
    first_ns, last_ns = 1 << 63, 0
    for message in messages:
        counts[message.topic, message.kind, message.encoding] += 1
        first_ns, last_ns = min(first_ns, message.time_ns), max(last_ns, message.time_ns)
    return Contents(counts, max(0, last_ns - first_ns) * 1e-9)


class _Unpacked:
    """A file that was compressed as a whole: unpacked into a temporary folder until it is closed."""

    def __init__(self, path: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="social_perception_")
        try:
            plain = Path(self._folder.name) / without_packing(path).name
            self._unpack(path, plain)
            self._recording = open_recording(plain)
        except BaseException as error:
            self._folder.cleanup()
            if isinstance(error, SourceError):
                raise SourceError(str(error).replace(str(plain), str(path))) from error
            raise
        self.topics, self.duration_s = self._recording.topics, self._recording.duration_s

    @staticmethod
    def _unpack(path: Path, plain: Path) -> None:
        try:
            with path.open("rb") as file, plain.open("wb") as unpacked:
                damage = decompress_file(file, unpacked)
        except ImportError as error:
            raise MissingDependencyError(f"{path} needs rosbags: pip install rosbags") from error
        except OSError as error:
            raise SourceError(f"{path} cannot be unpacked: {error.strerror or error}") from error
        if damage:
            _logger.warning("%s is damaged, the rest is lost: %s", path, damage)

    def messages(self, topic: Topic) -> Iterator[Message]:
        return self._recording.messages(topic)

    def close(self) -> None:
        self._recording.close()
        self._folder.cleanup()


class _Joined:
    """The files of a folder without metadata, one after the other."""

    def __init__(self, parts: list[Recording]) -> None:
        self._parts = parts
        counts: Counter[tuple[str, str, str]] = Counter()
        for topic in (topic for part in parts for topic in part.topics):
            counts[topic.name, topic.kind, topic.encoding] += topic.count
        self.topics = tuple(
            Topic(name, kind, count, encoding) for (name, kind, encoding), count in counts.items()
        )
        self.duration_s = sum(part.duration_s for part in parts)

    def messages(self, topic: Topic) -> Iterator[Message]:
        for part in self._parts:
            yield from part.messages(topic)

    def close(self) -> None:
        with ExitStack() as stack:
            for part in self._parts:
                stack.callback(part.close)
