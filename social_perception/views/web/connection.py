"""One HTTP connection: limited in number and in time, and silent about versions."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiohttp import web

from social_perception.views.web.access import HEADERS

_logger = logging.getLogger(__name__)

REQUEST_TIMEOUT_S = 10.0
"""In which the first request of a connection must be complete."""

KEEPALIVE_S = 15.0
"""For which a connection may wait for its next request."""

_WRITE_BUFFER_BYTES = 16 * 1024


class Connection(web.RequestHandler):
    """aiohttp's own, with limits.

    Args:
        server: of an application's runner.
        loop: that it runs in.
        most: connections that may be open at once, this one included.
    """

    def __init__(self, server: web.Server, loop: asyncio.AbstractEventLoop, most: int) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # as AppRunner allows
            keepalive_timeout=KEEPALIVE_S,
            lingering_time=1.0,
            logger=_logger,
        )
        self.served = False
        self._server, self._event_loop, self._most = server, loop, most
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        super().connection_made(transport)
        # Nothing waits here unseen: a browser that does not take what it is sent skips states.
        transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        if len(self._server.connections) > self._most:
            transport.abort()
            return
        # Who sends a letter a minute keeps a place for hours otherwise.
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
        """Answer what is no HTTP, or a failure, in a few words; aiohttp's own tell its version."""
        if isinstance(exc, ConnectionError):
            _logger.debug("a browser went before it had its answer")
        elif status >= 500:
            _logger.error("the web page failed", exc_info=exc)
        else:
            _logger.debug("a request was refused: %s", message)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        text = "The request was not understood." if status < 500 else "The request failed."
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
