"""Builds the scorer that the configuration names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from social_perception.core.config import SmileConfig
from social_perception.core.failover import make_on_device

if TYPE_CHECKING:
    from social_perception.perception.smile.streaming import StreamingScorer


def make_scorer(config: SmileConfig) -> StreamingScorer:
    """Build the streaming scorer with the configured weights, or with the shipped ones.

    Raises:
        ModelError: the weights are missing, damaged, changed or of another kind.
        ConfigurationError: a device was asked for that is not there, or a precision that is not.
    """
    # Imported here: torch takes seconds to load, and only who scores needs it.
    import torch

    from social_perception.perception.smile.precision import chosen_precision, in_precision
    from social_perception.perception.smile.streaming import StreamingScorer
    from social_perception.perception.smile.weights import SHIPPED_SHA256, load_network, shipped_path

    path, sha256 = shipped_path(), SHIPPED_SHA256
    if config.model:
        path, sha256 = Path(config.model).expanduser(), config.model_sha256

    def make(device: str) -> StreamingScorer:
        network = load_network(path, sha256)
        precision = chosen_precision(config.precision, network, device)
        return StreamingScorer(in_precision(network, precision, device), config, device, precision)

    # Whole numbers are for the CPU alone.
    asked = "cpu" if config.device == "auto" and config.precision == "int8" else config.device
    return make_on_device("smile network", asked, torch.cuda.is_available(), make)
