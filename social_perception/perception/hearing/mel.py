"""Log-mel frames of a stream of sound, a hundred a second."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import fft

from social_perception.core.sound import SoundArray

HOP = 160
"""Samples from one frame to the next: 10 ms at 16 kHz."""

BANDS = 64

_WINDOW = 400
_SIZE = 512
_LOW_HZ, _HIGH_HZ = 60.0, 7600.0
_FLOOR = 1e-7
"""Power of a frame's band below which it is silence; a full-scale sine has about 1."""

SILENCE = math.log(_FLOOR)

FloatArray = npt.NDArray[np.float32]


class MelFrames:
    """Computes log-mel frames; each covers the 25 ms up to its end."""

    def __init__(self) -> None:
        self._before = np.zeros(_WINDOW - HOP, np.float32)

    def add(self, samples: SoundArray) -> FloatArray:
        """The frames of the next samples, shape (N, 64): ``ln(power + 1e-7)``.

        Args:
            samples: shape (N * 160,), 16 kHz.
        """
        joined = np.concatenate([self._before, samples])
        self._before = joined[len(joined) - len(self._before) :]
        if not len(samples):
            return np.empty((0, BANDS), np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(joined, _WINDOW)[::HOP] * _HANN
        spectra = fft.rfft(frames, _SIZE)
        power = spectra.real**2 + spectra.imag**2
        return np.asarray(np.log(power @ _BANK + _FLOOR), np.float32)


def _hann() -> FloatArray:
    window = np.hanning(_WINDOW + 1)[:-1]
    return np.asarray(window * 2.0 / window.sum(), np.float32)


def mel_bank(bands: int, low_hz: float, high_hz: float, size: int = _SIZE) -> FloatArray:
    """Triangular bands of equal width in mel, shape (size / 2 + 1, bands), as in HTK, for sound at 16 kHz."""

    def mel(hz: npt.ArrayLike) -> npt.NDArray[np.float64]:
        return np.asarray(2595.0 * np.log10(1.0 + np.asarray(hz) / 700.0))

    edges = np.linspace(mel(low_hz), mel(high_hz), bands + 2)
    bins = mel(np.linspace(0.0, 8000.0, size // 2 + 1))[:, np.newaxis]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0.0, np.minimum(rising, falling)), np.float32)


_HANN = _hann()
_BANK = mel_bank(BANDS, _LOW_HZ, _HIGH_HZ)
