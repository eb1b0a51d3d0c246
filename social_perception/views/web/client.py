"""One browser: it is sent the newest state only, and never more than it reads."""

from __future__ import annotations

import asyncio
import json

from aiohttp import WSMsgType, web

READ_TIMEOUT_S = 20.0
"""A browser that reads nothing for so long is dropped."""


class Client:
    """The messages that wait for one browser: at most one text and one image, replaced by newer ones.

    Args:
        socket: to send on, prepared.
        transport: of the socket; what is in its buffer was not read yet.
        now_s: time of the hub's clock.
    """

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport, now_s: float) -> None:
        self.socket = socket
        self.wants_image = False
        self._transport = transport
        self._text: str | None = None
        self._image: bytes | None = None
        self._wake = asyncio.Event()
        self._sending = True
        self._idle_s = now_s

    def offer(self, *, text: str | None = None, image: bytes | None = None) -> None:
        """Queue a message for the next :meth:`flush`, in place of one of its kind that was not sent yet."""
        if text is not None:
            self._text = text
        if image is not None and self.wants_image:
            self._image = image

    def flush(self, now_s: float) -> None:
        """Send what waits once the last message was read; drop a browser that does not read."""
        if self._sending or self._transport.get_write_buffer_size() > 0:
            if now_s - self._idle_s > READ_TIMEOUT_S:
                self.drop()
            return
        self._idle_s = now_s
        if self._text is not None or self._image is not None:
            self._wake.set()

    def drop(self) -> None:
        """End the connection at once, unread messages included."""
        self._transport.abort()

    async def send(self, hello: str) -> None:
        """Send the first message, then whatever waits, until the connection ends."""
        await self.socket.send_str(hello)
        while True:
            self._sending = False
            await self._wake.wait()
            self._wake.clear()
            self._sending = True
            text, self._text = self._text, None
            image, self._image = self._image, None
            if text is not None:
                await self.socket.send_str(text)
            if image is not None:
                await self.socket.send_bytes(image)

    async def receive(self) -> None:
        """Handle the page's requests until the connection ends; invalid ones are ignored."""
        async for message in self.socket:
            if message.type == WSMsgType.TEXT:
                self._handle(message.data)

    def _handle(self, text: str) -> None:
        try:
            request = json.loads(text)
        except (ValueError, RecursionError):  # RecursionError: a thousand nested brackets
            return
        if isinstance(request, dict) and request.get("type") == "picture":
            self.wants_image = request.get("on") is True
            if not self.wants_image:
                self._image = None
