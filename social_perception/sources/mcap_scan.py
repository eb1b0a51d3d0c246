"""Reads an MCAP file from its beginning, record by record, where its index is missing or damaged.

A program that is killed while it records leaves a file that ends anywhere. Whole messages before the
end are still good, also those in a chunk of which the rest is missing. Format: https://mcap.dev/spec.
"""

from __future__ import annotations

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
_BLOCK_BYTES = 1 << 10
"""Bytes unpacked at a time: a packed KB can hold 32 MB of zeros."""

MAX_CHUNK_BYTES = 1 << 28
"""Limit for an unpacked chunk; recorders end one after some MB."""

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a file; time_ns is when it was recorded."""

    topic: str
    kind: str
    time_ns: int
    data: bytes


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
        self._channels: dict[int, tuple[str, str]] = {}

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
            topic, _ = _text(content, 4)
            self._channels[number] = (topic, self._schemas.get(schema, ""))
        elif code == _MESSAGE:
            number, _, time_ns, _ = struct.unpack_from("<HIQQ", content)
            if number in self._channels:
                yield Message(*self._channels[number], time_ns, content[22:])

    def _chunk(self, content: bytes, *, whole: bool) -> Iterator[Message]:
        _, _, size, checksum = struct.unpack_from("<QQQI", content)
        compression, place = _text(content, 28)
        if size > MAX_CHUNK_BYTES:
            self._report(f"a part of it has {size} bytes when unpacked; it is skipped")
            return
        plain = _decompress(content[place + 8 :], compression, size)
        if len(plain) > size or (
            whole and (len(plain) < size or (checksum and zlib.crc32(plain) != checksum))
        ):
            self._report("a part of it is damaged; it is skipped")
            return
        place = 0
        while place + 9 <= len(plain):
            code, length = struct.unpack_from("<BQ", plain, place)
            end = place + 9 + length
            if end > len(plain):
                return
            yield from self._note(code, plain[place + 9 : end])
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


def _decompress(data: bytes, compression: str, size: int) -> bytes:
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


def _decompressor(compression: str):  # type: ignore[no-untyped-def]
    try:
        if compression == "lz4":
            from lz4.frame import LZ4FrameDecompressor

            return LZ4FrameDecompressor(), (RuntimeError, EOFError)
        if compression == "zstd":
            return _zstd_decompressor()
    except ImportError as error:
        raise MissingDependencyError(
            f"mcap files packed by {compression} need rosbags: pip install rosbags"
        ) from error
    raise SourceError(f"mcap files packed by {compression!r} are not supported")


def _zstd_decompressor():  # type: ignore[no-untyped-def]
    """The package that rosbags installs for this version of Python."""
    try:
        from compression import zstd
    except ImportError:
        try:
            from backports import zstd
        except ImportError:
            import zstandard

            return zstandard.ZstdDecompressor().decompressobj(), (zstandard.ZstdError,)
    return zstd.ZstdDecompressor(), (zstd.ZstdError, EOFError)
