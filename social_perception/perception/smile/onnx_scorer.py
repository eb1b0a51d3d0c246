"""The smile network by onnxruntime, in two parts: one finds the upright faces in the crops, one scores them.

OpenCV samples the upright faces between the two, in a sixth of the time of onnxruntime.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import cv2
import numpy as np

from social_perception.core.config import SmileConfig
from social_perception.core.errors import ModelError
from social_perception.core.failover import CPU, error_summary
from social_perception.core.types import CROP_SIZE_PX, ImageArray
from social_perception.perception.onnx_network import SMILE, SMILE_ALIGNER, SMILE_INT8, OnnxNetwork
from social_perception.perception.smile.states import TrackState
from social_perception.perception.smile.track_scorer import FloatArray, TrackScorer

HIDDEN = 128
"""Hidden units of the shipped network."""

_SIDE = CROP_SIZE_PX
_LUMA = np.array([[0.299, 0.587, 0.114, -127.5]]) / 127.5
"""Weights of R, G and B in the luma, ITU-R BT.601, from [0, 255] to [-1, 1]."""

_TO_UNIT = np.array([[2 / _SIDE, 0.0, 1 / _SIDE - 1], [0.0, 2 / _SIDE, 1 / _SIDE - 1], [0.0, 0.0, 1.0]])
"""From the pixels of a crop, whose centers are whole numbers, to [-1, 1]."""
_TO_PIXELS = np.linalg.inv(_TO_UNIT)[:2]


class OnnxScorer(TrackScorer):
    """The shipped smile network in one thread of the CPU; with ``precision`` auto, video in 8 bits.

    Args:
        config: as for :class:`.track_scorer.TrackScorer`.
    """

    device, failure = CPU, ""

    def __init__(self, config: SmileConfig) -> None:
        super().__init__(config)
        self.precision = "float32" if config.precision == "float32" else "int8"
        self._is_exact_for_stills = config.precision == "auto"
        self._aligner = OnnxNetwork(SMILE_ALIGNER)
        self._network = OnnxNetwork(SMILE if self.precision == "float32" else SMILE_INT8)
        self._memory = np.zeros((config.max_faces, HIDDEN), np.float32)

    def _advance(self, states: Sequence[TrackState], crops: ImageArray) -> FloatArray:
        missing = self._tracks.capacity - len(self._memory)
        if missing > 0:
            self._memory = np.concatenate([self._memory, np.zeros((missing, HIDDEN), np.float32)])
        slots = [state.slot for state in states]
        before = self._memory[slots]
        before[[state.observed_frames == 0 for state in states]] = 0.0
        logits, after = self._step(self._network, crops, before)
        self._memory[slots] = after
        return logits

    def _score_stills(self, crops: ImageArray) -> FloatArray:
        state = np.zeros((len(crops), HIDDEN), np.float32)
        network = self._exact_network if self._is_exact_for_stills else self._network
        logits = [self._step(network, images, state)[0] for images in (crops, crops[:, :, ::-1])]
        return np.mean(logits, axis=0, dtype=np.float32)

    @cached_property
    def _exact_network(self) -> OnnxNetwork:
        return OnnxNetwork(SMILE)

    def upright(self, crops: ImageArray) -> FloatArray:
        """Return the luma of the upright faces of N crops, (N, 1, 96, 96) in [-1, 1].

        Raises:
            RuntimeError: onnxruntime failed.
        """
        gray = _to_gray(crops)
        (transforms,) = self._aligner(gray[:, np.newaxis])
        return _sample(gray, transforms)[:, np.newaxis]

    def _step(
        self, network: OnnxNetwork, crops: ImageArray, state: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        try:
            logits, after = network(self.upright(crops), state)
        except (RuntimeError, MemoryError, cv2.error) as error:
            raise ModelError(f"smile network failed on {len(crops)} faces: {error_summary(error)}") from error
        return logits, after


def _to_gray(crops: ImageArray) -> FloatArray:
    """Return the luma of N crops, (N, 96, 96) float32 in [-1, 1]; N is at least 1."""
    rows = crops.reshape(-1, _SIDE, 3).astype(np.float32)
    return np.asarray(cv2.transform(rows, _LUMA), np.float32).reshape(-1, _SIDE, _SIDE)


def _sample(gray: FloatArray, transforms: FloatArray) -> FloatArray:
    """Return the upright faces, as :class:`.networks.Aligner` does.

    Args:
        gray: (N, 96, 96) the crops.
        transforms: (N, 2, 3) from the upright faces to the crops, in [-1, 1].
    """
    upright = np.empty_like(gray)
    last_row = np.broadcast_to([[[0.0, 0.0, 1.0]]], (len(gray), 1, 3))
    matrices = _TO_PIXELS @ np.concatenate([transforms, last_row], axis=1) @ _TO_UNIT
    for crop, matrix, face in zip(gray, matrices, upright):
        cv2.warpAffine(
            crop,
            matrix,
            (_SIDE, _SIDE),
            dst=face,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    return upright
