"""The first launch without a camera: the sample, the web page, and rviz where it can be shown.

All arguments are those of replay.launch.py, with other defaults.
"""

import os
from pathlib import Path

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.conditions import UnlessCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PythonExpression

from launch import LaunchDescription
from social_perception.ros.support.launching import checked, is_installed

YES_NO = ["true", "false"]
CAN_SHOW = is_installed("rviz2") and bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))

ARGUMENTS = [
    DeclareLaunchArgument("web", default_value="8080", description="port of the live web page"),
    DeclareLaunchArgument(
        "rviz",
        default_value="true" if CAN_SHOW else "false",
        choices=YES_NO,
        description="open rviz2; default: if it is installed, a display is there, and people are shown",
        condition=UnlessCondition(
            PythonExpression(
                [
                    "'true' in ('",
                    LaunchConfiguration("anonymous", default="false"),
                    "', '",
                    LaunchConfiguration("group_only", default="false"),
                    "')",
                ]
            )
        ),
    ),
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="false",
        choices=YES_NO,
        description="false: images are stamped with the current time, for nodes that are started later",
    ),
]

REPLAY = IncludeLaunchDescription(
    PythonLaunchDescriptionSource(str(Path(__file__).with_name("replay.launch.py")))
)


def generate_launch_description() -> LaunchDescription:
    return checked(*ARGUMENTS, REPLAY)
