"""Errors of rclpy and Python about arguments, names, topics and packages, as one line each."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rclpy.exceptions import NameValidationException, ParameterException
from rclpy.utilities import remove_ros_args

from social_perception.core.errors import INVALID_CONFIGURATION, ConfigurationError, missing_package

_SOURCE_LINE = re.compile(r", at \S+:\d+")
_TWO_TYPES = re.compile(r"existing topic name (?:rt)?(\S+) with incompatible type (\S+)")


def as_configuration_error(error: Exception) -> Exception:
    """The error of an invalid name, a topic of two types, or a missing package; others are unchanged."""
    if isinstance(error, ModuleNotFoundError):
        return missing_package(error)
    two_types = _TWO_TYPES.search(str(error))
    if two_types:
        topic, kind = two_types[1], two_types[2].replace("::msg::dds_::", "/").rstrip("_,")
        return ConfigurationError(f"topic {topic} is used for {kind} and for another type: remap one of them")
    if isinstance(error, (NameValidationException, ParameterException)):
        return ConfigurationError(_one_line(error))
    return error


@contextmanager
def converted_errors() -> Iterator[None]:
    """Convert errors inside the block that starting it again does not solve.

    Raises:
        ConfigurationError: a name is invalid, or a topic has two types.
        MissingDependencyError: a Python package is not installed.
    """
    try:
        yield
    except Exception as error:
        converted = as_configuration_error(error)
        if converted is error:
            raise
        raise converted from error


@contextmanager
def converted_argument_errors() -> Iterator[None]:
    """Convert all errors of rclpy inside a block that only reads arguments.

    Raises:
        ConfigurationError: an argument, a remapping or a parameter file is invalid.
    """
    try:
        yield
    except RuntimeError as error:  # the base of RCLError and UnknownROSArgsError
        raise ConfigurationError(f"the arguments for ROS are invalid: {_one_line(error)}") from error


def own_arguments(args: Sequence[str] | None) -> list[str]:
    """The arguments of a program without those of ROS; ends the program if the latter are invalid."""
    try:
        with converted_argument_errors():
            return list(remove_ros_args(sys.argv if args is None else ["", *args]))[1:]
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(INVALID_CONFIGURATION) from error


def _one_line(error: Exception) -> str:
    # rclpy marks the position of an invalid character in further lines.
    return _SOURCE_LINE.sub("", " ".join(str(error).partition("\n    ^")[0].split()))
