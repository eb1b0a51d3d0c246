"""Files of weights: what comes back, and what a broken file says."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from social_perception.core.errors import ModelError
from social_perception.perception.smile.networks import NetworkConfig, SmileNetwork
from social_perception.perception.smile.weights import (
    VERSION,
    fuse_batch_norm,
    load_network,
    read_metadata,
    save_network,
    shipped_path,
)

SMALL = NetworkConfig(channels=(4, 4, 8, 8), features=16, hidden=12)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[SmileNetwork, Path]:
    torch.manual_seed(1)
    network = SmileNetwork(SMALL)
    network.encoder(torch.rand(8, 3, 96, 96))  # moves the running statistics off their start
    path = tmp_path / "network.safetensors"
    save_network(network, path, {"seed": 1})
    return network.eval(), path


def test_a_saved_network_comes_back(saved: tuple[SmileNetwork, Path]) -> None:
    network, path = saved
    loaded = load_network(path)
    assert loaded.config == SMALL
    crops = torch.rand(4, 3, 96, 96)
    torch.testing.assert_close(loaded.still(crops), network.still(crops), atol=5e-3, rtol=5e-3)
    assert '"seed": 1' in read_metadata(path)["training"]


def test_folding_the_normalisation_changes_no_answer(saved: tuple[SmileNetwork, Path]) -> None:
    _, path = saved
    crops = torch.rand(4, 3, 96, 96)
    merged = fuse_batch_norm(load_network(path))
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in merged.modules())
    torch.testing.assert_close(merged.still(crops), load_network(path).still(crops), atol=1e-4, rtol=1e-4)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no smile network at .*absent"):
        load_network(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("kept", [0, 5, 400, -1])
def test_truncated_file_is_refused(saved: tuple[SmileNetwork, Path], kept: int) -> None:
    _, path = saved
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelError) as caught:
        load_network(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


@pytest.mark.parametrize(
    ("metadata", "rule"),
    [
        ({}, "unknown"),
        ({"architecture": "other.Network", "version": str(VERSION)}, "other.Network"),
        ({"architecture": "social_perception.smile.SmileNetwork", "version": "99"}, "version 99"),
        ({"architecture": "social_perception.smile.SmileNetwork", "version": str(VERSION)}, "do not fit"),
        (
            {
                "architecture": "social_perception.smile.SmileNetwork",
                "version": str(VERSION),
                "config": '{"channels": [4, 4, 8, 8], "features": 16, "hidden": 13}',
            },
            "do not fit",
        ),
    ],
)
def test_weights_of_another_kind_are_refused(tmp_path: Path, metadata: dict[str, str], rule: str) -> None:
    path = tmp_path / "other.safetensors"
    save_file(SmileNetwork(SMALL).state_dict(), path, metadata)
    with pytest.raises(ModelError, match=rule):
        load_network(path)


@pytest.mark.parametrize(
    "sizes", [{"hidden": 16384}, {"features": 10**12}, {"channels": [1, 1, 1, 10**30]}, {"hidden": True}]
)
def test_sizes_that_the_tensors_do_not_have_take_no_memory(tmp_path: Path, sizes: dict[str, object]) -> None:
    path = tmp_path / "boasting.safetensors"
    config = {**dataclasses.asdict(SMALL), **sizes}
    metadata = {"architecture": "social_perception.smile.SmileNetwork", "version": str(VERSION)}
    save_file(SmileNetwork(SMALL).state_dict(), path, {**metadata, "config": json.dumps(config)})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelError, match="do not fit"):
        load_network(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB; the first has 3 GB


@pytest.mark.parametrize(
    ("place", "reason"),
    [("pipe", "not a regular file"), ("/dev/zero", "not a regular file"), ("huge", "larger than 1024 MB")],
)
def test_what_is_no_file_of_weights_is_refused_and_not_waited_for(
    tmp_path: Path, place: str, reason: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(10 * 2**30)
    with pytest.raises(ModelError, match=reason) as caught:
        load_network(tmp_path / place)
    assert "\n" not in str(caught.value)


def test_shipped_weights_load_and_are_small() -> None:
    assert shipped_path().stat().st_size < 3_000_000
    network = load_network(shipped_path())
    assert torch.isfinite(network.still(torch.rand(1, 3, 96, 96))).all()
