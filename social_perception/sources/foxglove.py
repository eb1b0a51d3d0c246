"""Images in Foxglove's schemas: protobuf, JSON or ROS messages, read into what sensor_msgs would hold.

Schemas: https://docs.foxglove.dev/docs/sdk/schemas. Three messages need no library for protobuf: its wire
format (https://protobuf.dev/programming-guides/encoding) is a list of numbered fields.
"""

from __future__ import annotations

import base64
import json
import re
import struct
from types import SimpleNamespace
from typing import Any

import numpy as np

from social_perception.core.errors import ImageError

ENCODINGS = frozenset({"protobuf", "json", "cdr", "ros1"})
"""Of messages that can be read."""

_TIME, _TEXT, _BYTES, _NUMBER = "time", "text", "bytes", "number"
_FIELDS = {
    "CompressedImage": (
        ("timestamp", _TIME, 1), ("frame_id", _TEXT, 4), ("data", _BYTES, 2), ("format", _TEXT, 3),
    ),
    "RawImage": (
        ("timestamp", _TIME, 1), ("frame_id", _TEXT, 7), ("width", _NUMBER, 2), ("height", _NUMBER, 3),
        ("encoding", _TEXT, 4), ("step", _NUMBER, 5), ("data", _BYTES, 6),
    ),
    "CompressedVideo": (
        ("timestamp", _TIME, 1), ("frame_id", _TEXT, 2), ("data", _BYTES, 3), ("format", _TEXT, 4),
    ),
}  # fmt: skip
"""Name, type and protobuf number of each field, in the order of the ROS message, which may have more."""

_EMPTY: dict[str, Any] = {_TIME: (0, 0), _TEXT: "", _BYTES: b"", _NUMBER: 0}
_KIND = re.compile(r"foxglove(?:\.|_msgs/(?:msg/)?)(\w+)")


def schema(kind: str) -> str:
    """``CompressedImage``, ``RawImage`` or ``CompressedVideo`` for the type of such a message, else empty."""
    found = _KIND.fullmatch(kind)
    return found[1] if found and found[1] in _FIELDS else ""


def read_message(data: bytes, name: str, encoding: str) -> Any:
    """A message as an object with the fields of sensor_msgs, such as ``header.stamp``, ``data``, ``format``.

    Args:
        data: the message.
        name: of its schema; see :func:`schema`.
        encoding: one of ``ENCODINGS``.

    Raises:
        ImageError: the message is incomplete or damaged.
    """
    fields = _FIELDS[name]
    try:
        if encoding == "protobuf":
            values = _read_protobuf(data, fields)
        elif encoding == "json":
            values = _read_json(data, fields)
        else:
            values = _read_ros(data, fields, is_cdr=encoding == "cdr")
    except (struct.error, IndexError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise ImageError(f"a {name} of Foxglove is damaged: {error}") from error
    sec, nanosec = values.pop("timestamp")
    header = SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec), frame_id=values["frame_id"])
    values["data"] = np.frombuffer(values["data"], np.uint8)
    return SimpleNamespace(header=header, is_bigendian=0, **values)


def _read_protobuf(data: bytes, fields: Any) -> dict[str, Any]:
    found = _wire_fields(data)
    values: dict[str, Any] = {}
    for name, kind, number in fields:
        value = found.get(number, _EMPTY[kind])
        if kind == _TIME and number in found:
            time = _wire_fields(value)
            value = _signed(time.get(1, 0)), time.get(2, 0)
        values[name] = value.decode() if kind == _TEXT and number in found else value
    return values


def _wire_fields(data: bytes) -> dict[int, Any]:
    """The fields of a protobuf message by number: bytes, or integers; the last one of a number counts."""
    found: dict[int, Any] = {}
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        wire = key & 7
        if wire == 0:
            found[key >> 3], place = _varint(data, place)
        elif wire == 2:
            size, place = _varint(data, place)
            if place + size > len(data):
                raise IndexError("it ends in a field")
            found[key >> 3] = data[place : place + size]
            place += size
        elif wire in (1, 5):
            (found[key >> 3],) = struct.unpack_from("<Q" if wire == 1 else "<I", data, place)
            place += 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire} is not supported")
    return found


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
    raise ValueError("a number is too long")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _read_json(data: bytes, fields: Any) -> dict[str, Any]:
    found = json.loads(data)
    values: dict[str, Any] = {name: found.get(name, _EMPTY[kind]) for name, kind, _ in fields}
    time = values["timestamp"]
    if isinstance(time, dict):
        values["timestamp"] = int(time["sec"]), int(time.get("nsec", 0))
    values["data"] = base64.b64decode(values["data"])
    return values


def _read_ros(data: bytes, fields: Any, *, is_cdr: bool) -> dict[str, Any]:
    """Fields of a serialized ROS message: CDR aligns numbers to 4 bytes, and ends texts with a zero."""
    order = "<" if not is_cdr or data[1] & 1 else ">"
    data = data[4:] if is_cdr else data
    values: dict[str, Any] = {}
    place = 0
    for name, kind, _ in fields:
        place += -place % 4 if is_cdr else 0
        first, second = struct.unpack_from(order + "II", data + bytes(4), place)
        place += 8 if kind == _TIME else 4
        if kind in (_TIME, _NUMBER):
            values[name] = (first, second) if kind == _TIME else first
            continue
        if place + first > len(data):
            raise IndexError("it ends in a field")
        content = data[place : place + first]
        values[name] = content.rstrip(b"\0").decode() if kind == _TEXT else content
        place += first
    return values
