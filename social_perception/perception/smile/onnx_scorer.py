"""The smile network by onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from social_perception.core.config import SmileConfig
from social_perception.core.errors import ModelError
from social_perception.core.failover import CPU, error_summary
from social_perception.core.types import ImageArray
from social_perception.perception.onnx_network import SMILE, OnnxNetwork
from social_perception.perception.smile.states import TrackState
from social_perception.perception.smile.track_scorer import Outputs, TrackScorer

FloatArray = npt.NDArray[np.float32]

HIDDEN = 128
"""Hidden units of the shipped network."""


class OnnxScorer(TrackScorer):
    """The shipped smile network in one thread of the CPU.

    Args:
        config: as for :class:`.track_scorer.TrackScorer`.
    """

    device, failure = CPU, ""

    def __init__(self, config: SmileConfig) -> None:
        super().__init__(config)
        self._network = OnnxNetwork(SMILE)
        self._memory = np.zeros((config.max_faces, HIDDEN), np.float32)

    def _advance(self, states: Sequence[TrackState], crops: ImageArray) -> Outputs:
        missing = self._tracks.capacity - len(self._memory)
        if missing > 0:
            self._memory = np.concatenate([self._memory, np.zeros((missing, HIDDEN), np.float32)])
        slots = [state.slot for state in states]
        before = self._memory[slots]
        before[[state.observed_frames == 0 for state in states]] = 0.0
        logits, after = self._step(crops, before)
        self._memory[slots] = after
        return _to_outputs(logits)

    def _score_stills(self, crops: ImageArray) -> Outputs:
        state = np.zeros((len(crops), HIDDEN), np.float32)
        logits = [self._step(images, state)[0] for images in (crops, crops[:, :, ::-1])]
        return _to_outputs(np.mean(logits, axis=0, dtype=np.float32))

    def _step(self, crops: ImageArray, state: FloatArray) -> tuple[FloatArray, FloatArray]:
        try:
            logits, after = self._network(np.ascontiguousarray(crops), state)
        except (RuntimeError, MemoryError) as error:
            raise ModelError(f"smile network failed on {len(crops)} faces: {error_summary(error)}") from error
        return logits, after


def _to_outputs(logits: FloatArray) -> Outputs:
    """Logits (N, 3) of P(level > k) to intensities and probabilities, as in :mod:`.networks`."""
    above = 1.0 / (1.0 + np.exp(-logits))
    below = 1.0 - above
    levels = np.concatenate([below[:, :1], above[:, :-1] - above[:, 1:], above[:, -1:]], axis=1)
    return above.mean(axis=1).tolist(), levels.tolist()
