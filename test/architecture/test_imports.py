"""Proves the arrows of CONTRIBUTING.md: which room may import which, and which packages."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "social_perception"

WAY_OF_ONE_FRAME = {"core", "detection", "tracking", "smile", "group"}
LIBRARY = WAY_OF_ONE_FRAME | {
    "pipeline",
    "sources",
    "views",
    "behaviours",
    "training",
    "evaluation",
    "benchmarks",
}
MAY_IMPORT = {
    "core": set(),
    "detection": {"core"},
    "tracking": {"core"},
    "smile": {"core"},
    "group": {"core"},
    "pipeline": WAY_OF_ONE_FRAME,
    "sources": {"core"},
    "views": {"core"},
    "behaviours": {"core"},
    "nodes": LIBRARY,
    # Real video to train on is followed by the way of one frame.
    "training": {"core", "smile", "detection", "sources", "pipeline"},
    # Training and evaluation share the data sets; clips are evaluated by the way of one frame.
    "evaluation": {"core", "smile", "detection", "training", "pipeline", "sources"},
    # What needs ROS is measured by nodes/benchmark.py, which is started as a program.
    # The live page is served while the pipeline is measured.
    "benchmarks": WAY_OF_ONE_FRAME | {"pipeline", "sources", "views"},
    "cli": LIBRARY | {"nodes"},
}
"""The rooms and the other rooms they may import."""

TORCH_ROOMS = {"detection", "smile", "training", "evaluation", "benchmarks"}
"""The rooms whose modules may import torch."""

ROS_PACKAGES = {
    "ament_index_python",
    "builtin_interfaces",
    "cv_bridge",
    "launch",
    "launch_ros",
    "message_filters",
    "rcl_interfaces",
    "rclpy",
    "rosidl_runtime_py",
    "tf2_ros",
}


class Import:
    """One import: the whole name, where it stands, and whether it waits inside a function."""

    def __init__(self, name: str, path: Path, line: int, deferred: bool) -> None:
        self.name = name
        self.top = name.split(".")[0]
        self.parts = name.split(".")
        self.deferred = deferred
        self.where = f"{path.relative_to(PACKAGE.parent)}:{line}"


def imports_of(path: Path, source: str | None = None) -> Iterator[Import]:
    """Every import of a module, also those inside functions, with relative names made whole."""
    tree = ast.parse(source if source is not None else path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    deferred = {id(inner) for function in functions for inner in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{base_of(node, path)}.{alias.name}".strip(".") for alias in node.names]
        else:
            continue
        for name in names:
            yield Import(name, path, node.lineno, id(node) in deferred)


def base_of(node: ast.ImportFrom, path: Path) -> str:
    """The absolute name of the module that a from-import names."""
    if not node.level:
        return node.module or ""
    package = path.relative_to(PACKAGE.parent).parent.parts
    kept = package[: len(package) - node.level + 1]
    return ".".join([*kept, *([node.module] if node.module else [])])


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def all_imports() -> list[tuple[str, Import]]:
    modules = sorted(PACKAGE.rglob("*.py"))
    return [(room_of(path), item) for path in modules for item in imports_of(path)]


def breaks_room_rule(room: str, item: Import) -> bool:
    if item.top != PACKAGE.name or len(item.parts) == 1:
        return False
    other = item.parts[1]
    if other == "msg":
        return room != "nodes"
    return other in MAY_IMPORT and other != room and other not in MAY_IMPORT[room]


def breaks_ros_rule(room: str, item: Import) -> bool:
    is_ros = item.top in ROS_PACKAGES or (item.top != PACKAGE.name and item.top.endswith("_msgs"))
    if is_ros:
        return room != "nodes"
    # The command works without ROS: it may reach for the nodes only when it is told to.
    is_nodes = item.parts[:2] == [PACKAGE.name, "nodes"]
    return is_nodes and room == "cli" and not item.deferred


def breaks_core_rule(room: str, item: Import) -> bool:
    allowed = {"numpy", PACKAGE.name} | set(sys.stdlib_module_names)
    return room == "core" and item.top not in allowed


def breaks_torch_rule(room: str, item: Import) -> bool:
    return item.top in {"torch", "lightning", "torchmetrics"} and room not in TORCH_ROOMS


RULES = [breaks_room_rule, breaks_ros_rule, breaks_core_rule, breaks_torch_rule]


@pytest.mark.parametrize("rule", RULES)
def test_every_import_keeps_the_rule(rule) -> None:
    broken = [f"{item.where} imports {item.name}" for room, item in all_imports() if rule(room, item)]
    assert not broken, "\n".join(broken)


def test_every_module_belongs_to_a_room() -> None:
    rooms = {room_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__"}
    assert rooms <= set(MAY_IMPORT)


@pytest.mark.parametrize(
    ("rule", "module", "source", "broken"),
    [
        (breaks_room_rule, "core/types.py", "from social_perception.smile import crop", True),
        (breaks_room_rule, "core/types.py", "from social_perception import pipeline", True),
        (breaks_room_rule, "core/types.py", "from ..smile import crop", True),
        (breaks_room_rule, "core/types.py", "from . import errors", False),
        (breaks_room_rule, "tracking/tracker.py", "def f():\n    import social_perception.smile.crop", True),
        (breaks_room_rule, "tracking/tracker.py", "from social_perception.core.types import Box", False),
        (breaks_room_rule, "nodes/demo.py", "from social_perception.cli import main", True),
        (breaks_room_rule, "views/table.py", "from social_perception.msg import GroupAffect", True),
        (breaks_room_rule, "nodes/demo.py", "from social_perception.msg import GroupAffect", False),
        (breaks_ros_rule, "cli/live.py", "def f():\n    import rclpy", True),
        (breaks_ros_rule, "sources/bag.py", "from sensor_msgs.msg import Image", True),
        (breaks_ros_rule, "nodes/demo.py", "import rclpy.node", False),
        (breaks_ros_rule, "cli/live.py", "import social_perception.nodes.demo", True),
        (breaks_ros_rule, "cli/live.py", "def f():\n    from social_perception.nodes import demo", False),
        (breaks_core_rule, "core/types.py", "import cv2", True),
        (breaks_core_rule, "core/types.py", "import numpy.typing as npt, math", False),
        (breaks_torch_rule, "group/aggregator.py", "from torch import nn", True),
        (breaks_torch_rule, "smile/network.py", "from torch import nn", False),
    ],
)
def test_rule_sees_what_it_is_for(rule, module: str, source: str, broken: bool) -> None:
    path = PACKAGE / module
    assert any(rule(room_of(path), item) for item in imports_of(path, source)) is broken


@pytest.mark.parametrize(
    "module",
    [
        "core.config",
        "core.errors",
        "core.types",
        "detection",
        "tracking",
        "smile",
        "group",
        "sources",
        "views",
        "behaviours",
        "cli",
    ],
)
def test_import_brings_no_torch_and_no_ros(module: str) -> None:
    code = f"import sys, social_perception.{module}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    heavy = {"torch", "rclpy", "lightning"} | ({"cv2"} if module.startswith("core") else set())
    assert not heavy & set(run.stdout.split())
