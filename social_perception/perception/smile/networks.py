"""The smile network: a small CNN per face crop, a GRU over time and an ordinal head.

Shapes: N faces, T frames, F features, H hidden units, K = 3 thresholds between the four levels.

The head is ordinal: a score per face and frame is compared with three increasing thresholds, so P(level > 0)
>= P(level > 1) >= P(level > 2) holds by construction (rank-consistent logits after W. Cao, V. Mirjalili and
S. Raschka, "Rank consistent ordinal regression for neural networks", 2020). The distances of the thresholds
may differ from face to face, because the intensity of a smile shows elsewhere in the face than its presence.

The scores are the sum of a single-frame score and a contribution of the memory, so that the first frame of a
face is already scored well and later frames refine the score.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

THRESHOLDS = 3
"""Thresholds between Neutral, Low, Medium and High."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G and B in the luma, ITU-R BT.601."""


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """The sizes of a :class:`SmileNetwork`; they are stored with its weights."""

    channels: tuple[int, int, int, int] = (16, 24, 48, 128)
    features: int = 128
    hidden: int = 128


def to_input(crops: Tensor) -> Tensor:
    """Crops (..., 96, 96, 3) uint8 -> (..., 3, 96, 96) float in [-1, 1]."""
    return crops.movedim(-1, -3).float().div_(127.5).sub_(1.0)


def level_probabilities(logits: Tensor) -> Tensor:
    """Logits (..., 3) of P(level > k) -> (..., 4) of Neutral, Low, Medium, High; they sum to 1."""
    above = torch.sigmoid(logits)
    return torch.cat([1.0 - above[..., :1], above[..., :-1] - above[..., 1:], above[..., -1:]], dim=-1)


def intensity(logits: Tensor) -> Tensor:
    """Logits (..., 3) of P(level > k) -> (...) intensity in [0, 1], the expected level divided by 3."""
    return torch.sigmoid(logits).mean(dim=-1)


class Residual(nn.Module):
    """Two 3x3 convolutions with a skip connection: (N, C, h, w) -> (N, C, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Convolution(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.norm(self.second(self.first(x))) + x, inplace=True)


class Convolution(nn.Module):
    """3x3 convolution, batch normalization, ReLU: (N, C_in, h, w) -> (N, C_out, h / stride, w / stride)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        # In place: halves the number of large allocations.
        return functional.relu(self.norm(self.convolution(x)), inplace=True)


class FaceEncoder(nn.Module):
    """Encodes face crops (N, 3, 96, 96) in [-1, 1] to features (N, F)."""

    luma: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        a, b, c, d = config.channels
        self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1), persistent=False)
        self.layers = nn.Sequential(  # multiply-adds of the default sizes
            Convolution(1, a, 2),  # (N, 1, 96, 96) -> (N, a, 48, 48)    0.3 M
            Convolution(a, b, 2),  # -> (N, b, 24, 24)                   2.0 M
            Residual(b),  #                                              6.0 M
            Convolution(b, c, 2),  # -> (N, c, 12, 12)                   1.5 M
            Residual(c),  #                                              6.0 M
            Convolution(c, d, 2),  # -> (N, d, 6, 6)                     2.0 M
            Residual(d),  #                                             10.6 M
            nn.AvgPool2d(2),  # -> (N, d, 3, 3): keeps the position of the mouth
            nn.Flatten(),
        )
        self.project = nn.Linear(9 * d, config.features)

    def forward(self, crops: Tensor) -> Tensor:
        return functional.relu(self.project(self.layers(self.normalize(crops))))

    def normalize(self, crops: Tensor) -> Tensor:
        """Convert to luma, normalized per crop: (N, 3, 96, 96) -> (N, 1, 96, 96).

        A smile is a shape: color and lighting only depend on the camera.
        """
        gray = torch.tensordot(crops, self.luma.flatten(), dims=([1], [0])).unsqueeze(1)
        gray = gray - gray.mean(dim=(1, 2, 3), keepdim=True)
        # Equals torch.std_mean, in an eighth of its time.
        squares = gray.square().sum(dim=(1, 2, 3), keepdim=True)
        deviation = (squares / (gray.shape[2] * gray.shape[3] - 1)).sqrt()
        return gray / (deviation + 0.05)


class OrdinalHead(nn.Module):
    """Converts scores (..., 3) to logits (..., 3) of P(level > k), non-increasing in k.

    The first score is compared with the first threshold; the other two change the distances to the second and
    third threshold, which stay positive.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.tensor(0.0))
        self.gaps = nn.Parameter(torch.full((THRESHOLDS - 1,), 1.5))

    def forward(self, scores: Tensor) -> Tensor:
        lowest = scores[..., :1] - self.first
        steps = functional.softplus(self.gaps + scores[..., 1:])
        return torch.cat([lowest, lowest - steps.cumsum(dim=-1)], dim=-1)


class SmileNetwork(nn.Module):
    """Maps face crops over time to logits of P(level > k); streaming and windowed use agree."""

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or NetworkConfig()
        self.encoder = FaceEncoder(config)
        self.memory = nn.GRU(config.features, config.hidden, batch_first=True)
        self.score_now = nn.Linear(config.features, THRESHOLDS)
        self.score_memory = nn.Linear(config.hidden, THRESHOLDS, bias=False)
        with torch.no_grad():  # the distances of the thresholds are initially equal for all faces
            self.score_now.weight[1:] = 0.0
            self.score_now.bias[1:] = 0.0
        nn.init.zeros_(self.score_memory.weight)  # before its training the memory has no effect
        self.head = OrdinalHead()

    def forward(self, crops: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Score a window.

        Args:
            crops: (N, T, 3, 96, 96) in [-1, 1]; see :func:`to_input`.
            state: (N, H), from the previous window; None for new faces.

        Returns:
            Logits (N, T, 3) and the new state (N, H).
        """
        features = self.encoder(crops.flatten(0, 1)).unflatten(0, crops.shape[:2])  # (N, T, F)
        return self.over_time(features, state)

    def step(self, crops: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Score one frame: crops (N, 3, 96, 96), state (N, H) -> logits (N, 3), new state (N, H)."""
        logits, state = self.over_time(self.encoder(crops).unsqueeze(1), state)
        return logits[:, 0], state

    def over_time(self, features: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Score features (N, T, F): logits (N, T, 3) and the new state (N, H)."""
        output, last = self.memory(features, None if state is None else state.unsqueeze(0))  # (N, T, H)
        scores = self.score_now(features) + self.score_memory(output)  # (N, T, 3)
        return self.head(scores), last[0]

    def still(self, crops: Tensor) -> Tensor:
        """Score single images (N, 3, 96, 96) without previous state: logits (N, 3)."""
        features = self.encoder(crops)
        return self.over_time(features.unsqueeze(1))[0][:, 0]

    def initial_state(self, faces: int) -> Tensor:
        """Return the state (N, H) of new faces."""
        return self.score_now.weight.new_zeros(faces, self.config.hidden)
