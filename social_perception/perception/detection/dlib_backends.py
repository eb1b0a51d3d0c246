"""dlib's detectors: the CNN for comparison, and HOG as the light alternative."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from social_perception.core.config import DetectionConfig
from social_perception.core.errors import DetectionError, ImageError, MissingDependencyError, ModelError
from social_perception.core.files import read_weights
from social_perception.core.types import Box, Face, ImageArray
from social_perception.perception.detection.mmod_file import MAX_FILE_BYTES

MAX_UPSAMPLINGS = 3


def _dlib() -> ModuleType:
    try:
        import dlib
    except ImportError as error:
        raise MissingDependencyError("this detector needs dlib: pip install dlib-bin") from error
    return dlib


def upsamplings(config: DetectionConfig, native_face_px: float) -> int:
    """Return how often the image must be doubled so that the smallest face has the native size."""
    if config.upsample >= 0:
        return config.upsample
    count = 0
    while native_face_px / 2**count > config.min_face_px and count < MAX_UPSAMPLINGS:
        count += 1
    return count


class MmodDlibDetector:
    """The CNN detector run by dlib: exact, and slow without a dlib built for CUDA."""

    def __init__(self, weights: Path, config: DetectionConfig, sha256: str = "") -> None:
        dlib = _dlib()
        try:
            # Checks the hash; dlib reads the file again.
            read_weights(weights, MAX_FILE_BYTES, sha256)
            self._model = dlib.cnn_face_detection_model_v1(str(weights))
        except OSError as error:
            raise ModelError(f"cannot read the face detector {weights}: {error.strerror or error}") from error
        except RuntimeError as error:
            raise ModelError(f"{weights} is not a dlib CNN face detector: {error}") from error
        self._upsamplings = upsamplings(config, 80.0)
        self.threshold = config.detection_threshold

    def detect(self, image: ImageArray) -> tuple[Face, ...]:
        """Return the faces of an RGB image (H, W, 3) uint8, sorted by decreasing confidence."""
        try:
            found = self._model(_check_image(image), self._upsamplings)
        except RuntimeError as error:
            raise DetectionError(f"dlib's CNN detector failed: {error}") from error
        faces = (Face(_box(item.rect), float(item.confidence)) for item in found)
        return tuple(face for face in faces if face.confidence > self.threshold)


class HogDetector:
    """dlib's HOG detector for frontal faces of 80 px and more; smaller ones by upsampling the image.

    Source: N. Dalal, B. Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005,
    trained as in arXiv:1502.00046.
    """

    def __init__(self, config: DetectionConfig) -> None:
        self._detector = _dlib().get_frontal_face_detector()
        self._upsamplings = upsamplings(config, 80.0)
        self.threshold = config.detection_threshold

    def detect(self, image: ImageArray) -> tuple[Face, ...]:
        """Return the faces of an RGB image (H, W, 3) uint8, sorted by decreasing confidence."""
        try:
            rects, scores, _ = self._detector.run(_check_image(image), self._upsamplings, self.threshold)
        except RuntimeError as error:
            raise DetectionError(f"dlib's HOG detector failed: {error}") from error
        faces = [Face(_box(rect), float(score)) for rect, score in zip(rects, scores)]
        return tuple(sorted(faces, key=lambda face: -face.confidence))


def _box(rect: Any) -> Box:
    return Box(rect.left(), rect.top(), rect.width(), rect.height())


def _check_image(image: ImageArray) -> ImageArray:
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ImageError(f"image must have shape (H, W, 3), got {image.shape}")
    return image
