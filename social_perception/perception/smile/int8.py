"""The small network's convolutions in whole numbers of eight bits, on the CPU.

Weights have one scale per filter, activations one per layer. The activations' scales need no pictures:
each normalisation says how its layer's output was spread over the training faces, and the range is
chosen from that (M. Nagel, M. van Baalen, T. Blankevoort and M. Welling, "Data-Free Quantization
Through Weight Equalization and Bias Correction", ICCV 2019, section 4.2).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from social_perception.core.errors import ConfigurationError
from social_perception.perception.smile.networks import Convolution, Residual

DEVIATIONS = 10.0
"""Standard deviations above the mean up to which a value is kept; larger ones are cut off.

Measured on faces: what is cut costs far more than the coarser steps. From 8 to 12 the answers are
equally near to those of float32.
"""

PICTURE_MAX = 6.0
"""Largest brightness of a normalised crop, in its own standard deviations."""

_STEPS = 255


@dataclass(frozen=True, slots=True)
class Maxima:
    """The largest values expected in one block: of its output, and of what lies inside a residual one."""

    output: float
    inner: float = math.nan
    branch: float = math.nan


def expected_maxima(layers: nn.Sequential) -> list[Maxima]:
    """The ranges of each block of a :class:`~.networks.FaceEncoder`, from its normalisations.

    Before its ReLU a channel is normally distributed with the normalisation's bias as mean and its
    weight as deviation; the two branches that a residual block adds are taken as independent.

    Args:
        layers: with their normalisations, not yet folded.
    """
    maxima = []
    mean = variance = torch.zeros(())  # of the block's output, per channel
    for block in layers:
        if isinstance(block, Convolution):
            before, deviation = _spread(block.norm)
            maxima.append(Maxima(_top(before, deviation)))
        elif isinstance(block, Residual):
            branch, deviation = _spread(block.norm)
            before, both = mean + branch, (variance + deviation**2).sqrt()
            inner = _top(*_spread(block.first.norm))
            maxima.append(Maxima(_top(before, both), inner, _top(branch.abs(), deviation)))
            deviation = both
        else:
            continue
        mean, variance = _rectified(before, deviation)
    return maxima


def _spread(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    return norm.bias, norm.weight.abs()


def _top(mean: Tensor, deviation: Tensor) -> float:
    # A layer whose outputs are all far below zero still needs a scale.
    return max(float((mean + DEVIATIONS * deviation).max()), 1e-3)


def _rectified(mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of max(0, x) for a normally distributed x."""
    z = mean / deviation.clamp_min(1e-6)
    density = torch.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    share = 0.5 * (1 + torch.erf(z / math.sqrt(2)))
    rectified = mean * share + deviation * density
    square = (mean**2 + deviation**2) * share + mean * deviation * density
    return rectified, (square - rectified**2).clamp_min(0)


class Int8Layers(nn.Module):
    """Stands for a :class:`~.networks.FaceEncoder`'s layers: (N, 1, 96, 96) float32 -> (N, 9 d) float32.

    Args:
        layers: with their normalisations folded.
        maxima: one per block, from :func:`expected_maxima`.

    Raises:
        ConfigurationError: this build of torch has no kernels for eight bits.
    """

    def __init__(self, layers: nn.Sequential, maxima: Sequence[Maxima]) -> None:
        super().__init__()
        blocks = [block for block in layers if isinstance(block, (Convolution, Residual))]
        try:
            with warnings.catch_warnings():
                # torch says once that quantized tensors will go. What replaces them, its onednn
                # operators on plain bytes, takes three times as long for a single face.
                warnings.filterwarnings("ignore", message=".*deprecated", category=UserWarning)
                torch.quantize_per_tensor(torch.zeros(1), 1.0, 0, torch.quint8)
                self._steps = [_step(block, top) for block, top in zip(blocks, maxima, strict=True)]
        except (AttributeError, RuntimeError) as error:
            raise ConfigurationError(f"precision int8 is not in this build of torch: {error}") from error

    def forward(self, gray: Tensor) -> Tensor:
        x = torch.quantize_per_tensor(gray, PICTURE_MAX / (_STEPS // 2), _STEPS // 2 + 1, torch.quint8)
        for step in self._steps:
            x = step(x)
        return functional.avg_pool2d(x.dequantize(), 2).flatten(1)


class _Convolution:
    """Convolution and ReLU: bytes to bytes."""

    def __init__(self, source: nn.Conv2d, top: float) -> None:
        self._packed, self._scale = _packed(source), top / _STEPS

    def __call__(self, x: Tensor) -> Tensor:
        return torch.ops.quantized.conv2d_relu(x, self._packed, self._scale, 0)


class _Residual:
    """Two convolutions around which the input is carried: bytes to bytes."""

    def __init__(self, source: Residual, top: Maxima) -> None:
        self._first = _Convolution(source.first.convolution, top.inner)
        self._second = _packed(source.second)
        self._branch_scale = top.branch / (_STEPS // 2)
        self._scale = top.output / _STEPS

    def __call__(self, x: Tensor) -> Tensor:
        ops = torch.ops.quantized
        # Before it is added the branch has both signs: its zero lies in the middle.
        branch = ops.conv2d(self._first(x), self._second, self._branch_scale, _STEPS // 2 + 1)
        return ops.add_relu(branch, x, self._scale, 0)


def _step(block: nn.Module, top: Maxima) -> _Convolution | _Residual:
    if isinstance(block, Residual):
        return _Residual(block, top)
    return _Convolution(block.convolution, top.output)  # type: ignore[arg-type]


def _packed(layer: nn.Conv2d) -> object:
    """The layer's weights as signed bytes, in the order that the CPU's kernels like."""
    weight = layer.weight.contiguous()
    scales = weight.abs().amax(dim=(1, 2, 3)).clamp_min(1e-8) / (_STEPS // 2)
    zeros = torch.zeros(len(scales), dtype=torch.int64)
    quantised = torch.quantize_per_channel(weight, scales.double(), zeros, 0, torch.qint8)
    places = (list(layer.stride), list(layer.padding), list(layer.dilation))
    return torch.ops.quantized.conv2d_prepack(quantised, layer.bias, *places, layer.groups)
