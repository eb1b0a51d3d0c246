"""Thresholds fitted to ratings."""

from __future__ import annotations

import pytest
import torch

from social_perception.perception.smile.networks import OrdinalHead
from social_perception.research.training.still_training import fit_thresholds


def drawn_scores(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return 2 * torch.randn(count, 3, generator=generator)


def test_known_thresholds_and_scales_are_found_again() -> None:
    scores = drawn_scores(600)
    truth = OrdinalHead()
    truth.first.data, truth.gaps.data = torch.tensor(-1.0), torch.tensor([0.5, 1.0])
    above = torch.sigmoid(truth(scores * torch.tensor([2.0, 0.5, 0.5]))).detach()
    head = OrdinalHead()
    assert fit_thresholds(head, scores, above).tolist() == pytest.approx([2.0, 0.5, 0.5], rel=0.05)
    assert head.first.item() == pytest.approx(-1.0, abs=0.05)
    assert head.gaps.tolist() == pytest.approx([0.5, 1.0], abs=0.05)


def test_thresholds_rise_even_if_the_ratings_contradict_themselves() -> None:
    scores = drawn_scores(100)
    above = torch.sigmoid(scores[:, :1] - torch.tensor([2.0, 0.0, 1.0]))
    head = OrdinalHead()
    fit_thresholds(head, scores, above)
    logits = head(scores)
    assert (logits[:, :-1] >= logits[:, 1:]).all()
