"""What the pages about robots and compose.yaml name is there: launch files, arguments, parameters, files."""

from __future__ import annotations

import dataclasses
import importlib
import re
from pathlib import Path

import pytest

pytest.importorskip("social_perception.msg", reason="needs the messages: build the package and source it")

ROOT = Path(__file__).parents[2]
PAGES = ("robot.md", "operation.md", "network.md", "install.md", "views.md")
PATHS = [*(ROOT / "docs" / name for name in PAGES), ROOT / "docker" / "compose.yaml"]
PAGE = "\n".join(path.read_text() for path in PATHS)
ROS = ROOT / "social_perception" / "ros"


def words(pattern: str, text: str = PAGE) -> list:
    """Each match once, in the order of the page; fails when there is none, as the pattern is then wrong."""
    found = list(dict.fromkeys(re.findall(pattern, text)))
    assert found, f"the page has nothing like {pattern}"
    return found


def arguments_of(file: str) -> set[str]:
    pytest.importorskip("launch_ros", reason="needs launch_ros")
    from launch.launch_description_sources import get_launch_description_from_python_launch_file

    description = get_launch_description_from_python_launch_file(str(ROOT / "launch" / file))
    return {argument.name for argument in description.get_launch_arguments()}


def settings_of(node: str) -> set[str]:
    """The parameters of a node: the fields of the configuration classes that its module names."""
    module = importlib.import_module(f"social_perception.ros.nodes.{node}")
    stage = importlib.import_module("social_perception.ros.support.stage")
    kinds = [
        value for place in (module, stage) for name, value in vars(place).items() if name.endswith("Config")
    ]
    return {
        each.name for kind in kinds if dataclasses.is_dataclass(kind) for each in dataclasses.fields(kind)
    }


def table(heading: str) -> list[list[str]]:
    """The cells of the table whose first heading is this."""
    lines = PAGE[PAGE.index(f"| {heading} |") :].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@pytest.mark.parametrize("file", words(r"\w+\.launch\.py"))
def test_launch_files_exist(file) -> None:
    assert (ROOT / "launch" / file).is_file()


@pytest.mark.parametrize(
    ("file", "arguments"), words(r"ros2 launch social_perception (\w+\.launch\.py)((?: \w+:=\S+)+)")
)
def test_arguments_of_the_launch_commands_exist(file, arguments) -> None:
    assert set(re.findall(r"(\w+):=", arguments)) <= arguments_of(file)


def test_arguments_in_the_table_are_those_of_group_smile() -> None:
    listed = {name for row in table("argument") for name in names(row[0])}
    listed |= {"camera_info_topic", "depth_topic"}  # beside image_topic
    assert listed == arguments_of("group_smile.launch.py")
    for file in ("realsense.launch.py", "webcam.launch.py", "replay.launch.py"):
        assert listed <= arguments_of(file)


@pytest.mark.parametrize("file", ["realsense.launch.py", "webcam.launch.py"])
def test_arguments_that_a_camera_adds_are_listed(file) -> None:
    listed = PAGE[PAGE.index(f"`{file}` adds") :].partition(" adds")[2].partition(". ")[0]
    own = arguments_of(file) - arguments_of("group_smile.launch.py")
    assert own <= set(names(listed))


def test_arguments_anywhere_exist() -> None:
    known = set().union(*(arguments_of(path.name) for path in (ROOT / "launch").glob("*.launch.py")))
    assert set(words(r"\b([a-z_]+):=")) <= known


@pytest.mark.parametrize("program", words(r"ros2 run social_perception (\w+)"))
def test_programs_are_installed(program) -> None:
    assert f"install_program({program} " in (ROOT / "CMakeLists.txt").read_text()


@pytest.mark.parametrize("row", table("parameter"), ids=lambda row: row[0])
def test_parameters_in_the_table_exist(row) -> None:
    for node in names(row[1]):
        assert set(names(row[0])) <= settings_of(node)


@pytest.mark.parametrize(("node", "parameter"), words(r"ros2 param \w+ /(\w+) (\w+)"))
def test_parameters_in_the_commands_exist(node, parameter) -> None:
    assert parameter in settings_of(node)


@pytest.mark.parametrize("path", words(r"(?<=[`/ ])config/[\w.]+"))
def test_files_exist(path) -> None:
    assert (ROOT / path).is_file()


@pytest.mark.parametrize("option", words(r"`(--[a-z]+)`"))
def test_options_exist(option) -> None:
    sources = [*ROS.rglob("*.py"), *(ROOT / "social_perception" / "cli").glob("*.py")]
    setting = option.removeprefix("--").replace("-", "_")  # an option of its own, or derived from a setting
    settings = (ROOT / "social_perception" / "core" / "config.py").read_text()
    assert any(f'"{option}"' in path.read_text() for path in sources) or f"    {setting}: " in settings


@pytest.mark.parametrize("row", table("symptom"), ids=lambda row: row[1])
def test_messages_of_the_troubleshooting_table_are_those_of_the_nodes(row) -> None:
    sources = [path.read_text() for path in (ROOT / "social_perception").rglob("*.py")]
    for text in names(row[1]):
        if text.endswith(".launch.py"):
            continue
        longest = max(text.split("..."), key=len).strip(" :")
        assert any(longest in source for source in sources)
