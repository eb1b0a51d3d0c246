"""The arithmetic of a network's convolutions: float32, bfloat16, or whole numbers of eight bits.

Whatever is chosen, the picture's normalisation, the recurrent state and the head stay in float32: they
cost little, and errors in the state would pile up from frame to frame.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from social_perception.core.errors import ConfigurationError
from social_perception.perception.smile.networks import SmileNetwork
from social_perception.perception.smile.weights import Network, fused


def chosen_precision(precision: str, network: Network, device: str) -> str:
    """What ``auto`` stands for: bfloat16 where it is known to be faster and to say the same, else float32.

    That is the small network on a CPU that multiplies bfloat16 natively (AVX-512 BF16).
    """
    if precision != "auto":
        return precision
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    small = isinstance(network, SmileNetwork)
    return "bfloat16" if small and device == "cpu" and native and native() else "float32"


def in_precision(network: Network, precision: str, device: str) -> Network:
    """Make a loaded network ready for inference: normalisations folded, convolutions in this arithmetic.

    Args:
        network: as :func:`.weights.load_network` gives it; changed in place.
        precision: of ``SmileConfig``.
        device: where it will run, ``cpu`` or ``cuda``.

    Raises:
        ConfigurationError: this network, device or build of torch cannot do it.
    """
    precision = chosen_precision(precision, network, device)
    if precision == "int8":
        return _in_int8(network, device)
    network = fused(network)
    if precision == "bfloat16":
        _lower(network)
    return network


class Lowered(nn.Module):
    """Layers computed in bfloat16: float32 in, float32 out."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers.to(torch.bfloat16)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.bfloat16()).float()


def _lower(network: Network) -> None:
    if isinstance(network, SmileNetwork):
        network.encoder.layers = Lowered(network.encoder.layers)  # type: ignore[assignment]
    else:
        network.convolutions = Lowered(network.convolutions)  # type: ignore[assignment]
        network.fc6 = Lowered(network.fc6)  # type: ignore[assignment]


def _in_int8(network: Network, device: str) -> Network:
    from social_perception.perception.smile.int8 import Int8Layers, expected_maxima

    if device != "cpu":
        raise ConfigurationError(f"precision int8 runs on the cpu only, and device is {device}")
    if not isinstance(network, SmileNetwork):
        raise ConfigurationError("precision int8 is for the small network; the reference network has none")
    maxima = expected_maxima(network.encoder.layers)  # before the statistics are folded away
    network = fused(network)
    network.encoder.layers = Int8Layers(network.encoder.layers, maxima)  # type: ignore[union-attr, arg-type]
    return network
