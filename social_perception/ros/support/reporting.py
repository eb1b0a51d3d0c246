"""A node's status on /diagnostics, published periodically, whatever else the node does."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType, ROSClock
from rclpy.node import Node

from social_perception.ros.support.clocks import ClockWatch
from social_perception.ros.support.config import NodeConfig
from social_perception.ros.support.health import Health, NodeStatus
from social_perception.ros.support.load import Limits
from social_perception.ros.support.resources import DeviceInfo, cuda_mb, hardware_id, resident_mb


class LibraryLog(logging.Handler):
    """Forwards warnings of the library, such as the loss of a GPU, to the log of a node and so to /rosout."""

    def __init__(self, node: Node) -> None:
        super().__init__(logging.WARNING)
        self._node = node

    def emit(self, record: logging.LogRecord) -> None:
        # Two calls: rclpy requires that each place in the code logs with one severity only.
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
    """Publishes the status of a node from its construction to its destruction.

    Args:
        node: whose status it is.
        task: what the node does, as a part of the status's name.
        health: counts messages, results and errors.
        config: returns the node's settings as they are now.
        status: returns the node's state at the time of a report.
        device: returns the device that the node computes on.
    """

    def __init__(
        self,
        node: Node,
        task: str,
        health: Health,
        config: Callable[[], NodeConfig],
        status: Callable[[], NodeStatus],
        device: Callable[[], DeviceInfo],
    ) -> None:
        self._node, self._health = node, health
        self._config, self._status, self._device_info = config, status, device
        # diagnostic_aggregator sorts by the beginning of the name.
        self._name = f"{node.get_fully_qualified_name()}: {task}"
        self._clock = ClockWatch()
        self._warned_of_clock = False
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Steady, so that a simulation clock that stands still is reported too.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(config().diagnostics_period_s, self.report, clock=steady)

    def report(self) -> None:
        """Publish the status as it is now."""
        config, device, steady_s = self._config(), self._device_info(), time.monotonic()
        ros_clock = self._node.get_clock()
        now = ros_clock.now()
        now_s = now.nanoseconds * 1e-9
        problem = self._clock.check(
            now_s,
            steady_s,
            simulated=isinstance(ros_clock, ROSClock) and ros_clock.ros_time_is_active,
            limit_s=config.silent_after_s,
        )
        if problem and not self._warned_of_clock:
            self._node.get_logger().warning(problem)
        self._warned_of_clock = bool(problem)
        status = self._status()
        status = replace(
            status,
            warnings=(*status.warnings, problem, device.failure),
            time_s=now_s,
            values=_values(device),
        )
        limits = Limits(config.warn_dropped_share, config.warn_age_s)
        report = self._health.report(self._name, steady_s, status, limits, hardware_id(device.device))
        array = DiagnosticArray(status=[report])
        array.header.stamp = now.to_msg()
        self._publisher.publish(array)


def _values(device: DeviceInfo) -> dict[str, str]:
    resident, cuda = resident_mb(), cuda_mb()
    values = {"device": device.device}
    if device.precision:
        values["precision"] = device.precision
    values["memory of the process (MB)"] = "unknown" if resident is None else f"{resident:.0f}"
    if cuda is not None:
        values["memory on the GPU (MB)"] = f"{cuda:.0f}"
    return values
