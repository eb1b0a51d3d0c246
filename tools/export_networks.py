#!/usr/bin/env python3
"""Exports the shipped networks for onnxruntime, beside their weights, and prints their hashes.

Needed after the weights or the networks have changed; the hashes belong into
``social_perception/perception/onnx_network.py``. Needs ``pip install onnx`` besides torch, and the
development data, whose faces calibrate the networks in 8-bit arithmetic.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import torch
from onnx import numpy_helper
from onnxruntime import quantization
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from social_perception.core.config import DetectionConfig, SmileConfig
from social_perception.perception import onnx_network
from social_perception.perception.detection import factory, yunet_network
from social_perception.perception.detection.crops import SIDE_PX, cut_crops
from social_perception.perception.detection.mmod_file import read_mmod
from social_perception.perception.detection.network import MmodNetwork
from social_perception.perception.detection.places import RELATIVE_SIZES
from social_perception.perception.hearing.laughter import CONTEXT, STATE
from social_perception.perception.hearing.mel import BANDS
from social_perception.perception.onnx_network import Exported
from social_perception.perception.scene.estimator import FEATURES, SOUND_FRAMES
from social_perception.perception.scene.network import SceneNetwork
from social_perception.perception.scene.weights import load_scene_network
from social_perception.perception.smile import weights
from social_perception.perception.smile.networks import SmileNetwork
from social_perception.perception.smile.onnx_scorer import HIDDEN, OnnxScorer
from social_perception.research.evaluation.stills import still_crops
from social_perception.research.training.labels import is_held_out
from social_perception.research.training.laughter_network import LaughterNetwork
from social_perception.research.training.stills import data_folder, read_stills
from social_perception.sources.images import decode_image

OPSET = 17
"""That of onnxruntime 1.13 and newer."""


BLOCK = 16
"""Filters that onnxruntime computes at once on a CPU with AVX-512; 8 with AVX2."""

PORTRAITS = 60
"""Portraits that calibrate the 8-bit network, of GENKI-4K without its held-out fifth."""

CALIBRATION_SETS = ("genki_train", "ferplus_train")
CALIBRATION_FACES = 300
"""Faces of each of these sets that calibrate the smile network."""

BATCH = 30

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
    write(with_half_weights(onnx.load(target.path)), target)


def write(model: onnx.ModelProto, target: Exported) -> None:
    content = model.SerializeToString(deterministic=True)
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


def quantize(
    source: Exported,
    target: Exported,
    batches: Iterable[dict[str, np.ndarray]],
    exact: Sequence[int],
    method: quantization.CalibrationMethod,
) -> None:
    """Export a network whose convolutions, except those named, compute in 8 bits.

    Weights have 7 bits: CPUs without AVX-512 VNNI add two products in 16 bits.

    Args:
        source: the network in float.
        target: the file to write.
        batches: inputs of the network, by name; they calibrate the ranges.
        exact: indices of the convolutions that stay in float.
        method: which range of a layer's values is used.
    """
    model = with_float_weights(onnx.load(source.path))
    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]

    class Calibration(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self._inputs = iter(batches)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._inputs, None)

    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        onnx.save(model, before)
        quantization.quantize_static(
            before,
            after,
            Calibration(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=[convolutions[index] for index in exact],
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=method,
        )
        write(with_half_weights(onnx.load(after)), target)


def with_float_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Undo :func:`with_half_weights`."""
    halves = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in [node for node in model.graph.node if node.op_type == "Cast" and node.input[0] in halves]:
        tensor = halves[node.input[0]]
        tensor.CopyFrom(
            numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), node.output[0])
        )
        model.graph.node.remove(node)
    return model


def calibration_crops() -> Iterator[dict[str, np.ndarray]]:
    """Crops around the faces of portraits, as the cascade cuts them, and beside them."""
    table = pd.read_parquet(data_folder() / "data" / "genki_train.parquet", columns=["name", "image"])
    table = table[[not is_held_out(name) for name in table["name"]]]
    model = read_mmod(factory.weights_path(), factory.WEIGHTS_SHA256)
    detector = factory.make_detector(DetectionConfig(precision="float32"))
    for name, content in table.iloc[:: len(table) // PORTRAITS].itertuples(index=False):
        image = decode_image(content, name)
        faces = [face.box for face in detector.detect(image)]
        boxes = [face.moved(0.0, 0.0, size) for face in faces for size in RELATIVE_SIZES]
        boxes += [face.moved(face.width, face.height) for face in faces]
        if boxes:
            yield {"crops": cut_crops(image, boxes, model.window_width, model.mean_rgb)[0]}


def calibration_faces() -> Iterator[dict[str, np.ndarray]]:
    """Upright training faces, without those of the held-out fifth, in batches of equal size."""
    scorer = OnnxScorer(SmileConfig(precision="float32"))
    for name in CALIBRATION_SETS:
        names = pd.read_parquet(data_folder() / "data" / f"{name}.parquet", columns=["name"])["name"]
        names = [each for each in names if not is_held_out(each)]
        with tempfile.TemporaryDirectory() as cache:
            crops = still_crops(
                read_stills(name, Path(cache), set(names[:: len(names) // CALIBRATION_FACES]))
            )
        for start in range(0, len(crops) - BATCH + 1, BATCH):
            upright = scorer.upright(crops[start : start + BATCH])
            yield {"upright": upright, "state": np.zeros((len(upright), HIDDEN), np.float32)}


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
    method = quantization.CalibrationMethod.Percentile
    quantize(onnx_network.SMILE, onnx_network.SMILE_INT8, calibration_faces(), exact=(0, 1), method=method)
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
    method = quantization.CalibrationMethod.MinMax
    quantize(onnx_network.MMOD, onnx_network.MMOD_INT8, calibration_crops(), exact=(0, -1), method=method)
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
