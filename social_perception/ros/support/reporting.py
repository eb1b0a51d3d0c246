"""A node's word on /diagnostics, once in a while, whatever else it does."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from social_perception.ros.support.clocks import ClockWatch
from social_perception.ros.support.config import NodeConfig
from social_perception.ros.support.health import Health, Situation
from social_perception.ros.support.load import Limits
from social_perception.ros.support.resources import Equipment, cuda_mb, hardware_id, resident_mb


class LibraryLog(logging.Handler):
    """What the library logs, such as a GPU that is given up, as a line of a node, which reaches /rosout."""

    def __init__(self, node: Node) -> None:
        super().__init__(logging.WARNING)
        self._node = node

    def emit(self, record: logging.LogRecord) -> None:
        # Two lines: rclpy wants each call to have one severity.
        if record.levelno >= logging.ERROR:
            self._node.get_logger().error(self.format(record))
        else:
            self._node.get_logger().warning(self.format(record))

    def __enter__(self) -> LibraryLog:
        logging.getLogger("social_perception").addHandler(self)
        return self

    def __exit__(self, *unused: object) -> None:
        logging.getLogger("social_perception").removeHandler(self)


class Reporter:
    """Publishes the status of a node from its making to its end.

    Args:
        node: whose status it is.
        task: what the node does, as a part of the status's name.
        health: counts what happens.
        config: tells the node's settings as they are now.
        situation: tells what the node knows at the time of a report.
        equipment: tells what the node computes with.
    """

    def __init__(
        self,
        node: Node,
        task: str,
        health: Health,
        config: Callable[[], NodeConfig],
        situation: Callable[[], Situation],
        equipment: Callable[[], Equipment],
    ) -> None:
        self._node, self._health = node, health
        self._config, self._situation, self._equipment = config, situation, equipment
        # diagnostic_aggregator sorts by the beginning of the name.
        self._name = f"{node.get_fully_qualified_name()}: {task}"
        self._clock = ClockWatch()
        self._told_of_clock = False
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Steady, so that a simulation clock that stands still is reported too.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(config().diagnostics_period_s, self.report, clock=steady)

    def report(self) -> None:
        """Publish the status as it is now."""
        config, equipment, steady_s = self._config(), self._equipment(), time.monotonic()
        situation, now = self._situation(), self._node.get_clock().now()
        now_s = now.nanoseconds * 1e-9
        clock = self._clock.check(
            now_s,
            steady_s,
            simulated=self._node.get_clock().ros_time_is_active,
            limit_s=config.silent_after_s,
        )
        if clock and not self._told_of_clock:
            self._node.get_logger().warning(clock)
        self._told_of_clock = bool(clock)
        situation = replace(
            situation,
            warnings=(*situation.warnings, clock, equipment.trouble),
            time_s=now_s,
            values=_values(equipment),
        )
        limits = Limits(config.warn_dropped_share, config.warn_age_s)
        where = hardware_id(equipment.device)
        status = self._health.report(self._name, steady_s, situation, limits, where)
        array = DiagnosticArray(status=[status])
        array.header.stamp = now.to_msg()
        self._publisher.publish(array)


def _values(equipment: Equipment) -> dict[str, str]:
    resident, cuda = resident_mb(), cuda_mb()
    values = {"device": equipment.device}
    if equipment.precision:
        values["precision"] = equipment.precision
    values["memory of the process (MB)"] = "unknown" if resident is None else f"{resident:.0f}"
    if cuda is not None:
        values["memory on the GPU (MB)"] = f"{cuda:.0f}"
    return values
