"""Creates the configured face detector."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from social_perception.core.config import DetectionConfig
from social_perception.core.failover import make_on_device
from social_perception.perception.detection.mmod_file import read_mmod
from social_perception.perception.detection.schedule import Detector
from social_perception.perception.onnx_network import uses_onnxruntime

if TYPE_CHECKING:
    import torch

    from social_perception.perception.detection.mmod import MmodTorchDetector

WEIGHTS = "mmod_human_face_detector.dat"
WEIGHTS_SHA256 = "4cb19393e2fbaf2b1609a9319ad5386618c886a6234ec1b971f3e87c85d87fe6"


def weights_path() -> Path:
    """Return the path of the shipped weights: dlib's file, in the public domain (CC0)."""
    return Path(str(resources.files("social_perception.perception.detection") / "weights" / WEIGHTS))


def make_detector(config: DetectionConfig, *, video: bool = False) -> Detector:
    """Create the detector.

    Args:
        config: settings of the detector.
        video: whether speed matters more than the last digits of the scores (``precision`` auto).

    Raises:
        ModelError: the weights cannot be read or were modified.
        ConfigurationError: the requested device is not available, or runtime onnxruntime does not support a
            setting.
        MissingDependencyError: the backend's package is not installed.
    """
    if config.backend == "cascade":
        return _make_cascade(config, video=video)
    if config.backend == "mmod-torch":
        uses_onnxruntime(config, _torch_only(config))
        return _make_mmod(config, video=video)
    # Imported here, so that each backend works without the package of the other.
    from social_perception.perception.detection.dlib_backends import HogDetector, MmodDlibDetector

    if config.backend == "mmod-dlib":
        return MmodDlibDetector(weights_path(), config, WEIGHTS_SHA256)
    return HogDetector(config)


def _make_cascade(config: DetectionConfig, *, video: bool) -> Detector:
    from social_perception.perception.detection.cascade import CascadeDetector

    if uses_onnxruntime(config, _torch_only(config)):
        from social_perception.perception.detection.onnx_detector import OnnxMmod, OnnxYuNet

        mmod = OnnxMmod(read_mmod(weights_path(), WEIGHTS_SHA256), config, video=video)
        return CascadeDetector(OnnxYuNet(), mmod, thorough=not video)
    from social_perception.perception.detection import yunet_network

    on_torch = _make_mmod(config, video=video)
    network = yunet_network.load_yunet(yunet_network.weights_path(), yunet_network.WEIGHTS_SHA256)
    yunet = yunet_network.TorchYuNet(network, on_torch.device, on_torch.dtype, on_torch.cpu_dtype)
    return CascadeDetector(yunet, on_torch, thorough=not video)


def _torch_only(config: DetectionConfig) -> str:
    """Return the setting that onnxruntime does not support; empty: it supports all."""
    if config.backend == "mmod-torch":
        return "backend mmod-torch"
    if config.device == "cuda":
        return "device cuda"
    return "precision bfloat16" if config.precision == "bfloat16" else ""


def _make_mmod(config: DetectionConfig, *, video: bool) -> MmodTorchDetector:
    import torch

    from social_perception.perception.detection.mmod import MmodTorchDetector

    model = read_mmod(weights_path(), WEIGHTS_SHA256)

    def make(device: str) -> MmodTorchDetector:
        return MmodTorchDetector(
            model,
            device,
            config.detection_threshold,
            config.min_face_px,
            config.upsample,
            _dtype(config, device, video=video),
            exact=config.precision == "float32" or (config.precision == "auto" and not video),
            vote=config.boxes == "voted",
            max_face_px=config.max_face_px,
            rate=(config.pyramid_divisor - 1) / config.pyramid_divisor,
            cpu_dtype=_dtype(config, "cpu", video=video),
        )

    return make_on_device("face detector", config.device, torch.cuda.is_available(), make)


def _dtype(config: DetectionConfig, device: str, *, video: bool) -> torch.dtype:
    import torch

    return torch.bfloat16 if _prefers_bfloat16(config, device, video=video) else torch.float32


def _prefers_bfloat16(config: DetectionConfig, device: str, *, video: bool) -> bool:
    import torch

    if config.precision != "auto":
        return config.precision == "bfloat16"
    native = torch.cuda.is_bf16_supported() if device == "cuda" else _cpu_has_bfloat16()
    return video and native


def _cpu_has_bfloat16() -> bool:
    """Return whether the CPU supports bfloat16 matrix products natively (AMX or AVX-512 BF16)."""
    import torch

    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return bool(supported and supported())
