"""A real ROS 2 for the node tests: own context, own domain, and waiting for conditions."""

from __future__ import annotations

import importlib.util
import itertools
import os
import time
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")

HAS_ROS = importlib.util.find_spec("rclpy") is not None
if HAS_ROS:
    import social_perception

    HAS_ROS = any((Path(place) / "msg").is_dir() for place in social_perception.__path__)
if not HAS_ROS and os.environ.get("CI") != "true":
    collect_ignore_glob = ["test_*.py"]

TIMEOUT_S = 20.0
_namespaces = (f"/test_{os.getpid()}_{number}" for number in itertools.count())


class RosHarness:
    """Nodes and topics of one test, in a namespace of their own."""

    def __init__(self, namespace: str | None = None) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.namespace = namespace or next(_namespaces)
        self.node = self.add(rclpy.create_node("tester", context=self.context, namespace=self.namespace))

    def add(self, node):
        self.executor.add_node(node)
        return node

    def create(self, kind, parameters=None, **arguments):
        """Make a node of the package, not yet configured."""
        from rclpy.parameter import Parameter

        overrides = [Parameter(name, value=value) for name, value in (parameters or {}).items()]
        return self.add(
            kind(context=self.context, namespace=self.namespace, parameter_overrides=overrides, **arguments)
        )

    def start(self, kind, parameters=None, **arguments):
        """Make, configure and activate a node of the package."""
        node = self.create(kind, parameters, **arguments)
        assert node.trigger_configure().name == "SUCCESS"
        assert node.trigger_activate().name == "SUCCESS"
        return node

    def publisher(self, kind, topic, qos=10):
        publisher = self.node.create_publisher(kind, topic, qos)
        self.until(lambda: publisher.get_subscription_count() > 0, f"somebody subscribes {topic}")
        return publisher

    def collect(self, kind, topic, qos=10):
        """A list that grows with each message on the topic."""
        found = []
        subscription = self.node.create_subscription(kind, topic, found.append, qos)
        self.until(
            lambda: self.node.count_publishers(subscription.topic_name) > 0, f"somebody publishes {topic}"
        )
        return found

    def until(self, condition, what="the condition", timeout_s=TIMEOUT_S):
        """Spin until the condition holds; its value is returned."""
        deadline = time.monotonic() + timeout_s
        while True:
            value = condition()
            if value:
                return value
            assert time.monotonic() < deadline, f"waited {timeout_s:g} s for: {what}"
            self.executor.spin_once(timeout_sec=0.02)

    def stamp(self, age_s):
        """The stamp of an image taken so long ago, by the clock of the nodes."""
        from builtin_interfaces.msg import Time

        nanoseconds = self.node.get_clock().now().nanoseconds - round(age_s * 1e9)
        return Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)

    def reports(self, node):
        """A function that tells what a node has said on /diagnostics so far, each time as a dictionary."""
        from diagnostic_msgs.msg import DiagnosticArray

        found = self.collect(DiagnosticArray, "/diagnostics")
        name = f"{node.get_fully_qualified_name()}: {node.task}"

        def reported():
            statuses = [status for report in found for status in report.status if status.name == name]
            return [{pair.key: pair.value for pair in status.values} for status in statuses]

        return reported

    def statuses(self, node):
        """A list that grows with what a node says of itself on /diagnostics."""
        from diagnostic_msgs.msg import DiagnosticArray

        found = []
        name = f"{node.get_fully_qualified_name()}: {node.task}"

        def take(report):
            found.extend(status for status in report.status if status.name == name)

        self.node.create_subscription(DiagnosticArray, "/diagnostics", take, 10)
        return found

    def set(self, node, name, value):
        """Set a parameter as ``ros2 param set`` does; returns the result."""
        from rclpy.parameter import Parameter

        return node.set_parameters([Parameter(name, value=value)])[0]

    def close(self) -> None:
        for node in self.executor.get_nodes():
            node.destroy_node()
        self.executor.shutdown()
        self.context.try_shutdown()


def latencies_ms(report):
    """Median, 95th percentile and maximum of a node's report; empty if unknown."""
    texts = [report[f"latency {name} (ms)"] for name in ("median", "p95", "max")]
    assert len({text == "unknown" for text in texts}) == 1
    return [float(text) for text in texts if text != "unknown"]


@pytest.fixture
def ages_its_results(ros):
    """Checks that a node reports the latency of what it publishes, from the header stamp on."""

    def check(node, publish):
        reported = ros.reports(node)
        publish(ros.stamp(3.0))
        report = ros.until(
            lambda: next((each for each in reported() if latencies_ms(each)), None), "a report with a latency"
        )
        median, p95, longest = latencies_ms(report)
        assert 3000 <= median <= p95 <= longest < 1000 * (3 + TIMEOUT_S)

    return check


@pytest.fixture
def latencies():
    return latencies_ms


@pytest.fixture
def ros():
    harness = RosHarness()
    yield harness
    harness.close()


@pytest.fixture
def stranger(ros):
    """Another participant in the same namespace: DDS allows one type per topic and participant."""
    harness = RosHarness(ros.namespace)
    yield harness
    harness.close()


@pytest.fixture
def picture() -> np.ndarray:
    """(48, 64, 3) RGB with different channels, rows and columns."""
    rows, columns = np.mgrid[0:48, 0:64]
    return np.stack([rows * 5, columns * 4, 255 - rows * 2 - columns], axis=-1).astype(np.uint8)


@pytest.fixture
def image_message(picture):
    """Makes an Image message of the picture with a given stamp."""
    from builtin_interfaces.msg import Time

    from social_perception.ros.support.images import encode, image_header

    def make(sec=100, nanosec=123456789, frame_id="camera"):
        return encode(picture, image_header(Time(sec=sec, nanosec=nanosec), frame_id))

    return make
