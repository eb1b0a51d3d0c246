"""Simulates the WebSockets of many browsers in a separate process and counts the received messages.

:class:`Clients` starts the process and controls it by lines on its standard input: the first line starts
the count, the second ends it; the process prints the counts as a line of JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import urlsplit

import aiohttp

from social_perception.core.errors import SocialPerceptionError
from social_perception.research.benchmarks.report import from_json, to_json

_SMALL_BUFFER_BYTES = 4096
_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Counts:
    """States received by each reading client within ``seconds``, and the CPU time in s."""

    seconds: float
    cpu_s: float
    states: tuple[int, ...]


class Clients:
    """The process of the clients; it is not started without clients.

    Args:
        url: URL of the page.
        clients: number of clients.
        not_reading: number of clients that never read.
    """

    def __init__(self, url: str, clients: int, not_reading: int) -> None:
        command = [sys.executable, "-m", __name__, url, str(clients - not_reading), str(not_reading)]
        self._begun_s = 0.0
        self._process = (
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            if clients
            else None
        )

    def begin(self) -> None:
        """Start to count."""
        self._begun_s = time.monotonic()
        self._signal()

    def end(self) -> Counts:
        """Stop counting and return the counts.

        Raises:
            SocialPerceptionError: the process has ended.
        """
        if self._process is None or self._process.stdout is None:
            return Counts(time.monotonic() - self._begun_s, 0.0, ())
        self._signal()
        answer = self._process.stdout.readline()
        if not answer:
            raise SocialPerceptionError("the process with the browsers has ended")
        return from_json(Counts, answer, "the browsers")

    def _signal(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write("\n")
                self._process.stdin.flush()

    def __enter__(self) -> Clients:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


async def _count_messages(session: aiohttp.ClientSession, url: str, counts: list[int], number: int) -> None:
    async with session.ws_connect(f"{url}ws", max_msg_size=0) as websocket:
        async for message in websocket:
            if message.type == aiohttp.WSMsgType.TEXT:
                counts[number] += 1


def _open_unread(url: str) -> socket.socket:
    """Open a WebSocket that is never read."""
    parts = urlsplit(url)
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER_BYTES)
    line.connect((parts.hostname, parts.port))
    line.sendall(
        f"GET /ws HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    return line


async def _count(url: str, reading: int, not_reading: int) -> None:
    counts = [0] * reading
    unread = [_open_unread(url) for _ in range(not_reading)]
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        following = [
            asyncio.ensure_future(_count_messages(session, url, counts, each)) for each in range(reading)
        ]
        await asyncio.to_thread(sys.stdin.readline)
        before, start_s, begun_cpu_s = list(counts), time.monotonic(), time.process_time()
        await asyncio.to_thread(sys.stdin.readline)
        states = tuple(now - then for then, now in zip(before, counts))
        result = Counts(time.monotonic() - start_s, time.process_time() - begun_cpu_s, states)
        print(" ".join(to_json(result).split()), flush=True)
        # Stay connected until the parent disconnects, so that the number of clients is constant.
        await asyncio.to_thread(sys.stdin.readline)
        for each in following:
            each.cancel()
    for line in unread:
        line.close()


def main(args: Sequence[str] | None = None) -> int:
    url, reading, not_reading = sys.argv[1:] if args is None else args
    asyncio.run(_count(url, int(reading), int(not_reading)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
