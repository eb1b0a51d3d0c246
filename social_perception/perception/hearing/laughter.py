"""Laughter in the sound, by a small network of this package, run by onnxruntime."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from social_perception.core.sound import SoundArray
from social_perception.perception.hearing.mel import BANDS, SILENCE, MelFrames
from social_perception.perception.onnx_network import LAUGHTER, OnnxNetwork

CONTEXT = 22
"""Log-mel frames before a row's ten that its convolutions cover."""

STATE = 128

_NO_FRAMES = np.full((CONTEXT, BANDS), SILENCE, np.float32)
_NO_MEMORY = np.zeros((1, STATE), np.float32)


class LaughterDetector:
    """Gives the logit of laughter, ten times a second.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
        ModelError: the network cannot be read.
    """

    def __init__(self) -> None:
        self._network = OnnxNetwork(LAUGHTER)
        self._mel = MelFrames()
        self._context = _NO_FRAMES
        self._state = _NO_MEMORY

    def logits(self, samples: SoundArray) -> npt.NDArray[np.float32]:
        """Return the logit of laughter in each tenth of a second.

        Args:
            samples: shape (N * 1600,), 16 kHz, the continuation of those before; N may be 0.
        """
        if not len(samples):
            return np.empty(0, np.float32)
        frames = np.concatenate([self._context, self._mel.add(samples)])
        self._context = frames[-CONTEXT:]
        logits, self._state = self._network(frames[np.newaxis], self._state)
        return logits[0]

    def reset(self) -> None:
        """Forget the sound before."""
        self._mel, self._context, self._state = MelFrames(), _NO_FRAMES, _NO_MEMORY
