"""The web page: whatever a browser, or something else, sends to its port."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import socket
import time
from types import SimpleNamespace
from typing import Any

from fuzzing.target import Target, promise
from social_perception.core.config import WebConfig
from social_perception.core.types import FrameAffect
from social_perception.views.web.client import Client
from social_perception.views.web.server import Dashboard

TOKEN = "a-token-for-the-tests"
_SECRETS = (b"Social perception: live", b'"type":"hello"', TOKEN.encode())
"""What is in the page, in a socket's first message, and what shall never be reported."""
_LOGGERS = ("social_perception", "aiohttp", "asyncio")
_QUIET_S = 0.02
_END_S = 15.0


class _Errors(logging.Handler):
    """Keeps what the server says it failed at."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


class _Served:
    """A page that goes on from request to request."""

    def __init__(self) -> None:
        self._page: Dashboard | None = None
        self._errors = _Errors()
        self._inputs = 0

    def __call__(self, data: bytes) -> None:
        page = self._open()
        answer = self._exchange(page.port, data)
        self._inputs += 1
        if TOKEN.encode() not in data and b"social_perception_" not in data:
            reported = [each for each in _SECRETS if each in answer]
            promise(not reported, f"without a token it tells {reported}")
        errors, self._errors.texts = self._errors.texts, []
        promise(not errors, f"the server failed: {errors[:1]}")
        if self._inputs % 16 == 0:
            self._check_health(page)

    def close(self) -> None:
        """End the page."""
        if self._page is not None:
            self._page.close()
            self._page = None
            for name in _LOGGERS:
                logging.getLogger(name).removeHandler(self._errors)
            self._errors.texts.clear()

    def _open(self) -> Dashboard:
        if self._page is None:
            self._page = Dashboard(WebConfig(port=0, token=TOKEN, max_clients=16, picture=True), "a test")
            self._page.show(FrameAffect(1.0, 0, 640, 480))
            for name in _LOGGERS:
                logging.getLogger(name).addHandler(self._errors)
        return self._page

    def _exchange(self, port: int, data: bytes, quiet_s: float = _QUIET_S) -> bytes:
        parts = []
        with (
            socket.create_connection(("127.0.0.1", port), _END_S) as client,
            contextlib.suppress(ConnectionError),
        ):
            client.sendall(data.replace(b"PORT", str(port).encode()))
            client.settimeout(quiet_s)
            with contextlib.suppress(TimeoutError):
                while part := client.recv(65536):
                    parts.append(part)
                return b"".join(parts)
            # It waits for more: there is none.
            client.shutdown(socket.SHUT_WR)
            client.settimeout(_END_S)
            while part := client.recv(65536):
                parts.append(part)
        return b"".join(parts)

    def _check_health(self, page: Dashboard) -> None:
        answer = self._exchange(page.port, _get("/healthz", "Connection: close"), _END_S)
        promise(b" 200 OK" in answer and b'"status"' in answer, f"no health: {answer[:100]!r}")
        end_s = time.monotonic() + _END_S
        while page.clients and time.monotonic() < end_s:
            time.sleep(0.01)
        promise(not page.clients, f"{page.clients} browsers that are gone are still counted")


def _get(path: str, *headers: str, host: str = "localhost") -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]).encode()


def _frame(payload: bytes, code: int = 1) -> bytes:
    """A WebSocket frame of a client; masked by zeros, so that the payload can be changed."""
    return bytes([0x80 | code, 0x80 | min(len(payload), 125)]) + bytes(4) + payload[:125]


def _requests() -> list[bytes]:
    key = "Sec-WebSocket-Key: " + base64.b64encode(bytes(16)).decode()
    upgrade = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", key)
    opened = _get(f"/ws?token={TOKEN}", *upgrade)
    wish = json.dumps({"type": "picture", "on": True}).encode()
    frames = [
        _frame(wish),
        _frame(b"[" * 120),
        _frame(b"\xff\xfe"),
        _frame(b"", 8),
        _frame(b"\x03\xe8bye", 8),
        _frame(b"ping", 9),
        b"\x81\xfe\x04\x01" + bytes(1029),
        b"\x81\xff\x7f" + b"\xff" * 7,
        _frame(wish, 2),
        b"\x01\x81" + bytes(5) + _frame(b"x", 0),
        _frame(wish, 3),
        b"\xf1\x81" + bytes(5),
    ]
    return [
        _get("/"),
        _get(f"/?token={TOKEN}"),
        _get("/", f"Cookie: social_perception_PORT={'0' * 64}"),
        _get("/healthz"),
        _get("/static/page.js"),
        _get("/static/../server.py"),
        _get("/static/%2e%2e/x"),
        _get("/", host="evil.example"),
        _get("/", host="[::1"),
        _get("/?token=%ED%A0%80"),
        _get("/ws", *upgrade),
        _get(f"/ws?token={TOKEN}", *upgrade, "Origin: http://evil.example"),
        _get("/ws", *upgrade, "Origin: http://["),
        opened,
        *(opened + each for each in frames),
        opened + b"".join(frames[:3]),
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello",
        b"\x16\x03\x01" + os.urandom(0),
        b"POST /?token=x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
        _get("/", 'If-None-Match: *, "', "Range: bytes=0-"),
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET  / HTTP/9.9\r\n\r\n",
        _get("/", "A" * 9000 + ": b"),
        _get("/" + "a" * 9000),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]


def _wish(data: bytes) -> None:
    transport: Any = SimpleNamespace()
    client = Client(transport, transport, 0.0)
    for line in data.split(b"\n"):
        with contextlib.suppress(UnicodeDecodeError):  # aiohttp ends the connection then
            client._handle(line.decode())
        promise(isinstance(client.wants_image, bool), f"wants_image is {client.wants_image!r}")


def _wishes() -> list[bytes]:
    return [
        b'{"type": "picture", "on": true}',
        b'{"type": "picture", "on": 1}\n{"type": ["picture"]}',
        b"[" * 900,
        b'{"type": {}}',
        b"9" * 900,
        b"NaN",
        b'"\\ud800"',
        b"-Infinity",
        b'{"type": "picture"}\n{"a": 1e999}',
    ]


TARGETS = {
    "web_request": Target(
        "an answer or an end, nothing reported without the token, the next request served",
        _Served(),
        _requests,
        max_bytes=16384,
        memory_mb=256,
    ),
    "web_wish": Target("a wish for the picture or none", _wish, _wishes, max_bytes=1024, memory_mb=64),
}
