"""The settings of a training run, as in ``config/train_*.yaml``."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml

from social_perception.core.config import shown
from social_perception.core.errors import ConfigurationError
from social_perception.core.files import read_limited

MAX_YAML_BYTES = 2**20
_LARGEST = 2**53
"""Whole numbers beyond it are no settings."""

Stage = TypeVar("Stage")


@dataclass(frozen=True, slots=True)
class StillSettings:
    """One stage of training the CNN and the head on single pictures."""

    epochs: int = 16
    draws: int = 40000
    """Pictures per epoch."""
    batch: int = 128
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    rated_share: float = 0.02
    """Share of the draws that are faces with rated levels."""
    emotion_weight: float = 0.5
    """Weight of the auxiliary loss on the eight FER+ emotions; its head is dropped afterwards."""
    dropout: float = 0.3
    ema_decay: float = 0.998
    """Decay per step of the running mean of the weights that is kept."""
    patience: int = 5
    """Epochs without a better validation AUC after which the stage ends."""


@dataclass(frozen=True, slots=True)
class TeacherSettings:
    """A wider network, trained like the shipped one, that says what the weak labels leave open."""

    channels: tuple[int, int, int, int] = (32, 48, 96, 192)
    """Channels of its CNN, see :class:`social_perception.perception.smile.networks.NetworkConfig`."""
    trust: float = 1.0
    """Weight of its word beside a rater's; 0: no teacher."""


@dataclass(frozen=True, slots=True)
class MemorySettings:
    """The stage that trains the GRU on sequences, with the CNN as it is."""

    sequences: int = 3000
    """Sequences of ``length`` frames: one face each, most of them a still whose look drifts slowly."""
    morphed_share: float = 0.25
    """Share of the sequences from stills in which a part of a smile (or its opposite) is acted."""
    talking_share: float = 0.15
    """Share of the sequences from stills in which the face talks; drawn apart from the smiles."""
    clip_share: float = 0.05
    """Share of all sequences that are windows of real video."""
    length: int = 20
    epochs: int = 30
    batch: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.01


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """A whole run: pre-training on weak labels, fine-tuning on rated ones, then the memory.

    A teacher goes through the first two beforehand.
    """

    name: str = "small"
    seed: int = 1
    sets: tuple[str, ...] = ("ferplus_train", "muxspace", "genki_train")
    """Data sets trained on; one that is not named here is left out altogether."""
    threads: int = 2
    precision: str = "bf16-mixed"
    devices: str | int = "auto"
    """GPUs to train on, one process each: a number, or ``auto`` for all there are."""
    cache: str = ".cache"
    output: str = "runs"
    teacher: TeacherSettings = field(default_factory=TeacherSettings)
    pretrain: StillSettings = field(default_factory=StillSettings)
    finetune: StillSettings = field(default_factory=StillSettings)
    memory: MemorySettings = field(default_factory=MemorySettings)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of settings, by name.

    Raises:
        ConfigurationError: the file is missing or holds something else.
    """
    try:
        values = yaml.safe_load(read_limited(path, MAX_YAML_BYTES).decode("utf-8")) or {}
    except OSError as error:
        raise ConfigurationError(f"cannot read the settings in {path}: {error.strerror or error}") from error
    # PyYAML lets through what its conversions raise: of a !!timestamp that is none, of a thousand brackets.
    except Exception as error:
        reason = " ".join(str(error).split()) or repr(error)
        raise ConfigurationError(f"cannot read the settings in {path}: {reason[:500]}") from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path} must hold settings by name")
    return values


def train_settings(values: Mapping[str, Any]) -> TrainSettings:
    """Build the settings of the small network from what a YAML file holds.

    Raises:
        ConfigurationError: a setting is unknown.
    """
    stages = {
        "teacher": of_names(TeacherSettings, values.get("teacher", {})),
        "pretrain": of_names(StillSettings, values.get("pretrain", {})),
        "finetune": of_names(StillSettings, values.get("finetune", {})),
        "memory": of_names(MemorySettings, values.get("memory", {})),
    }
    given = {name: value for name, value in values.items() if name != "network"}
    return of_names(TrainSettings, {**given, **stages})


def without_sets(settings: TrainSettings, left_out: Sequence[str]) -> TrainSettings:
    """The same run with data sets left out, which its name tells.

    Raises:
        ConfigurationError: a set is not one of the run's, or none is left.
    """
    unknown = sorted(set(left_out) - set(settings.sets))
    if unknown:
        raise ConfigurationError(f"without must be of {', '.join(settings.sets)}, got {unknown[0]}")
    rest = tuple(name for name in settings.sets if name not in left_out)
    if not rest:
        raise ConfigurationError("without leaves no set to train on")
    name = "_without_".join([settings.name, *left_out])
    return replace(settings, sets=rest, name=name)


def read_settings(path: Path) -> TrainSettings:
    """Read a YAML file of settings of the small network.

    Raises:
        ConfigurationError: the file is missing, is not YAML, or has an unknown setting.
    """
    return train_settings(read_yaml(path))


def of_names(kind: type[Stage], values: Any) -> Stage:
    """Build one of the dataclasses from values by name, each of the type of its default.

    Raises:
        ConfigurationError: these are no values by name, a name is unknown, or a value is of another type.
    """
    if not isinstance(values, Mapping):
        raise ConfigurationError(f"settings must be given by name, got {shown(values)}")
    known = [item.name for item in fields(kind)]  # type: ignore[arg-type]
    unknown = sorted(shown(name, str) for name in values if name not in known)
    if unknown:
        raise ConfigurationError(f"unknown setting {unknown[0]}; known are {', '.join(known)}")
    usual = kind()
    return kind(**{name: _of_type(name, value, getattr(usual, name)) for name, value in values.items()})


def _of_type(name: str, value: Any, default: Any) -> Any:
    if name == "devices" and type(value) is int:  # or a word
        return value
    if isinstance(default, tuple):
        if not isinstance(value, (list, tuple)) or not value:
            raise ConfigurationError(f"{name} must be a list, got {shown(value)}")
        if not isinstance(default[0], str) and len(value) != len(default):
            raise ConfigurationError(f"{name} must be {len(default)} numbers, got {len(value)}")
        return tuple(_of_type(name, each, default[0]) for each in value)
    if isinstance(default, float) and isinstance(value, str):
        # YAML 1.1 takes 1e-3 for a word.
        with contextlib.suppress(ValueError):
            value = float(value)
    kinds = (int, float) if isinstance(default, float) else (type(default),)
    if type(value) not in kinds or (type(value) in (int, float) and not _is_sane(value)):
        raise ConfigurationError(f"{name} must be of type {type(default).__name__}, got {shown(value)}")
    return value


def _is_sane(number: float) -> bool:
    return -_LARGEST < number < _LARGEST  # NaN is not
