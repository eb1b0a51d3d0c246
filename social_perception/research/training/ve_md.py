"""VE-MD: group emotion from a latent that must also predict the group's structure, in its full size.

A. Augusma: Towards a privacy-safe, non-individual approach to group emotion recognition (thesis, and its
public code). Published: VGAF 82.25 %, GAF-3.0 90.06 %; Adam at 1e-4, gradients clipped at 1.

A CNN and the projected features of a frozen network give a latent that is kept near N(0, 1). One head
predicts the emotion. Decoders predict bodies or faces: as limbs from queries, or as heat maps. Structure is
predicted, and never an input, unless ``structure_to_head`` feeds the predicted limbs to the emotion head.

Shapes: N videos, F frames, Q queries, L limbs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn import functional

from social_perception.perception.scene.network import CLASSES, FramePooling

BODY_LIMBS, FACE_LIMBS = 18, 20
CELLS = 7
"""Rows and columns of the latent."""

QUERY_WEIGHT, HEAT_WEIGHT, MMD_WEIGHT, ADJACENCY_WEIGHT = 0.1, 1.0, 1.0, 0.5


@dataclass(frozen=True, slots=True)
class VEMDConfig:
    """Sizes; the defaults are those of the publication."""

    width: int = 64
    """Channels of the first layer of the CNN."""
    depths: tuple[int, int, int, int] = (3, 4, 6, 3)
    """Those of ResNet-50."""
    latent: int = 512
    features: int = 1024
    """Of a frame, from a frozen extractor."""
    limbs: int = FACE_LIMBS
    queries: int = 100
    layers: int = 3
    """Of the query decoder: this many of its encoder and of its decoder."""
    heads: int = 8
    heat_maps: int = 1
    structure_to_head: bool = False
    """Whether the predicted limbs are an input of the emotion head."""


class Structure(NamedTuple):
    """Limbs (N F, Q, L, 4): two ends each, in [0, 1]; logits of their adjacency (N F, Q, L, L)."""

    limbs: Tensor
    adjacency: Tensor


class Outputs(NamedTuple):
    """Logits (N, 3), the latent (N F, latent, 7, 7), the structure, and heat maps (N F, maps, 56, 56)."""

    logits: Tensor
    latent: Tensor
    structure: Structure
    heat: Tensor


class VEMD(nn.Module):
    """The variational encoder with its decoders."""

    def __init__(self, config: VEMDConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = ResNet(config.width, config.depths, config.latent)
        self.project = nn.Linear(config.features, config.latent * CELLS**2)
        self.query_decoder = QueryDecoder(config)
        self.heat_decoder = HeatDecoder(config.latent, config.heat_maps)
        self.emotion = EmotionHead(config)

    def forward(self, images: Tensor, features: Tensor) -> Outputs:
        """Return everything; in use only ``logits`` matter.

        Args:
            images: (N, F, 3, 224, 224).
            features: (N, F, features) of a frozen extractor.
        """
        latent = self.encoder(images.flatten(0, 1))  # (N F, latent, 7, 7)
        projected = self.project(features.flatten(0, 1)).unflatten(1, latent.shape[1:])
        structure = self.query_decoder(latent)
        both = torch.cat([latent, projected], 1).flatten(1)  # (N F, 2 latent 49)
        given = structure.limbs.flatten(1) if self.config.structure_to_head else None
        logits = self.emotion(both, given, images.shape[:2])
        return Outputs(logits, torch.cat([latent, projected], 1), structure, self.heat_decoder(latent))


class EmotionHead(nn.Module):
    """A linear reduction, one Transformer block over the frames, and their attention pooling."""

    def __init__(self, config: VEMDConfig) -> None:
        super().__init__()
        self.reduce = nn.Linear(2 * config.latent * CELLS**2, config.latent)
        size = config.latent
        self.structure = None
        if config.structure_to_head:
            inputs = 4 * config.limbs * config.queries
            self.structure = nn.Sequential(nn.LayerNorm(inputs), nn.Linear(inputs, config.latent), nn.ReLU())
            size = 2 * config.latent
        self.block = nn.TransformerEncoderLayer(size, nhead=1, batch_first=True)
        self.pool = FramePooling(size)
        self.head = nn.Sequential(
            nn.Linear(size, config.latent), nn.ReLU(), nn.Dropout(0.5), nn.Linear(config.latent, len(CLASSES))
        )

    def forward(self, latent: Tensor, limbs: Tensor | None, frames: torch.Size) -> Tensor:
        """Return logits (N, 3) for latents (N F, values) of ``frames`` (N, F)."""
        reduced = self.reduce(latent)
        if self.structure is not None and limbs is not None:
            reduced = torch.cat([reduced, self.structure(limbs)], 1)
        return self.head(self.pool(self.block(reduced.unflatten(0, frames))))


class QueryDecoder(nn.Module):
    """Each query is a body or a face, or nobody: a Transformer as in DETR."""

    def __init__(self, config: VEMDConfig) -> None:
        super().__init__()
        self.limbs = config.limbs
        self.position = nn.Parameter(0.02 * torch.randn(CELLS**2, config.latent))
        self.queries = nn.Parameter(torch.randn(config.queries, config.latent))
        self.transformer = nn.Transformer(
            config.latent, config.heads, config.layers, config.layers, 4 * config.latent, batch_first=True
        )
        self.ends = nn.Linear(config.latent, config.limbs * 4)
        self.adjacency = nn.Linear(config.latent, config.limbs**2)

    def forward(self, latent: Tensor) -> Structure:
        cells = latent.flatten(2).transpose(1, 2) + self.position  # (N F, 49, latent)
        found = self.transformer(cells, self.queries.expand(len(cells), -1, -1))  # (N F, Q, latent)
        limbs = self.ends(found).sigmoid().unflatten(2, (self.limbs, 4))
        return Structure(limbs, self.adjacency(found).unflatten(2, (self.limbs, self.limbs)))


class HeatDecoder(nn.Module):
    """Heat maps (N F, maps, 56, 56) from the latent: three residual blocks, each of twice the size."""

    def __init__(self, latent: int, maps: int) -> None:
        super().__init__()
        sizes = [(latent >> step, latent >> step + 1) for step in range(3)]
        self.layers = nn.Sequential(*(UpBlock(*size) for size in sizes), nn.Conv2d(latent >> 3, maps, 1))

    def forward(self, latent: Tensor) -> Tensor:
        return self.layers(latent)


class UpBlock(nn.Module):
    """Doubles rows and columns."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1)
        self.layers = nn.Sequential(
            nn.BatchNorm2d(outputs),
            nn.ELU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, maps: Tensor) -> Tensor:
        larger = self.up(maps)
        return functional.elu(larger + self.layers(larger))


class ResNet(nn.Module):
    """The convolutions of a ResNet with bottlenecks, and a projection to the latent: 224 px to 7 cells."""

    def __init__(self, width: int, depths: tuple[int, ...], latent: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
        ]  # fmt: skip
        inputs = width
        for stage, depth in enumerate(depths):
            for block in range(depth):
                layers.append(Bottleneck(inputs, width << stage, 2 if stage and not block else 1))
                inputs = 4 * (width << stage)
        self.layers = nn.Sequential(*layers, nn.Conv2d(inputs, latent, 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, the last of four times the width."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width),
        )  # fmt: skip
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != 4 * width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width)
            )

    def forward(self, maps: Tensor) -> Tensor:
        return functional.relu(self.layers(maps) + self.shortcut(maps))


def structure_loss(predicted: Structure, limbs: list[Tensor], adjacency: list[Tensor]) -> Tensor:
    """Smooth L1 of the limbs and 0.5 times the cross-entropy of their adjacency, of matched queries.

    Args:
        predicted: of B frames.
        limbs: of each frame (people, L, 4); people may be 0.
        adjacency: of each frame (people, L, L), 0 or 1.
    """
    losses = []
    for frame, (ends, joined) in enumerate(zip(limbs, adjacency)):
        if not len(ends):
            continue
        queries, people = match(predicted.limbs[frame], ends)
        losses.append(
            functional.smooth_l1_loss(predicted.limbs[frame][queries], ends[people])
            + ADJACENCY_WEIGHT
            * functional.binary_cross_entropy_with_logits(predicted.adjacency[frame][queries], joined[people])
        )
    return torch.stack(losses).mean() if losses else predicted.limbs.sum() * 0.0


def match(predicted: Tensor, limbs: Tensor) -> tuple[Tensor, Tensor]:
    """Assign queries (Q, L, 4) to people (P, L, 4) so that the distances are smallest; their indices."""
    distances = torch.cdist(predicted.detach().flatten(1), limbs.flatten(1), p=1)  # (Q, P)
    queries, people = linear_sum_assignment(distances.cpu().numpy())
    return torch.as_tensor(queries), torch.as_tensor(people)


def discrepancy(features: Tensor) -> Tensor:
    """Maximum mean discrepancy of features (N, D) to N(0, 1), with a Gaussian kernel of width sqrt(D)."""
    normal = torch.randn_like(features)

    def kernel(first: Tensor, second: Tensor) -> Tensor:
        return torch.exp(-torch.cdist(first, second).square() / (2.0 * features.shape[1])).mean()

    return kernel(features, features) + kernel(normal, normal) - 2.0 * kernel(features, normal)


def total_loss(
    outputs: Outputs, label: Tensor, limbs: list[Tensor], adjacency: list[Tensor], heat: Tensor
) -> Tensor:
    """The loss of the publication, with both decoders."""
    return (
        functional.cross_entropy(outputs.logits, label)
        + QUERY_WEIGHT * structure_loss(outputs.structure, limbs, adjacency)
        + HEAT_WEIGHT * functional.mse_loss(outputs.heat, heat)
        + MMD_WEIGHT * discrepancy(outputs.latent.flatten(1))
    )
