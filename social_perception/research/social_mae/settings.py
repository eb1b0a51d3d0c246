"""The settings of the trainings of the Social-MAE, as in ``config/social_mae_*.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from social_perception.core.errors import ConfigurationError
from social_perception.research.social_mae.network import SIZES, NetworkSizes
from social_perception.research.training.settings import from_mapping

LABELS = ("class", "values")
SCHEDULES = ("halving", "one_cycle")
RAY = "ray"
ENGINES = ("lightning", RAY)


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What both trainings have in common; the defaults are those of the publication."""

    name: str = "social_mae"
    seed: int = 1
    size: str = "base"
    frames: int = 8
    """Frames of an example; a single one has no patches along time."""
    shards: tuple[str, ...] = ("shards/videos",)
    """Folders of shards, see ``config/social_mae_shards.yaml``."""
    weights: str = ""
    """Weights to begin with: ours, or a checkpoint of CAV-MAE or Social-MAE."""
    epochs: int = 25
    batch: int = 36
    accumulate: int = 1
    """Batches whose gradients are added up for one step."""
    learning_rate: float = 1e-4
    weight_decay: float = 5e-7
    schedule: str = "halving"
    """``halving``: Adam, whose rate halves every 5 epochs from the 10th; ``one_cycle``: AdamW, once up and
    down."""
    precision: str = "16-mixed"
    devices: str | int = "auto"
    """GPUs of each machine, one process each; ``auto``: all. Of Ray, those of the cluster, or a number of
    processes."""
    nodes: int = 1
    """Machines, on each of which torchrun starts the same command."""
    engine: str = "lightning"
    """``ray``: the processes run on the Ray cluster of RAY_ADDRESS, or on a Ray of this machine."""
    threads: int = 1
    workers: int = 2
    output: str = "runs"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "accumulate", "frames", "nodes", "threads"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name, known in (("size", tuple(SIZES)), ("schedule", SCHEDULES), ("engine", ENGINES)):
            if getattr(self, name) not in known:
                raise ConfigurationError(
                    f"{name} must be one of {', '.join(known)}, got {getattr(self, name)}"
                )

    @property
    def sizes(self) -> NetworkSizes:
        sizes = SIZES[self.size]
        return replace(sizes, frames=self.frames, tubelet=min(self.frames, sizes.tubelet))


@dataclass(frozen=True, slots=True)
class PretrainingSettings(RunSettings):
    """A pre-training, without labels."""

    masked: float = 0.75
    """Share of the patches that are hidden."""
    contrast_weight: float = 0.01
    """Of the contrast between faces and sounds."""
    normalized_patches: bool = False
    """Whether patches are restored with mean 0 and deviation 1 each."""
    development: bool = False
    """Whether the development data are used instead of shards, see :mod:`.development`."""
    bursts: str = "sounds/emogator"
    """Of these, the folder of EmoGator's recordings."""
    shares: tuple[float, float, float] = (0.2, 0.7, 0.1)
    """Of clips, bursts and faces in the draws."""
    draws: int = 6400
    """Examples per epoch."""
    cache: str = ".cache"

    def __post_init__(self) -> None:
        RunSettings.__post_init__(self)
        if self.draws < 1:
            raise ConfigurationError(f"draws must be at least 1, got {self.draws}")
        if min(self.shares) < 0.0 or not sum(self.shares):
            raise ConfigurationError(f"shares must be at least 0, and not all 0, got {self.shares}")
        if not 0.0 < self.masked < 1.0:
            raise ConfigurationError(f"masked must be in (0, 1), got {self.masked}")


@dataclass(frozen=True, slots=True)
class FinetuningSettings(RunSettings):
    """A fine-tuning for one task."""

    labels: str = "class"
    """``class``: one of ``outputs`` classes; ``values``: ``outputs`` numbers (regression)."""
    outputs: int = 6
    head_rate: float = 50.0
    """Learning rate of the head as a multiple of the encoder's."""
    mixup: float = 0.0
    """Share of the examples that are mixed with another one."""
    balanced: bool = False
    """Whether rare classes weigh as much as frequent ones."""
    frozen: bool = False
    """Whether only the head is trained (a linear probe)."""
    sound_only: bool = False
    """Whether the faces are not used, as for the laughter of a listener."""

    def __post_init__(self) -> None:
        RunSettings.__post_init__(self)
        if self.labels not in LABELS:
            raise ConfigurationError(f"labels must be one of {', '.join(LABELS)}, got {self.labels}")
        least = 2 if self.labels == "class" else 1
        if self.outputs < least:
            raise ConfigurationError(f"outputs must be at least {least}, got {self.outputs}")
        if not 0.0 <= self.mixup <= 1.0:
            raise ConfigurationError(f"mixup must be in [0, 1], got {self.mixup}")


def pretraining_settings(values: Mapping[str, Any]) -> PretrainingSettings:
    """Build the settings of a pre-training from the content of a YAML file.

    Raises:
        ConfigurationError: a setting is unknown or outside its range.
    """
    return from_mapping(PretrainingSettings, _without_network(values))


def finetuning_settings(values: Mapping[str, Any]) -> FinetuningSettings:
    """Build the settings of a fine-tuning from the content of a YAML file.

    Raises:
        ConfigurationError: a setting is unknown or outside its range.
    """
    return from_mapping(FinetuningSettings, _without_network(values))


def _without_network(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != "network"}
