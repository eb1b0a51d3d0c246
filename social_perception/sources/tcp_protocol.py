"""The TCP stream of JPEG pictures: its bytes, the same for the receiver and the sender.

The receiver (``tcp://HOST:PORT`` as a source) listens, the sender connects; everything flows from
the sender to the receiver, all numbers in network byte order (big-endian):

======================  ======================================================================
once per connection     8 bytes: ``SPJPEG1`` and a line feed
per picture             uint32: length of the JPEG data in bytes, 1 to the receiver's limit
                        float64: stamp in s; NaN where the sender knows none
                        the JPEG data
======================  ======================================================================

The sender ends by closing the connection between two pictures. See docs/tcp_stream.md.
"""

from __future__ import annotations

import math
import socket
import struct
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from social_perception.core.errors import SourceError

MAGIC = b"SPJPEG1\n"
_HEADER = struct.Struct(">Id")
_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Address:
    """Where the receiver listens."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class JpegMessage:
    """One picture on its way; stamp_s is NaN where the sender knew none."""

    stamp_s: float
    jpeg: bytes


class ProtocolError(SourceError):
    """The peer does not keep to the protocol; the connection is of no more use."""


def parse_address(spec: str) -> Address:
    """Read ``tcp://HOST:PORT``; without a host it is this machine alone (loopback).

    Raises:
        SourceError: the address has another form.
    """
    try:
        parts = urlsplit(spec)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise SourceError(f"{spec} is not an address: {error}") from error
    if parts.scheme != "tcp" or port is None or parts.path not in ("", "/"):
        raise SourceError(f"{spec} is not an address of the form tcp://HOST:PORT")
    return Address(host or "127.0.0.1", port)


def pack(message: JpegMessage) -> bytes:
    """The bytes of one picture."""
    return _HEADER.pack(len(message.jpeg), message.stamp_s) + message.jpeg


def receive_greeting(peer: socket.socket, timeout_s: float) -> None:
    """Read the greeting.

    Raises:
        ProtocolError: the peer speaks something else, is silent, or has gone.
    """
    if _receive(peer, len(MAGIC), time.monotonic() + timeout_s, "the greeting") != MAGIC:
        raise ProtocolError("it does not speak this protocol (wrong greeting)")


def receive_message(peer: socket.socket, timeout_s: float, max_bytes: int) -> JpegMessage | None:
    """Read one picture; None when the peer ended in good order.

    The length is believed only up to max_bytes, and memory grows with what really arrives.

    Raises:
        ProtocolError: the length is 0 or too large, the stamp infinite, the peer vanished in the
            middle, or the message took longer than timeout_s.
    """
    deadline = time.monotonic() + timeout_s
    header = _receive(peer, _HEADER.size, deadline, "a picture", may_end=True)
    if not header:
        return None
    length, stamp_s = _HEADER.unpack(header)
    if not 1 <= length <= max_bytes:
        raise ProtocolError(f"it announced a picture of {length} bytes; 1 to {max_bytes} are allowed")
    if math.isinf(stamp_s):
        raise ProtocolError("it sent an infinite stamp")
    return JpegMessage(stamp_s, _receive(peer, length, deadline, "a picture"))


def _receive(peer: socket.socket, size: int, deadline: float, what: str, *, may_end: bool = False) -> bytes:
    data = bytearray()
    while len(data) < size:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise ProtocolError(f"it took too long to send {what}")
        peer.settimeout(left_s)
        try:
            chunk = peer.recv(min(_CHUNK_BYTES, size - len(data)))
        except TimeoutError:
            continue
        except OSError as error:
            raise ProtocolError(f"the connection broke: {error.strerror or error}") from error
        if not chunk:
            if may_end and not data:
                return b""
            raise ProtocolError(f"it vanished in the middle of {what} ({len(data)} of {size} bytes)")
        data += chunk
    return bytes(data)
