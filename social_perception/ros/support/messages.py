"""The package's message types for rclpy, and their builder."""

from __future__ import annotations

import importlib
from typing import Any

from social_perception.core.errors import MissingDependencyError
from social_perception.ros.convert import Messages

try:
    from social_perception.msg import (
        FaceAffect,
        FaceAffectArray,
        GroupAffect,
        GroupDynamics,
        SceneAffect,
        SoundEvent,
        TrackedFace,
        TrackedFaceArray,
    )
except ImportError as error:
    raise MissingDependencyError(
        "the messages of social_perception are not built or not on the path: run colcon build and "
        "source install/setup.bash"
    ) from error

__all__ = [
    "MESSAGES",
    "FaceAffect",
    "FaceAffectArray",
    "GroupAffect",
    "GroupDynamics",
    "SceneAffect",
    "SoundEvent",
    "TrackedFace",
    "TrackedFaceArray",
]


def _type_of(name: str) -> Any:
    package, _, kind = name.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), kind)


MESSAGES = Messages(_type_of)
