"""Common parts of the launch files: arguments, their checks, optional packages and names of camera topics."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import DeclareLaunchArgument, OpaqueFunction, Shutdown
from launch.events.process import ProcessExited
from launch.launch_context import LaunchContext
from launch.launch_description import LaunchDescription
from launch.logging import get_logger
from launch.substitution import Substitution
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, PythonExpression
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from social_perception.core.config import DEVICES, MICROPHONE, AnonymityConfig, SmileConfig
from social_perception.core.errors import INVALID_CONFIGURATION
from social_perception.ros.support.argument_rules import check_value
from social_perception.ros.support.camera_topics import (
    aligned_depth_of,
    audio_info_of,
    audio_of,
    camera_info_of,
)

RESPAWN_DELAY_S = 2.0
"""Time to release a camera or GPU, and to keep the log readable if a program ends immediately."""


class NotLaunched(RuntimeError):  # noqa: N818
    """The launch ends with status 1; launch shows the text as its error."""


def is_installed(package: str) -> bool:
    """Whether a ROS package is installed."""
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True


def first_installed(*packages: str) -> str:
    """The first installed package of these; the last one if none is installed."""
    return next((package for package in packages if is_installed(package)), packages[-1])


def needs(package: str, needed_for: str, **options: Any) -> OpaqueFunction:
    """An action that ends the launch with an instruction if a package is missing; put it before its use.

    Args:
        package: that must be installed.
        needed_for: what requires it, for example ``rviz:=true``.
        options: of the action, for example ``condition``.
    """
    return OpaqueFunction(function=lambda _context: _require(package, needed_for), **options)


def _require(package: str, needed_for: str) -> None:
    if not is_installed(package):
        raise NotLaunched(
            f"{needed_for} needs the package {package}, which is not installed: "
            f"sudo apt install ros-$ROS_DISTRO-{package.replace('_', '-')}"
        )


def checked(*entities: Any) -> LaunchDescription:
    """A launch description that checks all its arguments before it does anything else.

    An error after the first process has started would leave that process running.
    """
    arguments = {each.name: each for each in LaunchDescription(entities).get_launch_arguments()}

    def check(context: LaunchContext) -> None:
        # Before the declarations set the defaults: only arguments given by the user can be wrong.
        given = context.launch_configurations
        for name in list(given):
            if name in arguments:
                given[name] = _checked_value(arguments[name], given[name])
            else:
                _warn_if_misspelt(name, arguments)
        _require_different([name for name in given if name in arguments and name.endswith("_topic")], given)
        refuse_people(context)
        if given.get("audio_topic") and given.get("sound") != "true":
            _warn_once("launch argument audio_topic has no effect without sound:=true")
        if given.get("rviz") == "true":
            _require("rviz2", "rviz:=true")

    return LaunchDescription([OpaqueFunction(function=check), *entities])


def _checked_value(argument: DeclareLaunchArgument, value: str) -> str:
    try:
        return check_value(argument.name, value, argument.choices or ())
    except ValueError as error:
        raise NotLaunched(f"launch argument {argument.name} {error}, got {value!r}") from error


def _require_different(names: Sequence[str], given: Mapping[str, str]) -> None:
    first: dict[str, str] = {}
    for name in names:
        if first.setdefault(given[name], name) != name:
            raise NotLaunched(
                f"launch arguments {first[given[name]]} and {name} must differ, got {given[name]!r}"
            )


def _warn_if_misspelt(name: str, known: Collection[str]) -> None:
    # A launch file that includes ours has arguments of its own, and those of drivers are passed through.
    for close in difflib.get_close_matches(name, known, 1, 0.8):
        _warn_once(f"launch argument {name} is unknown and has no effect; did you mean {close}?")


@functools.cache
def _warn_once(text: str) -> None:
    # A launch file and the one that it includes share most arguments.
    get_logger("launch").warning(text)


def respawning() -> dict[str, Any]:
    """Options of a Node that restart it after it has ended, if the launch argument ``respawn`` is true.

    A program whose configuration is invalid is not restarted: it ends the launch.
    """
    return {
        "respawn": LaunchConfiguration("respawn"),
        "respawn_delay": RESPAWN_DELAY_S,
        "on_exit": _end_if_misconfigured,
    }


def _end_if_misconfigured(event: ProcessExited, context: LaunchContext) -> None:
    if event.returncode == INVALID_CONFIGURATION and not context.is_shutdown:
        raise NotLaunched(
            f"{event.process_name} has an invalid configuration and is not restarted: see its error above"
        )


def ends_launch(reason: str) -> Callable[[ProcessExited, LaunchContext], Shutdown]:
    """The ``on_exit`` of a process that ends the launch: with status 1 if the process has failed."""

    def end(event: ProcessExited, context: LaunchContext) -> Shutdown:
        if event.returncode and not context.is_shutdown:
            raise NotLaunched(
                f"{event.process_name} failed with status {event.returncode}: see its error above"
            )
        return Shutdown(reason=reason)

    return end


def arguments_of_nodes() -> list[DeclareLaunchArgument]:
    """The launch arguments ``params_file``, ``device``, ``use_sim_time`` and ``respawn``."""
    defaults = PathJoinSubstitution([FindPackageShare("social_perception"), "config", "group_smile.yaml"])
    return [
        DeclareLaunchArgument(
            "params_file", default_value=defaults, description="YAML file with the nodes' parameters"
        ),
        DeclareLaunchArgument(
            "device",
            default_value=SmileConfig().device,
            choices=list(DEVICES),
            description="device that the networks run on; overrides params_file",
        ),
        DeclareLaunchArgument(
            "use_sim_time",
            default_value="false",
            choices=["true", "false"],
            description="use the time of /clock (simulation, bag)",
        ),
        DeclareLaunchArgument(
            "respawn",
            default_value="true",
            choices=["true", "false"],
            description=f"restart a program {RESPAWN_DELAY_S:g} s after it has ended or was killed",
        ),
    ]


def anonymity_arguments() -> list[DeclareLaunchArgument]:
    """The launch arguments ``group_only``, ``anonymous`` and ``min_group_size``."""
    return [
        DeclareLaunchArgument(
            "group_only",
            default_value="false",
            choices=["true", "false"],
            description="start scene_affect instead of all others: the affect of the scene as a whole, "
            "without any processing of single people",
        ),
        DeclareLaunchArgument(
            "anonymous",
            default_value="false",
            choices=["true", "false"],
            description="publish only the group's values, without ids, boxes or images; no topic is about a "
            "single person",
        ),
        DeclareLaunchArgument(
            "min_group_size",
            default_value=str(AnonymityConfig().min_group_size),
            description="with anonymous:=true: minimum number of people for which the group's values are "
            "published; for fewer, only their number is",
        ),
    ]


_VIEWS = {
    "overlay": ("true", "shows single people"),
    "markers": ("true", "shows single people"),
    "rviz": ("true", "shows single people"),
    "lockstep": ("true", "waits for the topic face_affect"),
}
_EXCLUDED = {
    "group_only": {"anonymous": ("true", "finds and follows single people"), **_VIEWS},
    "anonymous": {
        **_VIEWS,
        "composed": ("false", "publishes single people between processes"),
        "sound": ("true", "publishes the speech and laughter of single people"),
    },
}
"""What an argument excludes, and why."""


def refuse_people(context: Any) -> None:
    """End the launch if it is anonymous, or of the group only, and an argument requests single people.

    Raises:
        NotLaunched: with the name of the argument.
    """
    arguments = context.launch_configurations
    for mode, excluded in _EXCLUDED.items():
        for name, (value, why) in excluded.items():
            if arguments.get(mode) == "true" and arguments.get(name) == value:
                raise NotLaunched(f"{mode}:=true excludes {name}:={value}, which {why}: remove one of them")


class DerivedTopic(Substitution):
    """A topic derived from that of the images, or of the sound, which a launch argument sets.

    Args:
        argument: name of the launch argument with that topic.
        find: returns the derived topic.
    """

    def __init__(self, argument: str, find: Callable[[str], str]) -> None:
        super().__init__()
        self._images, self._find = LaunchConfiguration(argument), find

    def describe(self) -> str:
        return f"{self._find.__name__}({self._images.describe()})"

    def perform(self, context: LaunchContext) -> str:
        return self._find(self._images.perform(context))


def sound_arguments() -> list[DeclareLaunchArgument]:
    """The launch arguments ``sound``, ``audio_topic`` and ``microphone``."""
    return [
        DeclareLaunchArgument(
            "sound",
            default_value="false",
            choices=["true", "false"],
            description="start sound_events: who speaks and who laughs is estimated from sound",
        ),
        DeclareLaunchArgument(
            "audio_topic",
            default_value="",
            description="topic of the sound (audio_common_msgs AudioData or AudioDataStamped); empty: the "
            "microphone of this machine",
        ),
        DeclareLaunchArgument("microphone", default_value="", description=MICROPHONE),
    ]


def sound_parameters() -> dict[str, Any]:
    """The parameters of the nodes that these arguments set."""
    return {
        "sound": ParameterValue(LaunchConfiguration("sound"), value_type=bool),
        "audio_source": PythonExpression(
            ["'topic' if '", LaunchConfiguration("audio_topic"), "' else 'microphone'"]
        ),
        "microphone": ParameterValue(LaunchConfiguration("microphone"), value_type=str),
    }


def camera_info_topic(argument: str) -> Substitution:
    """The topic camera_info for the images whose topic a launch argument sets."""
    return DerivedTopic(argument, camera_info_of)


def aligned_depth_topic(argument: str) -> Substitution:
    """The topic of aligned depth images for the images whose topic a launch argument sets."""
    return DerivedTopic(argument, aligned_depth_of)


def audio_topics(argument: str) -> list[tuple[str, Substitution]]:
    """The remappings of the sound's topics, for the one that a launch argument sets."""
    return [
        ("audio", DerivedTopic(argument, audio_of)),
        ("audio_info", DerivedTopic(argument, audio_info_of)),
    ]
