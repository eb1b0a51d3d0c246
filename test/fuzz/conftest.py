"""The targets' messages are those of ROS 2."""

from __future__ import annotations

import importlib.util

if importlib.util.find_spec("sensor_msgs") is None:
    collect_ignore_glob = ["test_*.py"]
