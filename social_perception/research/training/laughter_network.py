"""The laughter network: log-mel frames in, the logit of laughter ten times a second out."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from social_perception.perception.hearing.laughter import CONTEXT, STATE
from social_perception.perception.hearing.mel import BANDS


class LaughterNetwork(nn.Module):
    """Three convolutions without padding in time, so that nothing looks ahead, then a GRU."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            _block(1, 16, (4, 5), (2, 2)),
            _block(16, 32, (5, 3), (5, 2)),
            _block(32, 48, (3, 3), (1, 2)),
        )
        self.features = nn.Linear(48 * BANDS // 8, 96)
        self.dropout = nn.Dropout(0.2)
        self.memory = nn.GRU(96, STATE, batch_first=True)
        self.head = nn.Linear(STATE, 1)

    def forward(self, mel: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return a logit per row of ten frames.

        Args:
            mel: (N, CONTEXT + 10 * rows, 64), the first CONTEXT frames of which are those before.
            state: (N, 128), zeros at first.

        Returns:
            Logits (N, rows), and the next state.
        """
        assert mel.shape[1] > CONTEXT
        rows = self.convolutions(mel.div(8.0).add(1.0)[:, None])  # (N, 48, rows, 8)
        features = functional.relu(self.features(rows.transpose(1, 2).flatten(2)))
        over_time, state = self.memory(self.dropout(features), state[None])
        return self.head(self.dropout(over_time))[..., 0], state[0]


def _block(inputs: int, outputs: int, size: tuple[int, int], stride: tuple[int, int]) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, size, stride, padding=(0, size[1] // 2), bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())
