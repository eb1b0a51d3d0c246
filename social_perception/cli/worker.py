"""A worker of ``social-perception annotate --jobs``: ``python -m social_perception.cli.worker FD``.

It is a program of its own and no process of multiprocessing, which would run the caller's program a second
time.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection

from social_perception.cli.annotation import Progress
from social_perception.cli.engines import (
    PROGRESS_S,
    FatalError,
    LogLine,
    MakeAnnotate,
    Progressed,
    attempt,
)
from social_perception.core.errors import SocialPerceptionError


def work(connection: Connection) -> None:
    """Annotate the videos that come through the connection, until it is closed."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    send = _Sender(connection)
    # A parent that is gone closes the connection: then this process ends, too.
    with suppress(EOFError, OSError, KeyboardInterrupt):
        sys.path[:] = connection.recv()
        forward_log(send, connection.recv())
        make: MakeAnnotate = connection.recv()
        try:
            with make() as annotate:
                while True:
                    job = connection.recv()
                    send(attempt(annotate, job, throttled(lambda *count: send(Progressed(*count)))))
        except SocialPerceptionError as error:
            send(FatalError(str(error)))


class _Sender:
    """Sends whole messages, from any thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def __call__(self, message: object) -> None:
        with self._lock:
            self._connection.send(message)


def throttled(progress: Progress) -> Progress:
    """Progress that is reported a few times a second."""
    last_s = -PROGRESS_S

    def report(frames: int, total: int | None) -> None:
        nonlocal last_s
        if time.monotonic() - last_s >= PROGRESS_S:
            last_s = time.monotonic()
            progress(frames, total)

    return report


def forward_log(send: Callable[[LogLine], None], level: int) -> None:
    """Send the log of this process to its parent, which alone writes to the terminal."""
    logger = logging.getLogger("social_perception")
    logger.handlers[:] = [_Forwarding(send)]
    logger.setLevel(level)
    logger.propagate = False


class _Forwarding(logging.Handler):
    def __init__(self, send: Callable[[LogLine], None]) -> None:
        super().__init__()
        self._forward = send

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):  # the parent is gone
            self._forward(LogLine(record.levelno, self.format(record)))


if __name__ == "__main__":
    work(Connection(int(sys.argv[1])))
