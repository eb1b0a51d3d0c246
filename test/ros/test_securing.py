"""Launch with security: every process with its enclave, or nothing at all."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("launch_ros", reason="needs ros2 launch")

from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
)
from launch.conditions import IfCondition
from launch.launch_description_sources import get_launch_description_from_python_launch_file
from launch.substitutions import LaunchConfiguration
from launch.utilities import perform_substitutions
from launch_ros.actions import Node

from launch import LaunchContext
from social_perception.ros.security import securing
from social_perception.ros.security.securing import ENABLE, FILES, KEYSTORE, OVERRIDE, STRATEGY, NotSecured

LAUNCH = Path(__file__).parents[2] / "launch" / "group_smile.launch.py"
PROGRAMS = ("social_perception_all", "affect_overlay", "affect_dashboard")
TIMEOUT_S = 60.0


@pytest.fixture(autouse=True)
def _environment(monkeypatch) -> None:
    for name in (ENABLE, KEYSTORE, STRATEGY, OVERRIDE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "environ", dict(os.environ))


@pytest.fixture
def keystore(tmp_path) -> Path:
    """A keystore that looks like one; its keys are nobody's."""
    for program in PROGRAMS:
        folder = tmp_path / "keys" / "enclaves" / "social_perception" / program
        folder.mkdir(parents=True)
        for name in FILES:
            (folder / name).touch()
    return tmp_path / "keys"


def secure(entities, **given: str) -> dict[str, str]:
    """The environment that the nodes would be started with."""
    context = LaunchContext()
    context.launch_configurations.update(given)
    for argument in securing.security_arguments():
        argument.execute(context)
    for action in securing.secured(*entities).execute(context):
        action.execute(context)
    return {name: value for name, value in os.environ.items() if name.startswith("ROS_SECURITY_")}


def node(program: str = "social_perception_all", package: str = "social_perception", **options) -> Node:
    return Node(package=package, executable=program, ros_arguments=securing.enclave(program), **options)


def test_without_security_nothing_is_set() -> None:
    assert secure([node()]) == {}


def test_with_security_nodes_are_enforced_to_use_the_keystore(keystore) -> None:
    expected = {ENABLE: "true", STRATEGY: "Enforce", KEYSTORE: str(keystore)}
    assert secure([GroupAction([node()])], security="true", keystore=str(keystore)) == expected


def test_ros_own_environment_asks_for_it_too(keystore, monkeypatch) -> None:
    os.environ.update({ENABLE: "true", KEYSTORE: str(keystore), STRATEGY: "Permissive"})
    assert secure([node()])[STRATEGY] == "Enforce"
    assert secure([node()], security="false")[ENABLE] == "false"


def test_what_is_not_started_needs_no_enclave(keystore) -> None:
    never = IfCondition(LaunchConfiguration("never", default="false"))
    absent = GroupAction([node("ros4hri"), node("rviz2", "rviz2")], condition=never)
    secure([node(), absent, node("greeter", condition=never)], security="true", keystore=str(keystore))


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({}, "needs keystore:=DIR"),
        ({"keystore": "gone"}, "gone is not a keystore"),
        ({"keystore": "{keystore}", "enclaves": "/fleet"}, "has no enclave /fleet/social_perception_all"),
    ],
)
def test_without_keystore_or_enclave_it_is_refused(given, complaint, keystore) -> None:
    given = {name: value.format(keystore=keystore) for name, value in given.items()}
    with pytest.raises(NotSecured, match=complaint) as refused:
        secure([node()], security="true", **given)
    assert "create it with ros2 run social_perception make_keystore DIR" in str(refused.value)
    assert not [name for name in os.environ if name.startswith("ROS_SECURITY_")]


@pytest.mark.parametrize("file", FILES)
def test_an_enclave_that_is_not_whole_is_refused(file, keystore) -> None:
    (keystore / "enclaves" / "social_perception" / "social_perception_all" / file).unlink()
    with pytest.raises(NotSecured, match=f"has no {file} for /social_perception/social_perception_all"):
        secure([node()], security="true", keystore=str(keystore))


@pytest.mark.parametrize(
    "stranger",
    [
        node("rviz2", "rviz2"),
        GroupAction([node("usb_cam_node_exe", "usb_cam")]),
        ExecuteProcess(cmd=["ros2", "bag", "play"]),
        GroupAction([IncludeLaunchDescription("driver.launch.py")]),
        Node(package="social_perception", executable="social_perception_all"),
    ],
)
def test_what_has_no_enclave_is_not_started_beside_the_others(stranger, keystore) -> None:
    with pytest.raises(NotSecured, match="has no enclave here: start it separately"):
        secure([node(), stranger], security="true", keystore=str(keystore))


def test_one_enclave_for_all_is_respected_where_ros_is_set_to_it(keystore) -> None:
    os.environ[OVERRIDE] = "/social_perception/affect_overlay"
    secure([node("greeter")], security="true", keystore=str(keystore))
    os.environ[OVERRIDE] = "/nobody"
    with pytest.raises(NotSecured, match="has no enclave /nobody"):
        secure([node()], security="true", keystore=str(keystore))


def nodes_of(entities):
    for entity in entities:
        if isinstance(entity, Node):
            yield entity
        elif isinstance(entity, GroupAction):
            yield from nodes_of(entity.get_sub_entities())


def test_every_node_of_the_launch_file_has_its_programs_enclave() -> None:
    description = get_launch_description_from_python_launch_file(str(LAUNCH))
    context = LaunchContext()
    context.launch_configurations["params_file"] = "unused"
    for each in description.entities:
        if isinstance(each, DeclareLaunchArgument):
            each.execute(context)
    own = [each for each in nodes_of(description.entities) if each.node_package == securing.PACKAGE]
    assert {each.node_executable for each in own} >= {"face_tracker", "social_perception_all"}
    for each in own:
        (place,) = [i for i, part in enumerate(each.cmd) if getattr(part[0], "text", "") == "--enclave"]
        named = perform_substitutions(context, each.cmd[place + 1])
        assert named == f"/social_perception/{each.node_executable}"


@pytest.mark.parametrize("path", sorted(LAUNCH.parent.glob("*.launch.py")), ids=lambda path: path.stem)
def test_no_launch_file_takes_no_notice_of_security(path) -> None:
    description = get_launch_description_from_python_launch_file(str(path))
    arguments = {each.name for each in description.get_launch_arguments()}
    assert arguments >= {"security", "keystore", "enclaves"}


def test_two_cameras_are_not_started_with_security(keystore) -> None:
    entities = get_launch_description_from_python_launch_file(
        str(LAUNCH.with_name("two_cameras.launch.py"))
    ).entities
    context = LaunchContext()
    context.launch_configurations.update({"security": "true", "keystore": str(keystore)})
    for each in entities:
        if isinstance(each, DeclareLaunchArgument):
            each.execute(context)
    *_, check = [each for each in entities if isinstance(each, OpaqueFunction)]
    with pytest.raises(NotSecured, match="smile_intensity of social_perception has no enclave here"):
        check.execute(context)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ros2") is None, reason="needs ros2 launch")
def test_ros2_launch_tells_the_reason_and_starts_nothing(ros, keystore) -> None:
    shutil.rmtree(keystore / "enclaves" / "social_perception" / "affect_overlay")
    command = [
        "ros2",
        "launch",
        str(LAUNCH),
        "security:=true",
        f"keystore:={keystore}",
        f"namespace:={ros.namespace}",
    ]
    run = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        reported, _ = run.communicate(timeout=TIMEOUT_S)
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
    assert run.returncode == 1
    reason = f"the keystore {keystore} has no enclave /social_perception/affect_overlay"
    assert sum(reason in line for line in reported.splitlines()) == 1, reported
    assert "process started" not in reported
