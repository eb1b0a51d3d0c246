"""The log-mel spectrogram of the public CAV-MAE and Social-MAE code, for weights that are trained on it.

The same as ``torchaudio.compliance.kaldi.fbank`` with ``window_type="hanning"``, ``dither=0`` and
``use_energy=False``; the one of the laughter network (:mod:`social_perception.perception.hearing.mel`) has
other bands and no pre-emphasis.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import fft

from social_perception.core.sound import SoundArray
from social_perception.perception.hearing.mel import HOP, mel_bank

RATE_HZ = 16_000
STEPS_PER_S = RATE_HZ // HOP

MEAN, DEVIATION = -6.2943, 12.26344
"""Of the spectrograms, by which networks normalise them, as in the public code."""

WINDOW = 400
"""Samples of a step: 25 ms."""
_SIZE = 512
_LOW_HZ, _HIGH_HZ = 20.0, 8000.0
_PREEMPHASIS = 0.97
_FLOOR = np.finfo(np.float32).eps
_BLOCK = 6_000
"""Steps that are computed at once: a minute."""

FloatArray = npt.NDArray[np.float32]


def log_mel(samples: SoundArray, bins: int) -> FloatArray:
    """The log-mel spectrogram, shape (steps, bins), a step every 10 ms.

    Args:
        samples: shape (N,), 16 kHz, in [-1, 1]; their mean is removed. Each step covers 25 ms, so there are
            1 + (N - 400) // 160 of them, none where N is below 400.
        bins: mel bands from 20 Hz to 8 kHz.
    """
    if len(samples) < WINDOW:
        return np.empty((0, bins), np.float32)
    centered = (samples - samples.mean(dtype=np.float64)).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(centered, WINDOW)[::HOP]
    blocks = [_block(frames[first : first + _BLOCK], bins) for first in range(0, len(frames), _BLOCK)]
    return np.concatenate(blocks)


def _block(frames: FloatArray, bins: int) -> FloatArray:
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    spectra = fft.rfft((frames - np.float32(_PREEMPHASIS) * before) * _WINDOW_SHAPE, _SIZE)
    power = spectra.real**2 + spectra.imag**2
    return np.asarray(np.log(np.maximum(power @ _bank(bins), _FLOOR)), np.float32)


_WINDOW_SHAPE = np.hanning(WINDOW).astype(np.float32)


@cache
def _bank(bins: int) -> FloatArray:
    return mel_bank(bins, _LOW_HZ, _HIGH_HZ, _SIZE)
