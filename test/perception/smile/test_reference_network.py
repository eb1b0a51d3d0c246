"""The reference network: its layout, its outputs, VGG-Face weights, and that streaming and windows agree."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from social_perception.core.config import SmileConfig
from social_perception.core.errors import ConfigurationError, ModelError
from social_perception.perception.smile.factory import make_scorer
from social_perception.perception.smile.networks import level_probabilities
from social_perception.perception.smile.reference_network import (
    ReferenceConfig,
    ReferenceNetwork,
    above_logits,
)
from social_perception.perception.smile.vgg_face import MEAN_RGB, PORT_NAMES, load_vgg_face
from social_perception.perception.smile.weights import load_network, save_network

TINY = ReferenceConfig(channels=(2, 3, 4, 5, 6), features=16, hidden=8)
VGG16 = [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"]
TORCHVISION_PLACES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)


@pytest.fixture
def network() -> ReferenceNetwork:
    torch.manual_seed(0)
    return ReferenceNetwork(TINY).eval().requires_grad_(False)


def test_the_layout_is_that_of_vgg_16() -> None:
    with torch.device("meta"):
        network = ReferenceNetwork()
    layout = [
        layer.out_channels if isinstance(layer, nn.Conv2d) else "M"
        for layer in network.convolutions
        if not isinstance(layer, nn.ReLU)
    ]
    assert layout == VGG16
    assert tuple(network.fc6.weight.shape) == (4096, 4608)
    assert (network.memory.input_size, network.memory.hidden_size, network.memory.num_layers) == (
        4096,
        128,
        2,
    )
    assert tuple(network.levels.weight.shape) == (4, 128)


def test_initial_weights_are_glorot_uniform(network: ReferenceNetwork) -> None:
    for weight, fans in (
        (network.fc6.weight, 54 + 16),
        (network.convolutions[2].weight, 9 * (2 + 2)),
        (network.memory.weight_ih_l0, 16 + 24),
    ):
        limit = (6 / fans) ** 0.5
        assert 0.8 * limit < weight.abs().max() <= limit
    assert not network.fc6.bias.any()
    assert not network.memory.bias_hh_l1.any()


def test_streaming_and_window_give_the_same_numbers(network: ReferenceNetwork, streamed_as_windowed) -> None:
    crops, window = streamed_as_windowed(network)
    assert not torch.allclose(window[:, 19], network.still(crops[:, 19]), atol=1e-4)  # it remembers


def test_the_answers_are_those_of_the_softmax() -> None:
    levels = torch.tensor([[0.3, -1.0, 2.0, 0.1], [90.0, 0.0, -90.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    probabilities = levels.softmax(dim=-1)
    torch.testing.assert_close(level_probabilities(above_logits(levels)), probabilities)


def test_saved_weights_score_faces(network: ReferenceNetwork, tmp_path: Path) -> None:
    path = tmp_path / "reference.safetensors"
    save_network(network, path, {})
    loaded = load_network(path)
    assert isinstance(loaded, ReferenceNetwork)
    assert loaded.config == TINY
    crops = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), np.uint8)
    smiles = make_scorer(SmileConfig(model=str(path), device="cpu")).score_still(crops)
    assert all(sum(smile.probabilities) == pytest.approx(1.0, abs=1e-5) for smile in smiles)


def vgg_face(layout: str, fc6_inputs: int | None) -> dict[str, torch.Tensor]:
    """Random weights of the tiny sizes, named as a VGG-Face port or torchvision names them."""
    torch.manual_seed(5)
    layers = [layer for layer in ReferenceNetwork(TINY).convolutions if isinstance(layer, nn.Conv2d)]
    names = PORT_NAMES if layout == "port" else [f"features.{place}" for place in TORCHVISION_PLACES]
    tensors = {}
    for name, layer in zip(names, layers):
        tensors[f"{name}.weight"] = torch.randn_like(layer.weight)
        tensors[f"{name}.bias"] = torch.randn_like(layer.bias)
    if fc6_inputs:
        fc6 = "fc6" if layout == "port" else "classifier.0"
        tensors[f"{fc6}.weight"] = torch.randn(16, fc6_inputs)
        tensors[f"{fc6}.bias"] = torch.randn(16)
    return tensors


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("layout", ["port", "torchvision"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("fc6_inputs", [None, 54, 294])
def test_vgg_face_weights_are_taken_over(layout, suffix, fc6_inputs, network, tmp_path: Path) -> None:
    tensors, path = vgg_face(layout, fc6_inputs), tmp_path / f"vgg{suffix}"
    save_file(tensors, path) if suffix == ".safetensors" else torch.save({"state_dict": tensors}, path)
    fc6_before = network.fc6.weight.clone()
    report = load_vgg_face(network, path, "unit", sha256_of(path) if suffix == ".pth" else "")
    loaded = [layer.weight for layer in network.convolutions if isinstance(layer, nn.Conv2d)]
    given = [value for name, value in tensors.items() if value.ndim == 4]
    assert all(torch.equal(one, other) for one, other in zip(loaded, given, strict=True))
    assert report.fc6_loaded == (fc6_inputs == 54)
    assert torch.equal(network.fc6.weight, fc6_before) != report.fc6_loaded
    assert ("fc6 is initialized randomly" in str(report)) != report.fc6_loaded
    assert fc6_inputs != 294 or "294 inputs" in str(report)


def test_weights_for_pixels_give_the_same_answers_from_unit_input(network, tmp_path: Path) -> None:
    tensors, path = vgg_face("port", None), tmp_path / "vgg.safetensors"
    save_file(tensors, path)
    load_vgg_face(network, path)
    pixels = torch.rand(1, 3, 8, 8) * 255
    expected = nn.functional.conv2d(
        pixels - torch.tensor(MEAN_RGB).view(1, 3, 1, 1), tensors["conv1_1.weight"], tensors["conv1_1.bias"]
    )
    first = network.convolutions[0]
    got = nn.functional.conv2d(pixels / 127.5 - 1, first.weight, first.bias)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-2)


class Attack:
    def __reduce__(self):
        return (print, ("run",))


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ({"layer.weight": torch.zeros(1)}, "no VGG-16"),
        ({"conv1_1.weight": torch.zeros(7, 3, 3, 3)}, r"conv1_1.weight has shape \(7, 3, 3, 3\)"),
        ({"conv1_1.weight": torch.zeros(2, 3, 3, 3)}, "conv1_1.bias is missing"),
        ([torch.zeros(1)], "no state dict"),
        (Attack(), "cannot be read"),
    ],
)
def test_other_files_are_refused(content, rule: str, network, tmp_path: Path, capsys) -> None:
    path = tmp_path / "vgg.pth"
    torch.save(content, path)
    with pytest.raises(ModelError, match=rule):
        load_vgg_face(network, path, sha256=sha256_of(path))
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("suffix", "sha256", "rule"),
    [
        (".pth", "", "is a pickle and needs its publisher's SHA-256 as vgg_face_sha256"),
        (".pth", "0" * 64, "is not the expected file"),
        (".safetensors", "0" * 64, "is not the expected file"),
    ],
)
def test_vgg_face_weights_of_another_hash_or_of_none_are_refused(
    suffix, sha256, rule, network, tmp_path
) -> None:
    tensors, path = vgg_face("port", None), tmp_path / f"vgg{suffix}"
    save_file(tensors, path) if suffix == ".safetensors" else torch.save(tensors, path)
    with pytest.raises(ModelError, match=rule):
        load_vgg_face(network, path, "unit", sha256)


@pytest.mark.parametrize("name", ["vgg.pth", "vgg.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"text, no weights"])
def test_broken_files_are_named(name: str, content: bytes | None, network, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=name):
        load_vgg_face(network, tmp_path / name)


def test_an_unknown_input_is_refused(network, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="trained_on must be one of"):
        load_vgg_face(network, tmp_path / "vgg.pth", trained_on="bgr")
