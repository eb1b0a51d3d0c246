"""What the tests of faults with ROS share: the real ROS 2 is that of the node tests."""

from __future__ import annotations

import os

import pytest

from test.nodes.conftest import HAS_ROS, RosHarness

if not HAS_ROS and os.environ.get("CI") != "true":
    collect_ignore_glob = ["test_ros_*.py"]


@pytest.fixture
def ros():
    harness = RosHarness()
    yield harness
    harness.close()
