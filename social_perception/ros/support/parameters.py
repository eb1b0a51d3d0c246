"""ROS parameters made from configuration dataclasses: one default, one range, one description."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from social_perception.core.errors import ConfigurationError
from social_perception.core.settings import (
    Checked,
    Setting,
    from_mapping,
    merge_settings,
    select_values,
    settings_of,
)

Config = TypeVar("Config")

_TYPES = {
    bool: Parameter.Type.BOOL,
    int: Parameter.Type.INTEGER,
    float: Parameter.Type.DOUBLE,
    str: Parameter.Type.STRING,
    tuple: Parameter.Type.STRING_ARRAY,
}


def descriptor_of(item: Setting) -> ParameterDescriptor:
    """The description of a setting that ``ros2 param describe`` shows."""
    descriptor = ParameterDescriptor(
        name=item.name,
        type=_TYPES[item.type].value,
        description=item.description,
        read_only=not item.dynamic,
        # Types are checked by the settings: rclpy's error names neither parameter nor type, and an
        # integer in a YAML file (window_s: 5) may be meant as a float.
        dynamic_typing=True,
    )
    if item.choices:
        descriptor.additional_constraints = f"one of: {', '.join(item.choices)}"
    if item.low is not None and item.high is not None:
        if item.type is int:
            whole = IntegerRange(from_value=int(item.low), to_value=int(item.high), step=0)
            descriptor.integer_range = [whole]
        else:
            real = FloatingPointRange(from_value=float(item.low), to_value=float(item.high), step=0.0)
            descriptor.floating_point_range = [real]
    return descriptor


class Parameters:
    """Declares the settings of some configuration dataclasses on a node and keeps them up to date.

    Args:
        node: owner of the parameters.
        kinds: configuration dataclasses; a setting that several of them have is one parameter.
        changed: called after a dynamic setting has changed.

    Raises:
        ConfigurationError: an initial value has the wrong type or is outside its range.
    """

    def __init__(self, node: Node, kinds: Sequence[type], changed: Callable[[], None]) -> None:
        self._changed = changed
        self._settings = merge_settings(kinds)
        values = {name: _declare(node, item) for name, item in self._settings.items()}
        for name, value in values.items():
            self._settings[name].check(value)
        self._configs: dict[type, Any] = {
            kind: from_mapping(kind, select_values(kind, values)) for kind in kinds
        }
        node.add_on_set_parameters_callback(self._set)
        _warn_of_unknown(node, self._settings)

    def __getitem__(self, kind: type[Config]) -> Config:
        """The current configuration of this kind."""
        config: Config = self._configs[kind]
        return config

    def _set(self, parameters: list[Parameter[Any]]) -> SetParametersResult:
        # rclpy rejects read-only parameters before this callback; up to Humble only after it.
        frozen = [item.name for item in parameters if not self._may_change(item.name)]
        if frozen:
            reason = f"{frozen[0]} is read-only: it is read when the node starts"
            return SetParametersResult(successful=False, reason=reason)
        ours = {item.name: item.value for item in parameters if item.name in self._settings}
        before = self._configs
        try:
            for name, value in ours.items():
                self._settings[name].check(value)
            self._configs = {kind: _replaced(config, ours) for kind, config in before.items()}
            if ours:
                self._changed()
        except ConfigurationError as error:
            self._configs = before
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _may_change(self, name: str) -> bool:
        return name not in self._settings or self._settings[name].dynamic


def _declare(node: Node, item: Setting) -> Any:
    try:
        return node.declare_parameter(item.name, item.default, descriptor_of(item)).value
    except ParameterException as error:
        # rclpy has no public access to it; our own message names parameter, value and rule.
        given = getattr(node, "_parameter_overrides", {}).get(item.name)
        if given is not None:
            item.check(given.value)
        raise ConfigurationError(str(error)) from error


def _replaced(config: Any, values: dict[str, Any]) -> Any:
    changes = select_values(config, values)
    return dataclasses.replace(config, **changes) if changes else config


_ROS_OWN = re.compile(r"use_sim_time|start_type_description_service|(qos_overrides|diagnostic_updater)\..*")


def _warn_of_unknown(node: Node, known: Iterable[str]) -> None:
    """Warn of parameters that no node of the package has: rclpy silently ignores a misspelt parameter.

    Parameters of the package's other nodes are accepted, because the ``/**`` of a file and the arguments of
    a process with several nodes apply to all of them.
    """
    everywhere = _names_of(Checked) | set(known)
    # rclpy has no public access to them.
    for name in sorted(getattr(node, "_parameter_overrides", {})):
        if name in everywhere or node.has_parameter(name) or _ROS_OWN.fullmatch(name):
            continue
        close = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]}?" if close else f"ros2 param list {node.get_fully_qualified_name()}"
        node.get_logger().warning(f"parameter {name} is unknown and has no effect; {hint}")


def _names_of(kind: type) -> set[str]:
    """The settings of all configurations that derive from a class."""
    names = {item.name for item in settings_of(kind)} if dataclasses.is_dataclass(kind) else set()
    return names.union(*map(_names_of, kind.__subclasses__()))
