"""The settings for training the reference network, as in ``config/train_reference.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from social_perception.core.errors import ConfigurationError
from social_perception.perception.smile.reference_network import ReferenceConfig
from social_perception.research.training.elan_tiers import SUBTLE_CHOICES
from social_perception.research.training.settings import from_mapping


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """The videos with their ELAN files."""

    folder: str = "videos"
    """Searched recursively for .eaf files."""
    tier: str = ""
    """The tier to read; empty: all tiers with levels, the people from left to right."""
    subtle: str = "drop"
    """How the class Subtle is read: dropped (drop), or as the given level."""
    detect_every: int = 1
    """The detector runs on every n-th frame."""
    min_face_px: int = 75
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1)
    """Shares of the videos for training, validation and test."""
    max_gap_s: float = 0.5
    """Longest time without a face within a sequence."""

    def __post_init__(self) -> None:
        if self.subtle not in SUBTLE_CHOICES:
            raise ConfigurationError(f"subtle must be one of {', '.join(SUBTLE_CHOICES)}, got {self.subtle}")
        if self.detect_every < 1:
            raise ConfigurationError(f"detect_every must be at least 1, got {self.detect_every}")
        if len(self.shares) != 3 or min(self.shares) < 0 or abs(sum(self.shares) - 1) > 1e-6:
            raise ConfigurationError(f"shares must be three numbers that add up to 1, got {self.shares}")


@dataclass(frozen=True, slots=True)
class ReferenceSettings:
    """A complete run; the defaults are those of the reference publication."""

    name: str = "reference"
    seed: int = 1
    vgg_face: str = ""
    """File with VGG-Face weights; empty: the convolutions are initialized Glorot-uniform."""
    vgg_face_sha256: str = ""
    """SHA-256 of that file; required unless it is .safetensors."""
    vgg_face_input: str = "pixels"
    """Input range of these weights: pixels (0 to 255 minus the mean color) or unit ([-1, 1])."""
    sequence: int = 20
    """Frames per sequence."""
    batch: int = 320
    """Sequences per optimizer step."""
    at_once: int = 16
    """Sequences in memory at a time; gradients are accumulated over a batch."""
    epochs: int = 10
    learning_rate: float = 1e-5
    decay: float = 0.97
    """Factor on the learning rate after each epoch."""
    patience: int = 1
    """Training stops after this number of epochs without a lower validation loss or without a higher F1."""
    workers: int = 2
    threads: int = 2
    devices: str | int = "auto"
    """Number of CPUs or GPUs, passed to Lightning."""
    precision: str = "32-true"
    cache: str = ".cache"
    output: str = "runs"
    videos: VideoSettings = field(default_factory=VideoSettings)
    sizes: ReferenceConfig = field(default_factory=ReferenceConfig)
    """Layer sizes of the network; change them only for experiments."""

    def __post_init__(self) -> None:
        for name in ("sequence", "batch", "at_once", "epochs", "patience"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.batch % min(self.at_once, self.batch):
            raise ConfigurationError(
                f"batch must be a multiple of at_once, got {self.batch} and {self.at_once}"
            )


def reference_settings(values: Mapping[str, Any]) -> ReferenceSettings:
    """Build the settings from the content of a YAML file.

    Raises:
        ConfigurationError: a setting is unknown or outside its range.
    """
    videos, sizes = values.get("videos") or {}, values.get("sizes") or {}
    nested = {"videos": from_mapping(VideoSettings, videos), "sizes": from_mapping(ReferenceConfig, sizes)}
    given = {name: value for name, value in values.items() if name != "network"}
    return from_mapping(ReferenceSettings, {**given, **nested})
