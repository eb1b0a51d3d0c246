"""Creates the configured smile scorer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from social_perception.core.config import SmileConfig
from social_perception.core.failover import make_on_device
from social_perception.perception.onnx_network import uses_onnxruntime

if TYPE_CHECKING:
    from social_perception.perception.smile.streaming import StreamingScorer
    from social_perception.perception.smile.track_scorer import TrackScorer


def make_scorer(config: SmileConfig) -> TrackScorer:
    """Create the streaming scorer with the configured or the shipped weights.

    Raises:
        ModelError: the weights are missing, damaged, modified or of another architecture.
        ConfigurationError: the requested device or precision is not available, or onnxruntime does not
            support a setting.
        MissingDependencyError: runtime is onnxruntime, which is not installed.
    """
    if uses_onnxruntime(config, _torch_only(config)):
        from social_perception.perception.smile.onnx_scorer import OnnxScorer

        return OnnxScorer(config)
    return make_torch_scorer(config)


def make_torch_scorer(config: SmileConfig) -> StreamingScorer:
    """Create the scorer on torch; raises as :func:`make_scorer`."""
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


def _torch_only(config: SmileConfig) -> str:
    """Return the setting that onnxruntime does not support; empty: it supports all."""
    if config.model:
        return f"model {config.model}"
    if config.device == "cuda":
        return "device cuda"
    return "precision bfloat16" if config.precision == "bfloat16" else ""
