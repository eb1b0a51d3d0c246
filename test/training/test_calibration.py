"""Thresholds fitted to ratings."""

from __future__ import annotations

import pytest
import torch

from social_perception.smile.networks import OrdinalHead
from social_perception.training.calibration import fit


def test_known_thresholds_and_scale_are_found_again() -> None:
    scores = torch.linspace(-3, 3, 400)
    scale, thresholds = 2.0, torch.tensor([-1.0, 0.5, 3.0])
    above = torch.sigmoid(scale * scores[:, None] - thresholds)
    head = OrdinalHead()
    assert fit(head, scores, above) == pytest.approx(scale, rel=0.05)
    found = -head(torch.zeros(1))[0]
    torch.testing.assert_close(found, thresholds, atol=0.1, rtol=0.05)


def test_thresholds_rise_even_if_the_ratings_contradict_themselves() -> None:
    scores = torch.linspace(-3, 3, 100)
    above = torch.sigmoid(scores[:, None] - torch.tensor([2.0, 0.0, 1.0]))
    head = OrdinalHead()
    fit(head, scores, above)
    logits = head(scores)
    assert (logits[:, :-1] >= logits[:, 1:]).all()
