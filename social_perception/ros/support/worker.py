"""Work off the callback thread, always on the newest message."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Worker(Generic[Item]):
    """A thread that works on the newest item; an item that comes before it is ready is replaced.

    There is one place, not a queue: a slow worker misses items and never falls behind.

    Args:
        work: called in the thread with each item taken; it must not raise.
        name: of the thread.
    """

    def __init__(self, work: Callable[[Item], None], name: str) -> None:
        self._work = work
        self._changed = threading.Condition()
        self._item: Item | None = None
        self._stopping = False
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many items were replaced before they were worked on."""
        return self._dropped

    @property
    def waiting(self) -> int:
        """How many items lie there, not yet taken by the thread: none or one."""
        return int(self._item is not None)

    def put(self, item: Item) -> None:
        """Hand over an item; returns at once."""
        with self._changed:
            self._dropped += self._item is not None
            self._item = item
            self._changed.notify()

    def stop(self) -> None:
        """Let the work in hand finish and end the thread; what waits is dropped."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._item is not None)
                if self._stopping or self._item is None:
                    return
                item, self._item = self._item, None
            self._work(item)


class Batches(Worker["dict[str, Item]"], Generic[Item]):
    """A worker with a place for each of several senders.

    What waits at all places when the thread is ready is one batch, so that a fast sender replaces its own
    items only, and a slow one's is in the next batch.
    """

    @property
    def waiting(self) -> int:
        """How many items lie there, not yet taken by the thread: at most one of each sender."""
        return len(self._item or ())

    def put_at(self, place: str, item: Item) -> None:
        """Hand over an item of a sender; returns at once."""
        with self._changed:
            waiting = self._item or {}
            self._dropped += place in waiting
            self._item = {**waiting, place: item}
            self._changed.notify()
