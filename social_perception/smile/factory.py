"""Builds the scorer that the configuration names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from social_perception.core.config import SmileConfig
from social_perception.core.errors import ConfigurationError

if TYPE_CHECKING:
    from social_perception.smile.streaming import StreamingScorer


def make_scorer(config: SmileConfig) -> StreamingScorer:
    """Build the streaming scorer with the configured weights, or with the shipped ones.

    Raises:
        ModelError: the weights are missing, damaged or of another kind.
        ConfigurationError: a device was asked for that is not there, or a precision that is not.
    """
    # Imported here: torch takes seconds to load, and only who scores needs it.
    import torch

    from social_perception.smile.precision import chosen_precision, in_precision
    from social_perception.smile.streaming import StreamingScorer
    from social_perception.smile.weights import load_network, shipped_path

    has_gpu = torch.cuda.is_available()
    if config.device == "cuda" and not has_gpu:
        raise ConfigurationError("device is cuda, but torch finds no CUDA device; use cpu or auto")
    on_gpu = config.device == "cuda" or (config.device == "auto" and config.precision != "int8")
    device = "cuda" if has_gpu and on_gpu else "cpu"
    path = Path(config.model).expanduser() if config.model else shipped_path()
    network = load_network(path)
    precision = chosen_precision(config.precision, network, device)
    return StreamingScorer(in_precision(network, precision, device), config, device, precision)
