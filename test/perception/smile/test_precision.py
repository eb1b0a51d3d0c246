"""Reduced precision says nearly what float32 says, on generated faces; where it cannot run it says so."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from social_perception.cli.options import add_pipeline_settings, pipeline_settings
from social_perception.core.config import SmileConfig
from social_perception.core.errors import ConfigurationError
from social_perception.core.types import Box, ImageArray, Track
from social_perception.perception.smile.crop import crop_faces
from social_perception.perception.smile.factory import make_scorer
from social_perception.perception.smile.networks import (
    Convolution,
    Residual,
    SmileNetwork,
    standardize,
    to_input,
)
from social_perception.perception.smile.precision import (
    INPUT_MAX,
    BFloat16Layers,
    Int8Layers,
    _relu_moments,
    expected_maxima,
    prepare_network,
    resolve_precision,
)
from social_perception.perception.smile.reference_network import ReferenceConfig, ReferenceNetwork
from social_perception.perception.smile.streaming import StreamingScorer
from social_perception.perception.smile.weights import load_network, save_network, shipped_path
from social_perception.research.evaluation.precision import PRECISIONS, frame_times_ms
from social_perception.sources.portrait import BUST, FACE, load_portrait, smiling_busts

BOUNDS = {"bfloat16": 0.03, "int8": 0.06}
"""How far an intensity may be from float32's."""

TINY_REFERENCE = ReferenceConfig(channels=(4, 4, 8, 8, 8), features=32, hidden=12)


@pytest.fixture(scope="module")
def faces() -> ImageArray:
    """A smile that comes and goes, seen from slightly different places: (40, 96, 96, 3)."""
    strengths = np.concatenate([np.linspace(0, 1, 20), np.linspace(1, 0, 20)])
    busts = smiling_busts(load_portrait(), strengths)
    left, top = (FACE.left - BUST[0]) * 2, (FACE.top - BUST[1]) * 2
    boxes = [Box(left + number % 7 - 3, top + number % 5 - 2, 192.0, 192.0) for number in range(40)]
    return np.concatenate([crop_faces(bust, [box]) for bust, box in zip(busts, boxes)])


def scorer_in(precision: str, model: str = "") -> StreamingScorer:
    return make_scorer(SmileConfig(model=model, device="cpu", precision=precision, runtime="torch"))


def streamed(scorer: StreamingScorer, faces: ImageArray) -> np.ndarray:
    """The intensities of two people, the second of whom smiles in the opposite order, (40, 2)."""
    people = [Track("a", FACE, 1.0), Track("b", FACE, 1.0)]
    pairs = zip(faces, faces[::-1])
    return np.array(
        [
            [smile.intensity for smile in scorer.score(people, np.stack(pair), t / 30)]
            for t, pair in enumerate(pairs)
        ]
    )


@pytest.mark.parametrize("precision", BOUNDS)
def test_a_stream_of_faces_is_scored_as_by_float32(precision: str, faces: ImageArray) -> None:
    exact, scored = (streamed(scorer_in(each), faces) for each in ("float32", precision))
    assert np.ptp(exact) > 0.4  # the faces do smile
    assert 0.0 < np.abs(scored - exact).max() <= BOUNDS[precision]  # not zero: it is another arithmetic
    assert np.corrcoef(scored.ravel(), exact.ravel())[0, 1] > 0.998


@pytest.mark.parametrize("precision", BOUNDS)
def test_stills_are_scored_as_by_float32(precision: str, faces: ImageArray) -> None:
    exact, scored = (
        np.array([smile.intensity for smile in scorer_in(each).score_still(faces)])
        for each in ("float32", precision)
    )
    assert 0.0 < np.abs(scored - exact).max() <= BOUNDS[precision]


@pytest.mark.parametrize(("precision", "kind"), [("bfloat16", BFloat16Layers), ("int8", Int8Layers)])
def test_only_the_convolutions_are_reduced(precision: str, kind: type, faces: ImageArray) -> None:
    network = prepare_network(load_network(shipped_path()), precision, "cpu")
    assert isinstance(network.encoder.layers, kind)
    rest = {name: value for name, value in network.state_dict().items() if ".layers." not in name}
    assert {"memory.weight_hh_l0", "score_now.weight", "head.first", "encoder.project.weight"} <= set(rest)
    assert {value.dtype for value in rest.values()} == {torch.float32}
    crops = to_input(torch.from_numpy(faces[:2]))
    logits, state = network.step(crops, network.initial_state(2))
    assert (logits.dtype, state.dtype) == (torch.float32, torch.float32)


def test_no_faces_are_legal_in_every_precision() -> None:
    for precision in PRECISIONS:
        assert scorer_in(precision).score((), np.empty((0, 96, 96, 3), np.uint8), 0.0) == ()


def test_the_reference_network_runs_in_bfloat16(faces: ImageArray, tmp_path: Path) -> None:
    torch.manual_seed(4)
    network = ReferenceNetwork(TINY_REFERENCE)
    nn.init.normal_(network.levels.weight, std=1.0)
    save_network(network, tmp_path / "reference.safetensors", {})
    exact, scored = (
        streamed(scorer_in(each, str(tmp_path / "reference.safetensors")), faces)
        for each in ("float32", "bfloat16")
    )
    assert 0.0 < np.abs(scored - exact).max() <= 0.02


@pytest.mark.parametrize(
    ("network", "device", "rule"),
    [
        (SmileNetwork, "cuda", "int8 runs on the cpu only, and device is cuda"),
        (lambda: ReferenceNetwork(TINY_REFERENCE), "cpu", "int8 is supported by the small network"),
    ],
)
def test_int8_says_where_it_cannot_run(network, device: str, rule: str) -> None:
    with pytest.raises(ConfigurationError, match=rule):
        prepare_network(network().eval(), "int8", device)


def test_a_torch_without_such_kernels_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch, "quantize_per_tensor")
    with pytest.raises(ConfigurationError, match="int8 is not supported by this build of torch"):
        scorer_in("int8")


@pytest.mark.parametrize(
    ("native", "network", "device", "expected"),
    [
        (True, SmileNetwork, "cpu", "bfloat16"),
        (False, SmileNetwork, "cpu", "float32"),
        (True, SmileNetwork, "cuda", "float32"),
        (True, lambda: ReferenceNetwork(TINY_REFERENCE), "cpu", "float32"),
    ],
)
def test_auto_is_bfloat16_where_that_is_known_to_pay(
    native: bool, network, device: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native, raising=False)
    assert resolve_precision("auto", network(), device) == expected
    assert resolve_precision("int8", network(), device) == "int8"


def test_the_expected_maxima_hold_for_faces(faces: ImageArray) -> None:
    encoder = load_network(shipped_path()).encoder
    x = standardize(encoder.aligner(encoder.gray(to_input(torch.from_numpy(faces)))))
    assert x.abs().max() < INPUT_MAX
    blocks = [block for block in encoder.layers if isinstance(block, (Convolution, Residual))]
    for block, maxima in zip(blocks, expected_maxima(encoder.layers), strict=True):
        x = block(x)
        assert (x > maxima.output).float().mean() < 5e-4
        assert x.max() > maxima.output / 8  # and the steps are not wasted on what never comes


@pytest.mark.parametrize("mean", [-1.5, 0.0, 0.8])
@pytest.mark.parametrize("deviation", [0.3, 2.0])
def test_the_moments_of_a_rectified_value(mean: float, deviation: float) -> None:
    generator = torch.Generator().manual_seed(1)
    values = torch.normal(mean, deviation, (400_000,), generator=generator).relu()
    scored = _relu_moments(torch.tensor(mean), torch.tensor(deviation))
    torch.testing.assert_close(
        torch.stack(scored), torch.stack([values.mean(), values.var()]), atol=0.01, rtol=0.02
    )


def test_scoring_leaves_the_number_of_threads_as_it_was(faces: ImageArray) -> None:
    before = torch.get_num_threads()
    seen = []
    scorer = scorer_in("float32")
    scorer._network.encoder.layers.register_forward_hook(lambda *unused: seen.append(torch.get_num_threads()))
    try:
        torch.set_num_threads(2)
        scorer.score([Track("a", FACE, 1.0)], faces[:1], 0.0)
        assert (seen, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("flags", "smile", "detection"),
    [
        ([], "auto", "auto"),
        (["--precision", "bfloat16"], "bfloat16", "bfloat16"),
        (["--precision", "int8"], "int8", "auto"),  # which the detector does not know
    ],
)
def test_the_command_line_sets_it(flags: list[str], smile: str, detection: str) -> None:
    parser = argparse.ArgumentParser()
    add_pipeline_settings(parser, live=True)
    config = pipeline_settings(parser.parse_args(flags))
    assert (config.smile.precision, config.detection.precision) == (smile, detection)


def test_times_are_given_per_scorer_and_number_of_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    # By its own globals: a test of missing packages may have loaded the module once more.
    monkeypatch.setitem(frame_times_ms.__globals__, "_ROUNDS", 3)
    monkeypatch.setitem(frame_times_ms.__globals__, "FACES", (1, 2))
    times = frame_times_ms([scorer_in("float32"), scorer_in("int8")])
    assert [len(row) for row in times] == [2, 2]
    assert all(0.0 < value < 10_000.0 for row in times for value in row)
