"""Reads and writes the smile networks' weights: safetensors with the architecture in the metadata.

Safetensors hold numbers only, so a file from anywhere can be opened without running what is in it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from social_perception.core.errors import ModelError
from social_perception.smile.networks import NetworkConfig, SmileNetwork
from social_perception.smile.reference_network import ReferenceConfig, ReferenceNetwork

Network = SmileNetwork | ReferenceNetwork


@dataclass(frozen=True, slots=True)
class Architecture:
    """A kind of network: its name in the files, and what builds it."""

    name: str
    config: type[NetworkConfig] | type[ReferenceConfig]
    network: type[SmileNetwork] | type[ReferenceNetwork]


ARCHITECTURES = (
    Architecture("social_perception.smile.SmileNetwork", NetworkConfig, SmileNetwork),
    Architecture("social_perception.smile.ReferenceNetwork", ReferenceConfig, ReferenceNetwork),
)
VERSION = 1
SHIPPED = "smile_small.safetensors"


def shipped_path() -> Path:
    """The weights that come with the package."""
    return Path(str(resources.files("social_perception.smile") / "weights" / SHIPPED))


def save_network(network: Network, path: Path, training: Mapping[str, object]) -> None:
    """Write the weights in half precision, with the sizes of the network and how it was trained."""
    tensors = {name: _halved(value.detach().cpu()) for name, value in network.state_dict().items()}
    metadata = {
        "architecture": next(each.name for each in ARCHITECTURES if isinstance(network, each.network)),
        "version": str(VERSION),
        "config": json.dumps(dataclasses.asdict(network.config)),
        "training": json.dumps(dict(training), default=str),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata)


def load_network(path: Path) -> Network:
    """Build the network that a file describes, in float32 on the CPU, ready for inference.

    Raises:
        ModelError: the file is missing, damaged, or holds something else.
    """
    metadata = read_metadata(path)
    kind = next((each for each in ARCHITECTURES if each.name == metadata.get("architecture")), None)
    if kind is None or metadata.get("version") != str(VERSION):
        found = f"{metadata.get('architecture', 'unknown')} version {metadata.get('version', 'unknown')}"
        names = " or ".join(each.name for each in ARCHITECTURES)
        raise ModelError(f"{path} holds {found}, not {names} version {VERSION}")
    try:
        sizes = json.loads(metadata["config"])
        network = kind.network(kind.config(**{**sizes, "channels": tuple(sizes["channels"])}))  # type: ignore[arg-type]
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        network.load_state_dict(tensors)  # copies into the network's own float32
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"the weights in {path} do not fit the network they describe: {reason}") from error
    return network.eval().requires_grad_(False)


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a weights file.

    Raises:
        ModelError: the file is missing or is not a safetensors file.
    """
    if not path.is_file():
        raise ModelError(f"no smile network at {path}")
    try:
        with safe_open(path, "pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is not a safetensors file or is damaged: {error}") from error


def _halved(value: torch.Tensor) -> torch.Tensor:
    return (value.half() if value.is_floating_point() else value).contiguous()


def fused(network: Network) -> Network:
    """Fold each normalisation into the convolution before it: the same numbers, with less work."""
    for module in list(network.modules()):
        for convolution, norm in (("convolution", "norm"), ("second", "norm")):
            if isinstance(getattr(module, convolution, None), torch.nn.Conv2d):
                merged = torch.nn.utils.fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm))
                setattr(module, convolution, merged)
                setattr(module, norm, torch.nn.Identity())
    return network
