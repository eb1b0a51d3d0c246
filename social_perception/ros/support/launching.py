"""What the launch files have in common: arguments, packages that may be missing, topics beside each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

from launch import LaunchContext, Substitution
from social_perception.core.config import DEVICES, AnonymityConfig, SmileConfig
from social_perception.ros.support.camera_topics import aligned_depth_of, camera_info_of

RESPAWN_DELAY_S = 2.0
"""Time for a camera or GPU to be let go, and for a log that can be read where a program ends at once."""


class PackageMissing(RuntimeError):  # noqa: N818
    """A package that was asked for is not installed; launch shows the text as its error."""


class Contradiction(RuntimeError):  # noqa: N818
    """Two arguments cannot both be had; launch shows the text as its error."""


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


def respawning() -> dict[str, Any]:
    """Options of a Node: what ended unasked is started again, if the launch argument ``respawn`` says so."""
    return {"respawn": LaunchConfiguration("respawn"), "respawn_delay": RESPAWN_DELAY_S}


def arguments_of_nodes() -> list[DeclareLaunchArgument]:
    """The launch arguments ``params_file``, ``device``, ``use_sim_time`` and ``respawn``."""
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
        DeclareLaunchArgument(
            "respawn",
            default_value="true",
            choices=["true", "false"],
            description=f"start a program that has ended or was killed again after {RESPAWN_DELAY_S:g} s",
        ),
    ]


def anonymity_arguments() -> list[DeclareLaunchArgument]:
    """The launch arguments ``anonymous`` and ``min_group_size``."""
    return [
        DeclareLaunchArgument(
            "anonymous",
            default_value="false",
            choices=["true", "false"],
            description="publish the group's values alone: no ids, boxes or pictures, in one process; the "
            "topics about single people do not exist",
        ),
        DeclareLaunchArgument(
            "min_group_size",
            default_value=str(AnonymityConfig().min_group_size),
            description="with anonymous:=true, people from which the group's values are published; of fewer "
            "only how many there are",
        ),
    ]


_ABOUT_PEOPLE = {
    "overlay": ("true", "shows single people"),
    "markers": ("true", "shows single people"),
    "rviz": ("true", "shows single people"),
    "composed": ("false", "publishes single people from process to process"),
    "lockstep": ("true", "waits for the topic face_affect"),
}


def refuse_people(context: Any) -> None:
    """End the launch if it is to be anonymous and to show people; to be put before the arguments' defaults.

    Raises:
        Contradiction: naming the argument.
    """
    given = context.launch_configurations
    if given.get("anonymous") != "true":
        return
    for name, (value, why) in _ABOUT_PEOPLE.items():
        if given.get(name) == value:
            raise Contradiction(f"anonymous:=true and {name}:={value}, which {why}: leave one of them out")


class BesideImages(Substitution):
    """A topic that follows from that of the images, which a launch argument says.

    Args:
        argument: name of the launch argument with the topic of the images.
        find: the topic beside it.
    """

    def __init__(self, argument: str, find: Callable[[str], str]) -> None:
        super().__init__()
        self._images, self._find = LaunchConfiguration(argument), find

    def describe(self) -> str:
        return f"{self._find.__name__}({self._images.describe()})"

    def perform(self, context: LaunchContext) -> str:
        return self._find(self._images.perform(context))


def camera_info_beside(argument: str) -> Substitution:
    """The topic camera_info beside the images whose topic a launch argument says."""
    return BesideImages(argument, camera_info_of)


def aligned_depth_beside(argument: str) -> Substitution:
    """The topic of the depth beside the images whose topic a launch argument says."""
    return BesideImages(argument, aligned_depth_of)
