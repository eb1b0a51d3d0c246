"""Serves the page: aiohttp in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from aiohttp import WSCloseCode, web

from social_perception.core.config import WebConfig
from social_perception.core.errors import ConfigurationError, WebError
from social_perception.core.secret import read_secret
from social_perception.core.types import FrameAffect, ImageArray
from social_perception.views.web.access import HEALTH_PATH, SOCKET_PATH, Access, protect
from social_perception.views.web.assets import INDEX, read_assets
from social_perception.views.web.client import Client
from social_perception.views.web.connection import Connection, mark_served
from social_perception.views.web.hub import Hub
from social_perception.views.web.listening import is_loopback, listen, reachable_host

_logger = logging.getLogger(__name__)

SILENT_AFTER_S = 2.0

_MESSAGE_BYTES = 1024
_HEARTBEAT_S = 13.0  # half as long again without an answer, and the browser is gone
_GOODBYE_S = 1.0
_PATIENCE_S = 10.0
_SPARE_CONNECTIONS = 64
"""For the page's files, beside the browsers that are connected."""


class Dashboard:
    """The live page.

    Args:
        config: of the page; port 0 takes any that is free.
        source_name: where the images come from, in words.
        silent_after_s: time in s without a state after which the page says so.
        people: whether the page tells of single people; false: of the group alone.

    Raises:
        ConfigurationError: a picture without people.
        WebError: the port cannot be had, or the page's files are missing.
        ConfigurationError: the token cannot be read.
    """

    def __init__(
        self,
        config: WebConfig,
        source_name: str,
        *,
        silent_after_s: float = SILENT_AFTER_S,
        people: bool = True,
    ) -> None:
        if config.picture and not people:
            raise ConfigurationError("picture must be false where the page is anonymous: it shows people")
        self._config = config
        self._assets = read_assets()
        token = read_secret("token", config.token)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="web_picture")
        self._hub = Hub(config, source_name, silent_after_s, self._executor, people=people)
        self._socket = listen(config.address, config.port)
        self.port: int = self._socket.getsockname()[1]
        # Asked for wherever others can reach the port, and where it was given.
        self.has_new_token: bool = not token and not is_loopback(self._socket)
        self._token = secrets.token_urlsafe(24) if self.has_new_token else token
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._started = threading.Event()
        self._failures: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._failures:
            self.close()
            raise WebError(f"the web page cannot be served: {self._failures[0]}") from self._failures[0]

    @property
    def url(self) -> str:
        """The address to open, with the token where one is asked for."""
        return f"{self.place}?token={self._token}" if self._token else self.place

    @property
    def place(self) -> str:
        """The address without the token, for all to know."""
        return f"http://{reachable_host(self._socket)}:{self.port}/"

    @property
    def clients(self) -> int:
        """How many browsers are connected."""
        return len(self._hub.clients)

    @property
    def wants_picture(self) -> bool:
        """Whether a browser asks for the picture and may have it."""
        return self._hub.wants_picture

    def cpu_s(self) -> float:
        """Processor time in s that the server's thread has used; 0 once it has ended."""
        ident = self._thread.ident
        if ident is None or not self._thread.is_alive():
            return 0.0
        return time.clock_gettime(time.pthread_getcpuclockid(ident))

    def show(self, affect: FrameAffect, image: ImageArray | None = None) -> None:
        """Show what is said of a frame; returns at once.

        Args:
            affect: the newest.
            image: (H, W, 3) uint8, RGB, which nobody changes any more; shown only where that is allowed.
        """
        self._hub.show(affect, image)

    def show_jpeg(self, jpeg: bytes) -> None:
        """Show a picture that is a JPEG with its overlay already; returns at once."""
        self._hub.show_jpeg(jpeg)

    def say_stale(self, text: str) -> None:
        """Say in one line why nothing new comes, until something does; returns at once."""
        self._hub.say_stale(text)

    def close(self) -> None:
        """Tell the browsers that this is the end, and free the port."""
        if self._loop is not None and self._stopping is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_PATIENCE_S)
        self._executor.shutdown(wait=False)
        self._socket.close()

    def __enter__(self) -> Dashboard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # In the thread.

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failures.append(error)
        finally:
            self._started.set()

    async def _serve(self) -> None:
        loop = self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        runner = web.AppRunner(self._application(), access_log=None)
        await runner.setup()
        most = self._config.max_clients + _SPARE_CONNECTIONS
        handlers = runner.server
        assert handlers is not None  # since setup
        server = await loop.create_server(lambda: Connection(handlers, loop, most), sock=self._socket)
        ticking = loop.create_task(self._tick())
        self._started.set()
        await self._stopping.wait()
        ticking.cancel()
        server.close()
        await self._say_goodbye()
        for connection in handlers.connections:
            if connection.transport is not None:
                connection.transport.abort()
        await runner.cleanup()

    def _application(self) -> web.Application:
        host = self._socket.getsockname()[0] if is_loopback(self._socket) else ""
        access = Access(local_host=host, token=self._token, port=self.port)
        application = web.Application(middlewares=[mark_served, access.check])
        application.on_response_prepare.append(protect)
        application.router.add_get("/", self._index)
        application.router.add_get("/static/{name:.+}", self._static)
        application.router.add_get(HEALTH_PATH, self._health)
        application.router.add_get(SOCKET_PATH, self._socket_of)
        return application

    async def _index(self, request: web.Request) -> web.StreamResponse:
        return self._assets[INDEX].response(request)

    async def _static(self, request: web.Request) -> web.StreamResponse:
        asset = self._assets.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound(text="There is no such file.")
        return asset.response(request)

    async def _health(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"status": self._hub.status, "clients": self.clients})

    async def _socket_of(self, request: web.Request) -> web.StreamResponse:
        if self.clients >= self._config.max_clients:
            raise web.HTTPServiceUnavailable(text="Too many browsers are connected.")
        socket = web.WebSocketResponse(
            timeout=_GOODBYE_S, heartbeat=_HEARTBEAT_S, compress=False, max_msg_size=_MESSAGE_BYTES
        )
        transport = request.transport
        if transport is None or not _is_upgrade(socket, request):
            raise web.HTTPBadRequest(text="This address is for WebSockets.")
        client = Client(socket, transport, self._hub.now_s())
        hello = self._hub.hello()
        self._hub.join(client)
        try:
            await socket.prepare(request)
            sending = asyncio.ensure_future(client.send(hello))
            try:
                await client.listen()
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
        finally:
            self._hub.leave(client)
            if transport.get_write_buffer_size() > 0:
                client.drop()
        return socket

    async def _tick(self) -> None:
        loop, period_s = asyncio.get_running_loop(), 1.0 / self._config.rate_hz
        due_s = loop.time()
        while True:
            due_s += period_s
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            # What is late is left out: the rate is the highest, not made up for.
            due_s = max(due_s, loop.time())
            try:
                self._hub.tick()
            except Exception:
                # One state that cannot be told must not silence those that follow.
                _logger.exception("a state cannot be shown")

    async def _say_goodbye(self) -> None:
        goodbyes = [
            asyncio.ensure_future(
                client.socket.close(code=WSCloseCode.GOING_AWAY, message=b"the page is closed")
            )
            for client in self._hub.clients
        ]
        if goodbyes:
            # Who does not answer is left behind.
            await asyncio.wait(goodbyes, timeout=_GOODBYE_S)


def _is_upgrade(socket: web.WebSocketResponse, request: web.Request) -> bool:
    try:
        return bool(socket.can_prepare(request))
    except ValueError:  # a key with letters that are not ASCII
        return False
