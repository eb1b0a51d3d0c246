"""Writes MCAP files (https://mcap.dev/spec) that stay readable when the program dies.

rosbags writes folders only and keeps up to a megabyte, which is minutes of results, in memory. Here
each chunk is on its way to the disk as soon as the caller says so. A file that was never closed has
no index at its end; its chunks can still be read one after the other.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from social_perception.core.errors import MissingDependencyError
from social_perception.sinks.sink import append, output_error

MAGIC = b"\x89MCAP0\r\n"
COMPRESSION = "lz4"

_HEADER, _FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
_MESSAGE_INDEX, _CHUNK_INDEX, _STATISTICS, _METADATA, _METADATA_INDEX = 0x07, 0x08, 0x0B, 0x0C, 0x0D
_SUMMARY_OFFSET, _DATA_END = 0x0E, 0x0F
_NO_TIME = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Channel:
    """A topic and the type of its messages.

    Attributes:
        kind: of the messages, for example ``std_msgs/msg/Header``.
        definition: of the kind and of those that it contains, in the form ``ros2msg``.
        metadata: of the topic, by the names of ROS 2.
    """

    topic: str
    kind: str
    definition: str
    metadata: dict[str, str]


@dataclass(slots=True)
class _Chunk:
    """Pending messages: their records, and by channel the time and the offset of each."""

    records: io.BytesIO = field(default_factory=io.BytesIO)
    places: dict[int, list[tuple[int, int]]] = field(default_factory=dict)

    def times(self) -> tuple[int, int]:
        stamps = [time_ns for places in self.places.values() for time_ns, _ in places]
        return min(stamps), max(stamps)


class McapWriter:
    """A file of CDR messages with the profile ``ros2``; channels are known from the start.

    Args:
        path: of the file, which must not exist yet.
        channels: their numbers, for ``write``, count from 0.
        library: name and version of the program that writes.

    Raises:
        OutputError: the file cannot be written; so do ``flush`` and ``close``. What was flushed before
            stays readable.
        MissingDependencyError: lz4, which comes with rosbags, is not installed.
    """

    def __init__(self, path: Path, channels: Sequence[Channel], library: str) -> None:
        try:
            import lz4.frame
        except ImportError as error:
            raise MissingDependencyError("recording needs lz4: pip install rosbags") from error
        self._compress = lz4.frame.compress
        self.path = path
        self.counts = [0] * len(channels)
        self.first_ns, self.last_ns = _NO_TIME, 0
        self._chunk = _Chunk()
        self._chunk_indices: list[bytes] = []
        self._size = self._crc = 0
        self._kinds = list(dict.fromkeys((each.kind, each.definition) for each in channels))
        self._channels = [self._channel(number, each) for number, each in enumerate(channels)]
        try:
            self._file = path.open("xb", buffering=0)
        except OSError as error:
            raise output_error(path, error) from error
        self._append(
            MAGIC, _record(_HEADER, _text("ros2") + _text(library)), *self._schemas(), *self._channels
        )

    @property
    def pending_bytes(self) -> int:
        """Size of what was written and not yet flushed."""
        return self._chunk.records.tell()

    def write(self, channel: int, time_ns: int, data: bytes | memoryview) -> None:
        """Accept a message; it is in the file after the next ``flush``."""
        chunk = self._chunk
        chunk.places.setdefault(channel, []).append((time_ns, chunk.records.tell()))
        head = struct.pack("<HIQQ", channel, self.counts[channel] & 0xFFFFFFFF, time_ns, time_ns)
        chunk.records.write(_record(_MESSAGE, head + bytes(data)))
        self.counts[channel] += 1

    def flush(self) -> None:
        """Pass what is pending to the operating system, where it survives the program."""
        chunk, self._chunk = self._chunk, _Chunk()
        if not chunk.places:
            return
        plain, (first_ns, last_ns) = chunk.records.getvalue(), chunk.times()
        packed = self._compress(plain)
        head = struct.pack("<QQQI", first_ns, last_ns, len(plain), zlib.crc32(plain)) + _text(COMPRESSION)
        record = _record(_CHUNK, head + struct.pack("<Q", len(packed)) + packed)
        start, offset = self._size, self._size + len(record)
        indices, offsets = [], b""
        for number, places in chunk.places.items():
            offsets += struct.pack("<HQ", number, offset)
            entries = b"".join(struct.pack("<QQ", *place) for place in places)
            indices.append(_record(_MESSAGE_INDEX, struct.pack("<H", number) + _array(entries)))
            offset += len(indices[-1])
        self._append(record, *indices)
        self.first_ns, self.last_ns = min(self.first_ns, first_ns), max(self.last_ns, last_ns)
        self._chunk_indices.append(
            struct.pack("<QQQQ", first_ns, last_ns, start, len(record))
            + _array(offsets)
            + struct.pack("<Q", sum(map(len, indices)))
            + _text(COMPRESSION)
            + struct.pack("<QQ", len(packed), len(plain))
        )

    def close(self, name: str, metadata: dict[str, str]) -> None:
        """Complete the file with a metadata record, the index and the sums."""
        try:
            self.flush()
            place = self._size
            note = _record(_METADATA, _text(name) + _mapping(metadata))
            self._append(note, _record(_DATA_END, struct.pack("<I", zlib.crc32(note, self._crc))))
            note_index = _record(_METADATA_INDEX, struct.pack("<QQ", place, len(note)) + _text(name))
            self._append(self._summary(note_index), MAGIC)
        finally:
            self._file.close()

    def abort(self) -> None:
        """Close without an index."""
        self._file.close()

    def _channel(self, number: int, channel: Channel) -> bytes:
        kind = self._kinds.index((channel.kind, channel.definition)) + 1
        head = struct.pack("<HH", number, kind) + _text(channel.topic) + _text("cdr")
        return _record(_CHANNEL, head + _mapping(channel.metadata))

    def _schemas(self) -> list[bytes]:
        return [
            _record(
                _SCHEMA,
                struct.pack("<H", number) + _text(name) + _text("ros2msg") + _text(definition),
            )
            for number, (name, definition) in enumerate(self._kinds, 1)
        ]

    def _summary(self, note_index: bytes) -> bytes:
        groups = (
            (_SCHEMA, b"".join(self._schemas())),
            (_CHANNEL, b"".join(self._channels)),
            (_CHUNK_INDEX, b"".join(_record(_CHUNK_INDEX, each) for each in self._chunk_indices)),
            (_METADATA_INDEX, note_index),
            (_STATISTICS, _record(_STATISTICS, self._statistics())),
        )
        offset, offsets = self._size, b""
        for code, records in groups:
            if records:
                offsets += _record(_SUMMARY_OFFSET, struct.pack("<BQQ", code, offset, len(records)))
            offset += len(records)
        # The sum covers the footer, too, up to itself.
        footer = struct.pack("<BQQQ", _FOOTER, 20, self._size, offset)
        summary = b"".join(records for _, records in groups) + offsets + footer
        return summary + struct.pack("<I", zlib.crc32(summary))

    def _statistics(self) -> bytes:
        total = sum(self.counts)
        counts = b"".join(struct.pack("<HQ", number, count) for number, count in enumerate(self.counts))
        return struct.pack(
            "<QHIIIIQQ", total, len(self._kinds), len(self._channels), 0, 1, len(self._chunk_indices),
            self.first_ns if total else 0, self.last_ns,
        ) + _array(counts)  # fmt: skip

    def _append(self, *parts: bytes) -> None:
        data = b"".join(parts)
        self._size = append(self._file, self.path, data, self._size)
        self._crc = zlib.crc32(data, self._crc)


def _record(code: int, content: bytes) -> bytes:
    return struct.pack("<BQ", code, len(content)) + content


def _array(content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + content


def _text(text: str) -> bytes:
    return _array(text.encode())


def _mapping(entries: dict[str, str]) -> bytes:
    return _array(b"".join(_text(key) + _text(value) for key, value in entries.items()))
