"""What the launch files have in common: arguments, packages that may be missing, topics beside each other."""

from __future__ import annotations

from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, PythonExpression
from launch_ros.substitutions import FindPackageShare

from social_perception.core.config import DEVICES, SmileConfig


class PackageMissing(RuntimeError):  # noqa: N818
    """A package that was asked for is not installed; launch shows the text as its error."""


def is_installed(package: str) -> bool:
    """Whether a ROS package is installed."""
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True


def first_installed(*packages: str) -> str:
    """The first of the packages that is installed; the last one if none is."""
    return next((package for package in packages if is_installed(package)), packages[-1])


def needs(package: str, wanted_for: str, **options: Any) -> OpaqueFunction:
    """An action that ends the launch with a remedy if a package is missing; to be put before its use.

    Args:
        package: that must be installed.
        wanted_for: what asks for it, for example ``rviz:=true``.
        options: of the action, for example ``condition``.
    """

    def check(_context: object) -> None:
        if not is_installed(package):
            raise PackageMissing(
                f"{wanted_for} needs the package {package}, which is not installed: "
                f"sudo apt install ros-$ROS_DISTRO-{package.replace('_', '-')}"
            )

    return OpaqueFunction(function=check, **options)


def arguments_of_nodes() -> list[DeclareLaunchArgument]:
    """The launch arguments ``params_file``, ``device`` and ``use_sim_time``."""
    defaults = PathJoinSubstitution([FindPackageShare("social_perception"), "config", "group_smile.yaml"])
    return [
        DeclareLaunchArgument("params_file", default_value=defaults, description="YAML file with parameters"),
        DeclareLaunchArgument(
            "device",
            default_value=SmileConfig().device,
            choices=list(DEVICES),
            description="where the networks run; goes before params_file",
        ),
        DeclareLaunchArgument(
            "use_sim_time",
            default_value="false",
            description="take the time from /clock (simulation, bag)",
        ),
    ]


_COLOR, _ALIGNED_DEPTH = "color/image_raw", "aligned_depth_to_color/image_raw"


def camera_info_beside(argument: str) -> PythonExpression:
    """The topic camera_info beside the images whose topic a launch argument says."""
    topic = LaunchConfiguration(argument)
    return PythonExpression(["'/'.join([*'", topic, "'.split('/')[:-1], 'camera_info'])"])


def aligned_depth_beside(argument: str) -> PythonExpression:
    """The topic of the aligned depth beside a RealSense's colour images, whose topic a launch argument says.

    Beside other images it is ``depth``, in the node's namespace.
    """
    topic = LaunchConfiguration(argument)
    parts = ["'", topic, f"'[:-{len(_COLOR)}] + '{_ALIGNED_DEPTH}'", " if '", topic]
    return PythonExpression([*parts, f"'.endswith('{_COLOR}') else 'depth'"])
