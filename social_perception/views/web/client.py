"""One browser: it gets the newest only, and never more than it takes."""

from __future__ import annotations

import asyncio
import json

from aiohttp import WSMsgType, web

PATIENCE_S = 20.0
"""A browser that takes nothing for so long is dropped."""


class Client:
    """What waits for one browser: at most one text and one picture, replaced by newer ones.

    Args:
        socket: to send on, prepared.
        transport: beneath it; what lies in its buffer has not been taken yet.
        now_s: time of the hub's clock.
    """

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport, now_s: float) -> None:
        self.socket = socket
        self.wants_picture = False
        self._transport = transport
        self._text: str | None = None
        self._picture: bytes | None = None
        self._wake = asyncio.Event()
        self._sending = True
        self._free_s = now_s

    def offer(self, *, text: str | None = None, picture: bytes | None = None) -> None:
        """Let something be sent in the browser's next turn, in place of what it has not got yet."""
        if text is not None:
            self._text = text
        if picture is not None and self.wants_picture:
            self._picture = picture

    def turn(self, now_s: float) -> None:
        """Send what waits, if the last message is taken; give the browser up if that takes too long."""
        if self._sending or self._transport.get_write_buffer_size() > 0:
            if now_s - self._free_s > PATIENCE_S:
                self.drop()
            return
        self._free_s = now_s
        if self._text is not None or self._picture is not None:
            self._wake.set()

    def drop(self) -> None:
        """End the connection at once, with what was not taken."""
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
            picture, self._picture = self._picture, None
            if text is not None:
                await self.socket.send_str(text)
            if picture is not None:
                await self.socket.send_bytes(picture)

    async def listen(self) -> None:
        """Take what the page asks for, until the connection ends. What is not understood is ignored."""
        async for message in self.socket:
            if message.type == WSMsgType.TEXT:
                self._take(message.data)

    def _take(self, text: str) -> None:
        try:
            wish = json.loads(text)
        except (ValueError, RecursionError):  # a thousand brackets are deep, too
            return
        if isinstance(wish, dict) and wish.get("type") == "picture":
            self.wants_picture = wish.get("on") is True
            if not self.wants_picture:
                self._picture = None
