"""Reconstructions as pictures: what was there, what the network saw, and what it restored."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from social_perception.research.social_mae.examples import video_to_uint8
from social_perception.research.social_mae.network import (
    SOUND,
    NetworkSizes,
    Reconstruction,
    from_patches,
    to_patches,
)

Picture = npt.NDArray[np.uint8]

_HIDDEN = 0.0


def pictures(
    inputs: Mapping[str, Tensor],
    restored: Mapping[str, Reconstruction],
    sizes: NetworkSizes,
    normalized: bool,
    row: int = 0,
) -> dict[str, Picture]:
    """Draw one example of a batch: (height, width, 3) for each modality.

    Args:
        inputs: of the network, by name.
        restored: what it made of them.
        sizes: of the network.
        normalized: whether it restores patches of mean 0 and deviation 1.
        row: of the example.

    Returns:
        The original, above the visible patches, above the original with its hidden patches restored.
    """
    drawn = {}
    for name, each in restored.items():
        original = to_patches(name, inputs[name][row : row + 1].float().cpu(), sizes)
        patches, hidden = (
            each.patches[row : row + 1].detach().float().cpu(),
            each.hidden[row].cpu()[None, :, None],
        )
        if normalized:
            deviation = (original.var(dim=-1, keepdim=True) + 1e-6).sqrt()
            patches = patches * deviation + original.mean(dim=-1, keepdim=True)
        versions = (original, original.masked_fill(hidden, _HIDDEN), torch.where(hidden, patches, original))
        values = torch.cat([from_patches(name, version, sizes) for version in versions])
        drawn[name] = _spectrograms(values[:, 0].numpy()) if name == SOUND else _films(values)
    return drawn


def _films(values: Tensor) -> Picture:
    """Frames of each version (3, 3, T, H, W) side by side."""
    shown = video_to_uint8(values).permute(0, 3, 2, 4, 1)  # (3, H, T, W, 3)
    versions, height, frames, width, _ = shown.shape
    return np.asarray(shown.reshape(versions * height, frames * width, 3).numpy())


def _spectrograms(values: npt.NDArray[np.float32]) -> Picture:
    """Spectrograms (3, steps, bins), high tones above, the range of colours that of the original."""
    low, high = np.percentile(values[0], [1, 99.5])
    gray = np.clip((values - low) / max(high - low, 1e-6), 0, 1) * 255
    upright = np.concatenate([np.flipud(each.T) for each in gray.astype(np.uint8)])
    return np.asarray(
        cv2.cvtColor(cv2.applyColorMap(upright, cv2.COLORMAP_MAGMA), cv2.COLOR_BGR2RGB), np.uint8
    )
