"""The network's size, its ordinal outputs, and that streaming and windows agree."""

from __future__ import annotations

import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from social_perception.perception.smile.networks import (
    OrdinalHead,
    SmileNetwork,
    intensity,
    level_probabilities,
    standardize,
    to_input,
    upright_transform,
)


@pytest.fixture
def network() -> SmileNetwork:
    """A network whose memory speaks, as it does after training."""
    torch.manual_seed(0)
    network = SmileNetwork().eval().requires_grad_(False)
    torch.nn.init.normal_(network.score_memory.weight, std=0.5)
    return network


def test_parameters_stay_within_two_million(network: SmileNetwork) -> None:
    assert sum(parameter.numel() for parameter in network.parameters()) <= 2_000_000


def test_a_face_costs_at_most_thirty_million_multiply_adds(network: SmileNetwork) -> None:
    with FlopCounterMode(display=False) as counter:
        network.step(torch.zeros(1, 3, 96, 96), network.initial_state(1))
    assert 1_000_000 < counter.get_total_flops() / 2 <= 30_000_000


def test_streaming_and_window_give_the_same_numbers(network: SmileNetwork, streamed_as_windowed) -> None:
    streamed_as_windowed(network)


def test_the_memory_changes_the_result_of_a_frame(network: SmileNetwork) -> None:
    crops = torch.rand(1, 3, 3, 96, 96) * 2 - 1
    logits, _ = network(crops)
    alone = network.still(crops[:, 2])
    assert not torch.allclose(logits[:, 2], alone, atol=1e-4)


def test_a_still_is_the_first_frame_of_a_stream(network: SmileNetwork) -> None:
    crops = torch.rand(2, 3, 96, 96) * 2 - 1
    first, _ = network.step(crops, network.initial_state(2))
    torch.testing.assert_close(network.still(crops), first)


@pytest.mark.parametrize("gaps", [(0.0, 0.0), (-9.0, 4.0), (-30.0, -30.0)])
def test_thresholds_rise_whatever_was_learned(gaps: tuple[float, float]) -> None:
    head = OrdinalHead()
    head.gaps.data = torch.tensor(gaps)
    scores = torch.linspace(-8, 8, 33)
    logits = head(torch.stack([scores, torch.full((33,), -3.0), scores.roll(5)], dim=-1))
    assert (logits[:, :-1] >= logits[:, 1:]).all()
    probabilities = level_probabilities(logits)
    assert (probabilities >= 0).all()
    torch.testing.assert_close(probabilities.sum(dim=-1), torch.ones(33))
    alike = torch.stack([scores, torch.zeros(33), torch.zeros(33)], dim=-1)
    assert (intensity(head(alike)).diff() > 0).all()


def test_intensity_is_linear_between_the_thresholds() -> None:
    """It is 1/6, 1/2 and 5/6 where one of the levels above is as probable as not, and has no plateau."""
    score = torch.linspace(-12.0, 20.0, 321)  # the thresholds are at 0, 4 and 9
    value = intensity(torch.stack([score, score - 4.0, score - 9.0, torch.zeros(321)], dim=-1))
    for at, expected in ((0.0, 1 / 6), (2.0, 1 / 3), (4.0, 1 / 2), (6.5, 2 / 3), (9.0, 5 / 6)):
        assert value[round(10 * (at + 12))] == pytest.approx(expected, abs=1e-4)
    assert (value.diff() > 0).all()
    assert value[0] < 1e-4
    assert value[-1] > 1 - 1e-4


@pytest.mark.parametrize("roll", [-45.0, 0.0, 30.0])
@pytest.mark.parametrize(("x", "y", "scale"), [(0.0, 0.0, 1.0), (0.1, -0.2, 0.8)])
def test_a_face_is_turned_upright(roll: float, x: float, y: float, scale: float) -> None:
    upright = torch.tensor([(-0.38, -0.36), (0.38, -0.36), (0.0, 0.12), (-0.3, 0.41), (0.3, 0.41)])
    cos, sin = scale * math.cos(math.radians(roll)), scale * math.sin(math.radians(roll))
    points = upright @ torch.tensor([[cos, sin], [-sin, cos]]) + torch.tensor([x, y])
    (transform,) = upright_transform(points[None])
    torch.testing.assert_close(upright @ transform[:, :2].T + transform[:, 2], points, atol=1e-5, rtol=0)


def test_an_image_without_a_face_is_aligned_somehow() -> None:
    transform = upright_transform(torch.tensor([[0.0, 0.0]]).repeat(1, 5, 1) + torch.eye(5, 2) * 1e-3)
    assert torch.isfinite(transform).all()
    assert torch.linalg.det(transform[0, :, :2]) > 0.1


def test_the_alignment_keeps_its_statistics_in_training(network: SmileNetwork) -> None:
    before = {name: each.clone() for name, each in network.encoder.aligner.state_dict().items()}
    network.train()(torch.rand(4, 1, 3, 96, 96))
    after = network.encoder.aligner.state_dict()
    assert all(torch.equal(after[name], each) for name, each in before.items())


def test_input_runs_from_minus_one_to_one_with_channels_first() -> None:
    crops = torch.zeros(2, 96, 96, 3, dtype=torch.uint8)
    crops[..., 2] = 255
    prepared = to_input(crops)
    assert prepared.shape == (2, 3, 96, 96)
    assert prepared[:, 0].unique() == -1.0
    assert prepared[:, 2].unique() == 1.0


def test_light_and_contrast_hardly_matter(network: SmileNetwork) -> None:
    crop = torch.rand(1, 3, 96, 96) - 0.5
    brighter = 0.7 * crop + 0.2
    torch.testing.assert_close(
        standardize(network.encoder.gray(brighter)),
        standardize(network.encoder.gray(crop)),
        atol=0.35,
        rtol=0.2,
    )
    blank = standardize(torch.full((1, 1, 96, 96), 0.5))
    assert torch.isfinite(blank).all()
