"""Stops a measurement on Ctrl-C or SIGTERM, keeping the results so far."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_on_signal(also: Callable[[], None] | None = None) -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C or SIGTERM sets; the previous handlers are restored afterwards.

    Args:
        also: called on the signal, too.
    """
    stopping = threading.Event()

    def end(*unused: object) -> None:
        stopping.set()
        if also is not None:
            also()

    before = {number: signal.signal(number, end) for number in _SIGNALS}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
