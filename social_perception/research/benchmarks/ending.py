"""Lets Ctrl-C and SIGTERM end a measurement with the figures so far."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_ENDING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def ended_by_signal(also: Callable[[], None] | None = None) -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C or SIGTERM sets; the handlers before are back after the block.

    Args:
        also: called then, too.
    """
    stopping = threading.Event()

    def end(*unused: object) -> None:
        stopping.set()
        if also is not None:
            also()

    before = {number: signal.signal(number, end) for number in _ENDING}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
