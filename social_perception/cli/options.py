"""Command-line flags derived from the configuration, which has their names, ranges, defaults and help."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from social_perception.core.config import (
    DetectionConfig,
    ExplanationConfig,
    GroupConfig,
    HearingConfig,
    LaughterConfig,
    PipelineConfig,
    SceneConfig,
    SmileConfig,
    TrackingConfig,
)
from social_perception.core.errors import ConfigurationError
from social_perception.core.secret import is_plain
from social_perception.core.settings import Setting, from_mapping, merge_settings, settings_of

Config = TypeVar("Config")

_logger = logging.getLogger(__name__)

_PIPELINE = (
    DetectionConfig,
    TrackingConfig,
    SmileConfig,
    GroupConfig,
    HearingConfig,
    ExplanationConfig,
    SceneConfig,
    LaughterConfig,
)
# The rate is that of a ROS node's timer; here a group comes with every frame.
_NOT_HERE = frozenset({"publish_rate_hz"})
_DESTINATION = "setting_"


def add_settings(
    parser: argparse.ArgumentParser,
    kinds: Sequence[type],
    *,
    leave_out: frozenset[str] = _NOT_HERE,
    prefix: str = "",
) -> None:
    """Add a flag per setting, ``--min-face-px`` for ``min_face_px``; a prefix stands before its name.

    One that several kinds have sets all of them, each if it knows the choice.
    """
    group = parser.add_argument_group("settings")
    for item in merge_settings(kinds, leave_out).values():
        _add(group, item, prefix)


def _add(group: Any, item: Setting, prefix: str) -> None:
    rules = [f"default {item.default}" if item.default != "" else ""]
    if item.low is not None and item.high is not None:
        rules.insert(0, f"{item.low:g} to {item.high:g}")
    note = "; ".join(rule for rule in rules if rule)
    group.add_argument(
        "--" + (prefix + item.name).replace("_", "-"),
        dest=_DESTINATION + prefix + item.name,
        type=_reader(item),
        choices=item.choices or None,
        metavar=None if item.choices else item.type.__name__.upper(),
        # --web-picture alone means yes.
        **({"nargs": "?", "const": True} if item.type is bool else {}),
        help=(item.description + (f" ({note})" if note else "")).replace("%", "%%"),
    )


def _reader(item: Setting) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            value = _boolean(text) if item.type is bool else item.type(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be a {item.type.__name__}, got {text!r}") from None
        if not item.choices:  # argparse itself checks choices and lists them
            try:
                item.check(value)
            except ConfigurationError as error:
                raise argparse.ArgumentTypeError(str(error)) from None
        return value

    return read


def _boolean(text: str) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in words:
        raise ValueError(text)
    return words[text.lower()]


def is_used(options: argparse.Namespace, name: str, *, prefix: str = "") -> bool:
    """Whether the flag of a setting is used."""
    return getattr(options, _DESTINATION + prefix + name, None) is not None


def settings_from(
    options: argparse.Namespace, kind: type[Config], *, prefix: str = "", **defaults: Any
) -> Config:
    """The configuration of a kind from the flags that are used; ``defaults`` replace those of the kind."""
    values = dict(defaults)
    for item in settings_of(kind):
        value = getattr(options, _DESTINATION + prefix + item.name, None)
        if value is not None and (not item.choices or value in item.choices):
            values[item.name] = value
    return from_mapping(kind, values)


def add_pipeline_settings(parser: argparse.ArgumentParser, *, live: bool) -> None:
    """The flags of the whole pipeline; a recorded video is not processed in real time and has no budget."""
    add_settings(parser, _PIPELINE, leave_out=_NOT_HERE if live else _NOT_HERE | {"cpu_budget"})


def pipeline_settings(options: argparse.Namespace) -> PipelineConfig:
    """The configuration of the whole pipeline from the flags."""
    return PipelineConfig(
        settings_from(options, DetectionConfig),
        settings_from(options, TrackingConfig),
        settings_from(options, SmileConfig),
        settings_from(options, GroupConfig),
        settings_from(options, HearingConfig),
        settings_from(options, ExplanationConfig),
        settings_from(options, SceneConfig),
        settings_from(options, LaughterConfig),
    )


def positive(text: str) -> float:
    """A flag's number above 0."""
    value = float(text)
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return value


def not_negative(text: str) -> float:
    """A flag's number, 0 or more."""
    value = float(text)
    if not 0.0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be 0 or more, got {text}")
    return value


def warn_if_plain(flag: str, value: str) -> None:
    """Warn where the flag contains the secret itself, which other users can see."""
    if is_plain(value):
        _logger.warning(
            "others on this machine see %s in the list of processes; %s @FILE keeps it from them", flag, flag
        )
