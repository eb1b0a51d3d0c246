"""Two cameras: a tracker and a group for each, and one smile_intensity that scores all faces in one batch."""

from launch.actions import DeclareLaunchArgument, GroupAction
from launch.conditions import IfCondition, UnlessCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, PythonExpression
from launch_ros.actions import Node, PushRosNamespace
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchDescription
from social_perception.ros.security.securing import secured, security_arguments
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
CAMERAS = {
    "left": "/camera1/camera1/color/image_raw",
    "right": "/camera2/camera2/color/image_raw",
}
"""Namespaces of the cameras' nodes, and image topics of realsense2_camera's rs_multi_camera_launch.py."""


def arguments_of(side: str) -> list[DeclareLaunchArgument]:
    return [
        DeclareLaunchArgument(
            f"{side}_image_topic",
            default_value=CAMERAS[side],
            description=f"topic of the {side} camera's images",
        ),
        DeclareLaunchArgument(
            f"{side}_depth_topic",
            default_value=aligned_depth_topic(f"{side}_image_topic"),
            description="topic of its depth images, aligned with the images; by default that of a RealSense",
        ),
        DeclareLaunchArgument(
            f"{side}_camera_info_topic",
            default_value=camera_info_topic(f"{side}_image_topic"),
            description="topic of its calibration; by default camera_info beside the images",
        ),
    ]


ARGUMENTS = [
    *(argument for side in CAMERAS for argument in arguments_of(side)),
    DeclareLaunchArgument(
        "namespace", default_value="", description="namespace that contains left and right; empty: none"
    ),
    *arguments_of_nodes(),
    *sound_arguments(),
    *anonymity_arguments(),
    *security_arguments(),
]

ANONYMOUS, GROUP_ONLY = LaunchConfiguration("anonymous"), LaunchConfiguration("group_only")
HEARS = IfCondition(LaunchConfiguration("sound"))
SOUND_EVENTS = PathJoinSubstitution(["/", LaunchConfiguration("namespace"), "sound_events"])
"""One robot has one microphone: its sound is that of both cameras."""

WITHOUT_PEOPLE = PythonExpression(["'true' in ('", ANONYMOUS, "', '", GROUP_ONLY, "')"])


def node(program: str, remappings: tuple = (), name: str | None = None, **parameters) -> Node:
    return Node(
        package=PACKAGE,
        executable=program,
        name=name,
        output="screen",
        emulate_tty=True,
        **respawning(),
        parameters=[
            LaunchConfiguration("params_file"),
            {
                "device": ParameterValue(LaunchConfiguration("device"), value_type=str),
                "use_sim_time": ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool),
                **sound_parameters(),
                **parameters,
            },
        ],
        remappings=remappings,
    )


def camera(side: str) -> GroupAction:
    image = LaunchConfiguration(f"{side}_image_topic")
    topics = (
        ("image", image),
        ("image/compressed", [image, "/compressed"]),
        ("depth", LaunchConfiguration(f"{side}_depth_topic")),
        ("camera_info", LaunchConfiguration(f"{side}_camera_info_topic")),
        *audio_topics("audio_topic"),
    )
    # The ids of the left camera begin with l, those of the right one with r. smile_intensity is in another
    # process and needs the crops.
    tracker = node("face_tracker", topics, "face_tracker", id_prefix=side[0], publish_crops=True)
    with_people = [node("group_affect", [("sound_events", SOUND_EVENTS)], "group_affect"), tracker]
    least = ParameterValue(LaunchConfiguration("min_group_size"), value_type=int)
    without_people = [node("anonymous_group", topics, min_group_size=least)]
    return GroupAction(
        [
            PushRosNamespace(side),
            GroupAction(with_people, condition=UnlessCondition(WITHOUT_PEOPLE)),
            GroupAction(without_people, condition=IfCondition(ANONYMOUS)),
            GroupAction([node("scene_affect", topics, "scene_affect")], condition=IfCondition(GROUP_ONLY)),
        ]
    )


def generate_launch_description() -> LaunchDescription:
    scorer = node("smile_intensity", name="smile_intensity", trackers=list(CAMERAS))
    ears = node("sound_events", audio_topics("audio_topic"), "sound_events")
    nodes = GroupAction(
        [
            PushRosNamespace(LaunchConfiguration("namespace")),
            GroupAction(
                [scorer, GroupAction([ears], condition=HEARS)], condition=UnlessCondition(WITHOUT_PEOPLE)
            ),
            *(camera(side) for side in CAMERAS),
        ]
    )
    # Two processes of one program would share an enclave: with security:=true, nothing is started.
    return checked(*ARGUMENTS, secured(nodes), nodes)
