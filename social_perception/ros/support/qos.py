"""Qualities of service: images best effort and newest only, results reliable."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import (
    QoSCompatibility,
    QoSHistoryPolicy,
    QoSProfile,
    QoSReliabilityPolicy,
    qos_check_compatible,
    qos_policy_name_from_kind,
)
from rclpy.subscription import Subscription

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # up to Humble
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError

RESULT_QOS = QoSProfile(
    history=QoSHistoryPolicy.KEEP_LAST, depth=10, reliability=QoSReliabilityPolicy.RELIABLE
)
"""What the nodes publish with, and take each other's results with when none may be missed."""

NEWEST_RESULT_QOS = QoSProfile(
    history=QoSHistoryPolicy.KEEP_LAST, depth=1, reliability=QoSReliabilityPolicy.RELIABLE
)
"""For a subscriber that works on the newest result only."""


def image_qos(*, reliable: bool, depth: int = 1) -> QoSProfile:
    """Sensor data, newest image only; a deeper queue for who needs each image."""
    policy = QoSReliabilityPolicy.RELIABLE if reliable else QoSReliabilityPolicy.BEST_EFFORT
    return QoSProfile(history=QoSHistoryPolicy.KEEP_LAST, depth=depth, reliability=policy)


def all_reliable(publishers: Sequence[Any]) -> bool:
    """Whether there are publishers and every one of them (TopicEndpointInfo) offers reliability."""
    offered = [each.qos_profile.reliability for each in publishers]
    return bool(offered) and all(policy == QoSReliabilityPolicy.RELIABLE for policy in offered)


_FOREVER_S = 1e9
"""The middlewares write an infinite deadline as one of many years."""


def in_words(profile: QoSProfile) -> str:
    """What of a profile decides whether a publisher and a subscription match."""
    words = [f"{name} {_spoken(getattr(profile, name))}" for name in ("reliability", "durability")]
    words.append(f"deadline {_duration(profile.deadline)}")
    lease = _duration(profile.liveliness_lease_duration)
    words.append(f"liveliness {_spoken(profile.liveliness)}{'' if lease == 'none' else f' within {lease}'}")
    return ", ".join(words)


def _spoken(policy: Any) -> str:
    # What the system's default is, is automatic with every middleware; of the other two we set one always.
    return "automatic" if policy.name == "SYSTEM_DEFAULT" else str(policy.name).lower().replace("_", " ")


def _duration(duration: Duration) -> str:
    time_s = duration.nanoseconds * 1e-9
    return "none" if time_s <= 0.0 or time_s > _FOREVER_S else f"{time_s:g} s"


def mismatches(requested: QoSProfile, publishers: Sequence[Any]) -> tuple[str, ...]:
    """Who of the publishers (TopicEndpointInfo) cannot be heard with a profile, with theirs, in words."""
    found = []
    for each in publishers:
        compatibility, _ = qos_check_compatible(each.qos_profile, requested)
        if compatibility == QoSCompatibility.ERROR:
            node = f"{each.node_namespace.rstrip('/')}/{each.node_name}"
            found.append(f"{node} offers {in_words(each.qos_profile)}")
    return tuple(found)


def subscribe(
    node: Node,
    kind: type,
    topic: str,
    qos: QoSProfile,
    callback: Callable[[Any, int | None], None],
    *,
    on_incompatible: Callable[[str], None],
    on_lost: Callable[[int], None],
) -> Subscription:
    """Subscribe, and learn of what goes wrong below, as far as the middleware tells.

    Args:
        node: that subscribes.
        kind: message type.
        topic: relative name.
        qos: of the subscription.
        callback: called with each message and the number that its publisher gave it, each one more than
            the one before; None where the middleware or rclpy (up to Humble) does not tell.
        on_incompatible: called with the policy in which a publisher does not match.
        on_lost: called with the number of messages newly lost on the way.
    """

    def incompatible(event: Any) -> None:
        on_incompatible(qos_policy_name_from_kind(event.last_policy_kind))

    def lost(event: Any) -> None:
        on_lost(event.total_count_change)

    take = _numbered(callback)

    for callbacks in (
        SubscriptionEventCallbacks(incompatible_qos=incompatible, message_lost=lost),
        SubscriptionEventCallbacks(incompatible_qos=incompatible),
    ):
        with contextlib.suppress(UnsupportedEventTypeError):
            return node.create_subscription(kind, topic, take, qos, event_callbacks=callbacks)
    return node.create_subscription(kind, topic, take, qos)


def _numbered(callback: Callable[[Any, int | None], None]) -> Callable[..., None]:
    """The callback as rclpy calls it: with what is known of the message, or up to Humble without."""

    def take(message: Any) -> None:
        callback(message, None)

    def take_with_info(message: Any, info: Any) -> None:
        callback(message, info.get("publication_sequence_number"))

    return take_with_info if hasattr(Subscription, "CallbackType") else take
