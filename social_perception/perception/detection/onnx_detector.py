"""dlib's CNN and YuNet by onnxruntime, for the cascade."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from social_perception.core.config import DetectionConfig
from social_perception.core.errors import DetectionError
from social_perception.core.failover import CPU, error_summary
from social_perception.core.types import Face, ImageArray
from social_perception.perception.detection.mmod_file import MmodModel
from social_perception.perception.detection.places import (
    Place,
    check_image,
    search_places,
    select,
    smallest_face_px,
    to_face,
)
from social_perception.perception.onnx_network import MMOD, MMOD_INT8, YUNET, OnnxNetwork

MAX_BATCH_CROPS = 6
"""Maximum crops in one batch; 24 take 50 MB more and are no faster."""


class OnnxYuNet:
    """YuNet, as :class:`social_perception.perception.detection.cascade.Proposer`."""

    failure = ""

    def __init__(self) -> None:
        # The plans for images, rotated images and batches of crops took 30 MB and saved no time.
        self._network = OnnxNetwork(YUNET, plan_memory=False)

    def __call__(self, image: ImageArray) -> list[npt.NDArray[np.float32]]:
        return [level[0] for level in self._network(image[None])]


class OnnxMmod:
    """dlib's CNN at expected places, as :class:`social_perception.perception.detection.cascade.Confirmer`.

    Args:
        model: the parameters of the detector.
        config: settings of the detector; those of torch and of the image pyramid do not apply.
        video: whether the network computes in 8 bits, unless the settings say otherwise.
    """

    device, failure = CPU, ""

    def __init__(self, model: MmodModel, config: DetectionConfig, *, video: bool) -> None:
        is_exact = config.precision == "float32" or not video
        self.precision = "float32" if is_exact else "int8"
        self.threshold = config.detection_threshold
        self.smallest_face_px = smallest_face_px(config.min_face_px, config.upsample)
        self.max_face_px = float(config.max_face_px)
        self._model, self._vote = model, config.boxes == "voted"
        self._network = OnnxNetwork(MMOD if is_exact else MMOD_INT8, plan_memory=False)

    def detect_at(self, image: ImageArray, places: Sequence[Place]) -> tuple[Face, ...]:
        """Return the faces at expected places; see :meth:`.mmod.MmodTorchDetector.detect_at`.

        Raises:
            ImageError: the array is not an RGB image.
            DetectionError: onnxruntime failed, for example out of memory.
        """
        check_image(image)
        try:
            found = search_places(image, places, self._model, self._scores, self.threshold, MAX_BATCH_CROPS)
        except (RuntimeError, MemoryError, cv2.error) as error:
            raise DetectionError(
                f"face detection failed on {len(places)} places: {error_summary(error)}"
            ) from error
        return tuple(to_face(each) for each in select(found, self._model, self.threshold, self._vote))

    def _scores(self, crops: ImageArray) -> npt.NDArray[np.float32]:
        return self._network(crops)[0][:, 0]
