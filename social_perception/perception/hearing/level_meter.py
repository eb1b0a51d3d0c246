"""The level of the sound, frame by frame."""

from __future__ import annotations

import math

import numpy as np

from social_perception.core.sound import Sound

FLOOR_DBFS = -120.0
"""The level of digital silence; the step of 24-bit samples has -138 dBFS, that of 16 bits -90."""


def level_dbfs(sound: Sound | None) -> float:
    """The level of a block of sound in dBFS, ``20 log10(RMS)``, in [FLOOR_DBFS, 0].

    The reference is the full scale of the samples: a square wave of full scale has 0 dBFS and a sine -3.01,
    as in sox and FFmpeg's volumedetect. AES17 refers to the full-scale sine instead: 3.01 dB more.

    Returns:
        NaN where there is no sound, or no new samples.
    """
    if sound is None or not len(sound.samples):
        return math.nan
    rms = math.sqrt(float(np.mean(np.square(sound.samples, dtype=np.float64))))
    return max(FLOOR_DBFS, 20.0 * math.log10(rms)) if rms > 0 else FLOOR_DBFS
