"""The level of the sound, frame by frame."""

from __future__ import annotations

import math

import numpy as np

from social_perception.core.config import HearingConfig
from social_perception.core.sound import BAND_EDGES_HZ, Sound
from social_perception.core.types import FrameAffect, SoundLevel

FLOOR_DBFS = -120.0
"""The level of digital silence; the step of 24-bit samples has -138 dBFS, that of 16 bits -90."""


def level_dbfs(sound: Sound) -> float:
    """The level of a block of sound in dBFS, ``20 log10(RMS)``, in [FLOOR_DBFS, 0].

    The reference is the full scale of the samples: a square wave of full scale has 0 dBFS and a sine -3.01,
    as in sox and FFmpeg's volumedetect. AES17 refers to the full-scale sine instead: 3.01 dB more.

    Returns:
        NaN where there are no samples.
    """
    if not len(sound.samples):
        return math.nan
    rms = math.sqrt(float(np.mean(np.square(sound.samples, dtype=np.float64))))
    return max(FLOOR_DBFS, 20.0 * math.log10(rms)) if rms > 0 else FLOOR_DBFS


def band_levels_dbfs(sound: Sound) -> tuple[float, ...]:
    """The level of a block of sound in the bands of :data:`.sound.BAND_EDGES_HZ`, in dBFS from FLOOR_DBFS on.

    The reference is that of :func:`level_dbfs`: a sine of full scale has -3 dBFS in its band.
    """
    count = len(sound.samples)
    window = np.hanning(count + 1)[:-1]
    power = 2.0 * np.abs(np.fft.rfft(sound.samples * window)) ** 2 / (count * (window @ window))
    edges = np.searchsorted(np.fft.rfftfreq(count, 1.0 / sound.rate_hz), BAND_EDGES_HZ)
    bands = np.diff(np.concatenate([[0.0], np.cumsum(power)])[edges])
    levels = 10.0 * np.log10(np.maximum(bands, 10.0 ** (FLOOR_DBFS / 10.0)))
    return tuple(levels.tolist())


class LevelMeter:
    """Measures the level of each frame's sound."""

    def __init__(self, config: HearingConfig) -> None:
        self._config = config

    def estimate(self, affect: FrameAffect) -> SoundLevel | None:
        """Return the level of the sound since the frame before; None where the source has no sound."""
        if affect.sound is None or not self._config.sound_level:
            return None
        return SoundLevel(level_dbfs(affect.sound))

    def reset(self) -> None:
        """Each frame is measured alone."""
