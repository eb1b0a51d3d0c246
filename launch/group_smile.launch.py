"""Camera image to group affect: face_tracker, smile_intensity and group_affect."""

from launch.actions import DeclareLaunchArgument, GroupAction
from launch.conditions import IfCondition, UnlessCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node, PushRosNamespace
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription
from social_perception.core.config import DEVICES, SmileConfig

PACKAGE = "social_perception"

ARGUMENTS = [
    DeclareLaunchArgument(
        "image_topic",
        default_value="/camera/camera/color/image_raw",
        description="topic of the camera's images",
    ),
    DeclareLaunchArgument(
        "namespace", default_value="", description="namespace of the nodes and their topics"
    ),
    DeclareLaunchArgument(
        "params_file",
        default_value=PathJoinSubstitution([FindPackageShare(PACKAGE), "config", "group_smile.yaml"]),
        description="YAML file with parameters",
    ),
    DeclareLaunchArgument(
        "device",
        default_value=SmileConfig().device,
        choices=list(DEVICES),
        description="where the networks run; goes before params_file",
    ),
    DeclareLaunchArgument(
        "use_sim_time", default_value="false", description="take the time from /clock (simulation, bag)"
    ),
    DeclareLaunchArgument(
        "composed", default_value="true", description="all nodes in one process, or one process each"
    ),
]

COMMON = {
    "package": PACKAGE,
    "output": "screen",
    "emulate_tty": True,
    "parameters": [
        LaunchConfiguration("params_file"),
        {
            "device": ParameterValue(LaunchConfiguration("device"), value_type=str),
            "use_sim_time": ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool),
        },
    ],
    "remappings": [
        ("image", LaunchConfiguration("image_topic")),
        ("image/compressed", [LaunchConfiguration("image_topic"), "/compressed"]),
    ],
}


def generate_launch_description() -> LaunchDescription:
    composed = LaunchConfiguration("composed")
    one_process = GroupAction(
        condition=IfCondition(composed),
        actions=[
            PushRosNamespace(LaunchConfiguration("namespace")),
            Node(executable="social_perception_all", **COMMON),
        ],
    )
    three_processes = GroupAction(
        condition=UnlessCondition(composed),
        actions=[
            PushRosNamespace(LaunchConfiguration("namespace")),
            Node(executable="group_affect", name="group_affect", **COMMON),
            Node(executable="smile_intensity", name="smile_intensity", **COMMON),
            Node(executable="face_tracker", name="face_tracker", **COMMON),
        ],
    )
    return LaunchDescription([*ARGUMENTS, one_process, three_processes])
