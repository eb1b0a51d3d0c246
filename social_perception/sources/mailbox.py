"""Hands the newest item of a receiving thread to a consumer, without a queue."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

from social_perception.core.errors import SourceError

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """Holds one item, the newest; a slow reader misses some instead of falling behind."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: Item | None = None
        self._error: SourceError | None = None
        self.replaced = 0
        """How many items were dropped, because a newer one arrived before they were taken."""

    @property
    def waiting(self) -> int:
        """How many items are waiting: none or one."""
        return int(self._item is not None)

    def put(self, item: Item) -> None:
        """Replace the item that was not taken yet."""
        with self._changed:
            self.replaced += self._item is not None
            self._item = item
            self._changed.notify_all()

    def fail(self, error: SourceError) -> None:
        """Report that no item will follow, and why."""
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def take(self, timeout_s: float) -> Item | None:
        """Return the newest item not yet taken, or None when there was none for timeout_s.

        Raises:
            SourceError: the sender failed and nothing is left.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._error is not None, timeout_s)
            item, self._item = self._item, None
            if item is None and self._error is not None:
                raise self._error
            return item
