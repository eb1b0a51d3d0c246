"""The settings of a training run, as in ``config/train_*.yaml``."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml

from social_perception.core.errors import ConfigurationError
from social_perception.core.files import read_limited
from social_perception.core.settings import format_value

MAX_YAML_BYTES = 2**20
_LARGEST = 2**53
"""Larger integers are invalid in settings."""

Settings = TypeVar("Settings")


@dataclass(frozen=True, slots=True)
class StillSettings:
    """One stage of training the CNN and the head on single images."""

    epochs: int = 16
    draws: int = 40000
    """Images per epoch."""
    batch: int = 128
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    rated_share: float = 0.02
    """Share of the draws that are faces with rated levels."""
    emotion_weight: float = 0.5
    """Weight of the auxiliary loss on the eight FER+ emotions; its head is dropped afterwards."""
    moving_share: float = 0.0
    """Share of the draws that are frames of the talking clips."""
    acted_share: float = 0.1
    """Share of the stills whose mouth is moved as by talking; the targets stay."""
    morphed_share: float = 0.0
    """Share of the draws with which the face also gets smiles of known amounts."""
    line_weight: float = 2.0
    """Weight of the loss that makes the intensity of these smiles linear in their amount."""
    dropout: float = 0.3
    ema_decay: float = 0.998
    """Decay per step of the exponential moving average of the weights."""
    patience: int = 5
    """The stage stops after this number of epochs without a better validation AUC."""


@dataclass(frozen=True, slots=True)
class TeacherSettings:
    """A wider network, trained like the shipped one, whose outputs refine the weak labels (distillation)."""

    outputs: str = ""
    """Table with the outputs of a trained network for the faces, as ``score`` writes it; empty: one is
    trained.
    """
    channels: tuple[int, int, int, int] = (32, 48, 96, 192)
    """Channels of its CNN, see :class:`social_perception.perception.smile.networks.NetworkConfig`."""
    trust: float = 1.0
    """Weight of its output relative to a rating; 0: no teacher."""


@dataclass(frozen=True, slots=True)
class MemorySettings:
    """The stage that trains the GRU on sequences, with the CNN frozen; 0 ``epochs`` leave it as it is."""

    sequences: int = 3000
    """Sequences of ``length`` frames of one face each, most rendered from a still."""
    morphed_share: float = 0.25
    """Share of the sequences from stills with a part of a smile (or a frown)."""
    talking_share: float = 0.25
    """Share of the sequences from stills in which the face talks; independent of the smiles."""
    clip_share: float = 0.05
    """Share of all sequences that are windows of unrated video."""
    moving_share: float = 0.1
    """Share of all chains of sequences that are windows of the rated talking clips. These are few people:
    with a larger share the memory learns their faces, and delays the smiles of others by a second.
    """
    dropout: float = 0.5
    """Of the features that the memory sees, for the same reason."""
    length: int = 20
    epochs: int = 30
    batch: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.01


@dataclass(frozen=True, slots=True)
class MouthSettings:
    """The stage that trains the output of a visible mouth, with the CNN frozen."""

    draws: int = 40000
    """Faces: covered ones, and others."""
    steps: int = 1500
    batch: int = 512
    learning_rate: float = 3e-3
    weight_decay: float = 0.1
    dropout: float = 0.3
    false_alarms: float = 0.003
    """Share of the faces with a visible mouth whose smile may become invalid; it defines the bias."""


@dataclass(frozen=True, slots=True)
class AlignerSettings:
    """The training of the alignment on tables of points."""

    name: str = "aligner"
    seed: int = 1
    sets: tuple[str, ...] = ("ferplus_train", "muxspace", "genki_train")
    """The data sets to train on, without their held-out faces."""
    points: str = ".cache/points"
    """Folder of the tables of points, ``NAME.csv``."""
    epochs: int = 24
    draws: int = 25600
    """Crops per epoch."""
    batch: int = 256
    learning_rate: float = 4e-3
    weight_decay: float = 0.01
    threads: int = 1
    precision: str = "bf16-mixed"
    devices: str | int = "auto"
    output: str = "runs"


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """A complete run: pre-training on weak labels, fine-tuning on ratings, then the memory.

    Before that, a teacher is trained with the first two stages.
    """

    name: str = "small"
    seed: int = 1
    sets: tuple[str, ...] = ("ferplus_train", "muxspace", "genki_train")
    """The data sets to train on."""
    threads: int = 2
    precision: str = "bf16-mixed"
    devices: str | int = "auto"
    """Number of GPUs, one process each; ``auto``: all."""
    aligner: str = ""
    """File of the smile network or of the alignment whose alignment is used; empty: the shipped network's."""
    start: str = ""
    """File of a trained network, or ``shipped``, that is trained further, from the fine-tuning on, with
    itself as the teacher; with 0 epochs of fine-tuning its CNN and calibration stay as they are. Empty: a new
    network.
    """
    without_clips: tuple[str, ...] = ("",)
    """Talking clips that are not trained on."""
    cache: str = ".cache"
    output: str = "runs"
    teacher: TeacherSettings = field(default_factory=TeacherSettings)
    pretrain: StillSettings = field(default_factory=StillSettings)
    finetune: StillSettings = field(default_factory=StillSettings)
    memory: MemorySettings = field(default_factory=MemorySettings)
    mouth: MouthSettings = field(default_factory=MouthSettings)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of settings as a dict.

    Raises:
        ConfigurationError: the file is missing, is not YAML or is not a mapping.
    """
    try:
        values = yaml.safe_load(read_limited(path, MAX_YAML_BYTES).decode("utf-8")) or {}
    except OSError as error:
        raise ConfigurationError(f"cannot read the settings in {path}: {error.strerror or error}") from error
    # PyYAML raises other errors, too: for an invalid !!timestamp, or for a thousand nested brackets.
    except Exception as error:
        reason = " ".join(str(error).split()) or repr(error)
        raise ConfigurationError(f"cannot read the settings in {path}: {reason[:500]}") from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path} must be a mapping of setting names to values")
    return values


def with_changes(values: Mapping[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """Replace settings by ``NAME=VALUE``; the values are YAML.

    Raises:
        ConfigurationError: a change has another form.
    """
    changed = dict(values)
    for change in changes:
        name, equals, value = change.partition("=")
        try:
            changed[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigurationError(f"the value of {name} must be YAML, got {value[:80]!r}") from error
        if not (name and equals):
            raise ConfigurationError(f"a setting must be NAME=VALUE, got {change[:80]!r}")
    return changed


def train_settings(values: Mapping[str, Any]) -> TrainSettings:
    """Build the settings of the small network from the content of a YAML file.

    Raises:
        ConfigurationError: a setting is unknown or of the wrong type.
    """
    stages = {
        "teacher": from_mapping(TeacherSettings, values.get("teacher", {})),
        "pretrain": from_mapping(StillSettings, values.get("pretrain", {})),
        "finetune": from_mapping(StillSettings, values.get("finetune", {})),
        "memory": from_mapping(MemorySettings, values.get("memory", {})),
        "mouth": from_mapping(MouthSettings, values.get("mouth", {})),
    }
    given = {name: value for name, value in values.items() if name != "network"}
    return from_mapping(TrainSettings, {**given, **stages})


def aligner_settings(values: Mapping[str, Any]) -> AlignerSettings:
    """Build the settings of the alignment from the content of a YAML file.

    Raises:
        ConfigurationError: a setting is unknown or of the wrong type.
    """
    return from_mapping(AlignerSettings, {name: each for name, each in values.items() if name != "network"})


def without_sets(settings: TrainSettings, excluded: Sequence[str]) -> TrainSettings:
    """Exclude data sets from the run and add their names to the name of the run.

    Raises:
        ConfigurationError: a set is not in the run, or no set remains.
    """
    unknown = sorted(set(excluded) - set(settings.sets))
    if unknown:
        raise ConfigurationError(f"without must be one of {', '.join(settings.sets)}, got {unknown[0]}")
    sets = tuple(name for name in settings.sets if name not in excluded)
    if not sets:
        raise ConfigurationError("without must not exclude all sets")
    name = "_without_".join([settings.name, *excluded])
    return replace(settings, sets=sets, name=name)


def read_settings(path: Path) -> TrainSettings:
    """Read a YAML file of settings of the small network.

    Raises:
        ConfigurationError: the file is missing, is not YAML, or has an unknown setting.
    """
    return train_settings(read_yaml(path))


def from_mapping(kind: type[Settings], values: Any) -> Settings:
    """Build a settings dataclass from a mapping; each value must have the type of its default.

    Args:
        kind: the dataclass; every field has a default.
        values: setting names to values, unchecked.

    Raises:
        ConfigurationError: this is not a mapping, a name is unknown, or a value has the wrong type.
    """
    if not isinstance(values, Mapping):
        raise ConfigurationError(f"settings must be a mapping of names to values, got {format_value(values)}")
    known = [item.name for item in fields(kind)]  # type: ignore[arg-type]
    unknown = sorted(format_value(name, str) for name in values if name not in known)
    if unknown:
        raise ConfigurationError(f"unknown setting {unknown[0]}; known are {', '.join(known)}")
    defaults = kind()
    return kind(**{name: _of_type(name, value, getattr(defaults, name)) for name, value in values.items()})


def _of_type(name: str, value: Any, default: Any) -> Any:
    if name == "devices" and type(value) is int:  # else a string
        return value
    if isinstance(default, tuple):
        if not isinstance(value, (list, tuple)) or not value:
            raise ConfigurationError(f"{name} must be a list, got {format_value(value)}")
        if not isinstance(default[0], str) and len(value) != len(default):
            raise ConfigurationError(f"{name} must be {len(default)} numbers, got {len(value)}")
        return tuple(_of_type(name, each, default[0]) for each in value)
    if isinstance(default, float) and isinstance(value, str):
        # YAML 1.1 reads 1e-3 as a string.
        with contextlib.suppress(ValueError):
            value = float(value)
    kinds = (int, float) if isinstance(default, float) else (type(default),)
    if type(value) not in kinds or (type(value) in (int, float) and not _is_in_range(value)):
        raise ConfigurationError(
            f"{name} must be of type {type(default).__name__}, got {format_value(value)}"
        )
    return value


def _is_in_range(number: float) -> bool:
    return -_LARGEST < number < _LARGEST  # False for NaN
