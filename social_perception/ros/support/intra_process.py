"""Topics within a process: nodes hand each other their results as they are; all others get messages.

rclpy serialises every message, even on its way to a subscription of the same process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from std_msgs.msg import Header

if TYPE_CHECKING:
    from social_perception.ros.support.stage import Stage

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Stamped(Generic[Value]):
    """The result of a step, with the header of its image; nobody changes it."""

    header: Header
    value: Value


class IntraProcess:
    """The topics within a process, by their full names.

    ``publish`` may be called in any thread; the rest is called where the nodes change their state.
    """

    def __init__(self) -> None:
        self._advertised: list[str] = []
        self._subscriptions: tuple[IntraProcessSubscription, ...] = ()

    def advertise(self, topic: str) -> None:
        """Announce a publisher in this process."""
        self._advertised.append(topic)
        for each in self._subscriptions:
            if each.topic == topic and each.is_open:
                each.on_advertised()

    def withdraw(self, topic: str) -> None:
        """Take the announcement back."""
        self._advertised.remove(topic)

    def is_advertised(self, topic: str) -> bool:
        """Whether there is a publisher in this process."""
        return topic in self._advertised

    def subscribe(
        self, topic: str, callback: Callable[[Stamped[Any]], None], on_advertised: Callable[[], None]
    ) -> IntraProcessSubscription:
        """Receive what is published in this process, until the subscription is closed.

        Args:
            topic: full name.
            callback: called in the publisher's thread with each result; it must not raise, and it returns
                soon or does the subscriber's whole work on that result.
            on_advertised: called when a publisher is announced.
        """
        made = IntraProcessSubscription(topic, callback, on_advertised)
        self._subscriptions = (*(each for each in self._subscriptions if each.is_open), made)
        return made

    def publish(self, topic: str, result: Stamped[Any]) -> None:
        """Hand a result to whoever subscribes to the topic in this process."""
        for each in self._subscriptions:
            if each.topic == topic:
                each.receive(result)


class IntraProcessSubscription:
    """Made by :meth:`IntraProcess.subscribe`."""

    def __init__(
        self, topic: str, callback: Callable[[Stamped[Any]], None], on_advertised: Callable[[], None]
    ) -> None:
        self.topic, self._callback, self.on_advertised = topic, callback, on_advertised
        self.is_open = True
        self._lock = threading.Lock()

    def receive(self, result: Stamped[Any]) -> None:
        """Call the callback, one result at a time."""
        with self._lock:
            if self.is_open:
                self._callback(result)

    def close(self) -> None:
        """Unsubscribe; a callback that runs is waited for."""
        with self._lock:
            self.is_open = False


class ResultPublisher(Generic[Value]):
    """Publishes the results of a step: as they are in this process, as messages to those elsewhere.

    A message is built only where somebody subscribes to the ROS topic.

    Args:
        node: that publishes.
        publisher: of the ROS topic.
        build: makes the message of a header and a result.
        intra_process: the topics within this process.
    """

    def __init__(
        self,
        node: Stage,
        publisher: Any,
        build: Callable[[Header, Value], Any],
        intra_process: IntraProcess,
    ) -> None:
        self._node, self._publisher, self._build = node, publisher, build
        self._intra_process = intra_process
        self._is_advertised = False
        self.topic: str = publisher.topic_name
        self.advertise()

    def advertise(self) -> None:
        """Let the next node of this process receive the results as they are; a new publisher does."""
        if not self._is_advertised:
            self._is_advertised = True
            self._intra_process.advertise(self.topic)

    def withdraw(self) -> None:
        """Publish nothing for now; the next node subscribes to the ROS topic meanwhile."""
        if self._is_advertised:
            self._is_advertised = False
            self._intra_process.withdraw(self.topic)

    def publish(self, header: Header, value: Value) -> None:
        """Publish a result, in this process first."""
        self._intra_process.publish(self.topic, Stamped(header, value))
        if self._publisher.get_subscription_count() > 0:
            self._publisher.publish(self._build(header, value))
        self._node.note_published(header.stamp)
