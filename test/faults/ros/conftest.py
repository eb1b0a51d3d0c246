"""What the tests of faults with ROS share: the real ROS 2 is that of the node tests."""

from __future__ import annotations

import os
import traceback

import pytest

from test.ros.conftest import HAS_ROS, ros

if not HAS_ROS and os.environ.get("CI") != "true":
    collect_ignore_glob = ["test_ros_*.py"]


__all__ = ["ros"]  # the same fixture as for the nodes' own tests


@pytest.fixture
def unexpected(monkeypatch):
    """The exceptions that a node did not know what to do with: those it logs with a traceback."""
    from social_perception.ros.support import stage

    found = []
    reported = traceback.format_exc

    def note() -> str:
        found.append(reported())
        return found[-1]

    monkeypatch.setattr(stage.traceback, "format_exc", note)
    return found
