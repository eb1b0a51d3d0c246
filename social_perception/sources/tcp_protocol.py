"""The TCP stream of JPEG images: its bytes, the same for the receiver and the sender.

The receiver (``tcp://HOST:PORT`` as a source) listens, the sender connects; images flow from
the sender to the receiver, all numbers in network byte order (big-endian):

======================  ======================================================================
once per connection     8 bytes: ``SPJPEG1`` and a line feed; or, where a token is set, the
                        greeting of version 2, in which both prove that they know it
per image               uint32: length of the JPEG data in bytes, 1 to the receiver's limit
                        float64: stamp in s; NaN where the sender knows none
                        the JPEG data
======================  ======================================================================

Greeting of version 2, with HMAC-SHA256 under the token (a challenge and a response from each side,
as in ISO/IEC 9798-4; nothing is encrypted):

======================  ======================================================================
sender                  8 bytes: ``SPJPEG2`` and a line feed; 32 random bytes S
receiver                32 random bytes R
sender                  32 bytes: HMAC of ``sender``, S and R
receiver                32 bytes: HMAC of ``receiver``, S and R
======================  ======================================================================

The sender ends by closing the connection between two images. See docs/tcp_stream.md.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import socket
import struct
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from social_perception.core.errors import SourceError
from social_perception.core.settings import format_value
from social_perception.core.types import MAX_STAMP_S

MAGIC = b"SPJPEG1\n"
MAGIC_WITH_TOKEN = b"SPJPEG2\n"
_RANDOM_BYTES = hashlib.sha256().digest_size
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
    """One image on its way; stamp_s is NaN where the sender knew none."""

    stamp_s: float
    jpeg: bytes


class ProtocolError(SourceError):
    """The peer does not keep to the protocol; the connection is of no more use."""


class WrongTokenError(ProtocolError):
    """The peer does not know the token."""


def parse_address(spec: str) -> Address:
    """Read ``tcp://HOST:PORT``; without a host it is this machine alone (loopback).

    Raises:
        SourceError: the address has another form.
    """
    name = format_value(spec, str)
    try:
        parts = urlsplit(spec)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise SourceError(f"{name} is not an address: {format_value(error, str)}") from error
    if parts.scheme != "tcp" or port is None or parts.path not in ("", "/"):
        raise SourceError(f"{name} is not an address of the form tcp://HOST:PORT")
    return Address(host or "127.0.0.1", port)


def pack(message: JpegMessage) -> bytes:
    """The bytes of one image."""
    return _HEADER.pack(len(message.jpeg), message.stamp_s) + message.jpeg


def receive_greeting(peer: socket.socket, timeout_s: float, token: str = "") -> None:
    """Read the greeting, the receiver's part; with a token the sender must prove that it knows it.

    Raises:
        WrongTokenError: the sender does not know the token.
        ProtocolError: the peer speaks something else, is silent, or has gone.
    """
    deadline = time.monotonic() + timeout_s
    magic = _receive(peer, len(MAGIC), deadline, "the greeting")
    if magic not in (MAGIC, MAGIC_WITH_TOKEN):
        raise ProtocolError("it does not speak this protocol (wrong greeting)")
    if token and magic == MAGIC:
        raise WrongTokenError("it gave no token, which is required here")
    if magic == MAGIC:
        return
    theirs = _receive(peer, _RANDOM_BYTES, deadline, "the greeting")
    if not token:
        raise ProtocolError("it requires a token, and none is set here")
    _check_sender(peer, deadline, token, theirs)


def _check_sender(peer: socket.socket, deadline: float, token: str, theirs: bytes) -> None:
    ours = secrets.token_bytes(_RANDOM_BYTES)
    _send(peer, ours, deadline)
    proof = _receive(peer, _RANDOM_BYTES, deadline, "the greeting")
    if not hmac.compare_digest(proof, _proof(token, b"sender", theirs, ours)):
        raise WrongTokenError("it gave a wrong token")
    _send(peer, _proof(token, b"receiver", theirs, ours), deadline)


def send_greeting(peer: socket.socket, timeout_s: float, token: str = "") -> None:
    """Greet, the sender's part; with a token the receiver must prove that it knows it, too.

    Raises:
        WrongTokenError: the receiver does not know the token, or does not believe that we do.
        ProtocolError: the peer is silent or has gone.
    """
    deadline = time.monotonic() + timeout_s
    if not token:
        _send(peer, MAGIC, deadline)
        return
    ours = secrets.token_bytes(_RANDOM_BYTES)
    _send(peer, MAGIC_WITH_TOKEN + ours, deadline)
    theirs = _receive(peer, _RANDOM_BYTES, deadline, "the greeting", may_end=True)
    if not theirs:
        raise WrongTokenError("no token is set there")
    _send(peer, _proof(token, b"sender", ours, theirs), deadline)
    proof = _receive(peer, _RANDOM_BYTES, deadline, "the greeting", may_end=True)
    if not hmac.compare_digest(proof, _proof(token, b"receiver", ours, theirs)):
        raise WrongTokenError("another token is set there")


def _proof(token: str, who: bytes, senders: bytes, receivers: bytes) -> bytes:
    return hmac.new(token.encode(), who + senders + receivers, hashlib.sha256).digest()


def _send(peer: socket.socket, data: bytes, deadline: float) -> None:
    peer.settimeout(max(1e-3, deadline - time.monotonic()))
    try:
        peer.sendall(data)
    except TimeoutError as error:
        raise ProtocolError("it took too long to take the greeting") from error
    except OSError as error:
        raise ProtocolError(f"the connection broke: {error.strerror or error}") from error


def receive_message(peer: socket.socket, timeout_s: float, max_bytes: int) -> JpegMessage | None:
    """Read one image; None when the peer closed the connection cleanly.

    The length is believed only up to max_bytes, and memory grows with what really arrives.

    Raises:
        ProtocolError: the length is 0 or too large, the stamp is no time, the peer vanished in the
            middle, or the message took longer than timeout_s.
    """
    deadline = time.monotonic() + timeout_s
    header = _receive(peer, _HEADER.size, deadline, "an image", may_end=True)
    if not header:
        return None
    length, stamp_s = _HEADER.unpack(header)
    if not 1 <= length <= max_bytes:
        raise ProtocolError(f"it announced an image of {length} bytes; 1 to {max_bytes} are allowed")
    if abs(stamp_s) >= MAX_STAMP_S:  # NaN is not
        raise ProtocolError(f"it sent a stamp of {stamp_s:g} s")
    return JpegMessage(stamp_s, _receive(peer, length, deadline, "an image"))


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
