"""Reads and writes the scene network's weights: safetensors, checked before and after they are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file

from social_perception.perception.onnx_network import SCENE
from social_perception.perception.scene.network import SceneNetwork
from social_perception.perception.weight_files import copy_weights, read_safetensors

MAX_FILE_BYTES = 2**23

_CONTENT = "scene network"


def shipped_path() -> Path:
    """Return the path of the shipped weights."""
    return SCENE.path.with_suffix(".safetensors")


def save_scene_network(network: SceneNetwork, path: Path, training: Mapping[str, object]) -> None:
    """Write the weights in half precision, with the training's settings as metadata."""
    tensors = {
        name: (value.half() if value.is_floating_point() else value).detach().cpu().contiguous()
        for name, value in network.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, {"training": json.dumps(dict(training), default=str)})


def load_scene_network(path: Path, sha256: str = "") -> SceneNetwork:
    """Load a scene network, in float32 on the CPU and in evaluation mode.

    Args:
        path: path of the file.
        sha256: expected SHA-256; empty: not checked.

    Raises:
        ModelError: the file is missing, damaged or not a scene network.
    """
    _, tensors = read_safetensors(path, _CONTENT, MAX_FILE_BYTES, sha256)
    network = SceneNetwork(pooling="pool_frames.score.weight" in tensors)
    copy_weights(network, tensors, path, _CONTENT)
    return network.eval().requires_grad_(False)
