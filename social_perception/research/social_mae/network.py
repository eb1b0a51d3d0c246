"""The Social-MAE: a masked autoencoder of a face and of the sound of the same seconds.

As published by H. Bohy, M. Tran, K. El Haddad, T. Dutoit and M. Soleymani (FG 2024), after the CAV-MAE of
Y. Gong et al. (ICLR 2023). Face and sound are cut into patches, each of which becomes a token. Most tokens
are hidden; an encoder per modality and a joint block see the others, and a small decoder restores the hidden
patches. Sound alone and video alone pass through the same network, with their own norms in the joint block.

Shapes: B examples, V tokens of video, S tokens of sound, N tokens of either, W the width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from social_perception.core.errors import ConfigurationError
from social_perception.research.social_mae.examples import ExampleShape

VIDEO, SOUND, BOTH = "video", "sound", "both"
MODALITIES = (SOUND, VIDEO)
"""In the order in which their tokens are joined."""

TEMPERATURE = 0.05
"""Of the contrast between faces and sounds."""


@dataclass(frozen=True, slots=True)
class NetworkSizes:
    """Sizes of the network; the defaults are those of the publication.

    Raises:
        ConfigurationError: patches do not fill the input, or heads do not divide a width.
    """

    frames: int = 8
    side: int = 224
    steps: int = 1024
    bins: int = 128
    tubelet: int = 2
    """Frames of a patch of video."""
    video_patch: int = 16
    """Side of a patch of video in px."""
    sound_patch: int = 16
    """Steps and bins of a patch of sound."""
    width: int = 768
    heads: int = 12
    blocks: int = 11
    """Blocks of each modality."""
    joint_blocks: int = 1
    decoder_width: int = 512
    decoder_heads: int = 16
    decoder_blocks: int = 8

    def __post_init__(self) -> None:
        whole = (
            ("frames", self.frames, "tubelet", self.tubelet),
            ("side", self.side, "video_patch", self.video_patch),
            ("steps", self.steps, "sound_patch", self.sound_patch),
            ("bins", self.bins, "sound_patch", self.sound_patch),
            ("width", self.width, "heads", self.heads),
            ("decoder_width", self.decoder_width, "decoder_heads", self.decoder_heads),
        )
        for name, value, divisor_name, divisor in whole:
            if min(value, divisor) < 1 or value % divisor:
                raise ConfigurationError(
                    f"{name} must be a multiple of {divisor_name}, got {value}, {divisor}"
                )

    @property
    def shape(self) -> ExampleShape:
        return ExampleShape(self.frames, self.side, self.steps, self.bins)

    @property
    def grids(self) -> dict[str, tuple[int, ...]]:
        """Patches along each axis: (time, height, width) of video, (bins, time) of sound."""
        across = self.side // self.video_patch
        return {
            VIDEO: (self.frames // self.tubelet, across, across),
            SOUND: (self.bins // self.sound_patch, self.steps // self.sound_patch),
        }

    @property
    def patch_values(self) -> dict[str, int]:
        """Numbers in a patch."""
        return {VIDEO: self.tubelet * self.video_patch**2 * 3, SOUND: self.sound_patch**2}


BASE = NetworkSizes()
TINY = NetworkSizes(
    side=48, steps=256, bins=64, video_patch=8, width=160, heads=5, blocks=4,
    decoder_width=96, decoder_heads=3, decoder_blocks=2,
)  # fmt: skip
"""For small data and for robots: 2.56 s of sound, images of 48 px; 144 tokens of video, 64 of sound."""

SIZES: Mapping[str, NetworkSizes] = {"base": BASE, "tiny": TINY}


class Block(nn.Module):
    """A Transformer block: attention, then a perceptron, each after a norm and with a shortcut.

    Args:
        width: of the tokens.
        heads: of the attention.
        norms: names of its norms, of which one is used at a time.
    """

    def __init__(self, width: int, heads: int, norms: Sequence[str] = ("own",)) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.ModuleDict({name: nn.LayerNorm(width) for name in norms})
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.ModuleDict({name: nn.LayerNorm(width) for name in norms})
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, tokens: Tensor, norm: str = "own") -> Tensor:
        tokens = tokens + self.attend(self.norm1[norm](tokens))  # (B, N, W)
        return tokens + self.mlp(self.norm2[norm](tokens))

    def attend(self, tokens: Tensor) -> Tensor:
        count = tokens.shape[:2]
        qkv = self.qkv(tokens).view(*count, 3, self.heads, -1)  # (B, N, 3, heads, W / heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, N, W / heads)
        attended = functional.scaled_dot_product_attention(query, key, value)
        return self.out(attended.transpose(1, 2).reshape(*count, -1))


@dataclass(frozen=True, slots=True)
class Visible:
    """The tokens of an example that the encoder sees.

    ``tokens`` are (B, K, W); ``order`` (B, N) lists the visible ones of the N tokens, then the hidden ones.
    """

    tokens: Tensor
    order: Tensor

    @property
    def hidden(self) -> Tensor:
        """Whether each token is hidden: (B, N) bool."""
        hidden = torch.ones_like(self.order, dtype=torch.bool)
        return hidden.scatter(1, self.order[:, : self.tokens.shape[1]], False)


class Branch(nn.Module):
    """The encoder of one modality."""

    def __init__(self, modality: str, sizes: NetworkSizes) -> None:
        super().__init__()
        patch = (sizes.tubelet, sizes.video_patch, sizes.video_patch)
        # Patches do not overlap, so a convolution is the linear layer of each patch.
        self.patches: nn.Module = (
            nn.Conv3d(3, sizes.width, patch, patch)
            if modality == VIDEO
            else nn.Conv2d(1, sizes.width, sizes.sound_patch, sizes.sound_patch)
        )
        self.modality = nn.Parameter(torch.zeros(1, 1, sizes.width))
        self.position = _fixed(positions(sizes.grids[modality], sizes.width))
        self.blocks = nn.ModuleList(Block(sizes.width, sizes.heads) for _ in range(sizes.blocks))

    def forward(self, value: Tensor, masked: float = 0.0) -> Visible:
        """Encode video (B, 3, T, H, W) or sound (B, 1, bins, steps), of which a share of tokens is hidden."""
        tokens = self.patches(value).flatten(2).transpose(1, 2)  # (B, N, W)
        visible = hide(tokens + self.position + self.modality, masked)
        kept = visible.tokens
        for block in self.blocks:
            kept = block(kept)
        return Visible(kept, visible.order)


def hide(tokens: Tensor, masked: float) -> Visible:
    """Hide a share of the tokens (B, N, W), others in each example; of 0, the order stays."""
    count, total = tokens.shape[:2]
    if masked == 0.0:
        return Visible(tokens, torch.arange(total, device=tokens.device).expand(count, -1))
    order = torch.rand(count, total, device=tokens.device).argsort(dim=1)
    kept = order[:, : max(1, int(total * (1 - masked)))]
    return Visible(torch.take_along_dim(tokens, kept[..., None], dim=1), order)


class Encoder(nn.Module):
    """A branch per modality, then the joint blocks, which see the tokens of both."""

    def __init__(self, sizes: NetworkSizes) -> None:
        super().__init__()
        norms = (BOTH, *MODALITIES)
        self.branches = nn.ModuleDict({name: Branch(name, sizes) for name in MODALITIES})
        self.joint = nn.ModuleList(Block(sizes.width, sizes.heads, norms) for _ in range(sizes.joint_blocks))
        self.norm = nn.ModuleDict({name: nn.LayerNorm(sizes.width) for name in norms})

    def branch(self, modality: str, value: Tensor, masked: float = 0.0) -> Visible:
        """The tokens of one modality: video (B, 3, T, H, W) or sound (B, 1, steps, bins)."""
        return self.branches[modality](value.transpose(2, 3) if modality == SOUND else value, masked)

    def join(self, tokens: Tensor, norm: str) -> Tensor:
        """Pass tokens (B, N, W) of ``norm`` (both modalities or one) through the joint blocks."""
        for block in self.joint:
            tokens = block(tokens, norm)
        return self.norm[norm](tokens)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The mean token (B, W) of one modality or both, by name, nothing hidden."""
        visible = [self.branch(name, inputs[name]).tokens for name in MODALITIES if name in inputs]
        return self.join(torch.cat(visible, dim=1), name_of(inputs)).mean(dim=1)


class Decoder(nn.Module):
    """Restores the patches from the visible tokens."""

    def __init__(self, sizes: NetworkSizes) -> None:
        super().__init__()
        width = sizes.decoder_width
        self.embed = nn.Linear(sizes.width, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.modality = nn.ParameterDict(
            {name: nn.Parameter(torch.zeros(1, 1, width)) for name in MODALITIES}
        )
        self.position = nn.ParameterDict(
            {name: _fixed(positions(sizes.grids[name], width)) for name in MODALITIES}
        )
        self.blocks = nn.ModuleList(Block(width, sizes.decoder_heads) for _ in range(sizes.decoder_blocks))
        self.norm = nn.LayerNorm(width)
        self.predict = nn.ModuleDict(
            {name: nn.Linear(width, sizes.patch_values[name]) for name in MODALITIES}
        )

    def forward(self, tokens: Tensor, visible: Mapping[str, Visible]) -> dict[str, Tensor]:
        """Restore all patches (B, N, values) of each modality from the encoded tokens (B, K, W)."""
        embedded = self.embed(tokens).split([each.tokens.shape[1] for each in visible.values()], dim=1)
        complete = []
        for kept, (name, each) in zip(embedded, visible.items()):
            count, total = each.order.shape
            absent = self.mask_token.expand(count, total - kept.shape[1], -1).to(kept.dtype)
            shuffled = torch.cat([kept, absent], dim=1)  # (B, N, W), in the order of ``each.order``
            back = each.order.argsort(dim=1)
            placed = torch.take_along_dim(shuffled, back[..., None], dim=1)
            complete.append(placed + self.position[name] + self.modality[name])
        joined = torch.cat(complete, dim=1)
        for block in self.blocks:
            joined = block(joined)
        parts = self.norm(joined).split([each.shape[1] for each in complete], dim=1)
        return {name: self.predict[name](part) for name, part in zip(visible, parts)}


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """What the autoencoder makes of one modality.

    ``patches`` (B, N, values) are all of them; ``hidden`` (B, N) are those that it has not seen; ``summary``
    (B, W) is the mean token of the modality alone.
    """

    patches: Tensor
    hidden: Tensor
    summary: Tensor


class SocialMae(nn.Module):
    """The masked autoencoder: encoder and decoder."""

    def __init__(self, sizes: NetworkSizes = BASE) -> None:
        super().__init__()
        self.sizes = sizes
        self.encoder = Encoder(sizes)
        self.decoder = Decoder(sizes)
        initialize(self)

    def forward(self, inputs: Mapping[str, Tensor], masked: float = 0.75) -> dict[str, Reconstruction]:
        """Hide a share of the tokens and restore them.

        Args:
            inputs: ``video`` (B, 3, T, H, W), ``sound`` (B, 1, steps, bins), or both, normalised.
            masked: share of the tokens of each modality that is hidden.
        """
        visible = {
            name: self.encoder.branch(name, inputs[name], masked) for name in MODALITIES if name in inputs
        }
        tokens = {name: each.tokens for name, each in visible.items()}
        alone = {name: self.encoder.join(each, name) for name, each in tokens.items()}
        joined = self.encoder.join(torch.cat(list(tokens.values()), dim=1), name_of(inputs))
        restored = self.decoder(joined, visible)
        return {
            name: Reconstruction(restored[name], visible[name].hidden, alone[name].mean(dim=1))
            for name in visible
        }


class Classifier(nn.Module):
    """The encoder with a head: the mean token, a norm and a linear layer."""

    def __init__(self, sizes: NetworkSizes, outputs: int) -> None:
        super().__init__()
        self.sizes = sizes
        self.encoder = Encoder(sizes)
        self.head = nn.Sequential(nn.LayerNorm(sizes.width), nn.Linear(sizes.width, outputs))
        initialize(self)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Outputs (B, outputs) of one modality or both, by name."""
        return self.head(self.encoder(inputs))


def by_kind(batch: Mapping[str, Tensor]) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    """Split a batch, see :func:`.examples.collate`, into examples that have the same modalities.

    Yields:
        Their rows in the batch, and their inputs by name.
    """
    code = batch["has_sound"].long() + 2 * batch["has_video"].long()
    for names, number in (((SOUND, VIDEO), 3), ((SOUND,), 1), ((VIDEO,), 2)):
        rows = (code == number).nonzero()[:, 0]
        if len(rows):
            yield rows, {name: batch[name][rows] for name in names}


def name_of(inputs: Mapping[str, Tensor]) -> str:
    """The name of the norms for these inputs."""
    return BOTH if len(inputs) > 1 else next(iter(inputs))


def to_patches(modality: str, value: Tensor, sizes: NetworkSizes) -> Tensor:
    """Cut video (B, 3, T, H, W) or sound (B, 1, steps, bins) into patches (B, N, values)."""
    if modality == SOUND:
        bins, steps = sizes.grids[SOUND]
        side = sizes.sound_patch
        parts = value.transpose(2, 3).reshape(len(value), bins, side, steps, side)
        return parts.transpose(2, 3).reshape(len(value), bins * steps, side * side)
    time, rows, columns = sizes.grids[VIDEO]
    depth, side = sizes.tubelet, sizes.video_patch
    parts = value.reshape(len(value), 3, time, depth, rows, side, columns, side)
    # (B, time, rows, columns, depth, side, side, 3)
    return parts.permute(0, 2, 4, 6, 3, 5, 7, 1).reshape(len(value), time * rows * columns, -1)


def from_patches(modality: str, patches: Tensor, sizes: NetworkSizes) -> Tensor:
    """Undo :func:`to_patches`."""
    count = len(patches)
    if modality == SOUND:
        bins, steps = sizes.grids[SOUND]
        side = sizes.sound_patch
        parts = patches.reshape(count, bins, steps, side, side).transpose(2, 3)
        return parts.reshape(count, 1, bins * side, steps * side).transpose(2, 3)
    time, rows, columns = sizes.grids[VIDEO]
    depth, side = sizes.tubelet, sizes.video_patch
    parts = patches.reshape(count, time, rows, columns, depth, side, side, 3)
    return parts.permute(0, 7, 1, 4, 2, 5, 3, 6).reshape(count, 3, time * depth, rows * side, columns * side)


def normalize_patches(patches: Tensor) -> Tensor:
    """Patches (B, N, values) with mean 0 and deviation 1 each (pixel normalisation)."""
    deviation = (patches.var(dim=-1, keepdim=True) + 1e-6).sqrt()
    return (patches - patches.mean(dim=-1, keepdim=True)) / deviation


def masked_error(patches: Tensor, target: Tensor, hidden: Tensor) -> Tensor:
    """The mean squared error of the hidden patches; all are (B, N, values), ``hidden`` is (B, N)."""
    errors = (patches.float() - target).square().mean(dim=-1)
    return (errors * hidden).sum() / hidden.sum()


def contrast(sound: Tensor, video: Tensor) -> Tensor:
    """InfoNCE: of all sounds (B, W) in the batch, each face (B, W) finds its own."""
    likeness = functional.normalize(sound.float(), dim=1) @ functional.normalize(video.float(), dim=1).T
    own = torch.arange(len(sound), device=sound.device)
    return functional.cross_entropy(likeness.T / TEMPERATURE, own)


def positions(grid: Sequence[int], width: int) -> Tensor:
    """Sines and cosines of the place of each token, (1, N, width), an equal part of the width per axis."""
    frequencies = width // (2 * len(grid))
    periods = 10_000.0 ** (np.arange(frequencies) / frequencies)
    places = np.stack(np.meshgrid(*map(np.arange, grid), indexing="ij"), axis=-1).reshape(-1, len(grid), 1)
    angles = (places / periods).reshape(math.prod(grid), -1)  # (N, axes * frequencies)
    table = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    padded = np.pad(table, ((0, 0), (0, width - table.shape[1])))
    return torch.tensor(padded, dtype=torch.float32)[None]


def initialize(network: nn.Module) -> None:
    """Initialise as CAV-MAE: Xavier for the layers, small normal values for the added tokens."""
    for module in network.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.Conv3d)):
            nn.init.xavier_uniform_(module.weight.data.flatten(1))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for name, parameter in network.named_parameters():
        if "modality" in name or "mask_token" in name:
            nn.init.normal_(parameter, std=0.02)


def _fixed(value: Tensor) -> nn.Parameter:
    return nn.Parameter(value, requires_grad=False)
