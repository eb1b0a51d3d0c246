"""The network's size, its ordinal outputs, and that streaming and windows agree."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from social_perception.perception.smile.networks import (
    OrdinalHead,
    SmileNetwork,
    intensity,
    level_probabilities,
    to_input,
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


def test_intensity_is_the_expected_level_over_three() -> None:
    logits = torch.tensor([[2.0, 0.3, -1.0], [9.0, 9.0, 9.0]])
    expected = (level_probabilities(logits) * torch.arange(4.0)).sum(dim=-1) / 3
    torch.testing.assert_close(intensity(logits), expected)


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
        network.encoder.normalize(brighter), network.encoder.normalize(crop), atol=0.35, rtol=0.2
    )
    blank = network.encoder.normalize(torch.full((1, 3, 96, 96), 0.5))
    assert torch.isfinite(blank).all()
