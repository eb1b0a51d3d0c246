"""Reads an MCAP file from its beginning, record by record, where its index is missing or damaged.

A program that is killed while it records leaves a file that ends anywhere. Whole messages before the
end are still good, also those in a chunk of which the rest is missing. Format: https://mcap.dev/spec.
"""

from __future__ import annotations

import bz2
import errno
import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from social_perception.core.errors import MissingDependencyError, SourceError

_MAGIC = b"\x89MCAP0\r\n"
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _DATA_END = 0x03, 0x04, 0x05, 0x06, 0x0F
_FOOTER, _STATISTICS = 0x02, 0x0B
_FOOTER_BYTES = 37
"""The footer and the magic after it."""

_BLOCK_BYTES = 1 << 10
"""Bytes unpacked at a time: a packed KB can hold 32 MB of zeros."""

MAX_CHUNK_BYTES = 1 << 28
"""Limit for an unpacked chunk; recorders end one after some MB."""

MIN_FREE_BYTES = 1 << 28
"""What is left free on a disk onto which a file is unpacked: a KB can hold 32 MB of zeros."""

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a file.

    Attributes:
        topic: its topic.
        kind: its type, for ROS as ``package/msg/Name``.
        time_ns: when it was recorded.
        data: the message.
        encoding: ``cdr`` (ROS 2), ``ros1``, ``protobuf``, ``json`` or another one.
    """

    topic: str
    kind: str
    time_ns: int
    data: bytes
    encoding: str = "cdr"


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds: the number of messages by topic, kind and encoding, and its length."""

    counts: dict[tuple[str, str, str], int]
    duration_s: float


def is_foreign(path: Path) -> bool:
    """Whether an MCAP file has messages of something else than rosbag2: ROS 1, protobuf and the like."""
    with path.open("rb") as file:
        head = file.read(21)
        if len(head) < 21 or not head.startswith(_MAGIC):
            return False
        (length,) = struct.unpack_from("<I", head, 17)
        if file.read(min(length, 100)) != b"ros2":
            return True
    contents = read_contents(path)
    return contents is not None and any(encoding != "cdr" for _, _, encoding in contents.counts)


def read_contents(path: Path) -> Contents | None:
    """The contents by the summary at the end of an MCAP file; None: it has none that can be read."""
    try:
        with path.open("rb") as file:
            end = file.seek(-_FOOTER_BYTES, io.SEEK_END)
            code, _, start = struct.unpack("<BQQ", file.read(17))
            if code != _FOOTER or not 0 < start < end:
                return None
            file.seek(start)
            return _Scan(lambda text: None).summary(file.read(min(end - start, MAX_CHUNK_BYTES)))
    except (OSError, struct.error, UnicodeDecodeError, IndexError):
        return None


def scan_mcap(path: Path, report: Report = lambda text: None) -> Iterator[Message]:
    """Yield the messages that can be read, in the order of the file.

    Args:
        path: of the file.
        report: called with a description of each fault of the file.

    Raises:
        SourceError: the file cannot be read or is no MCAP file.
        MissingDependencyError: the package for its compression is not installed.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise SourceError(f"{path} is no mcap file")
            yield from _Scan(report).messages(file)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error


class _Scan:
    def __init__(self, report: Report) -> None:
        self._report = report
        self._schemas: dict[int, str] = {}
        self._channels: dict[int, tuple[str, str, str]] = {}

    def messages(self, file: BinaryIO) -> Iterator[Message]:
        end = os.fstat(file.fileno()).st_size
        while True:
            head = file.read(9)
            if len(head) < 9:
                self._report("it ends without an index, as if the recorder had been killed")
                return
            code, size = struct.unpack("<BQ", head)
            if code == _DATA_END:
                return
            if code == 0:
                self._report("it is damaged; the rest is lost")
                return
            if code in (_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK):
                content = _read(file, size)
                yield from self._take(code, content, whole=len(content) == size)
            else:
                file.seek(min(size, end), io.SEEK_CUR)  # a damaged size can be beyond all files

    def _take(self, code: int, content: bytes, *, whole: bool) -> Iterator[Message]:
        try:
            if code == _CHUNK:
                yield from self._chunk(content, whole=whole)
            elif whole:
                yield from self._note(code, content)
        except (struct.error, UnicodeDecodeError, IndexError):
            self._report("a record in it is damaged; it is skipped")

    def _note(self, code: int, content: bytes) -> Iterator[Message]:
        """Process a record that is no chunk; a message is yielded."""
        if code == _SCHEMA:
            (number,) = struct.unpack_from("<H", content)
            self._schemas[number], _ = _text(content, 2)
        elif code == _CHANNEL:
            number, schema = struct.unpack_from("<HH", content)
            topic, place = _text(content, 4)
            encoding, _ = _text(content, place)
            kind = self._schemas.get(schema, "")
            if encoding == "ros1" and "/msg/" not in kind:
                kind = kind.replace("/", "/msg/")
            self._channels[number] = (topic, kind, encoding)
        elif code == _MESSAGE:
            number, _, time_ns, _ = struct.unpack_from("<HIQQ", content)
            if number in self._channels:
                topic, kind, encoding = self._channels[number]
                yield Message(topic, kind, time_ns, content[22:], encoding)

    def summary(self, content: bytes) -> Contents | None:
        """What the records of a summary report; None where they are incomplete."""
        statistics = b""
        for code, record in _records(content):
            if code == _STATISTICS:
                statistics = record
            elif code in (_SCHEMA, _CHANNEL):
                list(self._note(code, record))
        if not statistics:
            return None
        start_ns, end_ns, size = struct.unpack_from("<QQI", statistics, 26)
        counts: dict[tuple[str, str, str], int] = {}
        for place in range(46, 46 + size, 10):
            number, count = struct.unpack_from("<HQ", statistics, place)
            if number not in self._channels:
                return None
            channel = self._channels[number]
            counts[channel] = counts.get(channel, 0) + count
        return Contents(counts, max(0, end_ns - start_ns) * 1e-9)

    def _chunk(self, content: bytes, *, whole: bool) -> Iterator[Message]:
        _, _, size, checksum = struct.unpack_from("<QQQI", content)
        compression, place = _text(content, 28)
        if size > MAX_CHUNK_BYTES:
            self._report(f"a part of it has {size} bytes when unpacked; it is skipped")
            return
        plain = decompress(content[place + 8 :], compression, size)
        if len(plain) > size or (
            whole and (len(plain) < size or (checksum and zlib.crc32(plain) != checksum))
        ):
            self._report("a part of it is damaged; it is skipped")
            return
        for code, record in _records(plain):
            yield from self._note(code, record)


def _records(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The whole records in a part of a file, with their codes."""
    place = 0
    while place + 9 <= len(content):
        code, length = struct.unpack_from("<BQ", content, place)
        end = place + 9 + length
        if end > len(content):
            return
        yield code, content[place + 9 : end]
        place = end


def _read(file: BinaryIO, size: int) -> bytes:
    """Up to size bytes, in parts: a damaged size must not fill the memory at once."""
    parts = []
    while size > 0 and (part := file.read(min(size, 1 << 20))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _text(content: bytes, place: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<I", content, place)
    end = place + 4 + length
    if end > len(content):
        raise IndexError(end)
    return content[place + 4 : end].decode(), end


def decompress(data: bytes, compression: str, size: int) -> bytes:
    """As much of the data as can be decompressed: they may be cut off or damaged. Little more than size."""
    if not compression:
        return data
    decompressor, damage = _decompressor(compression)
    parts, total = [], 0
    try:
        # In small pieces, so that the part before the damage is kept.
        for start in range(0, len(data), _BLOCK_BYTES):
            if getattr(decompressor, "eof", False) or total > size:
                break
            parts.append(decompressor.decompress(data[start : start + _BLOCK_BYTES]))
            total += len(parts[-1])
    except damage:
        pass
    return b"".join(parts)


def decompress_file(packed: BinaryIO, plain: BinaryIO) -> str:
    """Write a file compressed by zstd; return the damage after which the rest is lost, empty: none.

    Raises:
        OSError: it cannot be written.
        MissingDependencyError: the package for it is not installed.
    """
    with _open_zstd(packed) as unpacked:
        while True:
            try:
                block = unpacked.read1(1 << 20)
            except Exception as error:  # each package has errors of its own
                return " ".join(str(error).split()) or type(error).__name__
            if not block:
                return ""
            space = os.statvfs(plain.fileno())
            if space.f_bavail * space.f_frsize < MIN_FREE_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            plain.write(block)


def _decompressor(compression: str):  # type: ignore[no-untyped-def]
    try:
        if compression == "lz4":
            from lz4.frame import LZ4FrameDecompressor

            return LZ4FrameDecompressor(), (RuntimeError, EOFError)
        if compression == "zstd":
            return _zstd_decompressor()
        if compression == "bz2":  # of ROS 1
            return bz2.BZ2Decompressor(), (OSError, EOFError)
    except ImportError as error:
        raise MissingDependencyError(
            f"bags packed by {compression} need rosbags: pip install rosbags"
        ) from error
    raise SourceError(f"bags packed by {compression!r} are not supported")


def _zstd_decompressor():  # type: ignore[no-untyped-def]
    """The package that rosbags installs for this version of Python."""
    zstd = _zstd()
    if zstd is None:
        import zstandard

        return zstandard.ZstdDecompressor().decompressobj(), (zstandard.ZstdError,)
    return zstd.ZstdDecompressor(), (zstd.ZstdError, EOFError)


def _open_zstd(file: BinaryIO):  # type: ignore[no-untyped-def]
    zstd = _zstd()
    if zstd is None:
        import zstandard

        return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
    return zstd.open(file, "rb")


def _zstd():  # type: ignore[no-untyped-def]
    """Python's module of zstd, or its backport; None: neither is there."""
    try:
        from compression import zstd
    except ImportError:
        try:
            from backports import zstd
        except ImportError:
            return None
    return zstd
