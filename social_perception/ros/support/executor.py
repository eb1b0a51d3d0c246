"""Executes the callbacks of nodes; an image does not wait for services.

rclpy builds the set of all entities that it waits for twice for each callback. Of the hundred entities of the
pipeline, half are services of parameters and life cycle. They and the publishers' events have an executor of
their own here, so that an image builds the set of subscriptions and timers only.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from rclpy.executors import ShutdownException, SingleThreadedExecutor, TimeoutException
from rclpy.node import Node

_KINDS = frozenset({"subscriptions", "timers", "clients", "services", "guards"})
_FREQUENT = frozenset({"subscriptions", "timers"})


@dataclass(frozen=True, slots=True)
class _NodePart:
    """A node that lists only some kinds of its entities."""

    node: Node
    kinds: frozenset[str]

    def __getattr__(self, name: str) -> Any:
        return () if name in _KINDS - self.kinds else getattr(self.node, name)

    @property
    def waitables(self) -> list[Any]:
        # Events of a subscription are waited for with it: Fast DDS reports its messages among them.
        events = [event for each in self.node.subscriptions for event in each.event_handlers]
        if "subscriptions" in self.kinds:
            return events
        return [each for each in self.node.waitables if each not in events]


class PartExecutor(SingleThreadedExecutor):
    """Executes the callbacks of some kinds of entities, never at the same time as another one.

    Args:
        kinds: attributes of nodes that list the entities.
        lock: held while a callback runs.
        owner: the executor to which the nodes are added; None: this one.
    """

    def __init__(
        self, kinds: frozenset[str], lock: threading.Lock, owner: PartExecutor | None = None
    ) -> None:
        super().__init__()
        self._kinds, self._lock = kinds, lock
        self._owner = self.other = self if owner is None else owner
        self._is_refused = False

    def get_nodes(self) -> list[Any]:
        return [_NodePart(node, self._kinds) for node in SingleThreadedExecutor.get_nodes(self._owner)]

    def spin_once(self, timeout_sec: float | None = None) -> None:
        try:
            handler, _, _ = self.wait_for_ready_callbacks(timeout_sec=timeout_sec)
        except (ShutdownException, TimeoutException):
            return
        with self._lock:
            handler()
        self.other.wake_if_refused()
        handler.result()  # raises the exception of the callback

    def can_execute(self, entity: Any) -> bool:
        # A node executes one callback at a time, and does not wait for others meanwhile.
        if super().can_execute(entity):
            return True
        # Before the second look, so that the end of that callback is missed by neither.
        self._is_refused = True
        return super().can_execute(entity)

    def wake_if_refused(self) -> None:
        """Wait again for the entities that could not be executed before."""
        if self._is_refused:
            self._is_refused = False
            super().wake()

    def can_continue(self) -> bool:
        """Whether no callback is locked; rclpy leaves it locked for ever if taking its message fails."""
        with self._lock:
            entities = (
                each for node in self.get_nodes() for kind in self._kinds for each in getattr(node, kind)
            )
            return all(self.can_execute(each) for each in entities)


class NodeExecutor(PartExecutor):
    """Executes the callbacks of services, and ``frequent`` those of subscriptions and timers.

    Each is spun in a thread of its own; nodes are added to this one.
    """

    def __init__(self) -> None:
        lock = threading.Lock()
        super().__init__(_KINDS - _FREQUENT, lock)
        self.frequent = self.other = PartExecutor(_FREQUENT, lock, self)

    def wake(self) -> None:
        super().wake()
        self.frequent.wake()

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        return self.frequent.shutdown(timeout_sec) and super().shutdown(timeout_sec)
