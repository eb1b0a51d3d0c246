"""The settings of a training of the reference network, as in ``config/train_reference.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from social_perception.core.errors import ConfigurationError
from social_perception.perception.smile.reference_network import ReferenceConfig
from social_perception.research.training.settings import of_names

SUBTLE = ("drop", "neutral", "low", "medium", "high")


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """The videos with their ELAN files."""

    folder: str = "videos"
    """Searched for .eaf files, also in folders within it."""
    tier: str = ""
    """The tier to read; empty: every tier with levels, the people from left to right."""
    subtle: str = "drop"
    """What becomes of the class Subtle: left out (drop), or the level it is taken for."""
    detect_every: int = 1
    """Faces are looked for in each n-th frame."""
    min_face_px: int = 75
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1)
    """Of the videos, for training, validation and test."""
    max_gap_s: float = 0.5
    """A sequence does not reach over a longer time without a face."""

    def __post_init__(self) -> None:
        if self.subtle not in SUBTLE:
            raise ConfigurationError(f"subtle must be one of {', '.join(SUBTLE)}, got {self.subtle}")
        if self.detect_every < 1:
            raise ConfigurationError(f"detect_every must be at least 1, got {self.detect_every}")
        if len(self.shares) != 3 or min(self.shares) < 0 or abs(sum(self.shares) - 1) > 1e-6:
            raise ConfigurationError(f"shares must be three numbers that add up to 1, got {self.shares}")


@dataclass(frozen=True, slots=True)
class ReferenceSettings:
    """A whole run; the defaults are the reference's recipe."""

    name: str = "reference"
    seed: int = 1
    vgg_face: str = ""
    """File with VGG-Face weights; empty: the convolutions start from Glorot-uniform numbers."""
    vgg_face_sha256: str = ""
    """SHA-256 of that file; needed unless it is .safetensors."""
    vgg_face_input: str = "pixels"
    """What these weights were trained on: pixels (0 to 255 less the mean colour) or unit ([-1, 1])."""
    sequence: int = 20
    """Frames."""
    batch: int = 320
    """Sequences per step."""
    at_once: int = 16
    """Sequences in memory at a time; their gradients are added up to a whole batch."""
    epochs: int = 10
    learning_rate: float = 1e-5
    decay: float = 0.97
    """Factor on the learning rate after each epoch."""
    patience: int = 1
    """Epochs in a row without a lower validation loss, or without a higher F1, after which training stops."""
    workers: int = 2
    threads: int = 2
    devices: str | int = "auto"
    """How many CPUs or GPUs, as Lightning understands it."""
    precision: str = "32-true"
    cache: str = ".cache"
    output: str = "runs"
    videos: VideoSettings = field(default_factory=VideoSettings)
    sizes: ReferenceConfig = field(default_factory=ReferenceConfig)
    """Of the network; other than the reference's only to try things out."""

    def __post_init__(self) -> None:
        for name in ("sequence", "batch", "at_once", "epochs", "patience"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.batch % min(self.at_once, self.batch):
            raise ConfigurationError(
                f"batch must be a multiple of at_once, got {self.batch} and {self.at_once}"
            )


def reference_settings(values: Mapping[str, Any]) -> ReferenceSettings:
    """Build the settings from what a YAML file holds.

    Raises:
        ConfigurationError: a setting is unknown or outside its range.
    """
    videos, sizes = values.get("videos") or {}, values.get("sizes") or {}
    nested = {"videos": of_names(VideoSettings, videos), "sizes": of_names(ReferenceConfig, sizes)}
    given = {name: value for name, value in values.items() if name != "network"}
    return of_names(ReferenceSettings, {**given, **nested})
