"""A webcam, and the nodes of group_smile.launch.py with all its arguments."""

from pathlib import Path
from typing import List  # noqa: UP035 - launch_ros knows no list[int]

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PythonExpression
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchDescription
from social_perception.ros.security.securing import enclave, secured, security_arguments
from social_perception.ros.support.launching import checked, first_installed, needs, respawning

DRIVERS = ["usb_cam", "v4l2_camera"]
OURS = "image_publisher"
IMAGES = "/webcam/image_raw"
FRAME_ID = "camera_color_optical_frame"

ARGUMENTS = [
    DeclareLaunchArgument(
        "driver",
        default_value=first_installed(*DRIVERS, OURS),
        choices=[*DRIVERS, OURS],
        description="package that reads the camera, by default the first that is installed; image_publisher "
        "is part of this package",
    ),
    DeclareLaunchArgument("video_device", default_value="/dev/video0", description="device of the camera"),
    DeclareLaunchArgument("width", default_value="1280", description="in px; ignored by image_publisher"),
    DeclareLaunchArgument("height", default_value="720", description="in px; ignored by image_publisher"),
    DeclareLaunchArgument("rate", default_value="30", description="in Hz; ignored by image_publisher"),
    DeclareLaunchArgument(
        "respawn",
        default_value="true",
        choices=["true", "false"],
        description="restart the driver and the nodes when they end, for example if the camera is unplugged",
    ),
    DeclareLaunchArgument("image_topic", default_value=IMAGES, description="topic of the camera's images"),
    *security_arguments(),
]


def chosen(driver: str) -> IfCondition:
    return IfCondition(PythonExpression(["'", LaunchConfiguration("driver"), f"' == '{driver}'"]))


def number(name: str, kind: type) -> ParameterValue:
    return ParameterValue(LaunchConfiguration(name), value_type=kind)


def numbers(*texts: object) -> ParameterValue:
    return ParameterValue(PythonExpression(["[", *texts, "]"]), value_type=List[int])  # noqa: UP006


COMMON = {
    "namespace": "webcam",
    "output": "screen",
    "emulate_tty": True,
    "respawn": LaunchConfiguration("respawn"),
    "respawn_delay": 2.0,
    "remappings": [("image_raw", LaunchConfiguration("image_topic"))],
}

USB_CAM = Node(
    package="usb_cam",
    executable="usb_cam_node_exe",
    name="usb_cam",
    condition=chosen("usb_cam"),
    parameters=[
        {
            "video_device": LaunchConfiguration("video_device"),
            "image_width": number("width", int),
            "image_height": number("height", int),
            "framerate": number("rate", float),
            # Webcams send MJPEG at 1280x720 and 30 Hz; raw images are too large for USB 2.
            "pixel_format": "mjpeg2rgb",
            "frame_id": FRAME_ID,
        }
    ],
    **COMMON,
)

V4L2_CAMERA = Node(
    package="v4l2_camera",
    executable="v4l2_camera_node",
    name="v4l2_camera",
    condition=chosen("v4l2_camera"),
    parameters=[
        {
            "video_device": LaunchConfiguration("video_device"),
            "image_size": numbers(LaunchConfiguration("width"), ", ", LaunchConfiguration("height")),
            "time_per_frame": numbers("1, ", LaunchConfiguration("rate")),
            "camera_frame_id": FRAME_ID,
        }
    ],
    **COMMON,
)

IMAGE_PUBLISHER = Node(
    package="social_perception",
    executable=OURS,
    name=OURS,
    condition=chosen(OURS),
    arguments=["--source", LaunchConfiguration("video_device"), "--topic", "image_raw"],
    ros_arguments=enclave(OURS),
    **{**COMMON, **respawning()},
)

NODES = IncludeLaunchDescription(
    PythonLaunchDescriptionSource(str(Path(__file__).with_name("group_smile.launch.py")))
)


def generate_launch_description() -> LaunchDescription:
    missing = [needs(driver, f"driver:={driver}", condition=chosen(driver)) for driver in DRIVERS]
    cameras = [USB_CAM, V4L2_CAMERA, IMAGE_PUBLISHER]
    # The nodes are checked before a camera is started.
    return checked(*ARGUMENTS, *missing, secured(*cameras), NODES, *cameras)
