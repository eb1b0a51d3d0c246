"""Quality of service: the newest images, best effort where a publisher needs it; results reliable."""

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
"""Of publishers of results, and of subscribers that must not miss any."""

NEWEST_RESULT_QOS = QoSProfile(
    history=QoSHistoryPolicy.KEEP_LAST, depth=1, reliability=QoSReliabilityPolicy.RELIABLE
)
"""Of subscribers that process the newest result only."""


_INCOMPLETE_IMAGES = 3
"""History of a reliable subscription of images: with less, Fast DDS abandons an image of which parts are sent
again when the first part of the next one arrives (docs/decisions.md)."""


def image_qos(*, reliable: bool, depth: int = 1) -> QoSProfile:
    """Of image subscriptions: the newest images, or a deeper queue for a node that needs every image."""
    if not reliable:
        policy = QoSReliabilityPolicy.BEST_EFFORT
    else:
        policy, depth = QoSReliabilityPolicy.RELIABLE, max(depth, _INCOMPLETE_IMAGES)
    return QoSProfile(history=QoSHistoryPolicy.KEEP_LAST, depth=depth, reliability=policy)


def all_reliable(publishers: Sequence[Any]) -> bool:
    """Whether there are publishers (TopicEndpointInfo) and all of them are reliable."""
    offered = [each.qos_profile.reliability for each in publishers]
    return bool(offered) and all(policy == QoSReliabilityPolicy.RELIABLE for policy in offered)


_FOREVER_S = 1e9
"""Middlewares represent an infinite deadline as one of many years."""


def qos_description(profile: QoSProfile) -> str:
    """The policies of a profile that decide whether a publisher and a subscription are compatible."""
    policies = [f"{name} {_policy_name(getattr(profile, name))}" for name in ("reliability", "durability")]
    policies.append(f"deadline {_duration(profile.deadline)}")
    lease = _duration(profile.liveliness_lease_duration)
    within = "" if lease == "none" else f" within {lease}"
    policies.append(f"liveliness {_policy_name(profile.liveliness)}{within}")
    return ", ".join(policies)


def _policy_name(policy: Any) -> str:
    # Only liveliness is left at the system's default, which is automatic with every middleware.
    return "automatic" if policy.name == "SYSTEM_DEFAULT" else str(policy.name).lower().replace("_", " ")


def _duration(duration: Duration) -> str:
    time_s = duration.nanoseconds * 1e-9
    return "none" if time_s <= 0.0 or time_s > _FOREVER_S else f"{time_s:g} s"


def mismatches(requested: QoSProfile, publishers: Sequence[Any]) -> tuple[str, ...]:
    """The publishers (TopicEndpointInfo) that are incompatible with a profile, each with what it offers."""
    found = []
    for each in publishers:
        compatibility, _ = qos_check_compatible(each.qos_profile, requested)
        if compatibility == QoSCompatibility.ERROR:
            node = f"{each.node_namespace.rstrip('/')}/{each.node_name}"
            found.append(f"{node} offers {qos_description(each.qos_profile)}")
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
) -> Subscription[Any]:
    """Subscribe with callbacks for incompatible publishers and lost messages, where the middleware has them.

    Args:
        node: that subscribes.
        kind: message type.
        topic: relative name.
        qos: of the subscription.
        callback: called with each message and its publication sequence number; None where the middleware
            or rclpy (up to Humble) does not provide it.
        on_incompatible: called with the name of the policy in which a publisher is incompatible.
        on_lost: called with the number of messages that were lost since the last call.
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
    """The callback in the form that rclpy calls: with the message's info, or up to Humble without."""

    def take(message: Any) -> None:
        callback(message, None)

    def take_with_info(message: Any, info: Any) -> None:
        callback(message, info.get("publication_sequence_number"))

    return take_with_info if hasattr(Subscription, "CallbackType") else take
