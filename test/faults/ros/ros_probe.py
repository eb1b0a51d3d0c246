"""A node whose callbacks are called as rclpy would call them."""

from __future__ import annotations

import itertools

from rclpy.subscription import Subscription


class Probe:
    """A node, and what is done to it."""

    def __init__(self, ros, node) -> None:
        self.ros, self.node = ros, node
        self._numbers = itertools.count(1)

    def inputs(self) -> dict[str, Subscription]:
        """What the node subscribes, by the ends of the topics' names."""
        found = {each.topic_name: each for each in self.node.subscriptions}
        base = self.ros.namespace + "/"
        return {name.removeprefix(base): each for name, each in found.items() if name.startswith(base)}

    def give(self, topic: str, message) -> None:
        """Call the callback of a subscription as rclpy does, then all timers, and let the worker finish."""
        subscription = self.inputs()[topic]
        info = {"publication_sequence_number": next(self._numbers)}
        wants_info = getattr(subscription, "_callback_type", None) is not getattr(
            getattr(Subscription, "CallbackType", None), "MessageOnly", None
        )
        subscription.callback(*((message, info) if wants_info else (message,)))
        self._let_work()
        for timer in list(self.node.timers):
            timer.callback()
        self._let_work()

    def _let_work(self) -> None:
        worker = getattr(self.node, "worker", None)
        if worker is None:
            return
        with worker._changed:
            thread = worker._thread
        assert thread.is_alive(), "the worker's thread has died"
        self.ros.until(lambda: worker.waiting == 0 and not self._is_busy(worker), "the worker is ready")

    def _is_busy(self, worker) -> bool:
        # Whoever waits for the condition has released its lock and stands in the list of waiters.
        with worker._changed:
            return not worker._changed._waiters
