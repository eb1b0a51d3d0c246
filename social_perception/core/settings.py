"""Declares settings: dataclass fields with a default, a range and a description.

ROS parameters, YAML files and command-line options are derived from :func:`settings_of`; no default is
repeated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from social_perception.core.errors import ConfigurationError

Config = TypeVar("Config")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, as a ROS parameter with its descriptor.

    ``type`` is bool, int, float, str or tuple (of strings).
    """

    name: str
    type: type
    default: Any
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    dynamic: bool = False

    def check(self, value: Any) -> None:
        """Check a value.

        Raises:
            ConfigurationError: the value is invalid; the message has the setting, the value and the rule.
        """
        if self.type is tuple:
            if not isinstance(value, (tuple, list)) or not all(isinstance(each, str) for each in value):
                raise ConfigurationError(f"{self.name} must be a list of texts, got {format_value(value)}")
            return
        allowed: Any = (int, float) if self.type is float else self.type
        if not isinstance(value, allowed) or (isinstance(value, bool) and self.type is not bool):
            raise ConfigurationError(
                f"{self.name} must be of type {self.type.__name__}, got {format_value(value)}"
            )
        if self.choices and value not in self.choices:
            raise ConfigurationError(
                f"{self.name} must be one of {', '.join(self.choices)}, got {format_value(value, str)}"
            )
        if self.low is None or self.high is None:
            return
        if not self.low <= value <= self.high:  # False for NaN
            raise ConfigurationError(
                f"{self.name} must be in [{self.low:g}, {self.high:g}], got {format_value(value)}"
            )


def format_value(value: Any, to_text: Callable[[Any], str] = repr) -> str:
    """Format a value for an error message, in one line of limited length."""
    try:
        text = " ".join(to_text(value).split())
    except (ValueError, RecursionError):  # Python does not format integers with thousands of digits
        return "an unprintable value"
    return text if len(text) <= 100 else f"{text[:100]} ..."


def setting(
    default: Any,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    dynamic: bool = False,
) -> Any:
    """Create a dataclass field with a description and a range; dynamic settings may change at run time."""
    extras = {"low": low, "high": high, "choices": choices, "dynamic": dynamic}
    return field(default=default, metadata={"description": description, **extras})


def settings_of(config: type | object) -> tuple[Setting, ...]:
    """Return the settings of a configuration dataclass (class or instance), in order."""
    return tuple(
        Setting(item.name, type(item.default), item.default, **item.metadata)
        for item in dataclasses.fields(config)  # type: ignore[arg-type]
        if "description" in item.metadata
    )


def merge_settings(kinds: Iterable[type], exclude: Collection[str] = ()) -> dict[str, Setting]:
    """Merge the settings of several configurations by name; equal names become one setting with all
    choices.
    """
    known: dict[str, Setting] = {}
    for item in (item for kind in kinds for item in settings_of(kind) if item.name not in exclude):
        first = known.setdefault(item.name, item)
        if first is not item and first != item:
            choices = tuple(dict.fromkeys(first.choices + item.choices))
            description = f"{first.description}; {item.description}"
            known[item.name] = dataclasses.replace(first, choices=choices, description=description)
    return known


def select_values(config: type | object, values: Mapping[str, Any]) -> dict[str, Any]:
    """Select the values that belong to a configuration; choices that only others have are dropped."""
    return {
        item.name: values[item.name]
        for item in settings_of(config)
        if item.name in values and (not item.choices or values[item.name] in item.choices)
    }


def from_mapping(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """Create a configuration from values by name.

    Raises:
        ConfigurationError: a name is unknown or a value is invalid.
    """
    known = {item.name for item in settings_of(kind)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigurationError(
            f"unknown setting {format_value(unknown[0], str)}; known are {', '.join(sorted(known))}"
        )
    # Files and parameters have lists where a frozen object has tuples.
    frozen = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return kind(**frozen)


class Checked:
    """Base class of the configurations: checks every setting when an object is created."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for item in settings_of(self):
            item.check(getattr(self, item.name))
