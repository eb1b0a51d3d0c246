"""A recording played to the nodes of group_smile.launch.py, whose arguments it takes too."""

from pathlib import Path

from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    Shutdown,
)
from launch.conditions import IfCondition, UnlessCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PythonExpression
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription
from social_perception.ros.security.securing import enclave, secured, security_arguments
from social_perception.ros.support.launching import needs, refuse_people

OURS = "image_publisher"
ROS2_BAG = "ros2_bag"
PATIENCE_S = "60"

PLAYS_BAG = PythonExpression(["'", LaunchConfiguration("player"), f"' == '{ROS2_BAG}'"])

ARGUMENTS = [
    DeclareLaunchArgument(
        "source",
        default_value="sample",
        description="what is played: a video, a bag, a folder of images, or sample",
    ),
    DeclareLaunchArgument(
        "player",
        default_value=OURS,
        choices=[OURS, ROS2_BAG],
        description="image_publisher is ours and plays the images alone; ros2_bag plays all of a bag's "
        "topics, the images on the image_topic",
    ),
    DeclareLaunchArgument(
        "loop",
        default_value="false",
        choices=["true", "false"],
        description="whether it begins again at its end",
    ),
    DeclareLaunchArgument(
        "delay",
        default_value="10",
        description="time in s for which ros2_bag waits for the nodes to be ready",
    ),
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="true",
        description="keep the recorded stamps and take the time from /clock, which the player publishes; "
        "false: image_publisher stamps its images now",
    ),
    DeclareLaunchArgument(
        "lockstep",
        default_value="false",
        choices=["true", "false"],
        description="whether image_publisher sends each image when the one before was answered; with the "
        "parameter reproducible of face_tracker the same recording gives the same results",
    ),
    *security_arguments(),
]

# Which of the two is started, to be known before anything is.
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
    """The player; when it ends, so does the launch."""
    given = context.launch_configurations
    loop = ["--loop"] if given["loop"] == "true" else []
    about = {"output": "screen", "emulate_tty": True, "on_exit": Shutdown(reason="the recording has ended")}
    if given["player"] == ROS2_BAG:
        command = ["ros2", "bag", "play", given["source"], "--clock", "--delay", given["delay"], *loop]
        return [ExecuteProcess(cmd=command, name="ros2_bag_play", **about)]
    about |= {"ros_arguments": enclave(OURS)}
    options = ["--source", given["source"], "--topic", given["image_topic"], "--wait", PATIENCE_S, *loop]
    if given["use_sim_time"] == "true":
        options += ["--stamps", "recorded", "--clock"]
    if given["lockstep"] == "true":
        options += ["--lockstep"]
    # In the namespace of the nodes, whose answers it hears.
    about |= {"namespace": given["namespace"]}
    return [Node(package="social_perception", executable=OURS, name=OURS, arguments=options, **about)]


NODES = IncludeLaunchDescription(
    PythonLaunchDescriptionSource(str(Path(__file__).with_name("group_smile.launch.py")))
)


def generate_launch_description() -> LaunchDescription:
    rosbag = needs("ros2bag", f"player:={ROS2_BAG}", condition=IfCondition(PLAYS_BAG))
    refuse = OpaqueFunction(function=refuse_people)
    return LaunchDescription(
        [refuse, *ARGUMENTS, rosbag, secured(*PLAYERS), NODES, OpaqueFunction(function=play)]
    )
