"""A RealSense camera with depth, and the nodes of group_smile.launch.py with all its arguments."""

from pathlib import Path

from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription
from social_perception.ros.security.securing import secured, security_arguments
from social_perception.ros.support.launching import checked, needs

DRIVER = "realsense2_camera"
CAMERA = ["/", LaunchConfiguration("camera_namespace"), "/", LaunchConfiguration("camera_name")]

ARGUMENTS = [
    DeclareLaunchArgument("camera_namespace", default_value="camera", description="namespace of the camera"),
    DeclareLaunchArgument("camera_name", default_value="camera", description="name of the camera's node"),
    DeclareLaunchArgument(
        "color_profile",
        default_value="1280x720x30",
        description="width, height and rate of the colour images",
    ),
    DeclareLaunchArgument(
        "align_depth",
        default_value="true",
        choices=["true", "false"],
        description="align depth with the colour images, so that people have a position in m",
    ),
    DeclareLaunchArgument(
        "image_topic",
        default_value=[*CAMERA, "/color/image_raw"],
        description="topic of the camera's images",
    ),
    *security_arguments(),
]

REALSENSE = GroupAction(
    [
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(
                PathJoinSubstitution([FindPackageShare(DRIVER), "launch", "rs_launch.py"])
            ),
            launch_arguments={
                "align_depth.enable": LaunchConfiguration("align_depth"),
                "rgb_camera.color_profile": LaunchConfiguration("color_profile"),
                # Name of the parameter before version 4.55 of the driver.
                "rgb_camera.profile": LaunchConfiguration("color_profile"),
            }.items(),
        )
    ]
)

NODES = IncludeLaunchDescription(
    PythonLaunchDescriptionSource(str(Path(__file__).with_name("group_smile.launch.py")))
)


def generate_launch_description() -> LaunchDescription:
    driver = [needs(DRIVER, "realsense.launch.py"), secured(REALSENSE), REALSENSE]
    return checked(*ARGUMENTS, *driver, NODES)
