"""The nodes from the camera's images to the group's affect, the views, and optionally rviz."""

from launch.actions import DeclareLaunchArgument, GroupAction
from launch.conditions import IfCondition, UnlessCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, PythonExpression
from launch_ros.actions import Node, PushRosNamespace
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription
from social_perception.core.config import WebConfig
from social_perception.ros.security.securing import enclave, secured, security_arguments
from social_perception.ros.support.camera_topics import CAMERA
from social_perception.ros.support.launching import (
    aligned_depth_topic,
    anonymity_arguments,
    arguments_of_nodes,
    audio_topics,
    camera_info_topic,
    checked,
    respawning,
    sound_arguments,
    sound_parameters,
)

PACKAGE = "social_perception"
YES_NO = ["true", "false"]

ARGUMENTS = [
    DeclareLaunchArgument("image_topic", default_value=CAMERA, description="topic of the camera's images"),
    DeclareLaunchArgument(
        "camera_info_topic",
        default_value=camera_info_topic("image_topic"),
        description="topic of the camera's calibration; by default camera_info beside image_topic",
    ),
    DeclareLaunchArgument(
        "depth_topic",
        default_value=aligned_depth_topic("image_topic"),
        description="topic of depth images aligned with the images; by default that of a RealSense",
    ),
    DeclareLaunchArgument(
        "namespace", default_value="", description="namespace of the nodes and their topics"
    ),
    *arguments_of_nodes(),
    *anonymity_arguments(),
    *sound_arguments(),
    DeclareLaunchArgument(
        "autostart",
        default_value="true",
        choices=YES_NO,
        description="whether the nodes configure and activate themselves; false: ros2 lifecycle or a manager "
        "does it; overrides params_file",
    ),
    DeclareLaunchArgument(
        "composed",
        default_value="true",
        choices=YES_NO,
        description="true: all nodes except affect_overlay and affect_dashboard in one process; false: one "
        "process per node, with face crops on the topic tracked_faces",
    ),
    DeclareLaunchArgument(
        "overlay",
        default_value="true",
        choices=YES_NO,
        description="start affect_overlay: the images with the results drawn in; idle without a subscriber",
    ),
    DeclareLaunchArgument(
        "markers",
        default_value="true",
        choices=YES_NO,
        description="start affect_markers: the people in 3D for rviz and Foxglove; idle without a subscriber",
    ),
    DeclareLaunchArgument(
        "web",
        default_value="",
        description="port of the live web page (affect_dashboard, in its own process); empty: no web page",
    ),
    DeclareLaunchArgument(
        "web_address",
        default_value=WebConfig().address,
        description="address of the web page; 0.0.0.0: all addresses, for those who know the token",
    ),
    DeclareLaunchArgument("rviz", default_value="false", choices=YES_NO, description="open rviz2"),
    DeclareLaunchArgument(
        "fixed_frame",
        default_value="camera_color_optical_frame",
        description="fixed frame of rviz: the frame_id of the images, or any frame that TF connects to it",
    ),
    *security_arguments(),
]

SIM_TIME = {"use_sim_time": ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool)}
AUTOSTART = {"autostart": ParameterValue(LaunchConfiguration("autostart"), value_type=bool)}

COMMON = {
    "package": PACKAGE,
    "output": "screen",
    "emulate_tty": True,
    **respawning(),
    "parameters": [
        LaunchConfiguration("params_file"),
        {
            "device": ParameterValue(LaunchConfiguration("device"), value_type=str),
            **sound_parameters(),
            **AUTOSTART,
            **SIM_TIME,
        },
    ],
    "remappings": [
        ("image", LaunchConfiguration("image_topic")),
        ("image/compressed", [LaunchConfiguration("image_topic"), "/compressed"]),
        ("depth", LaunchConfiguration("depth_topic")),
        ("camera_info", LaunchConfiguration("camera_info_topic")),
        *audio_topics("audio_topic"),
    ],
}

# In its own process: it subscribes to the images while it has a subscriber, and a process with two
# subscriptions of one image topic can block (docs/decisions.md).
OVERLAY = Node(
    executable="affect_overlay",
    ros_arguments=enclave("affect_overlay"),
    name="affect_overlay",
    condition=IfCondition(LaunchConfiguration("overlay")),
    **COMMON,
)

# A single node that publishes nothing about single people replaces all others. It sets its name itself,
# because a name given here would apply to all nodes of its process.
ANONYMOUS = Node(
    executable="anonymous_group",
    ros_arguments=enclave("anonymous_group"),
    **{
        **COMMON,
        "parameters": [
            *COMMON["parameters"],
            {"min_group_size": ParameterValue(LaunchConfiguration("min_group_size"), value_type=int)},
        ],
    },
)

# The whole of what runs with group_only:=true, beside the web page.
SCENE = Node(executable="scene_affect", name="scene_affect", ros_arguments=enclave("scene_affect"), **COMMON)

ONE_PROCESS = [
    Node(
        executable="social_perception_all",
        ros_arguments=enclave("social_perception_all"),
        arguments=[
            *("--overlay", "false", "--markers", LaunchConfiguration("markers")),
            *("--sound", LaunchConfiguration("sound")),
        ],
        **COMMON,
    )
]

# smile_intensity needs the crops in another process; face_tracker logs that they are published.
TRACKER = {**COMMON, "parameters": [*COMMON["parameters"], {"publish_crops": True}]}

ONE_PROCESS_EACH = [
    Node(
        executable="affect_markers",
        ros_arguments=enclave("affect_markers"),
        name="affect_markers",
        condition=IfCondition(LaunchConfiguration("markers")),
        **COMMON,
    ),
    Node(executable="group_affect", name="group_affect", ros_arguments=enclave("group_affect"), **COMMON),
    Node(
        executable="smile_intensity",
        name="smile_intensity",
        ros_arguments=enclave("smile_intensity"),
        **COMMON,
    ),
    Node(executable="face_tracker", name="face_tracker", ros_arguments=enclave("face_tracker"), **TRACKER),
    Node(
        executable="sound_events",
        name="sound_events",
        ros_arguments=enclave("sound_events"),
        condition=IfCondition(LaunchConfiguration("sound")),
        **COMMON,
    ),
]

WEB = Node(
    package=PACKAGE,
    executable="affect_dashboard",
    ros_arguments=enclave("affect_dashboard"),
    name="affect_dashboard",
    output="screen",
    emulate_tty=True,
    **respawning(),
    condition=IfCondition(PythonExpression(["'", LaunchConfiguration("web"), "' != ''"])),
    parameters=[
        LaunchConfiguration("params_file"),
        {
            "port": ParameterValue(LaunchConfiguration("web"), value_type=int),
            "address": ParameterValue(LaunchConfiguration("web_address"), value_type=str),
            "anonymous": ParameterValue(LaunchConfiguration("anonymous"), value_type=bool),
            "group_only": ParameterValue(LaunchConfiguration("group_only"), value_type=bool),
            **AUTOSTART,
            **SIM_TIME,
        },
    ],
)

RVIZ = Node(
    package="rviz2",
    executable="rviz2",
    name="rviz",
    condition=IfCondition(LaunchConfiguration("rviz")),
    arguments=[
        "--display-config",
        PathJoinSubstitution([FindPackageShare(PACKAGE), "config", "group_smile.rviz"]),
        "--fixed-frame",
        LaunchConfiguration("fixed_frame"),
    ],
    parameters=[SIM_TIME],
    # Relative names are resolved in the namespace.
    remappings=[
        (CAMERA, LaunchConfiguration("image_topic")),
        ("/affect_overlay", "affect_overlay"),
        ("/affect_markers", "affect_markers"),
    ],
)


def generate_launch_description() -> LaunchDescription:
    composed, anonymous = LaunchConfiguration("composed"), LaunchConfiguration("anonymous")
    group_only = LaunchConfiguration("group_only")
    with_people = GroupAction(
        [
            OVERLAY,
            GroupAction(ONE_PROCESS, condition=IfCondition(composed)),
            GroupAction(ONE_PROCESS_EACH, condition=UnlessCondition(composed)),
        ],
        condition=UnlessCondition(PythonExpression(["'true' in ('", anonymous, "', '", group_only, "')"])),
    )
    nodes = GroupAction(
        [
            PushRosNamespace(LaunchConfiguration("namespace")),
            with_people,
            GroupAction([ANONYMOUS], condition=IfCondition(anonymous)),
            GroupAction([SCENE], condition=IfCondition(group_only)),
            WEB,
            RVIZ,
        ]
    )
    return checked(*ARGUMENTS, secured(nodes), nodes)
