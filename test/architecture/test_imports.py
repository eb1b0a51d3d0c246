"""Proves the arrows of CONTRIBUTING.md: which package may import which, and which packages."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "social_perception"

STEPS = {f"perception.{step}" for step in ("detection", "tracking", "smile", "hearing", "scene", "group")}
FILES = {"perception.onnx_network", "perception.weight_files"}
LIBRARY = STEPS | {"core", "perception", "sources", "sinks", "views", "behaviours", "research"}
MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "perception.onnx_network": {"core"},
    "perception.weight_files": {"core"},
    "perception.detection": FILES | {"core"},
    "perception.tracking": {"core"},
    "perception.smile": FILES | {"core"},
    "perception.hearing": {"core", "perception.onnx_network"},
    "perception.scene": FILES | {"core", "perception.hearing"},
    "perception.group": {"core"},
    "perception": STEPS | {"core"},
    "sources": {"core"},
    # What converts values to messages imports the core alone, and neither rclpy nor rosbags.
    "ros.convert": {"core"},
    "sinks": {"core", "ros.convert"},
    "views": {"core"},
    "behaviours": {"core"},
    "research": LIBRARY,
    "ros": LIBRARY | {"ros.convert"},
    "cli": LIBRARY | {"ros", "ros.convert", "perception.onnx_network"},
}
"""The packages and the other packages they may import; ``perception`` alone is its pipeline."""

TORCH_PACKAGES = {
    "perception",
    "perception.onnx_network",
    "perception.weight_files",
    "perception.detection",
    "perception.smile",
    "perception.scene",
    "research",
}
"""The packages whose modules may import torch."""

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


def package_of(names: Sequence[str]) -> str:
    """The entry of MAY_IMPORT that a module belongs to, from the parts of its name below the package."""
    below = ".".join(names[:2])
    return below if below in MAY_IMPORT else names[0]


def package_of_file(path: Path) -> str:
    return package_of(path.relative_to(PACKAGE).with_suffix("").parts)


def all_imports() -> list[tuple[str, Import]]:
    modules = sorted(PACKAGE.rglob("*.py"))
    return [(package_of_file(path), item) for path in modules for item in imports_of(path)]


def breaks_package_rule(package: str, item: Import) -> bool:
    if item.top != PACKAGE.name or len(item.parts) == 1:
        return False
    if item.parts[1] == "msg":
        return package != "ros"
    other = package_of(item.parts[1:])
    return other in MAY_IMPORT and other != package and other not in MAY_IMPORT[package]


def breaks_ros_rule(package: str, item: Import) -> bool:
    is_ros = item.top in ROS_PACKAGES or (item.top != PACKAGE.name and item.top.endswith("_msgs"))
    if is_ros:
        return package != "ros"
    # The command works without ROS: it imports the nodes only when it is asked to.
    is_nodes = item.parts[:2] == [PACKAGE.name, "ros"]
    return is_nodes and package == "cli" and not item.deferred


def breaks_core_rule(package: str, item: Import) -> bool:
    allowed = {"numpy", PACKAGE.name} | set(sys.stdlib_module_names)
    return package == "core" and item.top not in allowed


def breaks_torch_rule(package: str, item: Import) -> bool:
    return item.top in {"torch", "lightning", "torchmetrics"} and package not in TORCH_PACKAGES


RULES = [breaks_package_rule, breaks_ros_rule, breaks_core_rule, breaks_torch_rule]


@pytest.mark.parametrize("rule", RULES)
def test_every_import_keeps_the_rule(rule) -> None:
    broken = [f"{item.where} imports {item.name}" for package, item in all_imports() if rule(package, item)]
    assert not broken, "\n".join(broken)


def test_every_module_belongs_to_a_room() -> None:
    packages = {package_of_file(path) for path in PACKAGE.rglob("*.py")} - {"__init__"}
    assert packages == set(MAY_IMPORT)


@pytest.mark.parametrize(
    ("rule", "module", "source", "broken"),
    [
        (breaks_package_rule, "core/types.py", "from social_perception.perception.smile import crop", True),
        (breaks_package_rule, "core/types.py", "from social_perception import perception", True),
        (breaks_package_rule, "core/types.py", "from ..sources import video", True),
        (breaks_package_rule, "core/types.py", "from . import errors", False),
        (
            breaks_package_rule,
            "perception/tracking/tracker.py",
            "def f():\n    import social_perception.perception.smile.crop",
            True,
        ),
        (
            breaks_package_rule,
            "perception/tracking/tracker.py",
            "from social_perception.core.types import Box",
            False,
        ),
        (breaks_package_rule, "ros/tools/demo.py", "from social_perception.cli import main", True),
        (breaks_package_rule, "views/table.py", "from social_perception.msg import GroupAffect", True),
        (breaks_package_rule, "ros/tools/demo.py", "from social_perception.msg import GroupAffect", False),
        (breaks_ros_rule, "cli/live.py", "def f():\n    import rclpy", True),
        (breaks_ros_rule, "sources/bag.py", "from sensor_msgs.msg import Image", True),
        (breaks_ros_rule, "ros/tools/demo.py", "import rclpy.node", False),
        (breaks_ros_rule, "cli/live.py", "import social_perception.ros.tools.demo", True),
        (breaks_ros_rule, "cli/live.py", "def f():\n    from social_perception.ros.tools import demo", False),
        (breaks_core_rule, "core/types.py", "import cv2", True),
        (breaks_core_rule, "core/types.py", "import numpy.typing as npt, math", False),
        (breaks_torch_rule, "perception/group/aggregator.py", "from torch import nn", True),
        (breaks_torch_rule, "perception/smile/network.py", "from torch import nn", False),
    ],
)
def test_rule_sees_what_it_is_for(rule, module: str, source: str, broken: bool) -> None:
    path = PACKAGE / module
    assert any(rule(package_of_file(path), item) for item in imports_of(path, source)) is broken


@pytest.mark.parametrize(
    "module",
    [
        "core.config",
        "core.errors",
        "core.types",
        "perception.detection",
        "perception.tracking",
        "perception.smile",
        "perception.group",
        "sources",
        "sinks",
        "views",
        "behaviours",
        "research",
        "ros",
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
