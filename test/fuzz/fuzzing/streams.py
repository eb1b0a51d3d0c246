"""The TCP stream: its bytes over a pair of sockets, and a source that listens while peers misbehave."""

from __future__ import annotations

import contextlib
import io
import math
import socket
import struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fuzzing.target import PROPERTY, Target, may_refuse, of_property, promise
from social_perception.core.config import SourceConfig
from social_perception.sources.tcp import TcpSource
from social_perception.sources.tcp_protocol import (
    MAGIC,
    Address,
    JpegMessage,
    pack,
    parse_address,
    receive_greeting,
    receive_message,
)

MAX_MESSAGE = 4096
NEXT_PEER = b"<next peer>"


def jpeg(width: int = 8, height: int = 6) -> bytes:
    """A picture."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), 90, np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def _streams() -> list[bytes]:
    picture = jpeg()
    good = [pack(JpegMessage(stamp_s, picture)) for stamp_s in (1.0, 2.0, math.nan, -5.0, 1e300, 1.5e9)]
    head = struct.Struct(">Id").pack
    bad = [head(2**32 - 1, 1.0), head(0, 1.0), head(100, math.inf) + bytes(100), head(4096, 3.0) + bytes(9)]
    return [
        MAGIC, MAGIC + good[0] + good[1], MAGIC + good[2] + good[3], b"SPJPEG2\n", b"",
        *(MAGIC + good[0] + each for each in bad), MAGIC + good[4], NEXT_PEER.join([MAGIC + good[5]] * 2),
    ]  # fmt: skip


def _messages(data: bytes) -> None:
    sender, receiver = socket.socketpair()
    with sender, receiver:
        sender.sendall(data)
        sender.shutdown(socket.SHUT_WR)
        receive_greeting(receiver, 5.0)
        while (message := receive_message(receiver, 5.0, MAX_MESSAGE)) is not None:
            promise(1 <= len(message.jpeg) <= MAX_MESSAGE, f"a picture of {len(message.jpeg)} bytes")
            promise(not math.isinf(message.stamp_s), "an infinite stamp")


class _Listening:
    """A source that goes on from input to input, as it does from peer to peer."""

    def __init__(self) -> None:
        self._good = jpeg(7, 5)
        self._source: TcpSource | None = None
        self._last_s = -math.inf

    def __call__(self, data: bytes) -> None:
        try:
            self._try(data)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None

    def _try(self, data: bytes) -> None:
        if self._source is None:
            config = SourceConfig(timeout_s=20.0, peer_timeout_s=1.0, max_message_bytes=MAX_MESSAGE)
            self._source, self._last_s = TcpSource(Address("127.0.0.1", 0), config), -math.inf
        for peer in data.split(NEXT_PEER)[:4]:
            self._send(peer)
        # Whatever came before, the next one is received.
        self._send(MAGIC + pack(JpegMessage(1000.0, self._good)))
        for frame in self._source:
            promise(math.isfinite(frame.stamp_s), f"a stamp of {frame.stamp_s}")
            promise(frame.stamp_s > self._last_s, f"time went from {self._last_s} to {frame.stamp_s}")
            self._last_s = frame.stamp_s
            if frame.image.shape == (5, 7, 3):
                return

    def _send(self, data: bytes) -> None:
        assert self._source is not None
        peer = socket.create_connection(("127.0.0.1", self._source.address.port), 10.0)
        # A peer that is cut off in the middle gets an error from its system.
        with peer, contextlib.suppress(OSError):
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(4096):
                pass


_hosts = st.text() | st.sampled_from(["localhost", "[::1]", "[", "0.0.0.0", "a b", ""])
_ports = st.integers(-1, 10**6).map(str) | st.text(max_size=8)


@PROPERTY
@given(
    st.text() | st.builds("tcp://{}:{}".format, _hosts, _ports) | st.builds("{}://{}".format, _hosts, _hosts)
)
@may_refuse
def check_address(spec: str) -> None:
    address = parse_address(spec)
    promise(bool(address.host) and 0 <= address.port <= 65535, repr(address))


TARGETS = {
    "tcp_messages": Target(
        "pictures of the length allowed, or ProtocolError", _messages, _streams, memory_mb=64
    ),
    "tcp_source": Target(
        "after any peer the next one is received, and time goes on", _Listening(), _streams, memory_mb=128
    ),
    "tcp_address": of_property("a host and a port, or SourceError", check_address),
}
