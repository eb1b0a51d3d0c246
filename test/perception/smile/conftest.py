"""What every smile network must do."""

from __future__ import annotations

import pytest
import torch


def _streamed_as_windowed(network):
    crops = torch.rand(3, 20, 3, 96, 96) * 2 - 1
    window, window_state = network(crops)
    state = network.initial_state(3)
    streamed = []
    for t in range(20):
        logits, state = network.step(crops[:, t], state)
        streamed.append(logits)
    torch.testing.assert_close(torch.stack(streamed, dim=1), window, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(state, window_state, atol=1e-5, rtol=1e-5)
    return crops, window


@pytest.fixture
def streamed_as_windowed():
    """Checks that a network gives the same numbers frame by frame and at once; the crops and logits."""
    return _streamed_as_windowed
