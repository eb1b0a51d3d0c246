from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

launch = pytest.importorskip("launch", reason="needs ros2 launch")
launch_ros = pytest.importorskip("launch_ros", reason="needs launch_ros")

from launch.actions import DeclareLaunchArgument  # noqa: E402
from launch.launch_description_sources import get_launch_description_from_python_launch_file  # noqa: E402
from launch.utilities import perform_substitutions  # noqa: E402
from rcl_interfaces.srv import GetParameters  # noqa: E402
from rclpy.parameter import parameter_value_to_python  # noqa: E402

from launch import LaunchContext  # noqa: E402

PATH = Path(__file__).parents[2] / "launch" / "group_smile.launch.py"
TIMEOUT_S = 60.0
ARGUMENTS = {
    "image_topic": "/camera/camera/color/image_raw",
    "namespace": "",
    "device": "auto",
    "use_sim_time": "false",
    "composed": "true",
}


@pytest.fixture
def description():
    return get_launch_description_from_python_launch_file(str(PATH))


def test_arguments_and_their_defaults(description) -> None:
    context = LaunchContext()
    declared = {each.name: each for each in description.entities if isinstance(each, DeclareLaunchArgument)}
    assert set(declared) == {*ARGUMENTS, "params_file"}
    for name, default in ARGUMENTS.items():
        assert perform_substitutions(context, declared[name].default_value) == default
        assert declared[name].description


@pytest.fixture
def parameters(tmp_path) -> Path:
    """A robot's file: an untrained network, and settings of each node."""
    from social_perception.smile.networks import SmileNetwork
    from social_perception.smile.weights import save_network

    weights = tmp_path / "smile.safetensors"
    save_network(SmileNetwork(), weights, {})
    settings = {
        "face_tracker": {"backend": "hog", "device": "cuda"},
        "smile_intensity": {"model": str(weights), "warmup_frames": 7},
        "group_affect": {"window_s": 9.0},
    }
    path = tmp_path / "robot.yaml"
    path.write_text(
        yaml.safe_dump({f"/**/{name}": {"ros__parameters": each} for name, each in settings.items()})
    )
    return path


def parameter(ros, node: str, name: str):
    client = ros.node.create_client(GetParameters, f"{node}/get_parameters")
    ros.until(client.service_is_ready, f"{node}'s services", TIMEOUT_S)
    answer = client.call_async(GetParameters.Request(names=[name]))
    ros.until(answer.done, f"{name} of {node}", TIMEOUT_S)
    return parameter_value_to_python(answer.result().values[0])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ros2") is None, reason="needs ros2 launch")
@pytest.mark.parametrize("composed", ["true", "false"])
def test_the_launched_nodes_are_configured_and_connected(composed, ros, parameters) -> None:
    arguments = {
        "composed": composed,
        "namespace": ros.namespace,
        "image_topic": f"{ros.namespace}/eye/image",
        "params_file": str(parameters),
        "device": "cpu",
    }
    command = ["ros2", "launch", str(PATH), *(f"{name}:={value}" for name, value in arguments.items())]
    environment = {**os.environ, "ROS_DOMAIN_ID": str(1 + os.getpid() % 100)}
    launched = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        topic = f"{ros.namespace}/eye/image"
        ros.until(lambda: ros.node.count_subscribers(topic) == 1, "face_tracker subscribes", TIMEOUT_S)
        ros.until(lambda: ros.node.count_publishers("group_affect") == 1, "the group's topic", TIMEOUT_S)
        ros.until(lambda: ros.node.count_subscribers("face_affect") == 1, "the smiles' topic", TIMEOUT_S)
        assert parameter(ros, "face_tracker", "device") == "cpu", "the argument goes before the file"
        assert parameter(ros, "face_tracker", "backend") == "hog"
        assert parameter(ros, "smile_intensity", "warmup_frames") == 7
        assert parameter(ros, "group_affect", "window_s") == 9.0
        assert parameter(ros, "group_affect", "use_sim_time") is False
        launched.send_signal(signal.SIGINT)
        assert launched.wait(TIMEOUT_S) == 0
        ros.until(lambda: ros.node.count_subscribers(topic) == 0, "nobody is left", TIMEOUT_S)
    finally:
        if launched.poll() is None:
            os.killpg(launched.pid, signal.SIGKILL)
