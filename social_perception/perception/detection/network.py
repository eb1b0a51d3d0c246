"""The network of dlib's CNN face detector: seven convolutions, optimized for torch."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from social_perception.perception.detection.mmod_file import MmodModel

BAND_ROWS = 24
"""Output rows of the first layers per step, so that intermediate results stay in the CPU cache."""


class MmodNetwork(nn.Module):
    """Seven convolutions: (N, 3, H, W) RGB in [0, 255] -> (N, 1, about H/8, W/8) float32 face scores.

    dlib's normalization, (value - mean) / 256, is folded into the first convolution.
    """

    def __init__(self, model: MmodModel, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.dtype = dtype
        *hidden, last = model.convolutions
        convolutions: list[nn.Conv2d] = []
        self.relu = [convolution.relu for convolution in hidden]
        for source in hidden:
            filters, channels, rows, columns = source.weight.shape
            layer = nn.Conv2d(channels, filters, (rows, columns), source.stride, source.padding)
            layer.weight.data = torch.from_numpy(np.ascontiguousarray(source.weight)).to(dtype)
            # A copy: folding the normalization must not change the model.
            layer.bias.data = torch.tensor(source.bias)  # type: ignore[union-attr]
            convolutions.append(layer)
        _fold_normalization(convolutions[0], model.mean_rgb)
        self.layers = nn.ModuleList(convolutions)
        self.to(dtype)
        self.score = _SingleFilter(last.weight, last.bias, last.padding)
        self.requires_grad_(False)
        # The unpadded first layers can be computed band by band.
        self.stem = next(index for index, source in enumerate(hidden) if source.padding > 0)
        self.stride, self.reach = 1, 1
        for source in hidden[: self.stem]:
            self.reach += (source.weight.shape[2] - 1) * self.stride
            self.stride *= source.stride

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.score.bias.device

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        rows = (image.shape[2] - self.reach) // self.stride + 1
        bands = []
        for row in range(0, rows, BAND_ROWS):
            last = min(row + BAND_ROWS, rows) - 1
            band = image[:, :, row * self.stride : last * self.stride + self.reach]
            bands.append(self._run(band.to(self.dtype), 0, self.stem))
        scores: torch.Tensor = self.score(self._run(torch.cat(bands, dim=2), self.stem, len(self.layers)))
        return scores

    def _run(self, image: torch.Tensor, first: int, end: int) -> torch.Tensor:
        for layer, relu in zip(self.layers[first:end], self.relu[first:end]):
            image = layer(image)
            if relu:
                image = F.relu_(image)
        return image


class _SingleFilter(nn.Module):
    """A convolution with a single filter, in float32.

    Hardware computes sixteen or more filters at the cost of one. The columns of the filter are therefore
    used as separate filters, and their shifted results are added. The sum is the same except for the order
    of its terms.
    """

    def __init__(self, weight: np.ndarray, bias: np.ndarray, padding: int) -> None:
        super().__init__()
        filters, channels, rows, columns = weight.shape
        if filters != 1:
            raise ValueError(f"the last layer must have one filter, got {filters}")
        each = np.ascontiguousarray(weight[0].transpose(2, 0, 1)).reshape(columns, channels, rows, 1)
        self.weight = nn.Parameter(torch.from_numpy(each))
        self.bias = nn.Parameter(torch.from_numpy(np.ascontiguousarray(bias)))
        self.padding = padding

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        parts = F.conv2d(features.float(), self.weight, padding=self.padding)
        columns = parts.shape[1]
        width = parts.shape[3] - columns + 1
        total = parts[:, :1, :, :width] + self.bias.view(1, 1, 1, 1)
        for column in range(1, columns):
            total += parts[:, column : column + 1, :, column : column + width]
        return total


def _fold_normalization(layer: nn.Conv2d, mean_rgb: tuple[float, float, float]) -> None:
    weight = layer.weight.data / 256.0
    mean = torch.tensor(mean_rgb).view(1, 3, 1, 1)
    # Computed from the rounded weights, so that the mean color still results in zero.
    assert layer.bias is not None
    layer.bias.data -= (weight.float() * mean).sum(dim=(1, 2, 3))
    layer.weight.data = weight
