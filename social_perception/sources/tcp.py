"""A TCP stream of JPEG images as a source; :mod:`tcp_protocol` describes the bytes.

The source is the server: it listens, takes one peer at a time, and when that one ends, vanishes or
misbehaves it waits for the next. Nothing a peer sends ends the program.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import socket
import threading
import time

from social_perception.core.config import SourceConfig
from social_perception.core.errors import ImageError, SourceError, SourceTimeout
from social_perception.core.secret import read_secret
from social_perception.core.types import Frame, ImageArray
from social_perception.sources.images import decode_image
from social_perception.sources.mailbox import Mailbox
from social_perception.sources.source import Source
from social_perception.sources.tcp_protocol import (
    Address,
    JpegMessage,
    ProtocolError,
    WrongTokenError,
    receive_greeting,
    receive_message,
)

_logger = logging.getLogger(__name__)

# An image that is older by less was overtaken on its way.
_CLOCK_WAS_SET_S = 2.0

_GREETING_S = 3.0
"""In which a peer must have greeted: meanwhile nobody else is served."""

_PAUSE_S = 0.5
"""After a wrong token, so that nobody can try many."""


class TcpSource(Source):
    """Listens on an address and delivers the newest image sent to it.

    Images are decoded only when they are requested, so that a slow consumer costs no work. Stamps are the
    sender's; where a new peer's clock is behind the last one's, or a peer's is set back, its stamps
    are shifted to go on from there, so that time never runs backwards.

    Attributes:
        address: where it listens, with the port that the system chose if port 0 was requested.
    """

    live = True
    rate_hz: float | None = None
    frame_count: int | None = None

    def __init__(self, address: Address, config: SourceConfig) -> None:
        """Listen.

        Raises:
            SourceError: the address is in use or not one of this machine, or other machines can reach it
                and no token is set.
            ConfigurationError: the token cannot be read.
        """
        self._config = config
        self._token = read_secret("tcp_token", config.tcp_token)
        self._server = _listen(address, with_token=bool(self._token))
        self.address = Address(address.host, self._server.getsockname()[1])
        self.name = str(self.address)
        self._newest: Mailbox[JpegMessage] = Mailbox()
        self._clock = _SteadyClock()
        self._index = 0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="tcp-source", daemon=True)
        self._thread.start()

    def __next__(self) -> Frame:
        deadline = time.monotonic() + self._config.timeout_s
        while not self._closed.is_set():
            message = self._newest.take(max(0.0, deadline - time.monotonic()))
            if message is None:
                raise SourceTimeout(f"{self.name} has received no image for {self._config.timeout_s:g} s")
            image = self._decode(message)
            if image is not None:
                frame = Frame(image, message.stamp_s, self._index)
                self._index += 1
                return frame
        raise StopIteration

    def _decode(self, message: JpegMessage) -> ImageArray | None:
        try:
            return decode_image(message.jpeg, "an image received", formats=["JPEG"])
        except ImageError as error:
            _logger.warning("%s: %s; skipped", self.name, error)
            return None

    def _serve(self) -> None:
        while not self._closed.is_set():
            try:
                peer, peer_address = self._server.accept()
            except TimeoutError:
                continue
            except OSError as error:
                if not self._closed.is_set():
                    self._newest.fail(SourceError(f"{self.name} cannot listen any more: {error}"))
                return
            with peer:
                self._listen_to(peer, f"{peer_address[0]}:{peer_address[1]}")

    def _listen_to(self, peer: socket.socket, peer_name: str) -> None:
        _logger.info("%s: %s connected", self.name, peer_name)
        self._clock.new_peer()
        try:
            receive_greeting(peer, min(_GREETING_S, self._config.peer_timeout_s), self._token)
            while not self._closed.is_set():
                message = receive_message(peer, self._config.peer_timeout_s, self._config.max_message_bytes)
                if message is None:
                    _logger.info("%s: %s ended", self.name, peer_name)
                    return
                self._take_in(message)
        except ProtocolError as error:
            _logger.warning("%s: dropped %s: %s", self.name, peer_name, error)
            if isinstance(error, WrongTokenError):
                self._closed.wait(_PAUSE_S)

    def _take_in(self, message: JpegMessage) -> None:
        stamp_s = self._clock.steady(message.stamp_s)
        if stamp_s is not None:
            self._newest.put(JpegMessage(stamp_s, message.jpeg))

    def close(self) -> None:
        self._closed.set()
        self._server.close()
        # The thread ends with its peer's next message or time limit; it holds nothing but that peer.
        self._thread.join(timeout=1.0)


class _SteadyClock:
    """Turns the stamps of one peer after the other into a time that only goes forward."""

    def __init__(self) -> None:
        # The system's clock may be set while a peer that sends no stamps is connected.
        self._time_of_day_s = time.time() - time.monotonic()
        self._last_s = -math.inf
        self._last_arrival_s = 0.0
        self._shift_s: float | None = None

    def new_peer(self) -> None:
        self._shift_s = None

    def steady(self, stamp_s: float) -> float | None:
        """The stamp to use, or None for an image older than the one before."""
        arrival_s = time.monotonic()
        if math.isnan(stamp_s):
            stamp_s = self._time_of_day_s + arrival_s
        if self._shift_s is not None and stamp_s + self._shift_s < self._last_s - _CLOCK_WAS_SET_S:
            self._shift_s = None
        if self._shift_s is None:
            pause_s = arrival_s - self._last_arrival_s
            behind = stamp_s <= self._last_s
            self._shift_s = self._last_s + max(pause_s, 1e-3) - stamp_s if behind else 0.0
        shifted_s = stamp_s + self._shift_s
        if shifted_s <= self._last_s:
            return None
        self._last_s, self._last_arrival_s = shifted_s, arrival_s
        return shifted_s


def _listen(address: Address, *, with_token: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    try:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address.host, address.port))
        if not with_token and not _is_loopback(server):
            raise SourceError(
                f"{address} can be reached by other machines; set a tcp_token (--tcp-token @FILE), which the "
                "sender must know, too, or listen on 127.0.0.1"
            )
        server.listen(1)
        # So that closing is noticed: accept() does not return when its socket is closed.
        server.settimeout(0.2)
    except (OSError, OverflowError) as error:
        server.close()
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"cannot listen on {address}: {reason}") from error
    except SourceError:
        server.close()
        raise
    return server


def _is_loopback(server: socket.socket) -> bool:
    """Whether only programs of this machine can connect, by the address that the socket is bound to."""
    return ipaddress.ip_address(server.getsockname()[0].partition("%")[0]).is_loopback
