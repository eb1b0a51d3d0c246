"""The rules of launch arguments: which values they accept, by their names."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml
from rclpy.exceptions import InvalidNamespaceException, InvalidTopicNameException
from rclpy.validate_namespace import validate_namespace
from rclpy.validate_topic_name import validate_topic_name

from social_perception.core.config import AnonymityConfig, WebConfig
from social_perception.core.files import read_limited
from social_perception.core.settings import settings_of

_MAX_YAML_BYTES = 1_000_000

Rule = Callable[[str], str]
"""Returns a value as the nodes expect it; raises ValueError with the rule that it breaks."""


def check_value(name: str, value: str, choices: Sequence[str] = ()) -> str:
    """Check the value of a launch argument.

    Args:
        name: of the argument.
        value: as given by the user.
        choices: the accepted values, in lower case; empty: any that the rule of the argument accepts.

    Returns:
        The value as the nodes expect it: ``true`` for ``True``.

    Raises:
        ValueError: the value is invalid; the message is the rule: "must be ...".
    """
    if not choices:
        return _RULES.get(name, _topic if name.endswith("_topic") else str)(value)
    if value.lower() not in choices:
        raise ValueError(f"must be {' or '.join(choices)}")
    return value.lower()


def _whole(low: float, high: float, *, or_empty: bool = False) -> Rule:
    def check(value: str) -> str:
        if (value or not or_empty) and not (re.fullmatch("[0-9]{1,9}", value) and low <= int(value) <= high):
            raise ValueError(f"must be a whole number in [{low:g}, {high:g}]{' or empty' * or_empty}")
        return value

    return check


def _setting(config: type, name: str, *, or_empty: bool = False) -> Rule:
    (item,) = (each for each in settings_of(config) if each.name == name)
    assert item.low is not None
    assert item.high is not None
    return _whole(item.low, item.high, or_empty=or_empty)


def _seconds(value: str) -> str:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]*)?", value):
        raise ValueError("must be a time in s, 0 or more")
    return value


def _color_profile(value: str) -> str:
    if not re.fullmatch(r"[0-9]+([x,])[0-9]+\1[0-9]+", value):
        raise ValueError("must be WIDTHxHEIGHTxRATE")
    return value


def _topic(value: str) -> str:
    try:
        validate_topic_name(value)
    except InvalidTopicNameException as error:
        raise ValueError(f"must be the name of a topic ({_reason(error)})") from error
    return value


def _namespace(value: str) -> str:
    try:
        validate_namespace(value if value.startswith("/") else f"/{value}")
    except InvalidNamespaceException as error:
        raise ValueError(f"must be a namespace ({_reason(error)})") from error
    return value


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0].partition(": ")[2].rstrip(":")


def _parameter_file(value: str) -> str:
    path = Path(value).expanduser()
    try:
        content = yaml.safe_load(read_limited(path, _MAX_YAML_BYTES).decode("utf-8"))
    except OSError as error:
        raise ValueError(f"must be a YAML file that can be read ({error.strerror})") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ValueError(f"must be a YAML file (line {line}: {error.problem})") from error
    # Dates that do not exist, endless nesting.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError("must be a YAML file (its content cannot be read)") from error
    if not isinstance(content, dict):
        raise ValueError("must be a YAML file with the parameters of nodes")  # noqa: TRY004
    return str(path)


_PIXELS = _whole(1, 100_000)

_RULES: dict[str, Rule] = {
    "audio_topic": lambda value: _topic(value) if value else value,
    "camera_name": _namespace,
    "camera_namespace": _namespace,
    "color_profile": _color_profile,
    "delay": _seconds,
    "height": _PIXELS,
    "min_group_size": _setting(AnonymityConfig, "min_group_size"),
    "namespace": _namespace,
    "params_file": _parameter_file,
    "rate": _whole(1, 1000),
    "web": _setting(WebConfig, "port", or_empty=True),
    "width": _PIXELS,
}
