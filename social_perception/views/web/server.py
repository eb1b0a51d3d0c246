"""Serves the page: aiohttp in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from aiohttp import WSCloseCode, web

from social_perception.core.config import WebConfig
from social_perception.core.errors import ConfigurationError, WebError
from social_perception.core.secret import read_secret
from social_perception.core.types import FrameAffect, ImageArray
from social_perception.views.web.access import HEALTH_PATH, SOCKET_PATH, Access, add_headers
from social_perception.views.web.client import Client
from social_perception.views.web.connection import (
    Connection,
    is_loopback,
    listen,
    mark_served,
    reachable_host,
)
from social_perception.views.web.hub import Hub

_logger = logging.getLogger(__name__)

FOLDER = Path(__file__).parent / "static"
INDEX = "index.html"
SILENT_AFTER_S = 2.0

_MAX_MESSAGE_BYTES = 1024
_HEARTBEAT_S = 13.0  # a browser that does not answer for half as long again is gone
_CLOSING_S = 1.0
_JOIN_S = 10.0
_SPARE_CONNECTIONS = 64
"""For the page's files, beside the connected browsers."""

# Set here: a machine whose table of types lacks .js would serve scripts that no browser runs.
_CONTENT_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file of the page, kept in memory: a request never reaches the disk."""

    body: bytes
    content_type: str
    tag: str

    @classmethod
    def read(cls, path: Path) -> StaticFile:
        body = path.read_bytes()
        return cls(body, _CONTENT_TYPES[path.suffix], hashlib.sha256(body).hexdigest()[:16])

    def response(self, request: web.Request) -> web.Response:
        """The file, or the answer that the browser's copy is up to date."""
        headers = {"ETag": f'"{self.tag}"', "Cache-Control": "no-cache"}
        if any(each.value in (self.tag, "*") for each in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(body=self.body, content_type=self.content_type, charset="utf-8", headers=headers)


def read_static_files(folder: Path = FOLDER) -> dict[str, StaticFile]:
    """The page's files by their name.

    Raises:
        WebError: the page itself is not among them.
    """
    # is_file: an installation may hold links to files that an update removed.
    paths = [path for path in folder.iterdir() if path.suffix in _CONTENT_TYPES and path.is_file()]
    files = {path.name: StaticFile.read(path) for path in paths}
    if INDEX not in files:
        raise WebError(f"the web page is not installed: {folder / INDEX} is missing")
    return files


class Dashboard:
    """The live page.

    Args:
        config: of the page; port 0 stands for any that is free.
        source_name: shown as the source of the images.
        silent_after_s: time in s without a state after which the page reports it.
        people: whether the page shows single people; false: the group alone.

    Raises:
        ConfigurationError: images are enabled without people, or the token cannot be read.
        WebError: the port cannot be opened, or the page's files are missing.
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
        self._files = read_static_files()
        token = read_secret("token", config.token)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="web_image")
        self._hub = Hub(config, source_name, silent_after_s, self._executor, people=people)
        self._socket = listen(config.address, config.port)
        self.port: int = self._socket.getsockname()[1]
        # Required wherever others can reach the port, and where one is configured.
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
        """The address to open, with the token where one is required."""
        return f"{self.public_url}?token={self._token}" if self._token else self.public_url

    @property
    def public_url(self) -> str:
        """The address without the token, for logs."""
        return f"http://{reachable_host(self._socket)}:{self.port}/"

    @property
    def clients(self) -> int:
        """How many browsers are connected."""
        return len(self._hub.clients)

    @property
    def wants_image(self) -> bool:
        """Whether a browser requests the camera's image and the configuration allows it."""
        return self._hub.wants_image

    def cpu_s(self) -> float:
        """Processor time in s that the server's thread has used; 0 once it has ended."""
        ident = self._thread.ident
        if ident is None or not self._thread.is_alive():
            return 0.0
        return time.clock_gettime(time.pthread_getcpuclockid(ident))

    def show(self, affect: FrameAffect, image: ImageArray | None = None) -> None:
        """Show the results of a frame; returns at once.

        Args:
            affect: the newest.
            image: (H, W, 3) uint8, RGB, which must not be changed any more; shown only where that is allowed.
        """
        self._hub.show(affect, image)

    def show_jpeg(self, jpeg: bytes) -> None:
        """Show an image that is a JPEG with its overlay already; returns at once."""
        self._hub.show_jpeg(jpeg)

    def show_stale(self, reason: str) -> None:
        """Show one line that says why there are no new frames, until there is one; returns at once."""
        self._hub.show_stale(reason)

    def close(self) -> None:
        """Close the connections of all browsers and free the port."""
        if self._loop is not None and self._stopping is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_JOIN_S)
        self._executor.shutdown(wait=False)
        self._socket.close()

    def __enter__(self) -> Dashboard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Run in the thread.

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
        max_connections = self._config.max_clients + _SPARE_CONNECTIONS
        handlers = runner.server
        assert handlers is not None  # since setup
        server = await loop.create_server(
            lambda: Connection(handlers, loop, max_connections), sock=self._socket
        )
        ticking = loop.create_task(self._tick())
        self._started.set()
        await self._stopping.wait()
        ticking.cancel()
        server.close()
        await self._close_clients()
        for connection in handlers.connections:
            if connection.transport is not None:
                connection.transport.abort()
        await runner.cleanup()

    def _application(self) -> web.Application:
        host = self._socket.getsockname()[0] if is_loopback(self._socket) else ""
        access = Access(local_host=host, token=self._token, port=self.port)
        application = web.Application(middlewares=[mark_served, access.check])
        application.on_response_prepare.append(add_headers)
        application.router.add_get("/", self._index)
        application.router.add_get("/static/{name:.+}", self._static)
        application.router.add_get(HEALTH_PATH, self._health)
        application.router.add_get(SOCKET_PATH, self._socket_of)
        return application

    async def _index(self, request: web.Request) -> web.StreamResponse:
        return self._files[INDEX].response(request)

    async def _static(self, request: web.Request) -> web.StreamResponse:
        file = self._files.get(request.match_info["name"])
        if file is None:
            raise web.HTTPNotFound(text="There is no such file.")
        return file.response(request)

    async def _health(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"status": self._hub.status, "clients": self.clients})

    async def _socket_of(self, request: web.Request) -> web.StreamResponse:
        if self.clients >= self._config.max_clients:
            raise web.HTTPServiceUnavailable(text="Too many browsers are connected.")
        socket = web.WebSocketResponse(
            timeout=_CLOSING_S, heartbeat=_HEARTBEAT_S, compress=False, max_msg_size=_MAX_MESSAGE_BYTES
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
                await client.receive()
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
            # Late ticks are dropped, not made up for: the rate is a maximum.
            due_s = max(due_s, loop.time())
            try:
                self._hub.tick()
            except Exception:
                # One state that cannot be shown must not stop those that follow.
                _logger.exception("a state cannot be shown")

    async def _close_clients(self) -> None:
        closing = [
            asyncio.ensure_future(
                client.socket.close(code=WSCloseCode.GOING_AWAY, message=b"the page is closed")
            )
            for client in self._hub.clients
        ]
        if closing:
            # A browser that does not answer is not waited for.
            await asyncio.wait(closing, timeout=_CLOSING_S)


def _is_upgrade(socket: web.WebSocketResponse, request: web.Request) -> bool:
    try:
        return bool(socket.can_prepare(request))
    except ValueError:  # a key with letters that are not ASCII
        return False
