from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

launch = pytest.importorskip("launch", reason="needs ros2 launch")
launch_ros = pytest.importorskip("launch_ros", reason="needs launch_ros")

from launch.actions import DeclareLaunchArgument, GroupAction  # noqa: E402
from launch.event_handlers import OnProcessStart  # noqa: E402
from launch.launch_description_sources import get_launch_description_from_python_launch_file  # noqa: E402
from launch.utilities import perform_substitutions  # noqa: E402
from launch_ros.actions import Node  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState  # noqa: E402
from rcl_interfaces.srv import GetParameters  # noqa: E402
from rclpy.parameter import parameter_value_to_python  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from visualization_msgs.msg import MarkerArray  # noqa: E402

from launch import LaunchContext, LaunchService  # noqa: E402
from social_perception.ros.nodes.image_publisher import FRAME_ID  # noqa: E402
from social_perception.ros.support import launching as launching_module  # noqa: E402
from social_perception.ros.support.launching import NotLaunched, audio_topics, refuse_people  # noqa: E402

PATH = Path(__file__).parents[2] / "launch" / "group_smile.launch.py"
TIMEOUT_S = 60.0
ARGUMENTS = {
    "sound": "false",
    "audio_topic": "",
    "microphone": "",
    "image_topic": "/camera/camera/color/image_raw",
    "namespace": "",
    "device": "auto",
    "use_sim_time": "false",
    "respawn": "true",
    "autostart": "true",
    "composed": "true",
    "anonymous": "false",
    "group_only": "false",
    "min_group_size": "2",
    "overlay": "true",
    "markers": "true",
    "rviz": "false",
    "web": "",
    "web_address": "127.0.0.1",
    "fixed_frame": FRAME_ID,
    "camera_info_topic": "/camera/camera/color/camera_info",
    "depth_topic": "/camera/camera/aligned_depth_to_color/image_raw",
    "security": "false",
    "keystore": "",
    "enclaves": "/social_perception",
}


@pytest.fixture
def description():
    return get_launch_description_from_python_launch_file(str(PATH))


def declare(description, context, given=()) -> dict[str, DeclareLaunchArgument]:
    """Give the launch arguments their values, as ros2 launch does."""
    declared = {each.name: each for each in description.entities if isinstance(each, DeclareLaunchArgument)}
    context.launch_configurations.update(given)
    for each in declared.values():
        each.execute(context)
    return declared


def test_arguments_and_their_defaults(description) -> None:
    context = LaunchContext()
    declared = declare(description, context)
    assert set(declared) == {*ARGUMENTS, "params_file"}
    for name, default in ARGUMENTS.items():
        assert perform_substitutions(context, declared[name].default_value) == default
        assert declared[name].description


def programs(entities, context) -> list[str]:
    """The programs that would be started."""
    found = []
    for entity in entities:
        if entity.condition is not None and not entity.condition.evaluate(context):
            continue
        if isinstance(entity, Node):
            found.append(f"{entity.node_package}/{entity.node_executable}")
        elif isinstance(entity, GroupAction):
            found += programs(entity.get_sub_entities(), context)
    return found


THREE = ("group_affect", "smile_intensity", "face_tracker")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ["affect_overlay", "social_perception_all"]),
        ({"overlay": "false"}, ["social_perception_all"]),
        ({"composed": "false"}, ["affect_overlay", "affect_markers", *THREE]),
        ({"composed": "false", "markers": "false"}, ["affect_overlay", *THREE]),
        ({"composed": "false", "overlay": "false"}, ["affect_markers", *THREE]),
        ({"rviz": "true"}, ["affect_overlay", "social_perception_all", "rviz2"]),
        ({"anonymous": "true"}, ["anonymous_group"]),
        ({"anonymous": "true", "web": "8080"}, ["anonymous_group", "affect_dashboard"]),
        ({"group_only": "true"}, ["scene_affect"]),
        ({"group_only": "true", "sound": "true", "web": "8080"}, ["scene_affect", "affect_dashboard"]),
        ({"sound": "true"}, ["affect_overlay", "social_perception_all"]),
        (
            {"sound": "true", "composed": "false"},
            ["affect_overlay", "affect_markers", *THREE, "sound_events"],
        ),
        ({"web": "8080"}, ["affect_overlay", "social_perception_all", "affect_dashboard"]),
    ],
)
def test_what_is_started(given, expected, description) -> None:
    context = LaunchContext()
    declare(description, context, given)
    packages = {"rviz2": "rviz2"}
    assert programs(description.entities, context) == [
        f"{packages.get(name, 'social_perception')}/{name}" for name in expected
    ]


@pytest.mark.parametrize(
    ("image_topic", "calibration", "depth"),
    [
        (
            "/eye/eye/color/image_raw",
            "/eye/eye/color/camera_info",
            "/eye/eye/aligned_depth_to_color/image_raw",
        ),
        ("color/image_raw", "color/camera_info", "aligned_depth_to_color/image_raw"),
        ("/image", "/camera_info", "depth"),
        ("image", "camera_info", "depth"),
        ("eye/image", "eye/camera_info", "depth"),
    ],
)
def test_calibration_and_depth_are_those_beside_the_images(
    image_topic, calibration, depth, description
) -> None:
    context = LaunchContext()
    declare(description, context, {"image_topic": image_topic})
    assert context.launch_configurations["camera_info_topic"] == calibration
    assert context.launch_configurations["depth_topic"] == depth


@pytest.mark.parametrize(
    ("audio_topic", "audio", "info"),
    [("", "audio", "audio_info"), ("/audio/audio_stamped", "/audio/audio_stamped", "/audio/audio_info")],
)
def test_the_coding_of_the_sound_is_published_beside_it(audio_topic, audio, info) -> None:
    context = LaunchContext()
    context.launch_configurations["audio_topic"] = audio_topic
    remapped = {name: topic.perform(context) for name, topic in audio_topics("audio_topic")}
    assert remapped == {"audio": audio, "audio_info": info}


@pytest.fixture
def parameters(tmp_path) -> Path:
    """A robot's file: an untrained network, and settings of each node."""
    from social_perception.perception.smile.networks import SmileNetwork
    from social_perception.perception.smile.weights import save_network

    weights = tmp_path / "smile.safetensors"
    save_network(SmileNetwork(), weights, {})
    settings = {
        "face_tracker": {"backend": "hog", "device": "cuda"},
        "smile_intensity": {"model": str(weights), "warmup_frames": 7},
        "group_affect": {"window_s": 9.0},
        "affect_markers": {"plane_distance_m": 3.0},
    }
    path = tmp_path / "robot.yaml"
    path.write_text(
        yaml.safe_dump({f"/**/{name}": {"ros__parameters": each} for name, each in settings.items()})
    )
    return path


TWO_CAMERAS = PATH.with_name("two_cameras.launch.py")


def parameter(ros, node: str, name: str):
    client = ros.node.create_client(GetParameters, f"{node}/get_parameters")
    ros.until(client.service_is_ready, f"{node}'s services", TIMEOUT_S)
    answer = client.call_async(GetParameters.Request(names=[name]))
    ros.until(answer.done, f"{name} of {node}", TIMEOUT_S)
    return parameter_value_to_python(answer.result().values[0])


def subscribers(ros, topic: str) -> list[str]:
    return [each.node_name for each in ros.node.get_subscriptions_info_by_topic(topic)]


@contextmanager
def launching(ros, given, path=PATH, **environment):
    """The launch file as ros2 launch runs it."""
    image = {"image_topic": f"{ros.namespace}/eye/image"} if path == PATH else {}
    arguments = {"namespace": ros.namespace, **image, **given}
    command = ["ros2", "launch", str(path), *(f"{name}:={value}" for name, value in arguments.items())]
    launched = subprocess.Popen(command, env={**os.environ, **environment}, start_new_session=True)
    try:
        yield launched
    finally:
        if launched.poll() is None:
            os.killpg(launched.pid, signal.SIGKILL)
            launched.wait()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ros2") is None, reason="needs ros2 launch")
@pytest.mark.parametrize("composed", ["true", "false"])
def test_the_launched_nodes_are_configured_and_connected(composed, ros, parameters) -> None:
    depth = f"{ros.namespace}/eye/depth_raw"
    given = {"composed": composed, "params_file": str(parameters), "device": "cpu", "depth_topic": depth}
    with launching(ros, given) as launched:
        topic = f"{ros.namespace}/eye/image"
        ros.until(lambda: ros.node.count_subscribers(topic) == 1, "face_tracker subscribes", TIMEOUT_S)
        ros.until(lambda: subscribers(ros, depth) == ["face_tracker"], "and the depth", TIMEOUT_S)
        ros.until(lambda: ros.node.count_publishers("group_affect") == 1, "the group's topic", TIMEOUT_S)
        # In one process, results are passed on in memory.
        expected = ["group_affect"] if composed == "false" else []
        affects = f"{ros.namespace}/face_affect"
        ros.until(lambda: subscribers(ros, affects) == expected, "the smiles' topic", TIMEOUT_S)
        assert parameter(ros, "face_tracker", "device") == "cpu", "the argument goes before the file"
        assert parameter(ros, "face_tracker", "backend") == "hog"
        assert parameter(ros, "smile_intensity", "warmup_frames") == 7
        assert parameter(ros, "group_affect", "window_s") == 9.0
        assert parameter(ros, "group_affect", "use_sim_time") is False
        assert parameter(ros, "affect_markers", "plane_distance_m") == 3.0
        ros.collect(MarkerArray, "affect_markers")
        ros.until(
            lambda: "affect_markers" in subscribers(ros, f"{ros.namespace}/eye/camera_info"),
            "the calibration beside the images",
            TIMEOUT_S,
        )
        assert subscribers(ros, topic) == ["face_tracker"]
        ros.collect(Image, "affect_overlay")
        ros.until(lambda: "affect_overlay" in subscribers(ros, topic), "the images to draw in", TIMEOUT_S)
        launched.send_signal(signal.SIGINT)
        assert launched.wait(TIMEOUT_S) == 0
        ros.until(lambda: ros.node.count_subscribers(topic) == 0, "nobody is left", TIMEOUT_S)


def change_state(ros, node: str, transition: int) -> bool:
    """As ros2 lifecycle set does it."""
    client = ros.node.create_client(ChangeState, f"{node}/change_state")
    ros.until(client.service_is_ready, f"{node}'s services", TIMEOUT_S)
    answer = client.call_async(ChangeState.Request(transition=Transition(id=transition)))
    ros.until(answer.done, f"the transition of {node}", TIMEOUT_S)
    return answer.result().success


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ros2") is None, reason="needs ros2 launch")
@pytest.mark.parametrize("composed", ["true", "false"])
def test_without_autostart_the_nodes_wait_for_a_manager(composed, ros, parameters) -> None:
    names = ("group_affect", "smile_intensity", "face_tracker")
    given = {"composed": composed, "params_file": str(parameters), "device": "cpu", "autostart": "false"}
    with launching(ros, given) as launched:
        for name in names:
            assert parameter(ros, name, "autostart") is False
        topic = f"{ros.namespace}/eye/image"
        assert ros.node.count_subscribers(topic) == 0
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            assert all(change_state(ros, name, transition) for name in names)
        ros.until(lambda: subscribers(ros, topic) == ["face_tracker"], "the images", TIMEOUT_S)
        assert change_state(ros, "face_tracker", Transition.TRANSITION_DEACTIVATE)
        ros.until(lambda: ros.node.count_subscribers(topic) == 0, "no images any more", TIMEOUT_S)
        launched.send_signal(signal.SIGINT)
        assert launched.wait(TIMEOUT_S) == 0


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ros2") is None, reason="needs ros2 launch")
def test_two_cameras_have_a_tracker_and_a_group_each_and_share_the_scorer(ros, parameters) -> None:
    eyes = {side: f"{ros.namespace}/{side}_eye/color/image_raw" for side in ("left", "right")}
    images = {f"{side}_image_topic": topic for side, topic in eyes.items()}
    given = {"params_file": str(parameters), "device": "cpu", **images}
    with launching(ros, given, TWO_CAMERAS) as launched:
        for side, image in eyes.items():
            beside = image.replace("color/image_raw", "aligned_depth_to_color/image_raw")
            info = image.replace("image_raw", "camera_info")
            own = f"{ros.namespace}/{side}"
            for topic, node in (
                (image, "face_tracker"),
                (beside, "face_tracker"),
                (info, "face_tracker"),
                (f"{own}/tracked_faces", "smile_intensity"),
                (f"{own}/face_affect", "group_affect"),
            ):
                ros.until(lambda t=topic, n=node: subscribers(ros, t) == [n], f"{node} on {topic}", TIMEOUT_S)
            assert parameter(ros, f"{side}/face_tracker", "id_prefix") == side[0]
            ros.until(lambda o=own: ros.node.count_publishers(f"{o}/group_affect") == 1, "the group")
        assert list(parameter(ros, "smile_intensity", "trackers")) == ["left", "right"]
        assert parameter(ros, "smile_intensity", "warmup_frames") == 7
        launched.send_signal(signal.SIGINT)
        assert launched.wait(TIMEOUT_S) == 0


FAKE_RVIZ = """#!{python}
import json, os, sys
import rclpy, yaml

options = dict(zip(sys.argv[1:5:2], sys.argv[2:5:2]))
rclpy.init()
node = rclpy.create_node("rviz_before_its_name_is_remapped")
displays = yaml.safe_load(open(options["--display-config"]))["Visualization Manager"]["Displays"]
names = {{each["Name"]: each["Topic"]["Value"] for each in displays if "Topic" in each}}
topics = {{name: node.resolve_topic_name(topic) for name, topic in names.items()}}
with open({seen!r} + ".part", "w") as file:
    json.dump({{"frame": options["--fixed-frame"], "topics": topics, "name": node.get_name()}}, file)
os.replace({seen!r} + ".part", {seen!r})
"""


@pytest.fixture
def fake_rviz(tmp_path):
    """A package rviz2 whose program tells what it was asked to show, and where that would be subscribed."""
    prefix, seen = tmp_path / "prefix", tmp_path / "seen.json"
    marker = prefix / "share" / "ament_index" / "resource_index" / "packages" / "rviz2"
    program = prefix / "lib" / "rviz2" / "rviz2"
    for path, text in (
        (marker, ""),
        (program, FAKE_RVIZ.format(python=sys.executable, seen=str(seen))),
    ):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    program.chmod(0o755)
    return seen, {"AMENT_PREFIX_PATH": f"{prefix}{os.pathsep}{os.environ['AMENT_PREFIX_PATH']}"}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ros2") is None, reason="needs ros2 launch")
def test_rviz_is_opened_on_the_topics_of_the_nodes_and_the_page_served_beside_them(
    ros, parameters, fake_rviz
) -> None:
    seen, environment = fake_rviz
    given = {
        "params_file": str(parameters),
        "device": "cpu",
        "rviz": "true",
        "fixed_frame": "base_link",
        "web": "0",
    }
    with launching(ros, given, **environment) as launched:
        ros.until(seen.exists, "rviz is started", TIMEOUT_S)
        assert json.loads(seen.read_text()) == {
            "frame": "base_link",
            "name": "rviz",
            "topics": {
                "Camera": f"{ros.namespace}/eye/image",
                "Overlay": f"{ros.namespace}/affect_overlay",
                "Affect": f"{ros.namespace}/affect_markers",
            },
        }
        ros.until(lambda: ros.node.count_publishers("affect_markers") == 1, "the nodes go on", TIMEOUT_S)
        assert parameter(ros, "affect_dashboard", "port") == 0, "any that is free"
        assert parameter(ros, "affect_dashboard", "address") == "127.0.0.1"
        launched.send_signal(signal.SIGINT)
        assert launched.wait(TIMEOUT_S) == 0


@pytest.mark.parametrize(
    ("mode", "asked", "name"),
    [
        *(
            ("anonymous", asked, "group_smile")
            for asked in ("overlay:=true", "markers:=true", "rviz:=true", "composed:=false")
        ),
        *(("anonymous", "overlay:=true", name) for name in ("webcam", "realsense", "replay")),
        ("anonymous", "lockstep:=true", "replay"),
        *(("group_only", asked, "group_smile") for asked in ("anonymous:=true", "overlay:=true")),
        ("group_only", "markers:=true", "two_cameras"),
    ],
)
def test_a_mode_without_people_refuses_what_shows_them(mode, asked, name, monkeypatch) -> None:
    refused, started = [], []

    def noted(context: LaunchContext) -> None:
        try:
            refuse_people(context)
        except NotLaunched as error:
            refused.append(str(error))
            raise

    monkeypatch.setattr(launching_module, "refuse_people", noted)
    service = LaunchService(noninteractive=True)
    key, _, value = asked.partition(":=")
    service.context.launch_configurations.update({mode: "true", key: value})
    service.context.register_event_handler(OnProcessStart(on_start=lambda event, _: started.append(event)))
    path = PATH.with_name(f"{name}.launch.py")
    service.include_launch_description(get_launch_description_from_python_launch_file(str(path)))
    assert service.run() == 1
    assert [text.partition(", which ")[0] for text in refused] == [f"{mode}:=true excludes {asked}"]
    assert started == []


@pytest.mark.parametrize(
    "given",
    [
        {"anonymous": "true"},
        {"group_only": "true", "sound": "true"},
        {"overlay": "true", "markers": "true"},
    ],
)
def test_nothing_else_is_refused(given) -> None:
    context = LaunchContext()
    context.launch_configurations.update(given)
    refuse_people(context)


OF_EVERY_NODE = {"/rosout", "/parameter_events", "/diagnostics"}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ros2") is None, reason="needs ros2 launch")
def test_anonymous_nodes_have_the_group_and_nothing_else(ros, parameters) -> None:
    eye = f"{ros.namespace}/eye"
    given = {"anonymous": "true", "params_file": str(parameters), "device": "cpu", "web": "0"}
    with launching(ros, {**given, "depth_topic": f"{eye}/depth"}) as launched:
        ros.until(lambda: subscribers(ros, f"{eye}/image") == ["group_affect"], "the images", TIMEOUT_S)
        ros.until(
            lambda: subscribers(ros, f"{ros.namespace}/group_affect") == ["affect_dashboard"],
            "the page hears of the group",
            TIMEOUT_S,
        )
        seen = [each for each in ros.node.get_topic_names_and_types() if each[0].startswith(ros.namespace)]
        about_cameras = {f"{eye}/{name}" for name in ("image", "camera_info", "depth")}
        assert {name for name, _ in seen} - about_cameras == {
            f"{ros.namespace}/group_affect",
            f"{ros.namespace}/group_affect/transition_event",
            f"{ros.namespace}/affect_dashboard/transition_event",
        }
        for node in ("group_affect", "affect_dashboard"):
            published = ros.node.get_publisher_names_and_types_by_node(node, ros.namespace)
            own = {name for name, _ in published if not name.startswith(f"{ros.namespace}/{node}")}
            assert own == OF_EVERY_NODE
        # A robot's file for the nodes that this one stands for.
        assert parameter(ros, "group_affect", "backend") == "hog"
        assert parameter(ros, "group_affect", "warmup_frames") == 7
        assert parameter(ros, "group_affect", "window_s") == 9.0
        assert parameter(ros, "group_affect", "min_group_size") == 2
        launched.send_signal(signal.SIGINT)
        assert launched.wait(TIMEOUT_S) == 0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"anonymous": "true"}, ["anonymous_group"] * 2),
        ({"group_only": "true"}, ["scene_affect"] * 2),
        ({}, ["smile_intensity", *["group_affect", "face_tracker"] * 2]),
        ({"sound": "true"}, ["smile_intensity", "sound_events", *["group_affect", "face_tracker"] * 2]),
    ],
)
def test_two_cameras_without_people_have_a_group_each_and_nothing_else(given, expected) -> None:
    context, cameras = LaunchContext(), get_launch_description_from_python_launch_file(str(TWO_CAMERAS))
    declare(cameras, context, given)
    assert programs(cameras.entities, context) == [f"social_perception/{name}" for name in expected]
