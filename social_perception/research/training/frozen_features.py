"""Frozen features of images, for the networks that do not train an image encoder of their own.

The published networks use CLIP's ViT-L/14. Nothing is downloaded: its weights are the user's.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from social_perception.core.errors import ConfigurationError
from social_perception.perception.scene.weights import load_scene_network, shipped_path

PACKAGE = "scene_tiny"
"""The extractor of this package: the image encoder of the shipped scene network."""


class Extractor(Protocol):
    """Maps images to features; it is not trained."""

    @property
    def features(self) -> int:
        """Number of features of an image."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return (N, features) for images (N, 3, h, w), RGB in [0, 1]."""


class SceneFeatures:
    """The features of the shipped scene network, 128 of each image."""

    def __init__(self, weights: Path | None = None) -> None:
        self._encoder = load_scene_network(weights or shipped_path()).images

    @property
    def features(self) -> int:
        return self._encoder.latent.out_features

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        gray = images.new_tensor([0.299, 0.587, 0.114])
        return self._encoder.pool(self._encoder((images * gray[:, None, None]).sum(1) * 255.0))


def load_extractor(name: str) -> Extractor:
    """Return an extractor.

    Args:
        name: ``scene_tiny``, or ``module:function`` of a user's function that returns one.

    Raises:
        ConfigurationError: there is none of this name.
    """
    if name == PACKAGE:
        return SceneFeatures()
    module, _, function = name.partition(":")
    try:
        make = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"features must be {PACKAGE} or module:function, got {name}: {error}"
        ) from error
    return make()
