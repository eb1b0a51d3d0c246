"""The scene network: gray images of a few frames and the log-mel frames of 3 s in, three logits out.

Sound and images are fused as in Augusma's group emotion recognition (EmotiW 2023): the sound is the query,
the frames are key and value. No face, position or person is an input or an output.

Shapes: N scenes, F frames, images of (h, w), S = 19 sound tokens, D = 128 features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from social_perception.perception.hearing.mel import BANDS
from social_perception.perception.scene.estimator import FEATURES

CLASSES = ("negative", "neutral", "positive")

MAP_CHANNELS = 128
_MAP_HEADS = 4
_FLAT = 0.08
"""Standard deviation of the gray values, of 1, below which an image is not amplified: it is dark or empty."""


class SceneNetwork(nn.Module):
    """Group emotion from whole images and sound.

    Args:
        pooling: whether frames and sound tokens are pooled by attention; else by their mean.
    """

    def __init__(self, pooling: bool = True) -> None:
        super().__init__()
        self.images = ImageEncoder()
        self.sound = SoundEncoder()
        self.no_sound = nn.Parameter(torch.zeros(FEATURES))
        self.cross = Attention()
        self.pool_frames, self.pool_sound, self.pool_cross = (
            FramePooling(FEATURES, pooling) for _ in range(3)
        )
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(3 * FEATURES, len(CLASSES))

    def forward(self, images: Tensor, mel: Tensor, has_sound: Tensor) -> Tensor:
        """Return logits (N, 3) of negative, neutral, positive.

        Args:
            images: (N, F, h, w), gray values in [0, 255]; h and w are multiples of 8.
            mel: (N, 300, 64), log-mel frames.
            has_sound: (N,), 1 where there is sound, else 0.
        """
        maps = self.images(images.flatten(0, 1))  # (N F, 128, h / 8, w / 8)
        frames = self.images.pool(maps).unflatten(0, images.shape[:2])  # (N, F, D)
        return self.fuse(frames, mel, has_sound)

    def step(self, image: Tensor, before: Tensor, mel: Tensor, has_sound: Tensor) -> tuple[Tensor, Tensor]:
        """Return the probabilities (1, 3) and the features (1, 1, D) of one more frame.

        Args:
            image: (1, h, w) uint8.
            before: (1, F - 1, D), the features of the frames before.
            mel: (1, 300, 64).
            has_sound: (1,).
        """
        features = self.images.pool(self.images(image.float()))[None]  # (1, 1, D)
        logits = self.fuse(torch.cat([before, features], 1), mel, has_sound)
        return logits.softmax(1), features

    def fuse(self, frames: Tensor, mel: Tensor, has_sound: Tensor) -> Tensor:
        """Return logits (N, 3) from the features of frames (N, F, D) and the sound."""
        return self.fuse_tokens(frames, self.sound(mel), has_sound)

    def fuse_tokens(self, frames: Tensor, tokens: Tensor, has_sound: Tensor) -> Tensor:
        """Return logits (N, 3) from the features of frames (N, F, D) and those of the sound (N, S, D)."""
        has_sound = has_sound[:, None, None].to(frames.dtype)
        tokens = has_sound * tokens + (1.0 - has_sound) * self.no_sound
        crossed = self.cross(tokens, frames)  # (N, S, D)
        pooled = [self.pool_sound(tokens), self.pool_cross(crossed), self.pool_frames(frames)]
        return self.head(self.dropout(torch.cat(pooled, 1)))  # (N, 3 D) -> (N, 3)


class ImageEncoder(nn.Module):
    """A CNN without a detector; what it attends to is learned from the emotion of whole scenes."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(  # (N, 1, h, w)
            nn.PixelUnshuffle(2),  # (N, 4, h / 2, w / 2): no pixel of a small face is lost
            Block(4, 32),
            Block(32, 32),
            Block(32, 64, stride=2),  # (N, 64, h / 4, w / 4)
            Block(64, 64),
            Block(64, MAP_CHANNELS, stride=2),  # (N, 128, h / 8, w / 8)
            Block(MAP_CHANNELS, MAP_CHANNELS),
        )
        self.where = nn.Conv2d(MAP_CHANNELS, _MAP_HEADS, 1)
        self.latent = nn.Linear(_MAP_HEADS * MAP_CHANNELS, FEATURES)

    def forward(self, images: Tensor) -> Tensor:
        """Return maps (N, 128, h / 8, w / 8) of images (N, h, w) in [0, 255]."""
        gray = images[:, None] / 255.0
        mean = gray.mean((2, 3), keepdim=True)
        deviation = (gray - mean).square().mean((2, 3), keepdim=True).sqrt()
        return self.layers((gray - mean) / deviation.clamp(min=_FLAT))

    def pool(self, maps: Tensor) -> Tensor:
        """Return features (N, D): four weighted means over the whole image."""
        weights = self.where(maps).flatten(2).softmax(2)  # (N, 4, cells)
        means = weights @ maps.flatten(2).transpose(1, 2)  # (N, 4, 128)
        return self.latent(means.flatten(1))


class SoundEncoder(nn.Module):
    """Four convolution blocks and one Transformer block, without a look at who makes the sound."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(  # (N, 1, 300, 64)
            Block(1, 16, stride=2),  # (N, 16, 150, 32)
            Block(16, 32, stride=2),  # (N, 32, 75, 16)
            Block(32, 48, stride=2),  # (N, 48, 38, 8)
            Block(48, 64, stride=2),  # (N, 64, 19, 4)
        )
        self.tokens = nn.Linear(64 * BANDS // 16, FEATURES)
        self.attention = Attention()
        self.norm = nn.LayerNorm(FEATURES)
        self.forward_layers = nn.Sequential(
            nn.LayerNorm(FEATURES), nn.Linear(FEATURES, 256), nn.ReLU(), nn.Dropout(0.2),
            nn.Linear(256, FEATURES),
        )  # fmt: skip

    def forward(self, mel: Tensor) -> Tensor:
        """Return tokens (N, 19, D) of log-mel frames (N, 300, 64)."""
        maps = self.convolutions(mel[:, None] / 8.0 + 1.0)  # (N, 64, 19, 4)
        tokens = self.tokens(maps.transpose(1, 2).flatten(2))  # (N, 19, D)
        normed = self.norm(tokens)
        tokens = tokens + self.attention(normed, normed)
        return tokens + self.forward_layers(tokens)


class Attention(nn.Module):
    """Dot-product attention of one head."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(FEATURES, FEATURES) for _ in range(3))

    def forward(self, queries: Tensor, others: Tensor) -> Tensor:
        """Return (N, S, D) for queries (N, S, D) that attend to others (N, F, D)."""
        scores = self.query(queries) @ self.key(others).transpose(1, 2) / FEATURES**0.5  # (N, S, F)
        return scores.softmax(2) @ self.value(others)


class FramePooling(nn.Module):
    """Frame-attention pooling: a weighted mean over time; its weights are a linear function of each frame."""

    def __init__(self, features: int, weighted: bool = True) -> None:
        super().__init__()
        self.score = nn.Linear(features, 1) if weighted else None

    def forward(self, frames: Tensor) -> Tensor:
        """Return (N, D) for frames (N, F, D)."""
        if self.score is None:
            return frames.mean(1)
        return (self.score(frames).softmax(1) * frames).sum(1)


class Block(nn.Module):
    """A convolution with batch normalization; with a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.shortcut = inputs == outputs and stride == 1

    def forward(self, maps: Tensor) -> Tensor:
        changed = self.norm(self.convolution(maps))
        return functional.relu(changed + maps if self.shortcut else changed)
