"""The server's port and its HTTP connections: limited in number and time, without version numbers."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import socket
from typing import Any

from aiohttp import web

from social_perception.core.errors import ConfigurationError, WebError
from social_perception.views.web.access import HEADERS

_logger = logging.getLogger(__name__)

REQUEST_TIMEOUT_S = 10.0
"""Within which the first request of a connection must be complete."""

KEEPALIVE_S = 15.0
"""For which an idle connection is kept."""

_WRITE_BUFFER_BYTES = 16 * 1024
_BACKLOG = 256
_CANNOT = "the web page cannot be served"

_SEND_BUFFER_BYTES = 32 * 1024
"""Small, so that a slow browser is noticed after seconds and not after megabytes of old states."""

_UNUSED_ADDRESS = ("192.0.2.1", 9)  # RFC 5737; finding the route to it sends no packet


class Connection(web.RequestHandler):
    """aiohttp's connection, with limits.

    Args:
        server: of an application's runner.
        loop: that it runs in.
        max_connections: that may be open at once, this one included.
    """

    def __init__(self, server: web.Server, loop: asyncio.AbstractEventLoop, max_connections: int) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # as AppRunner allows
            keepalive_timeout=KEEPALIVE_S,
            lingering_time=1.0,
            logger=_logger,
        )
        self.served = False
        self._server, self._event_loop, self._max_connections = server, loop, max_connections
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        super().connection_made(transport)
        # A small buffer: a browser that does not read skips states instead of queueing them.
        transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        if len(self._server.connections) > self._max_connections:
            transport.abort()
            return
        # A client that sends a byte a minute would hold its connection for hours.
        self._deadline = self._event_loop.call_later(REQUEST_TIMEOUT_S, self._expire, transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer invalid requests and failures shortly; aiohttp's own answers name its version."""
        if isinstance(exc, ConnectionError):
            _logger.debug("a browser closed the connection before its answer")
        elif status >= 500:
            _logger.error("the web page failed", exc_info=exc)
        else:
            _logger.debug("a request was refused: %s", message)
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the answer was sent already")
        text = "The request is invalid." if status < 500 else "The request failed."
        answer = web.Response(status=status, text=text, headers=HEADERS)
        answer.force_close()
        return answer

    def _expire(self, transport: asyncio.Transport) -> None:
        if not self.served:
            transport.abort()


@web.middleware
async def mark_served(request: web.Request, handler: Any) -> web.StreamResponse:
    """Note that a connection's first request is complete."""
    if isinstance(request.protocol, Connection):
        request.protocol.served = True
    response: web.StreamResponse = await handler(request)
    return response


def listen(address: str, port: int) -> socket.socket:
    """Open the port; 0: any that is free.

    Raises:
        ConfigurationError: the address does not exist, or the port is not allowed.
        WebError: the address is not one of this machine now, or the port is in use.
    """
    if not address:
        raise ConfigurationError("the web page needs an address; 0.0.0.0 stands for all of this machine's")
    place = f"port {port} of {address}"
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, target = found[0]
        # All addresses: IPv4 and IPv6.
        both = target[0] == "::" and socket.has_dualstack_ipv6()
        opened = socket.create_server(target, family=family, backlog=_BACKLOG, dualstack_ipv6=both)
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigurationError(f"{_CANNOT}: {address} is not an address of this machine") from error
    except PermissionError as error:
        raise ConfigurationError(f"{_CANNOT}: {place} needs special rights; use one from 1024 on") from error
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: f"{place} is in use",
            errno.EADDRNOTAVAIL: f"{address} is not an address of this machine",
        }
        reason = reasons.get(error.errno or 0, f"{place}: {error.strerror or error}")
        raise WebError(f"{_CANNOT}: {reason}") from error
    # Connections inherit it.
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
    return opened


def is_loopback(port: socket.socket) -> bool:
    """Whether only programs of this machine can reach the port, by its resolved address."""
    return ipaddress.ip_address(port.getsockname()[0].partition("%")[0]).is_loopback


def reachable_host(port: socket.socket) -> str:
    """The host part of the URL for a browser."""
    address = ipaddress.ip_address(port.getsockname()[0].partition("%")[0])
    if address.is_unspecified:
        address = ipaddress.ip_address(_own_address())
    return f"[{address}]" if address.version == 6 else str(address)


def _own_address() -> str:
    """The address of this machine's default route."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(_UNUSED_ADDRESS)
        return str(probe.getsockname()[0])
    return "127.0.0.1"
