"""The published network of cross-attention fusion for group emotion, in its full size.

A. Augusma, D. Vaufreydaz and F. Letué: Multimodal group emotion recognition in-the-wild using
privacy-compliant features, EmotiW 2023. Published on VGAF: 79.24 % (validation), 75.13 % (test), with
features of CLIP's ViT-L/14, stochastic gradient descent at 1e-5, momentum 0.9, batches of 4, 100 epochs.

Shapes: N videos, F frames, S segments of sound.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from social_perception.perception.scene.network import CLASSES, FramePooling


@dataclass(frozen=True, slots=True)
class FusionConfig:
    """Sizes; the defaults are those of the publication."""

    features: int = 1024
    """Of a frame, from a frozen extractor, and of a segment of sound: twice the last of ``channels``."""
    first: int = 32
    channels: tuple[int, int, int, int] = (64, 128, 256, 512)
    hidden: int = 2048
    heads: int = 1
    dropout: float = 0.5
    """In the Transformer block's layers."""
    attention_dropout: float = 0.2


class CrossAttentionFusion(nn.Module):
    """Sound is the query, frames are key and value; all three are pooled and concatenated."""

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.sound = SoundBranch(config)
        self.cross = nn.MultiheadAttention(config.features, config.heads, dropout=0.1, batch_first=True)
        self.pool_sound, self.pool_cross, self.pool_frames = (FramePooling(config.features) for _ in range(3))
        self.head = nn.Linear(3 * config.features, len(CLASSES))

    def forward(self, frames: Tensor, spectrograms: Tensor) -> Tensor:
        """Return logits (N, 3) of negative, neutral, positive.

        Args:
            frames: (N, F, features), 5 to 75 frames.
            spectrograms: (N, S, rows, columns), at least 104 x 104.
        """
        sound = self.sound(spectrograms)  # (N, S, features)
        crossed, _ = self.cross(sound, frames, frames, need_weights=False)  # (N, S, features)
        pooled = [self.pool_sound(sound), self.pool_cross(crossed), self.pool_frames(frames)]
        return self.head(torch.cat(pooled, 1))  # (N, 3 features) -> (N, 3)


class SoundBranch(nn.Module):
    """Four convolution blocks for each segment, then one Transformer block over the segments."""

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        first, second, third, last = config.channels
        self.blocks = nn.Sequential(  # (N S, 1, rows, columns)
            _block(1, config.first, first),
            _block(first, second, second),
            _block(second, third, third),
            _block(third, last, last),
            nn.AdaptiveAvgPool2d((1, 2)),  # (N S, 512, 1, 2)
            nn.Flatten(),  # (N S, 1024)
        )
        self.norm = nn.LayerNorm(config.features)
        self.attention = nn.MultiheadAttention(
            config.features, config.heads, dropout=config.attention_dropout, batch_first=True
        )
        self.layers = nn.Sequential(
            nn.LayerNorm(config.features),
            nn.Linear(config.features, config.hidden),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, config.features),
            nn.Dropout(config.dropout),
        )

    def forward(self, spectrograms: Tensor) -> Tensor:
        """Return (N, S, features) for (N, S, rows, columns)."""
        segments = spectrograms.shape[:2]
        sound = self.blocks(spectrograms.flatten(0, 1)[:, None]).unflatten(0, segments)
        normed = self.norm(sound)
        sound = sound + self.attention(normed, normed, normed, need_weights=False)[0]
        return sound + self.layers(sound)


def _block(inputs: int, middle: int, outputs: int) -> nn.Module:
    """Three convolutions without padding, and half the size."""
    sizes = ((inputs, middle), (middle, outputs), (outputs, outputs))
    layers = [layer for size in sizes for layer in (nn.Conv2d(*size, 3), nn.ReLU(inplace=True))]
    return nn.Sequential(*layers, nn.MaxPool2d(2))
