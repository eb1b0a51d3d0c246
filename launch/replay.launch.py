"""A recording played to the nodes of group_smile.launch.py, with all its arguments."""

from pathlib import Path

from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
)
from launch.conditions import IfCondition, UnlessCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PythonExpression
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription
from social_perception.ros.security.securing import enclave, secured, security_arguments
from social_perception.ros.support.launching import checked, ends_launch, needs

OURS = "image_publisher"
ROS2_BAG = "ros2_bag"
WAIT_S = "60"

PLAYS_BAG = PythonExpression(["'", LaunchConfiguration("player"), f"' == '{ROS2_BAG}'"])

ARGUMENTS = [
    DeclareLaunchArgument(
        "source",
        default_value="sample",
        description="recording to play: a video, a bag, a folder of images, or sample",
    ),
    DeclareLaunchArgument(
        "player",
        default_value=OURS,
        choices=[OURS, ROS2_BAG],
        description="image_publisher plays only the images, of any source; ros2_bag plays all topics of a "
        "bag, with its images on image_topic",
    ),
    DeclareLaunchArgument(
        "loop",
        default_value="false",
        choices=["true", "false"],
        description="restart the recording at its end",
    ),
    DeclareLaunchArgument(
        "delay",
        default_value="10",
        description="time in s that ros2_bag waits until the nodes are ready",
    ),
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="true",
        choices=["true", "false"],
        description="keep the recorded stamps, and use the time of /clock, which the player publishes; "
        "false: image_publisher stamps the images with the current time",
    ),
    DeclareLaunchArgument(
        "lockstep",
        default_value="false",
        choices=["true", "false"],
        description="image_publisher sends each image after the result of the previous one; with the "
        "parameter reproducible of face_tracker, a recording always gives the same results",
    ),
    *security_arguments(),
]

# For the check of security: which of the two is started.
PLAYERS = [
    ExecuteProcess(cmd=["ros2", "bag", "play"], condition=IfCondition(PLAYS_BAG)),
    Node(
        package="social_perception",
        executable=OURS,
        ros_arguments=enclave(OURS),
        condition=UnlessCondition(PLAYS_BAG),
    ),
]


def play(context: LaunchContext) -> list[Node | ExecuteProcess]:
    """The player; the launch ends with it."""
    arguments = context.launch_configurations
    loop = ["--loop"] if arguments["loop"] == "true" else []
    options = {"output": "screen", "emulate_tty": True, "on_exit": ends_launch("the recording has ended")}
    if arguments["player"] == ROS2_BAG:
        command = ["ros2", "bag", "play", arguments["source"], "--clock", "--delay", arguments["delay"]]
        return [ExecuteProcess(cmd=command + loop, name="ros2_bag_play", **options)]
    options |= {"ros_arguments": enclave(OURS)}
    command = ["--source", arguments["source"], "--topic", arguments["image_topic"], "--wait", WAIT_S, *loop]
    # Views may subscribe to the images long before the networks are loaded.
    modes = {"anonymous": "anonymous_group", "group_only": "scene_affect"}
    first = next((node for mode, node in modes.items() if arguments[mode] == "true"), "face_tracker")
    command += ["--wait-for", first]
    if arguments["use_sim_time"] == "true":
        command += ["--stamps", "recorded", "--clock"]
    if arguments["lockstep"] == "true":
        command += ["--lockstep"]
    # In the namespace of the nodes, because it subscribes to their results.
    options |= {"namespace": arguments["namespace"]}
    return [Node(package="social_perception", executable=OURS, name=OURS, arguments=command, **options)]


NODES = IncludeLaunchDescription(
    PythonLaunchDescriptionSource(str(Path(__file__).with_name("group_smile.launch.py")))
)


def generate_launch_description() -> LaunchDescription:
    rosbag = needs("ros2bag", f"player:={ROS2_BAG}", condition=IfCondition(PLAYS_BAG))
    return checked(*ARGUMENTS, rosbag, secured(*PLAYERS), NODES, OpaqueFunction(function=play))
