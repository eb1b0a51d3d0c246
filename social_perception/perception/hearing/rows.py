"""Cuts a stream of sound into rows of a tenth of a second."""

from __future__ import annotations

import av
import numpy as np

from social_perception.core.sound import Sound, SoundArray

RATE_HZ = 16_000

ROW = RATE_HZ // 10
"""Samples of one row."""

_JUMP_S = 0.1
_NOTHING = np.empty(0, np.float32)


class Rows:
    """Cuts a stream of sound into rows of 0.1 s, at 16 kHz; libswresample converts other rates."""

    def __init__(self, first: Sound) -> None:
        self._rate_hz, self._start_s, self._end_s = first.rate_hz, first.start_s, first.start_s
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
        self._waiting = _NOTHING
        self._count = 0

    def goes_on(self, sound: Sound) -> bool:
        """Whether a block follows the one before, by at most 0.1 s."""
        return sound.rate_hz == self._rate_hz and abs(sound.start_s - self._end_s) <= _JUMP_S

    def add(self, sound: Sound) -> list[Sound]:
        """The rows that are complete with a block."""
        self._end_s = sound.end_s
        converted = sound.samples if sound.rate_hz == RATE_HZ else self._converted(sound)
        samples = np.concatenate([self._waiting, converted])
        whole = len(samples) // ROW * ROW
        self._waiting = samples[whole:]
        # Counted in samples: sums of durations would drift.
        first, self._count = self._count, self._count + whole // ROW
        return [
            Sound(row, RATE_HZ, self._start_s + (first + index) * ROW / RATE_HZ)
            for index, row in enumerate(samples[:whole].reshape(-1, ROW))
        ]

    def _converted(self, sound: Sound) -> SoundArray:
        frame = av.AudioFrame.from_ndarray(sound.samples[np.newaxis], format="flt", layout="mono")
        frame.sample_rate = sound.rate_hz
        converted = [each.to_ndarray()[0] for each in self._resampler.resample(frame)]
        return np.clip(np.concatenate([_NOTHING, *converted]), -1.0, 1.0)
