#!/usr/bin/env python3
"""Exports the shipped networks for onnxruntime, beside their weights, and prints their hashes.

Needed after the weights or the networks have changed; the hashes belong into
``social_perception/perception/onnx_network.py``. Needs ``pip install onnx`` besides torch.
"""

from __future__ import annotations

import argparse
import hashlib
import warnings

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from social_perception.perception import onnx_network
from social_perception.perception.detection import factory, yunet_network
from social_perception.perception.detection.crops import SIDE_PX
from social_perception.perception.detection.mmod_file import read_mmod
from social_perception.perception.detection.network import MmodNetwork
from social_perception.perception.hearing.laughter import CONTEXT, STATE
from social_perception.perception.hearing.mel import BANDS
from social_perception.perception.onnx_network import Exported
from social_perception.perception.scene.estimator import FEATURES, SOUND_FRAMES
from social_perception.perception.scene.network import SceneNetwork
from social_perception.perception.scene.weights import load_scene_network
from social_perception.perception.smile import weights
from social_perception.perception.smile.networks import SmileNetwork
from social_perception.research.training.laughter_network import LaughterNetwork

OPSET = 17
"""That of onnxruntime 1.13 and newer."""


BLOCK = 16
"""Filters that onnxruntime computes at once on a CPU with AVX-512; 8 with AVX2."""

SMALL = 256
"""Numbers of a tensor up to which it stays in float32: biases and constants."""


class OfImages(nn.Module):
    """A network whose input are images (N, H, W, 3) uint8."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor | list[Tensor]:
        return self.network(images.permute(0, 3, 1, 2).float())


class SmileAligner(nn.Module):
    """Gray crops (N, 1, 96, 96) -> the transformations (N, 2, 3) of their upright faces."""

    def __init__(self, network: SmileNetwork) -> None:
        super().__init__()
        self.aligner = network.encoder.aligner

    def forward(self, gray: Tensor) -> Tensor:
        return self.aligner.transforms(gray)


class SmileStep(nn.Module):
    """One frame of the smile network: upright faces (N, 1, 96, 96) and states -> logits and states."""

    def __init__(self, network: SmileNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, upright: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        logits, state = self.network.score_maps(self.network.encoder.encode(upright).unsqueeze(1), state)
        return logits[:, 0], state


class SceneStep(nn.Module):
    """One image of the scene network."""

    def __init__(self, network: SceneNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, before: Tensor, mel: Tensor, has_sound: Tensor) -> tuple[Tensor, Tensor]:
        return self.network.step(image, before, mel, has_sound)


def export(network: nn.Module, target: Exported, inputs: dict[str, Tensor], axes: dict[str, dict]) -> None:
    names = list(axes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            tuple(inputs.values()),
            str(target.path),
            input_names=list(inputs),
            output_names=[name for name in names if name not in inputs],
            dynamic_axes=axes,
            dynamo=False,
            opset_version=OPSET,
        )
    content = with_half_weights(onnx.load(target.path)).SerializeToString(deterministic=True)
    target.path.write_bytes(content)
    print(f"{target.name}: {len(content)} bytes, {hashlib.sha256(content).hexdigest()}")


def with_whole_blocks(network: MmodNetwork) -> MmodNetwork:
    """Add filters of zeros, up to a multiple of 16: onnxruntime computes so many at once.

    Its other arithmetic, for 45 filters, takes a third longer for the whole network.
    """
    channels = 3
    for layer in network.layers:
        layer.weight.data = _enlarged(layer.weight.data, -(-layer.out_channels // BLOCK) * BLOCK, channels)
        layer.bias.data = functional.pad(layer.bias.data, (0, len(layer.weight) - len(layer.bias)))
        layer.out_channels, layer.in_channels, channels = len(layer.weight), channels, len(layer.weight)
    network.score.weight.data = _enlarged(network.score.weight.data, len(network.score.weight), channels)
    return network


def _enlarged(weight: Tensor, filters: int, channels: int) -> Tensor:
    more = (0, 0, 0, 0, 0, channels - weight.shape[1], 0, filters - len(weight))
    return functional.pad(weight, more)


def with_half_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store the weights in half precision; onnxruntime converts them once, when it loads the network."""
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and np.prod(tensor.dims) > SMALL:
            name, stored = tensor.name, f"{tensor.name}_half"
            half = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half, stored))
            cast = onnx.helper.make_node("Cast", [stored], [name], to=onnx.TensorProto.FLOAT)
            model.graph.node.insert(0, cast)
    onnx.checker.check_model(model)
    return model


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    batch = {0: "faces"}
    smile = weights.load_network(weights.shipped_path(), weights.SHIPPED_SHA256)
    assert isinstance(smile, SmileNetwork)
    gray = torch.zeros(2, 1, 96, 96)
    export(
        SmileAligner(smile), onnx_network.SMILE_ALIGNER, {"gray": gray}, {"gray": batch, "transforms": batch}
    )
    export(
        SmileStep(smile),
        onnx_network.SMILE,
        {"upright": gray, "state": torch.zeros(2, 128)},
        {"upright": batch, "state": batch, "logits": batch, "new_state": batch},
    )
    levels = {f"level{stride}": {2: f"rows{stride}", 3: f"columns{stride}"} for stride in (8, 16, 32)}
    export(
        OfImages(yunet_network.load_yunet(yunet_network.weights_path(), yunet_network.WEIGHTS_SHA256)),
        onnx_network.YUNET,
        {"image": torch.zeros(1, 320, 640, 3, dtype=torch.uint8)},
        {"image": {1: "rows", 2: "columns"}, **levels},
    )
    export(
        OfImages(with_whole_blocks(MmodNetwork(read_mmod(factory.weights_path(), factory.WEIGHTS_SHA256)))),
        onnx_network.MMOD,
        {"crops": torch.zeros(3, SIDE_PX, SIDE_PX, 3, dtype=torch.uint8)},
        {"crops": batch, "scores": batch},
    )
    laughter = LaughterNetwork()
    laughter.load_state_dict(load_file(onnx_network.LAUGHTER.path.with_suffix(".safetensors")))
    export(
        laughter,
        onnx_network.LAUGHTER,
        {"frames": torch.zeros(1, CONTEXT + 20, BANDS), "state": torch.zeros(1, STATE)},
        {"frames": {1: "frames"}, "state": {}, "logits": {1: "rows"}, "new_state": {}},
    )
    export(
        SceneStep(load_scene_network(onnx_network.SCENE.path.with_suffix(".safetensors"))),
        onnx_network.SCENE,
        {
            "image": torch.zeros(1, 96, 160, dtype=torch.uint8),
            "before": torch.zeros(1, 3, FEATURES),
            "mel": torch.zeros(1, SOUND_FRAMES, BANDS),
            "has_sound": torch.ones(1),
        },
        {
            "image": {1: "rows", 2: "columns"},
            "before": {1: "frames"},
            "mel": {},
            "has_sound": {},
            "probabilities": {},
            "features": {},
        },
    )


if __name__ == "__main__":
    main()
