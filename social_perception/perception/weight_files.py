"""Reads safetensors: tensors only, so an untrusted file cannot execute code."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from social_perception.core.errors import ModelError
from social_perception.core.files import read_weights


def read_safetensors(
    path: Path, content: str, max_bytes: int, sha256: str = ""
) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Return metadata and tensors, parsed from the bytes that were hashed.

    Args:
        path: path of the file.
        content: what it should contain, for error messages.
        max_bytes: maximum size; a larger file is rejected.
        sha256: expected SHA-256, 64 hexadecimal digits; empty: not checked.

    Raises:
        ModelError: the file is missing, too large, damaged, or has another hash.
    """
    try:
        data = read_weights(path, max_bytes, sha256)
        tensors = load(data)
    except FileNotFoundError as error:
        raise ModelError(f"no {content} at {path}") from error
    except OSError as error:
        raise ModelError(f"the {content} {path} cannot be read: {error.strerror or error}") from error
    except (SafetensorError, ValueError) as error:
        raise ModelError(f"{path} is not a safetensors file or is damaged: {error}") from error
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return dict(header.get("__metadata__") or {}), tensors


def copy_weights(
    network: torch.nn.Module, tensors: dict[str, torch.Tensor], path: Path, content: str
) -> None:
    """Copy tensors into a network, which keeps its own data types.

    Raises:
        ModelError: names or shapes differ, or values are not finite.
    """
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(f"{path} is not a {content}: {str(error).splitlines()[-1].strip()}") from error
    if not all(bool(value.isfinite().all()) for value in network.state_dict().values()):
        raise ModelError(f"{path} has weights that are not finite")
