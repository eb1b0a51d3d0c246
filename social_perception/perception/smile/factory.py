"""Creates the configured smile scorer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from social_perception.core.config import SmileConfig
from social_perception.core.failover import make_on_device

if TYPE_CHECKING:
    from social_perception.perception.smile.streaming import StreamingScorer


def make_scorer(config: SmileConfig) -> StreamingScorer:
    """Create the streaming scorer with the configured or the shipped weights.

    Raises:
        ModelError: the weights are missing, damaged, modified or of another architecture.
        ConfigurationError: the requested device or precision is not available.
    """
    # Imported here, because torch takes seconds to load.
    import torch

    from social_perception.perception.smile.precision import prepare_network, resolve_precision
    from social_perception.perception.smile.streaming import StreamingScorer
    from social_perception.perception.smile.weights import SHIPPED_SHA256, load_network, shipped_path

    path, sha256 = shipped_path(), SHIPPED_SHA256
    if config.model:
        path, sha256 = Path(config.model).expanduser(), config.model_sha256

    def make(device: str) -> StreamingScorer:
        network = load_network(path, sha256)
        precision = resolve_precision(config.precision, network, device)
        return StreamingScorer(prepare_network(network, precision, device), config, device, precision)

    # int8 runs on the CPU only.
    device = "cpu" if config.device == "auto" and config.precision == "int8" else config.device
    return make_on_device("smile network", device, torch.cuda.is_available(), make)
