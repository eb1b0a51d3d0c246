"""Security (SROS2) for the launch files: every process has its enclave, or nothing is started."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.launch_context import LaunchContext
from launch.substitutions import EnvironmentVariable, LaunchConfiguration
from launch_ros.actions import Node

from social_perception.ros.security.policies import OWN_ENCLAVES

PACKAGE = "social_perception"
ENABLE, STRATEGY, KEYSTORE = "ROS_SECURITY_ENABLE", "ROS_SECURITY_STRATEGY", "ROS_SECURITY_KEYSTORE"
OVERRIDE = "ROS_SECURITY_ENCLAVE_OVERRIDE"
FILES = (
    "cert.pem",
    "governance.p7s",
    "identity_ca.cert.pem",
    "key.pem",
    "permissions.p7s",
    "permissions_ca.cert.pem",
)
"""The files that ROS requires in an enclave."""


class NotSecured(RuntimeError):  # noqa: N818
    """Security is requested but not possible; launch shows the text as its error."""


def security_arguments() -> list[DeclareLaunchArgument]:
    """The launch arguments ``security``, ``keystore`` and ``enclaves``; by default ROS's environment."""
    return [
        DeclareLaunchArgument(
            "security",
            default_value="true" if os.environ.get(ENABLE) == "true" else "false",
            choices=["true", "false"],
            description="SROS2: the nodes start with their enclaves and the strategy Enforce, or not at all; "
            f"default: the value of {ENABLE}",
        ),
        DeclareLaunchArgument(
            "keystore",
            default_value=EnvironmentVariable(KEYSTORE, default_value=""),
            description="folder created by make_keystore (security:=true)",
        ),
        DeclareLaunchArgument(
            "enclaves",
            default_value=OWN_ENCLAVES,
            description="path of the enclaves in the keystore (security:=true)",
        ),
    ]


def enclave(program: str) -> list[Any]:
    """The ``ros_arguments`` of a program's node; ROS ignores them without security."""
    return ["--enclave", [LaunchConfiguration("enclaves"), f"/{program}"]]


def secured(*entities: Any) -> OpaqueFunction:
    """An action that enables security if it is requested; put it before everything that is started.

    Args:
        entities: the nodes and groups that are started after it.
    """

    def secure(context: LaunchContext) -> list[SetEnvironmentVariable]:
        arguments = context.launch_configurations
        if arguments["security"] != "true":
            return [SetEnvironmentVariable(ENABLE, "false")] if ENABLE in os.environ else []
        check_enclaves(arguments["keystore"], _enclaves_of(entities, context, arguments["enclaves"]))
        keystore = str(Path(arguments["keystore"]).expanduser().resolve())
        values = {ENABLE: "true", STRATEGY: "Enforce", KEYSTORE: keystore}
        return [SetEnvironmentVariable(name, value) for name, value in values.items()]

    return OpaqueFunction(function=secure)


def check_enclaves(keystore: str, enclaves: Iterable[str]) -> None:
    """Check that all enclaves in a keystore are complete.

    Raises:
        NotSecured: the keystore or a file of an enclave is missing.
    """
    if not keystore:
        raise NotSecured(f"security:=true needs keystore:=DIR (or {KEYSTORE}): {_REMEDY}")
    root = Path(keystore).expanduser() / "enclaves"
    if not root.is_dir():
        raise NotSecured(
            f"security:=true, but {keystore} is not a keystore (it has no folder enclaves): {_REMEDY}"
        )
    for name in enclaves:
        missing = [file for file in FILES if not (root / name.lstrip("/") / file).is_file()]
        if missing:
            absent = len(missing) == len(FILES)
            what = f"has no enclave {name}" if absent else f"has no {', '.join(missing)} for {name}"
            raise NotSecured(f"security:=true, but the keystore {keystore} {what}: {_REMEDY}")


_REMEDY = "create it with ros2 run social_perception make_keystore DIR"


def _enclaves_of(entities: Iterable[Any], context: LaunchContext, enclaves: str) -> list[str]:
    """The enclaves of the processes that will be started."""
    programs = []
    for entity in _started(entities, context):
        if not _has_enclave(entity):
            raise NotSecured(
                f"security:=true, but {_description(entity)} has no enclave here: start it separately, with "
                "your own enclave (docs/security.md)"
            )
        programs.append(str(entity.node_executable))
    # The user's override: one enclave for all processes.
    override = os.environ.get(OVERRIDE)
    return [override] if override else [f"{enclaves.rstrip('/')}/{program}" for program in programs]


def _started(entities: Iterable[Any], context: LaunchContext) -> Iterator[Any]:
    for entity in entities:
        if entity.condition is not None and not entity.condition.evaluate(context):
            continue
        if isinstance(entity, GroupAction):
            yield from _started(entity.get_sub_entities(), context)
        elif isinstance(entity, (ExecuteProcess, IncludeLaunchDescription)):
            yield entity


def _has_enclave(entity: Any) -> bool:
    if not isinstance(entity, Node) or entity.node_package != PACKAGE:
        return False
    return any(getattr(word, "text", "") == "--enclave" for part in entity.cmd for word in part)


def _description(entity: Any) -> str:
    if isinstance(entity, Node):
        return f"{entity.node_executable} of {entity.node_package}"
    return "a process of another package"
