"""Reads a ROS 1 bag from its beginning, record by record, where it has no index.

A recorder that is killed leaves ``NAME.bag.active``, whose last chunk has no length: its messages follow it
in the file. Format: https://wiki.ros.org/Bags/Format/2.0.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from social_perception.core.errors import SourceError
from social_perception.sources.mcap_scan import MAX_CHUNK_BYTES, Message, Report, decompress

_MAGIC = b"#ROSBAG V2.0\n"
_MESSAGE, _CHUNK, _CONNECTION = 0x02, 0x05, 0x07
_MAX_HEADER_BYTES = 1 << 20


def scan_rosbag1(path: Path, report: Report = lambda text: None) -> Iterator[Message]:
    """Yield the messages that can be read, in the order of the file.

    Args:
        path: of the file.
        report: called with a description of each fault of the file.

    Raises:
        SourceError: the file cannot be read or is no bag of ROS 1.
        MissingDependencyError: the package for its compression is not installed.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise SourceError(f"{path} is no bag of ROS 1")
            yield from _messages(file, os.fstat(file.fileno()).st_size, report, {})
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error


def _messages(
    file: BinaryIO, end: int, report: Report, connections: dict[bytes, tuple[str, str]]
) -> Iterator[Message]:
    while head := file.read(4):
        try:
            fields = _fields(_read(file, head, _MAX_HEADER_BYTES))
            data = _read(file, file.read(4), min(end - file.tell(), MAX_CHUNK_BYTES))
            code = fields[b"op"][0]
            if code == _CONNECTION:
                kind = _fields(data)[b"type"].decode().replace("/", "/msg/")
                connections[fields[b"conn"]] = fields[b"topic"].decode(), kind
            elif code == _CHUNK and data:
                yield from _chunk(fields, data, report, connections)
            elif code == _MESSAGE and fields[b"conn"] in connections:
                sec, nanosec = struct.unpack("<II", fields[b"time"])
                topic, kind = connections[fields[b"conn"]]
                yield Message(topic, kind, sec * 10**9 + nanosec, data, "ros1")
        except (struct.error, UnicodeDecodeError, KeyError, IndexError, ValueError):  # noqa: PERF203
            report("it ends in the middle of a record, or is damaged; the rest is lost")
            return


def _chunk(
    fields: dict[bytes, bytes], data: bytes, report: Report, connections: dict[bytes, tuple[str, str]]
) -> Iterator[Message]:
    (size,) = struct.unpack("<I", fields[b"size"])
    plain = decompress(data, fields[b"compression"].decode().replace("none", ""), min(size, MAX_CHUNK_BYTES))
    yield from _messages(io.BytesIO(plain), len(plain), report, connections)


def _read(file: BinaryIO, length: bytes, limit: int) -> bytes:
    (size,) = struct.unpack("<I", length)
    if size > limit:
        raise ValueError(size)
    data = file.read(size)
    if len(data) < size:
        raise IndexError(size)
    return data


def _fields(header: bytes) -> dict[bytes, bytes]:
    """The fields of a header, by name."""
    found: dict[bytes, bytes] = {}
    place = 0
    while place < len(header):
        (size,) = struct.unpack_from("<I", header, place)
        name, _, value = header[place + 4 : place + 4 + size].partition(b"=")
        found[name] = value
        place += 4 + size
    return found
