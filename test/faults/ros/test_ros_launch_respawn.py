"""Every program that the launch files start is started again when it ends; ``respawn:=false`` forbids it.

What it takes until a killed program works again is measured by ``soak_ros_processes.py``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("launch_ros", reason="needs ros2 launch")

from launch.actions import DeclareLaunchArgument
from launch.launch_description_sources import get_launch_description_from_python_launch_file
from launch.utilities.type_utils import perform_typed_substitution
from launch_ros.actions import Node

from launch import LaunchContext

LAUNCH = Path(__file__).parents[3] / "launch"
OURS = "social_perception"


def nodes_of(entities) -> list[Node]:
    found = []
    for entity in entities:
        if isinstance(entity, Node) and entity.node_package == OURS:
            found.append(entity)
        found += nodes_of(entity.get_sub_entities() if hasattr(entity, "get_sub_entities") else [])
    return found


@pytest.mark.parametrize(("given", "expected"), [({}, True), ({"respawn": "false"}, False)])
@pytest.mark.parametrize("name", ["group_smile", "two_cameras"])
def test_every_node_is_started_again(name, given, expected) -> None:
    description = get_launch_description_from_python_launch_file(str(LAUNCH / f"{name}.launch.py"))
    context = LaunchContext()
    context.launch_configurations.update(given)
    for each in description.entities:
        if isinstance(each, DeclareLaunchArgument) and each.name == "respawn":
            each.execute(context)
    nodes = nodes_of(description.entities)
    assert len(nodes) >= 5
    for node in nodes:
        # launch has no public word for it.
        requested, delay_s = node._ExecuteLocal__respawn, node._ExecuteLocal__respawn_delay
        assert perform_typed_substitution(context, requested, bool) is expected, node.node_executable
        assert delay_s > 0.0
