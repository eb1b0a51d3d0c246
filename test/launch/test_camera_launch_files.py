"""realsense, webcam and replay: what they start, with stand-ins for the packages that are not here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from social_perception.core.errors import INVALID_CONFIGURATION

pytest.importorskip("launch_ros", reason="needs launch_ros")
pytest.importorskip("social_perception.msg", reason="needs the messages: build the package and source it")

from social_perception.ros.security.securing import FILES

LAUNCH = Path(__file__).parents[2] / "launch"
TIMEOUT_S = 60.0
STAND_IN = """#!{python}
import pathlib, sys
files = [path for option, path in zip(sys.argv, sys.argv[1:]) if option == "--params-file"]
said = [*sys.argv[1:], "# parameters", *(pathlib.Path(file).read_text() for file in files)]
pathlib.Path({reported!r}).write_text("\\n".join(said))
sys.exit({status})
"""

pytestmark = [
    pytest.mark.ros,
    pytest.mark.skipif(shutil.which("ros2") is None, reason="needs ros2 launch"),
]


class Prefix:
    """An installation with programs that only tell how they were started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def package(self, name: str, program: str, status: int = 0) -> None:
        self.file(f"share/ament_index/resource_index/packages/{name}", "")
        reported = str(self.folder / f"{program}.reported")
        text = STAND_IN.format(python=sys.executable, reported=reported, status=status)
        self.file(f"lib/{name}/{program}", text).chmod(0o755)

    def reported(self, program: str) -> str:
        """How a program was started: its arguments and parameters; empty if it was not."""
        path = self.folder / f"{program}.reported"
        return path.read_text() if path.exists() else ""

    def file(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


@pytest.fixture
def prefix(tmp_path) -> Prefix:
    return Prefix(tmp_path / "prefix")


@pytest.fixture
def launch(prefix):
    """Runs a launch file whose nodes of ours are stand-ins that end at once; returns what it said."""

    def run(file: str, *arguments: str, display: str = "") -> subprocess.CompletedProcess[str]:
        places = [str(prefix.folder), os.environ["AMENT_PREFIX_PATH"]]
        environment = {**os.environ, "AMENT_PREFIX_PATH": os.pathsep.join(places), "DISPLAY": display}
        environment.pop("WAYLAND_DISPLAY", None)
        return subprocess.run(
            ["ros2", "launch", str(LAUNCH / file), *arguments],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=TIMEOUT_S, check=False,
        )  # fmt: skip

    return run


OURS = ("social_perception_all", "anonymous_group", "affect_overlay", "affect_dashboard", "image_publisher")


@pytest.fixture
def ours(prefix) -> None:
    """Our package, with nodes that end at once."""
    for name in OURS:
        prefix.package("social_perception", name)
    prefix.file("share/social_perception/config/group_smile.yaml", "{}")


@pytest.mark.parametrize(
    ("file", "arguments", "missing"),
    [
        ("realsense.launch.py", (), "realsense.launch.py needs the package realsense2_camera"),
        ("webcam.launch.py", ("driver:=usb_cam",), "driver:=usb_cam needs the package usb_cam"),
        ("webcam.launch.py", ("driver:=v4l2_camera",), "driver:=v4l2_camera needs the package v4l2_camera"),
        ("replay.launch.py", ("player:=ros2_bag",), "player:=ros2_bag needs the package ros2bag"),
        ("group_smile.launch.py", ("rviz:=true",), "rviz:=true needs the package rviz2"),
        ("webcam.launch.py", ("rviz:=true",), "rviz:=true needs the package rviz2"),
        ("replay.launch.py", ("rviz:=True",), "rviz:=true needs the package rviz2"),
    ],
)
def test_a_missing_package_is_reported_with_its_remedy(file, arguments, missing, launch) -> None:
    from social_perception.ros.support.launching import is_installed

    package = missing.split()[-1]
    if is_installed(package):
        pytest.skip(f"{package} is installed")
    run = launch(file, *arguments)
    assert run.returncode == 1, run.stdout
    assert f"{missing}, which is not installed: sudo apt install ros-$ROS_DISTRO-" in run.stdout
    assert "process started" not in run.stdout


FAKE_RS = """
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

NAMES = ("camera_name", "align_depth.enable", "rgb_camera.color_profile", "params_file")

def generate_launch_description():
    asked = [[f"{name}=", LaunchConfiguration(name)] for name in NAMES]
    node = Node(package="realsense2_camera", executable="driver", arguments=asked)
    return LaunchDescription([*(DeclareLaunchArgument(name, default_value="theirs") for name in NAMES), node])
"""


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize(
    ("arguments", "name", "camera"),
    [
        ((), "camera", "/camera/camera"),
        (("camera_name:=left", "camera_namespace:=robot"), "left", "/robot/left"),
    ],
)
def test_aligned_depth_is_requested_of_realsense(arguments, name, camera, launch, prefix) -> None:
    prefix.package("realsense2_camera", "driver")
    prefix.file("share/realsense2_camera/launch/rs_launch.py", FAKE_RS)
    run = launch("realsense.launch.py", "respawn:=false", *arguments)
    assert run.returncode == 0, run.stdout
    asked = prefix.reported("driver")
    for text in (f"camera_name={name}", "align_depth.enable=true", "rgb_camera.color_profile=1280x720x30"):
        assert text in asked
    nodes = prefix.reported("social_perception_all")
    assert f"image:={camera}/color/image_raw" in nodes
    assert f"camera_info:={camera}/color/camera_info" in nodes
    assert "theirs" not in nodes, "the driver's arguments stay with the driver"


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize(
    ("driver", "program", "parameters"),
    [
        (
            "usb_cam",
            "usb_cam_node_exe",
            {"image_width": 640, "image_height": 480, "framerate": 15.0, "video_device": "/dev/video3"},
        ),
        (
            "v4l2_camera",
            "v4l2_camera_node",
            {"image_size": [640, 480], "time_per_frame": [1, 15], "video_device": "/dev/video3"},
        ),
    ],
)
def test_a_webcams_driver_is_taken_when_it_is_installed(driver, program, parameters, launch, prefix) -> None:
    prefix.package(driver, program)
    run = launch(
        "webcam.launch.py",
        "respawn:=false",
        "width:=640",
        "height:=480",
        "rate:=15",
        "video_device:=/dev/video3",
    )
    assert run.returncode == 0, run.stdout
    reported = prefix.reported(program)
    given = yaml.safe_load(reported.partition("# parameters")[2])
    assert parameters.items() <= next(iter(given.values()))["ros__parameters"].items()
    assert not prefix.reported("image_publisher")
    assert "image:=/webcam/image_raw" in prefix.reported("social_perception_all")


@pytest.mark.usefixtures("ours")
def test_without_a_driver_our_own_program_reads_the_webcam(launch, prefix) -> None:
    run = launch("webcam.launch.py", "respawn:=false", "driver:=image_publisher", "video_device:=/dev/video3")
    assert run.returncode == 0, run.stdout
    started = prefix.reported("image_publisher")
    assert started.startswith("--source\n/dev/video3\n--topic\nimage_raw\n")
    assert "image_raw:=/webcam/image_raw" in started
    assert "image:=/webcam/image_raw" in prefix.reported("social_perception_all")


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize(
    ("arguments", "given", "absent"),
    [
        ((), ["--stamps", "recorded", "--clock"], ["--loop", "--lockstep"]),
        (("use_sim_time:=false",), [], ["--clock", "--stamps"]),
        (("loop:=true", "lockstep:=true", "namespace:=/left"), ["--loop", "--lockstep", "__ns:=/left"], []),
    ],
)
def test_the_launch_ends_with_the_recording(arguments, given, absent, launch, prefix) -> None:
    run = launch("replay.launch.py", "source:=/some/clip.mp4", *arguments)
    assert run.returncode == 0, run.stdout
    started = prefix.reported("image_publisher").splitlines()
    assert started[:2] == ["--source", "/some/clip.mp4"]
    assert set(given) <= set(started)
    assert not set(absent) & set(started)
    assert "shutting down launched system" in run.stdout


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize(
    ("file", "argument", "rule"),
    [
        ("group_smile.launch.py", "web:=true", "must be a whole number in [0, 65535] or empty"),
        ("group_smile.launch.py", "composed:=maybe", "must be true or false"),
        ("group_smile.launch.py", "params_file:=/nowhere.yaml", "must be a YAML file that can be read"),
        ("group_smile.launch.py", "image_topic:=/a b", "must be the name of a topic"),
        ("two_cameras.launch.py", "use_sim_time:=maybe", "must be true or false"),
        ("webcam.launch.py", "rate:=fast", "must be a whole number in [1, 1000]"),
        ("webcam.launch.py", "web:=true", "must be a whole number in [0, 65535] or empty"),
        ("realsense.launch.py", "overlay:=1", "must be true or false"),
        ("replay.launch.py", "loop:=twice", "must be true or false"),
        ("replay.launch.py", "min_group_size:=two", "must be a whole number in [1, 100]"),
    ],
)
def test_a_wrong_argument_starts_nothing(file, argument, rule, launch, prefix) -> None:
    prefix.package("realsense2_camera", "driver")
    prefix.file("share/realsense2_camera/launch/rs_launch.py", FAKE_RS)
    name, _, value = argument.partition(":=")
    run = launch(file, argument)
    assert run.returncode == 1, run.stdout
    (error,) = [line for line in run.stdout.splitlines() if "[ERROR]" in line]
    assert f"launch argument {name} {rule}" in error
    assert f"got {value!r}" in error
    assert "process started" not in run.stdout
    assert "Traceback" not in run.stdout


def test_topics_must_be_different(launch, ours) -> None:
    run = launch("webcam.launch.py", "image_topic:=/eye", "depth_topic:=/eye", "driver:=image_publisher")
    assert run.returncode == 1, run.stdout
    assert "launch arguments image_topic and depth_topic must differ, got '/eye'" in run.stdout
    assert "process started" not in run.stdout


def test_a_program_with_an_invalid_configuration_ends_the_launch(launch, prefix, ours) -> None:
    prefix.package("social_perception", "social_perception_all", status=INVALID_CONFIGURATION)
    run = launch("group_smile.launch.py", "overlay:=false")
    assert run.returncode == 1, run.stdout
    assert run.stdout.count("process started") == 1
    assert "social_perception_all-1 has an invalid configuration and is not restarted" in run.stdout


def test_a_player_that_fails_is_a_launch_that_fails(launch, prefix, ours) -> None:
    prefix.package("social_perception", "image_publisher", status=1)
    run = launch("replay.launch.py", "source:=/nowhere.mp4", "respawn:=false")
    assert run.returncode == 1, run.stdout
    assert "image_publisher-3 failed with status 1: see its error above" in run.stdout


@pytest.mark.parametrize(
    ("arguments", "display", "rviz"),
    [
        ((), ":0", True),
        ((), "", False),
        (("rviz:=true",), "", True),
        (("rviz:=false",), ":0", False),
        (("anonymous:=true",), ":0", False),
    ],
)
def test_the_demo_plays_the_sample_to_the_page_and_to_rviz_where_it_can(
    arguments, display, rviz, launch, prefix, ours
) -> None:
    prefix.package("rviz2", "rviz2")
    run = launch("demo.launch.py", "respawn:=false", *arguments, display=display)
    assert run.returncode == 0, run.stdout
    player = prefix.reported("image_publisher").splitlines()
    assert player[:2] == ["--source", "sample"]
    assert "--clock" not in player
    # The launch ends with the player, perhaps before the other stand-ins have reported.
    started = re.findall(r"\[(\w+)-\d\]: process started", run.stdout)
    assert "affect_dashboard" in started
    assert ("rviz2" in started) == rviz


@pytest.mark.usefixtures("ours")
def test_without_an_enclave_for_the_nodes_no_camera_is_started(launch, tmp_path) -> None:
    enclave = tmp_path / "keys" / "enclaves" / "social_perception" / "image_publisher"
    enclave.mkdir(parents=True)
    for name in FILES:
        (enclave / name).touch()
    run = launch(
        "webcam.launch.py", "driver:=image_publisher", "security:=true", f"keystore:={tmp_path / 'keys'}"
    )
    assert run.returncode == 1, run.stdout
    assert "has no enclave /social_perception/affect_overlay" in run.stdout
    assert "process started" not in run.stdout


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize(
    ("argument", "warnings"), [("overlays:=false", ["did you mean overlay?"]), ("mode:=quiet", [])]
)
def test_a_misspelt_argument_is_a_warning(argument, warnings, launch) -> None:
    run = launch("replay.launch.py", "respawn:=false", argument)
    assert run.returncode == 0, run.stdout
    found = re.findall(
        r"\[WARNING\] \[launch\]: launch argument .* is unknown and has no effect; (.*)", run.stdout
    )
    assert found == warnings
