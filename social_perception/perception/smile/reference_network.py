"""The reference network: VGG-16 per face crop, two GRU layers over time and a softmax.

After V. Witzig, J. Kennedy and C. Segalin, "Smile Intensity Detection in Multiparty Interaction using
Deep Learning" (2019); the convolutions are those of VGG-Face (O. M. Parkhi, A. Vedaldi and
A. Zisserman, "Deep Face Recognition", 2015), whose weights :mod:`.vgg_face` loads.

Shapes: N faces, T frames, C = 4 levels, L = 2 GRU layers, H = 128 hidden units each.

It also outputs logits of P(level > k), so that it can replace a
:class:`~social_perception.perception.smile.networks.SmileNetwork`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

LEVELS = 4
POOLED_SIDE = 3
"""Side of the last feature map: 96 px halved five times."""


@dataclass(frozen=True, slots=True)
class ReferenceConfig:
    """The sizes of a :class:`ReferenceNetwork`; the defaults are the reference's. Stored with its weights."""

    channels: tuple[int, int, int, int, int] = (64, 128, 256, 512, 512)
    features: int = 4096
    hidden: int = 128
    layers: int = 2


class ReferenceNetwork(nn.Module):
    """Maps face crops over time to the probabilities of four levels; streaming and windowed use agree."""

    def __init__(self, config: ReferenceConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ReferenceConfig()
        a, b, c, d, e = config.channels
        self.convolutions = nn.Sequential(
            *_block(3, a, 2),  # (N, 3, 96, 96) -> (N, 64, 48, 48)
            *_block(a, b, 2),  # -> (N, 128, 24, 24)
            *_block(b, c, 3),  # -> (N, 256, 12, 12)
            *_block(c, d, 3),  # -> (N, 512, 6, 6)
            *_block(d, e, 3),  # -> (N, 512, 3, 3)
        )
        self.fc6 = nn.Linear(e * POOLED_SIDE**2, config.features)  # (N, 4608) -> (N, 4096)
        self.memory = nn.GRU(config.features, config.hidden, config.layers, batch_first=True)
        self.levels = nn.Linear(config.hidden, LEVELS)
        self.apply(glorot_uniform)

    def level_logits(self, crops: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Compute the inputs of the softmax.

        Args:
            crops: (N, T, 3, 96, 96) in [-1, 1]; see :func:`.networks.to_input`.
            state: (N, L, H), from the previous window; None for new faces.

        Returns:
            Logits of the levels (N, T, 4) and the new state (N, L, H).
        """
        features = self.encode(crops.flatten(0, 1)).unflatten(0, crops.shape[:2])  # (N, T, 4096)
        before = None if state is None else state.transpose(0, 1).contiguous()  # torch expects (L, N, H)
        output, last = self.memory(features, before)  # (N, T, H)
        return self.levels(output), last.transpose(0, 1)

    def encode(self, crops: Tensor) -> Tensor:
        """Encode single frames (N, 3, 96, 96) in [-1, 1] to the output of the first fully connected layer."""
        return functional.relu(self.fc6(self.convolutions(crops).flatten(1)))

    def forward(self, crops: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Score a window as :meth:`level_logits` does, as logits of P(level > k): (N, T, 3), new state."""
        logits, state = self.level_logits(crops, state)
        return above_logits(logits), state

    def step(self, crops: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Score one frame: crops (N, 3, 96, 96), state (N, L, H) -> logits (N, 3), new state."""
        logits, state = self(crops.unsqueeze(1), state)
        return logits[:, 0], state

    def still(self, crops: Tensor) -> Tensor:
        """Score single images (N, 3, 96, 96) without previous state: logits (N, 3)."""
        return self(crops.unsqueeze(1))[0][:, 0]

    def initial_state(self, faces: int) -> Tensor:
        """Return the state (N, L, H) of new faces."""
        return self.levels.weight.new_zeros(faces, self.config.layers, self.config.hidden)


def above_logits(level_logits: Tensor) -> Tensor:
    """Logits of the four levels (..., 4) -> logits of P(level > k), (..., 3); non-increasing in k."""
    parts = [
        level_logits[..., k:].logsumexp(dim=-1) - level_logits[..., :k].logsumexp(dim=-1)
        for k in range(1, LEVELS)
    ]
    return torch.stack(parts, dim=-1)


def glorot_uniform(module: nn.Module) -> None:
    """Initialize one layer after X. Glorot and Y. Bengio (2010), in place; biases are 0."""
    if isinstance(module, (nn.Conv2d, nn.Linear, nn.GRU)):
        for parameter in module.parameters(recurse=False):
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.zeros_(parameter)


def _block(inputs: int, outputs: int, convolutions: int) -> list[nn.Module]:
    """Return 3x3 convolutions with ReLU and a pooling that halves the sides."""
    layers: list[nn.Module] = []
    for number in range(convolutions):
        layers += [nn.Conv2d(outputs if number else inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
    return [*layers, nn.MaxPool2d(2)]
