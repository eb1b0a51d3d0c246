"""Qualities of service: images best effort and newest only, results reliable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.qos import QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy, qos_policy_name_from_kind

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # up to Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

RESULT_QOS = QoSProfile(
    history=QoSHistoryPolicy.KEEP_LAST, depth=10, reliability=QoSReliabilityPolicy.RELIABLE
)
"""What the nodes publish with, and take each other's results with when none may be missed."""

NEWEST_RESULT_QOS = QoSProfile(
    history=QoSHistoryPolicy.KEEP_LAST, depth=1, reliability=QoSReliabilityPolicy.RELIABLE
)
"""For a subscriber that works on the newest result only."""


def image_qos(reliability: str) -> QoSProfile:
    """Sensor data, newest image only; reliability is ``best_effort`` or ``reliable``."""
    policy = QoSReliabilityPolicy[reliability.upper()]
    return QoSProfile(history=QoSHistoryPolicy.KEEP_LAST, depth=1, reliability=policy)


def incompatible_qos_callbacks(report: Callable[[str], None]) -> SubscriptionEventCallbacks:
    """Event callbacks that report the name of the policy in which a publisher does not match."""

    def on_incompatible(event: Any) -> None:
        report(qos_policy_name_from_kind(event.last_policy_kind))

    return SubscriptionEventCallbacks(incompatible_qos=on_incompatible)
