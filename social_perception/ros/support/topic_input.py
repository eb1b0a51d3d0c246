"""A subscription that knows whether messages come and, if not, why."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.timer import Timer

from social_perception.ros.support.health import SilenceWatch
from social_perception.ros.support.intra_process import IntraProcess, Stamped
from social_perception.ros.support.qos import all_reliable, mismatches, qos_description, subscribe
from social_perception.ros.support.transport import PROFILE

_CHANGE_S = 0.25
"""Time in s from the end of one subscription to the next, when the reliability changes."""

OTHER_PUBLISHERS_S = 25.0
"""Time in s after which a second publisher is worth a warning: one that was killed stays listed for 20 s."""

_LOSS_COUNT, _LOSS_SHARE = 30, 0.3
"""Losses from which they are worth a warning: this many, and this share of the messages."""


class Losses:
    """Counts the messages of a topic that did not reach the node.

    Where the middleware numbers the messages, the gaps count. A gap of a best-effort subscription is a loss.
    One of a reliable subscription is a loss as far as the middleware reports one (the publisher overwrote
    the message before it was transferred); the others were replaced in the queue before the node took them.
    Without numbers only the reported losses are known.

    Args:
        has_several: tells whether several publishers send on the topic; their numbers make no gaps.

    Attributes:
        lost: messages that were lost on the way.
        replaced: messages that were replaced in the queue.
        reported: losses that the middleware has reported since the last message.
    """

    def __init__(self, has_several: Callable[[], bool]) -> None:
        self._has_several = has_several
        self._number: int | None = None
        self._is_numbered = False
        self._unexplained = self._unused = 0
        self.lost = self.replaced = self.reported = 0

    def forget_number(self) -> None:
        """Expect no certain number next: what was sent until now was not subscribed."""
        self._number = None
        self._unused = 0

    def report(self, count: int) -> None:
        """Add losses that the middleware reports."""
        self.reported += count
        if self._is_numbered:
            self._unused += count
            self._explain()
        else:
            self.lost += count

    def receive(self, number: int | None, *, reliable: bool) -> None:
        """Add a message that arrived, with its number."""
        before, self._number, self.reported = self._number, number, 0
        self._is_numbered = number is not None
        # A publisher that begins anew begins with a small number.
        if before is None or number is None or number <= before + 1 or self._has_several():
            return
        missing = number - before - 1
        if reliable:
            self._unexplained += missing
            self._explain()
        else:
            self.lost += missing

    def settle(self) -> int:
        """Count the gaps that no reported loss explains as replaced messages; return their number.

        A report may come just after the message behind the gap, so call this now and then, not with each.
        """
        replaced, self._unexplained = self._unexplained, 0
        self.replaced += replaced
        return replaced

    def _explain(self) -> None:
        explained = min(self._unexplained, self._unused)
        self._unexplained -= explained
        self._unused -= explained
        self.lost += explained


class TopicInput:
    """Subscribes a topic, and says once when it falls silent and once when it returns.

    Args:
        node: that subscribes.
        kind: message type.
        topic: relative name.
        qos: of the subscription.
        callback: called with each message.
        noun: what comes, in the plural, for log lines: ``images``.
        origin: from where it comes, for log lines: ``the camera``.
        reliable_qos: if given, the subscription changes to it while all publishers are reliable,
            and back to ``qos`` when one is not.
        parameter: of the node, with which the reliability is set; empty: there is none.
        on_replaced: called with the number of messages that were newly found to have been replaced.
        intra_process: the topics within this process. While one of its publishers publishes on the topic,
            the callback gets that one's results as they are (:class:`Stamped`), in the publisher's thread,
            and the ROS topic is not subscribed.
    """

    def __init__(
        self,
        node: Node,
        kind: type,
        topic: str,
        qos: QoSProfile,
        callback: Callable[[Any], None],
        *,
        noun: str,
        origin: str,
        reliable_qos: QoSProfile | None = None,
        parameter: str = "",
        on_replaced: Callable[[int], None] | None = None,
        intra_process: IntraProcess | None = None,
    ) -> None:
        self._node, self._kind, self._noun, self._origin = node, kind, noun, origin
        self._callback, self._parameter, self._on_replaced = callback, parameter, on_replaced
        self._lock = threading.Lock()
        self._watch = SilenceWatch(self._now_s())
        self._losses = Losses(self._has_several_publishers)
        self._taken = 0
        self._loss_reported = self._publishers_reported = False
        self._alone_s = time.monotonic()
        self._topic, self._qos, self._reliable_qos = topic, qos, reliable_qos
        self._full_name = node.resolve_topic_name(topic)
        # Publishers that are known are followed from the start: every change is a moment of deafness.
        self._is_reliable = False
        self._is_reliable = self._can_be_reliable()
        self._pause: Timer | None = None
        self._intra_process, self._local = intra_process, None
        if intra_process is not None:
            self._local = intra_process.subscribe(self.topic, self._take_result, self._follow_publishers)
        self._subscription: Subscription[Any] | None = (
            None if self._has_local_publisher() else self._subscribe()
        )

    @property
    def lost(self) -> int:
        """Messages that did not arrive.

        Without reliability, those that were replaced before the node took them are among them.
        """
        return self._losses.lost

    @property
    def replaced(self) -> int:
        """Messages that arrived and were replaced by newer ones before the node took them."""
        return self._losses.replaced

    @property
    def topic(self) -> str:
        """The full name of the topic, after remapping."""
        return self._full_name

    def silence_s(self) -> float:
        """Time in s since the last message, by the node's clock."""
        with self._lock:
            return self._watch.silence_s(self._now_s())

    def check(self, limit_s: float) -> str:
        """Return why nothing comes, or an empty string; logs it when it begins. To be called often."""
        self._follow_publishers()
        self._settle_losses()
        with self._lock:
            newly = self._watch.fell_silent(self._now_s(), limit_s)
            silent = self._watch.is_silent
        if not silent:
            return ""
        text = f"no {self._noun} on {self.topic} for {self.silence_s():.1f} s: {self._reason()}"
        if newly:
            self._node.get_logger().warning(text)
        return text

    def other_publishers(self) -> str:
        """Who publishes on the topic, if they stay several, or an empty string; logs it when it begins."""
        publishers, now_s = self._node.get_publishers_info_by_topic(self.topic), time.monotonic()
        if len(publishers) < 2:
            self._alone_s, self._publishers_reported = now_s, False
        if now_s - self._alone_s <= OTHER_PUBLISHERS_S:
            return ""
        names = sorted(f"{each.node_namespace.rstrip('/')}/{each.node_name}" for each in publishers)
        text = (
            f"{len(names)} publishers send {self._noun} on {self.topic}, where one is expected: "
            f"{', '.join(names)}"
        )
        if not self._publishers_reported:
            self._publishers_reported = True
            self._node.get_logger().warning(text)
        return text

    def close(self) -> None:
        """Unsubscribe."""
        if self._local is not None:
            self._local.close()
        self._unsubscribe()

    def _unsubscribe(self) -> None:
        self._end_pause()
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def _subscribe(self) -> Subscription[Any]:
        self._losses.forget_number()
        return subscribe(
            self._node,
            self._kind,
            self._topic,
            self._asked,
            self._take,
            on_incompatible=self._on_incompatible,
            on_lost=self._losses.report,
        )

    def _has_local_publisher(self) -> bool:
        return self._intra_process is not None and self._intra_process.is_advertised(self.topic)

    def _follow_publishers(self) -> None:
        if self._has_local_publisher():
            self._unsubscribe()
            return
        if self._subscription is None and self._pause is None:
            self._subscription = self._subscribe()
        # Best effort suits any publisher, but loses most large images on their way through DDS.
        if self._pause is not None or self._can_be_reliable() == self._is_reliable:
            return
        # A process with two subscriptions of an image topic was seen to block when one of them was destroyed
        # (docs/decisions.md), and the old one is destroyed only when the executor releases it.
        self._unsubscribe()
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._pause = self._node.create_timer(_CHANGE_S, self._subscribe_anew, clock=steady)

    def _subscribe_anew(self) -> None:
        self._end_pause()
        self._is_reliable = self._can_be_reliable()
        self._subscription = self._subscribe()
        how = (
            "reliably, as all its publishers offer"
            if self._is_reliable
            else "best effort, as a publisher needs it"
        )
        self._node.get_logger().info(f"{self.topic} is now subscribed {how}")

    def _end_pause(self) -> None:
        if self._pause is not None:
            self._node.destroy_timer(self._pause)
            self._pause = None

    def _can_be_reliable(self) -> bool:
        if self._reliable_qos is None:
            return False
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        # Nobody there: as before, for a camera that comes back is most likely the same.
        return all_reliable(publishers) if publishers else self._is_reliable

    def _take(self, message: Any, number: int | None) -> None:
        self._note_received()
        self._losses.receive(number, reliable=self._asks_reliably)
        self._callback(message)

    def _take_result(self, result: Stamped[Any]) -> None:
        self._note_received()
        self._callback(result)

    def _note_received(self) -> None:
        with self._lock:
            ended = self._watch.received(self._now_s())
        if ended is not None:
            self._node.get_logger().info(f"{self._noun} on {self.topic} come again after {ended:.1f} s")
        self._taken += 1

    def _settle_losses(self) -> None:
        replaced = self._losses.settle()
        if replaced and self._on_replaced is not None:
            self._on_replaced(replaced)
        if not self._loss_reported and self.lost >= max(_LOSS_COUNT, _LOSS_SHARE * (self.lost + self._taken)):
            self._loss_reported = True
            self._node.get_logger().warning(
                f"many {self._noun} on {self.topic} are lost on the way ({self.lost} of "
                f"{self.lost + self._taken}): {self._loss_remedy}"
            )

    @property
    def _asked(self) -> QoSProfile:
        return self._reliable_qos if self._is_reliable and self._reliable_qos is not None else self._qos

    @property
    def _asks_reliably(self) -> bool:
        return bool(self._asked.reliability == QoSReliabilityPolicy.RELIABLE)

    @property
    def _loss_remedy(self) -> str:
        can_be = bool(self._parameter) and not self._asks_reliably
        reliable = f", or set the parameter {self._parameter} to reliable" if can_be else ""
        return f"start the publisher with the Fast DDS profile {PROFILE} of this package{reliable}"

    def _on_incompatible(self, policy: str) -> None:
        text = self._mismatch() or f"a publisher does not match in its {policy}"
        self._node.get_logger().warning(f"{self._noun} on {self.topic}: {text}")

    def _reason(self) -> str:
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        expected = f"{self._kind.__module__.split('.')[0]}/msg/{self._kind.__name__}"
        others = {each.topic_type for each in publishers if each.topic_type != expected}
        if not publishers:
            return f"nobody publishes there; check {self._origin} and the name of the topic"
        if len(others) == len({each.topic_type for each in publishers}):
            return f"what is published there is {', '.join(sorted(others))}, not {expected}"
        if mismatch := self._mismatch():
            return mismatch
        if self._losses.reported:
            return f"they are lost on the way, the last {self._losses.reported}: {self._loss_remedy}"
        return f"there is a publisher, but it is silent; check {self._origin}"

    def _mismatch(self) -> str:
        """Publishers whose messages are not received, and why; empty: there are none."""
        asked = self._asked
        offers = mismatches(asked, self._node.get_publishers_info_by_topic(self.topic))
        if not offers:
            return ""
        remedy = f"; set the parameter {self._parameter}, or" if self._parameter else ";"
        return (
            f"incompatible QoS: {self._node.get_name()} asks for {qos_description(asked)}; "
            f"{'; '.join(offers)}{remedy} change the publisher"
        )

    def _has_several_publishers(self) -> bool:
        return self._node.count_publishers(self.topic) > 1

    def _now_s(self) -> float:
        return self._node.get_clock().now().nanoseconds * 1e-9
