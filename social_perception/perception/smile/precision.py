"""The arithmetic of a network's convolutions: float32, bfloat16, or whole numbers of eight bits.

Whatever is selected, the picture's normalisation, the recurrent state and the head stay in float32: they
cost little, and errors in the state would pile up from frame to frame.
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
from social_perception.perception.smile.networks import Convolution, Residual, SmileNetwork
from social_perception.perception.smile.weights import Network, fuse_batch_norm

DEVIATIONS = 10.0
"""Standard deviations above the mean at which values are clipped.

Measured on faces: clipping costs far more accuracy than coarser steps. From 8 to 12 the outputs are equally
close to those of float32.
"""

INPUT_MAX = 6.0
"""Maximum brightness of a normalized crop, in its own standard deviations."""

_STEPS = 255


def resolve_precision(precision: str, network: Network, device: str) -> str:
    """Resolve ``auto``: bfloat16 where it is known to be faster and equally accurate, else float32.

    That is the small network on a CPU with native bfloat16 (AVX-512 BF16).
    """
    if precision != "auto":
        return precision
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    small = isinstance(network, SmileNetwork)
    return "bfloat16" if small and device == "cpu" and native and native() else "float32"


def prepare_network(network: Network, precision: str, device: str) -> Network:
    """Prepare a loaded network for inference: fold batch normalization and set the precision.

    Args:
        network: from :func:`.weights.load_network`; changed in place.
        precision: ``SmileConfig.precision``.
        device: ``cpu`` or ``cuda``.

    Raises:
        ConfigurationError: this network, device or build of torch does not support the precision.
    """
    precision = resolve_precision(precision, network, device)
    if precision == "int8":
        return _to_int8(network, device)
    network = fuse_batch_norm(network)
    if precision == "bfloat16":
        _use_bfloat16(network)
    return network


class BFloat16Layers(nn.Module):
    """Layers computed in bfloat16: float32 in, float32 out."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers.to(torch.bfloat16)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.bfloat16()).float()


def _use_bfloat16(network: Network) -> None:
    if isinstance(network, SmileNetwork):
        network.encoder.layers = BFloat16Layers(network.encoder.layers)  # type: ignore[assignment]
    else:
        network.convolutions = BFloat16Layers(network.convolutions)  # type: ignore[assignment]
        network.fc6 = BFloat16Layers(network.fc6)  # type: ignore[assignment]


def _to_int8(network: Network, device: str) -> Network:
    if device != "cpu":
        raise ConfigurationError(f"precision int8 runs on the cpu only, and device is {device}")
    if not isinstance(network, SmileNetwork):
        raise ConfigurationError("precision int8 is supported by the small network only")
    maxima = expected_maxima(network.encoder.layers)  # before the statistics are folded away
    network = fuse_batch_norm(network)
    network.encoder.layers = Int8Layers(network.encoder.layers, maxima)  # type: ignore[union-attr, arg-type]
    return network


@dataclass(frozen=True, slots=True)
class Maxima:
    """The maximum values expected in one block: of its output, and within a residual block."""

    output: float
    inner: float = math.nan
    branch: float = math.nan


def expected_maxima(layers: nn.Sequential) -> list[Maxima]:
    """Compute the ranges of each block of a :class:`~.networks.FaceEncoder` from its batch normalizations.

    Before its ReLU a channel is normally distributed with the normalization's bias as mean and its
    weight as deviation; the two branches that a residual block adds are assumed independent.

    Args:
        layers: the layers with batch normalization, not yet folded.
    """
    maxima = []
    mean = variance = torch.zeros(())  # of the block's output, per channel
    for block in layers:
        if isinstance(block, Convolution):
            before, deviation = _moments(block.norm)
            maxima.append(Maxima(_maximum(before, deviation)))
        elif isinstance(block, Residual):
            branch, deviation = _moments(block.norm)
            before, both = mean + branch, (variance + deviation**2).sqrt()
            inner = _maximum(*_moments(block.first.norm))
            maxima.append(Maxima(_maximum(before, both), inner, _maximum(branch.abs(), deviation)))
            deviation = both
        else:
            continue
        mean, variance = _relu_moments(before, deviation)
    return maxima


def _moments(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    return norm.bias, norm.weight.abs()


def _maximum(mean: Tensor, deviation: Tensor) -> float:
    # A layer with outputs far below zero still needs a scale.
    return max(float((mean + DEVIATIONS * deviation).max()), 1e-3)


def _relu_moments(mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance of max(0, x) for a normally distributed x."""
    z = mean / deviation.clamp_min(1e-6)
    density = torch.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    share = 0.5 * (1 + torch.erf(z / math.sqrt(2)))
    rectified = mean * share + deviation * density
    square = (mean**2 + deviation**2) * share + mean * deviation * density
    return rectified, (square - rectified**2).clamp_min(0)


class Int8Layers(nn.Module):
    """Replaces the layers of a :class:`~.networks.FaceEncoder`: (N, 1, 96, 96) float32 -> (N, 9 d) float32.

    Args:
        layers: the layers with batch normalization folded.
        maxima: one per block, from :func:`expected_maxima`.

    Raises:
        ConfigurationError: this build of torch has no int8 kernels.
    """

    def __init__(self, layers: nn.Sequential, maxima: Sequence[Maxima]) -> None:
        super().__init__()
        blocks = [block for block in layers if isinstance(block, (Convolution, Residual))]
        try:
            with warnings.catch_warnings():
                # torch warns that quantized tensors are deprecated. Their replacement, onednn operators
                # on plain bytes, takes three times as long for a single face.
                warnings.filterwarnings("ignore", message=".*deprecated", category=UserWarning)
                torch.quantize_per_tensor(torch.zeros(1), 1.0, 0, torch.quint8)
                self._steps = [_step(block, top) for block, top in zip(blocks, maxima, strict=True)]
        except (AttributeError, RuntimeError) as error:
            raise ConfigurationError(
                f"precision int8 is not supported by this build of torch: {error}"
            ) from error

    def forward(self, gray: Tensor) -> Tensor:
        x = torch.quantize_per_tensor(gray, INPUT_MAX / (_STEPS // 2), _STEPS // 2 + 1, torch.quint8)
        for step in self._steps:
            x = step(x)
        return functional.avg_pool2d(x.dequantize(), 2).flatten(1)


class _Convolution:
    """Convolution and ReLU on quantized tensors."""

    def __init__(self, source: nn.Conv2d, top: float) -> None:
        self._packed, self._scale = _pack(source), top / _STEPS

    def __call__(self, x: Tensor) -> Tensor:
        return torch.ops.quantized.conv2d_relu(x, self._packed, self._scale, 0)


class _Residual:
    """Two convolutions with a skip connection on quantized tensors."""

    def __init__(self, source: Residual, top: Maxima) -> None:
        self._first = _Convolution(source.first.convolution, top.inner)
        self._second = _pack(source.second)
        self._branch_scale = top.branch / (_STEPS // 2)
        self._scale = top.output / _STEPS

    def __call__(self, x: Tensor) -> Tensor:
        ops = torch.ops.quantized
        # The branch is signed before the addition: its zero point is in the middle.
        branch = ops.conv2d(self._first(x), self._second, self._branch_scale, _STEPS // 2 + 1)
        return ops.add_relu(branch, x, self._scale, 0)


def _step(block: nn.Module, top: Maxima) -> _Convolution | _Residual:
    if isinstance(block, Residual):
        return _Residual(block, top)
    return _Convolution(block.convolution, top.output)  # type: ignore[arg-type]


def _pack(layer: nn.Conv2d) -> object:
    """Quantize the weights to int8 and pack them for the CPU kernels."""
    weight = layer.weight.contiguous()
    scales = weight.abs().amax(dim=(1, 2, 3)).clamp_min(1e-8) / (_STEPS // 2)
    zeros = torch.zeros(len(scales), dtype=torch.int64)
    quantised = torch.quantize_per_channel(weight, scales.double(), zeros, 0, torch.qint8)
    places = (list(layer.stride), list(layer.padding), list(layer.dilation))
    return torch.ops.quantized.conv2d_prepack(quantised, layer.bias, *places, layer.groups)
