"""Reads and writes the smile networks' weights: safetensors with the architecture in the metadata.

Safetensors contain tensors only, so an untrusted file cannot execute code. The sizes of the network in the
metadata are checked against the tensors.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
from safetensors.torch import save_file

from social_perception.core.errors import ModelError
from social_perception.perception.smile.networks import Aligner, NetworkConfig, SmileNetwork
from social_perception.perception.smile.reference_network import ReferenceConfig, ReferenceNetwork
from social_perception.perception.weight_files import read_safetensors

Network = SmileNetwork | ReferenceNetwork


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network architecture: its name in the files, and its classes."""

    name: str
    config: type[NetworkConfig] | type[ReferenceConfig]
    network: type[SmileNetwork] | type[ReferenceNetwork]


ARCHITECTURES = (
    Architecture("social_perception.smile.SmileNetwork", NetworkConfig, SmileNetwork),
    Architecture("social_perception.smile.ReferenceNetwork", ReferenceConfig, ReferenceNetwork),
)
VERSION = 2
RESEARCH_ONLY = "research_only"
"""Key of the metadata of weights that must not run live; its value says what they estimate."""
SHIPPED = "smile_small.safetensors"
SHIPPED_SHA256 = "e47840a7afdb84e64d549357a763622a4ac3d188d1bf0b6ab79143bf5a37665b"
"""SHA-256 of the shipped weights; a test prints it after they changed."""

MAX_FILE_BYTES = 2**30
"""The reference network has 0.14 GB in single precision."""

_CONTENT = "smile network"
_MAX_SIZE = 1 << 14


def shipped_path() -> Path:
    """Return the path of the shipped weights."""
    return Path(str(resources.files("social_perception.perception.smile") / "weights" / SHIPPED))


def save_network(network: Network, path: Path, training: Mapping[str, object]) -> None:
    """Write the weights in half precision, with the network's sizes and training settings as metadata."""
    tensors = {name: to_half(value.detach().cpu()) for name, value in network.state_dict().items()}
    metadata = {
        "architecture": next(each.name for each in ARCHITECTURES if isinstance(network, each.network)),
        "version": str(VERSION),
        "config": json.dumps(dataclasses.asdict(network.config)),
        "training": json.dumps(dict(training), default=str),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata)


def load_network(path: Path, sha256: str = "") -> Network:
    """Load a network, in float32 on the CPU and evaluation mode.

    Args:
        path: path of the file.
        sha256: expected SHA-256; empty: not checked.

    Raises:
        ModelError: the file is missing, damaged or not a smile network, or its weights are for research only.
    """
    metadata, tensors = read_safetensors(path, _CONTENT, MAX_FILE_BYTES, sha256)
    if estimated := metadata.get(RESEARCH_ONLY):
        raise ModelError(f"{path} estimates {estimated}: it is for research only and does not run on people")
    kind = next((each for each in ARCHITECTURES if each.name == metadata.get("architecture")), None)
    if kind is None or metadata.get("version") != str(VERSION):
        found = f"{metadata.get('architecture', 'unknown')} version {metadata.get('version', 'unknown')}"
        names = " or ".join(each.name for each in ARCHITECTURES)
        raise ModelError(f"{path} holds {found}, not {names} version {VERSION}")
    try:
        sizes = json.loads(metadata["config"])
        config = kind.config(**{**sizes, "channels": tuple(sizes["channels"])})
        _check_sizes(kind, config, tensors)
        network = kind.network(config)  # type: ignore[arg-type]
        network.load_state_dict(tensors)  # copies into the network's own float32
        if not all(torch.isfinite(value).all() for value in network.state_dict().values()):
            raise ValueError("it has values that are not finite")
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        reason = (str(error) or repr(error)).splitlines()[0]
        raise ModelError(f"the weights in {path} do not fit the network they describe: {reason}") from error
    return network.eval().requires_grad_(False)


def load_aligner(path: Path) -> Aligner:
    """Load the alignment of a smile network, or one alone, in evaluation mode.

    Raises:
        ModelError: the file is missing or damaged, or has no alignment.
    """
    tensors = read_safetensors(path, _CONTENT, MAX_FILE_BYTES)[1]
    prefix = "encoder.aligner."
    own = {
        name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)
    } or tensors
    aligner = Aligner()
    try:
        aligner.load_state_dict(
            {name: each.float() if each.is_floating_point() else each for name, each in own.items()}
        )
    except RuntimeError as error:
        raise ModelError(f"{path} has no alignment: {str(error).splitlines()[0]}") from error
    return aligner.eval()


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a weights file.

    Raises:
        ModelError: the file is missing or is not a safetensors file.
    """
    return read_safetensors(path, _CONTENT, MAX_FILE_BYTES)[0]


def _check_sizes(
    kind: Architecture, config: NetworkConfig | ReferenceConfig, tensors: Mapping[str, torch.Tensor]
) -> None:
    """Check the sizes against the tensors, before memory is allocated."""
    for size in (*config.channels, *dataclasses.astuple(config)[1:]):
        if type(size) is not int or not 1 <= size <= _MAX_SIZE:
            raise ValueError(f"a size of {size!r}")
    with torch.device("meta"):
        described = kind.network(config).state_dict()  # type: ignore[arg-type]
    for name in sorted(described.keys() | tensors.keys()):
        expected, found = (tuple(each[name].shape) if name in each else None for each in (described, tensors))
        if expected != found:
            raise ValueError(f"{name} has shape {found}, expected {expected}")


def to_half(value: torch.Tensor) -> torch.Tensor:
    """A tensor in half precision if it holds floats."""
    return (value.half() if value.is_floating_point() else value).contiguous()


def fuse_batch_norm(network: Network) -> Network:
    """Fold each batch normalization into its convolution; the outputs stay equal."""
    for module in list(network.modules()):
        for convolution, norm in (("convolution", "norm"), ("second", "norm")):
            if isinstance(getattr(module, convolution, None), torch.nn.Conv2d):
                merged = torch.nn.utils.fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm))
                setattr(module, convolution, merged)
                setattr(module, norm, torch.nn.Identity())
    return network
