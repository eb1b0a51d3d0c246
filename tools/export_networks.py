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
from torch import Tensor, nn

from social_perception.perception import onnx_network
from social_perception.perception.detection import factory, yunet_network
from social_perception.perception.detection.crops import SIDE_PX
from social_perception.perception.detection.mmod_file import read_mmod
from social_perception.perception.detection.network import MmodNetwork
from social_perception.perception.onnx_network import Exported
from social_perception.perception.smile import weights

OPSET = 17
"""That of onnxruntime 1.13 and newer."""


SMALL = 256
"""Numbers of a tensor up to which it stays in float32: biases and constants."""


class OfImages(nn.Module):
    """A network whose input are images (N, H, W, 3) uint8."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor | list[Tensor]:
        return self.network(images.permute(0, 3, 1, 2).float())


class SmileStep(nn.Module):
    """One frame of the smile network; ``to_input`` has a ``movedim`` that the export gets wrong."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return self.network.step(crops.permute(0, 3, 1, 2).float().div(127.5).sub(1.0), state)


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
    export(
        SmileStep(weights.load_network(weights.shipped_path(), weights.SHIPPED_SHA256)),
        onnx_network.SMILE,
        {"crops": torch.zeros(2, 96, 96, 3, dtype=torch.uint8), "state": torch.zeros(2, 128)},
        {"crops": batch, "state": batch, "logits": batch, "new_state": batch},
    )
    levels = {f"level{stride}": {2: f"rows{stride}", 3: f"columns{stride}"} for stride in (8, 16, 32)}
    export(
        OfImages(yunet_network.load_yunet(yunet_network.weights_path(), yunet_network.WEIGHTS_SHA256)),
        onnx_network.YUNET,
        {"image": torch.zeros(1, 320, 640, 3, dtype=torch.uint8)},
        {"image": {1: "rows", 2: "columns"}, **levels},
    )
    export(
        OfImages(MmodNetwork(read_mmod(factory.weights_path(), factory.WEIGHTS_SHA256))),
        onnx_network.MMOD,
        {"crops": torch.zeros(3, SIDE_PX, SIDE_PX, 3, dtype=torch.uint8)},
        {"crops": batch, "scores": batch},
    )


if __name__ == "__main__":
    main()
