"""Speech in the sound, by silero-vad: its network, run by onnxruntime."""

from __future__ import annotations

from importlib import util
from pathlib import Path

import numpy as np
import numpy.typing as npt

from social_perception.core.errors import MissingDependencyError
from social_perception.core.sound import SoundArray
from social_perception.perception.onnx_network import Exported, OnnxNetwork

RATE_HZ = 16_000

WINDOW = 512
"""Samples of one window of the network: 32 ms."""

_CONTEXT = 64
_STATE_SHAPE = (1, 1, 128)


def _silero() -> Exported:
    # Importing the package would import torch.
    found = util.find_spec("silero_vad")
    if found is None or found.origin is None:
        raise MissingDependencyError("speech needs silero-vad: pip install 'social_perception[sound]'")
    path = Path(found.origin).parent / "data" / "silero_vad_16k_sequence.onnx"
    if not path.is_file():
        raise MissingDependencyError("speech needs silero-vad 6.2.3 or newer: pip install -U silero-vad")
    return Exported(str(path), "", "")


class SpeechDetector:
    """Gives the probability of speech, window by window.

    Raises:
        MissingDependencyError: silero-vad or onnxruntime is not installed.
        ModelError: its network cannot be read.
    """

    def __init__(self) -> None:
        self._network = OnnxNetwork(_silero())
        self._context = np.zeros(_CONTEXT, np.float32)
        self._state = [np.zeros(_STATE_SHAPE, np.float32)] * 2

    def probabilities(self, samples: SoundArray) -> npt.NDArray[np.float32]:
        """Return the probability of speech in each window, in [0, 1].

        Args:
            samples: shape (N * 512,), 16 kHz, the continuation of those before; N may be 0.
        """
        if not len(samples):
            return np.empty(0, np.float32)
        joined = np.concatenate([self._context, samples])
        windows = np.lib.stride_tricks.sliding_window_view(joined, _CONTEXT + WINDOW)[::WINDOW]
        speech, *self._state = self._network(np.ascontiguousarray(windows), *self._state)
        self._context = joined[-_CONTEXT:]
        return speech

    def reset(self) -> None:
        """Forget the sound before."""
        self._context = np.zeros(_CONTEXT, np.float32)
        self._state = [np.zeros(_STATE_SHAPE, np.float32)] * 2
