"""Builds the detector that the configuration names."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from social_perception.core.config import DetectionConfig
from social_perception.core.errors import ConfigurationError
from social_perception.detection.schedule import Detector

WEIGHTS = "mmod_human_face_detector.dat"


def weights_path() -> Path:
    """The detector's weights in the package: dlib's own file, in the public domain (CC0)."""
    return Path(str(resources.files("social_perception.detection") / "weights" / WEIGHTS))


def make_detector(config: DetectionConfig) -> Detector:
    """Build the detector.

    Raises:
        ModelError: the weights cannot be read.
        ConfigurationError: a device was asked for that is not there.
        MissingDependencyError: the backend's package is not installed.
    """
    if config.backend == "mmod-torch":
        return _make_torch(config)
    # Imported here, so that one backend works without the other's package.
    from social_perception.detection.dlib_backends import HogDetector, MmodDlibDetector

    if config.backend == "mmod-dlib":
        return MmodDlibDetector(weights_path(), config.detection_threshold, config.min_face_px)
    return HogDetector(config.detection_threshold, config.min_face_px)


def _make_torch(config: DetectionConfig) -> Detector:
    import torch

    from social_perception.detection.mmod import MmodTorchDetector
    from social_perception.detection.mmod_file import read_mmod

    has_gpu = torch.cuda.is_available()
    if config.device == "cuda" and not has_gpu:
        raise ConfigurationError("device is cuda, but torch finds no CUDA device; use cpu or auto")
    device = "cuda" if has_gpu and config.device != "cpu" else "cpu"
    model = read_mmod(weights_path())
    return MmodTorchDetector(model, device, config.detection_threshold, config.min_face_px)
