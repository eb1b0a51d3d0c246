"""Loads user-supplied VGG-Face weights into the reference network.

Two layouts of keys are supported: ``features.0.weight`` of torchvision's VGG-16 and ``conv1_1.weight`` of
the VGG-Face ports. VGG-Face uses 224x224 images, so its first fully connected layer has 25088 inputs
instead of the 4608 of a 96x96 crop; such a layer is not loaded.

Only tensors are read: from safetensors, or with ``weights_only`` from a .pth with a known hash, because a
.pth is a pickle, which can contain other objects.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor, nn

from social_perception.core.errors import ConfigurationError, ModelError
from social_perception.core.files import read_weights
from social_perception.perception.smile.reference_network import ReferenceNetwork

PORT_NAMES = (
    "conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3",
    "conv4_1", "conv4_2", "conv4_3", "conv5_1", "conv5_2", "conv5_3",
)  # fmt: skip
"""The convolutions as the VGG-Face ports name them, first to last."""

FC6_NAMES = ("fc6", "classifier.0")

MEAN_RGB = (129.1863, 104.7624, 93.5940)
"""The mean color that is subtracted from the input of VGG-Face."""

INPUTS = ("pixels", "unit")

MAX_FILE_BYTES = 2**30
"""VGG-Face with all its layers has 0.58 GB."""


@dataclass(frozen=True, slots=True)
class VggFaceReport:
    """What was loaded: the number of convolutions, and whether the first fully connected layer fits."""

    convolutions: int
    fc6_loaded: bool
    fc6_inputs: int | None

    def __str__(self) -> str:
        if self.fc6_loaded:
            return f"VGG-Face: {self.convolutions} convolutions and fc6 loaded"
        reason = "it is not in the file"
        if self.fc6_inputs is not None:
            reason = f"that of the file has {self.fc6_inputs} inputs, for images of another size than 96x96"
        return f"VGG-Face: {self.convolutions} convolutions loaded; fc6 is initialized randomly ({reason})"


def load_vgg_face(
    network: ReferenceNetwork, path: Path, trained_on: str = "pixels", sha256: str = ""
) -> VggFaceReport:
    """Copy the convolutions, and fc6 where it fits, into the network.

    Args:
        network: changed in place.
        path: a state dict as .safetensors, or as torch saves it.
        sha256: expected SHA-256 of the file, 64 hexadecimal digits; required unless it is .safetensors.
        trained_on: what the weights' first layer expects. ``pixels``: RGB from 0 to 255 minus the mean
            color, as VGG-Face; it is rescaled for inputs in [-1, 1] (exact except at the image border, where
            the padding is gray). ``unit``: [-1, 1].

    Raises:
        ConfigurationError: ``trained_on`` is invalid.
        ModelError: the file is missing, damaged, has another hash, or is not a VGG-16 of the network's sizes.
    """
    if trained_on not in INPUTS:
        raise ConfigurationError(f"trained_on must be one of {', '.join(INPUTS)}, got {trained_on}")
    tensors = _read(path, sha256)
    targets = [layer for layer in network.convolutions if isinstance(layer, nn.Conv2d)]
    for name, layer in zip(_convolution_names(tensors, network, path), targets):
        _copy(tensors, name, layer, path)
    if trained_on == "pixels":
        _rescale(targets[0])
    fc6 = next((name for name in FC6_NAMES if f"{name}.weight" in tensors), None)
    inputs = tensors[f"{fc6}.weight"].shape[-1] if fc6 else None
    fits = fc6 is not None and tensors[f"{fc6}.weight"].shape == network.fc6.weight.shape
    if fits:
        _copy(tensors, str(fc6), network.fc6, path)
    return VggFaceReport(len(targets), fits, inputs)


def _read(path: Path, sha256: str) -> dict[str, Tensor]:
    try:
        content = read_weights(path, MAX_FILE_BYTES, sha256)
    except FileNotFoundError as error:
        raise ModelError(f"no VGG-Face weights at {path}") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read as weights: {error.strerror or error}") from error
    if path.suffix != ".safetensors" and not sha256:
        found = hashlib.sha256(content).hexdigest()
        raise ModelError(
            f"{path} is a pickle and needs its publisher's SHA-256 as vgg_face_sha256 (it has {found}); "
            "safetensors need none"
        )
    try:
        tensors: Any
        if path.suffix == ".safetensors":
            tensors = load(content)
        else:
            tensors = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # what torch's unpickler raises depends on the bytes it meets
        raise ModelError(
            f"{path} cannot be read as weights: {(str(error) or repr(error)).splitlines()[0]}"
        ) from error
    if isinstance(tensors, dict) and isinstance(tensors.get("state_dict"), dict):
        tensors = tensors["state_dict"]
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise ModelError(f"{path} holds no state dict of tensors")
    return {name.removeprefix("module."): value for name, value in tensors.items()}


def _convolution_names(tensors: dict[str, Tensor], network: ReferenceNetwork, path: Path) -> tuple[str, ...]:
    if f"{PORT_NAMES[0]}.weight" in tensors:
        return PORT_NAMES
    # torchvision numbers its layers as nn.Sequential does, like the network's own.
    numbered = tuple(
        f"features.{place}"
        for place, layer in enumerate(network.convolutions)
        if isinstance(layer, nn.Conv2d)
    )
    if f"{numbered[0]}.weight" in tensors:
        return numbered
    raise ModelError(f"{path} has neither {PORT_NAMES[0]}.weight nor {numbered[0]}.weight: no VGG-16")


def _copy(tensors: dict[str, Tensor], name: str, layer: nn.Conv2d | nn.Linear, path: Path) -> None:
    for part in ("weight", "bias"):
        target = getattr(layer, part)
        value = tensors.get(f"{name}.{part}")
        if value is None or value.shape != target.shape:
            found = "is missing" if value is None else f"has shape {tuple(value.shape)}"
            raise ModelError(f"{path}: {name}.{part} {found}, expected {tuple(target.shape)}")
        with torch.no_grad():
            target.copy_(value)


@torch.no_grad()
def _rescale(first: nn.Conv2d) -> None:
    """Convert weights for pixels minus the mean to weights for [-1, 1]: pixel = 127.5 * x + 127.5."""
    offset = 127.5 - torch.tensor(MEAN_RGB, dtype=first.weight.dtype)
    first.bias.add_(torch.einsum("oihw,i->o", first.weight, offset))  # type: ignore[union-attr]
    first.weight.mul_(127.5)
