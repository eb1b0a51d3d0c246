"""Sound: mono samples with their time, on the same clock as the frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from social_perception.core.errors import SoundError

SoundArray = npt.NDArray[np.float32]

MAX_SOUND_S = 30.0
"""The longest block of sound, so that memory stays bounded; of a longer time the newest part is kept."""

BAND_EDGES_HZ = (60, 200, 340, 550, 920, 1470, 2440, 4170, 7600)
"""Between these are the bands of a :class:`SoundEvent`."""

BANDS = len(BAND_EDGES_HZ) - 1

_CLOCK_STEP_S = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """A block of sound without gaps.

    Attributes:
        samples: mono, shape (N,), float32, in [-1, 1]; N may be 0.
        rate_hz: samples per second.
        start_s: time of the first sample, on the clock of the frames' stamps.

    Raises:
        SoundError: a field is invalid.
    """

    samples: SoundArray
    rate_hz: int
    start_s: float

    def __post_init__(self) -> None:
        samples: Any = self.samples
        if not isinstance(samples, np.ndarray) or samples.dtype != np.float32:
            kind = getattr(samples, "dtype", type(samples).__name__)
            raise SoundError(f"samples must be a float32 array, got {kind}")
        if samples.ndim != 1:
            raise SoundError(f"samples must have shape (N,), got {samples.shape}")
        # Written so that NaN fails, too.
        if samples.size and not (samples.min() >= -1.0 and samples.max() <= 1.0):
            raise SoundError(f"samples must be in [-1, 1], got [{samples.min():g}, {samples.max():g}]")
        if not self.rate_hz > 0:
            raise SoundError(f"rate_hz must be positive, got {self.rate_hz}")
        if not math.isfinite(self.start_s):
            raise SoundError(f"start_s must be finite, got {self.start_s}")

    @classmethod
    def empty(cls, rate_hz: int, start_s: float) -> Sound:
        """A block of no samples."""
        return cls(np.empty(0, np.float32), rate_hz, start_s)

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.rate_hz

    @property
    def end_s(self) -> float:
        """Time at which the sample after the last one would follow."""
        return self.start_s + self.duration_s

    def moved(self, shift_s: float) -> Sound:
        """The same samples, shift_s later."""
        return replace(self, start_s=self.start_s + shift_s) if shift_s else self

    def split(self, time_s: float) -> tuple[Sound, Sound]:
        """The samples before a time, and those from it on."""
        count = math.ceil((time_s - self.start_s) * self.rate_hz - 1e-6)  # rounding is no sample
        count = min(max(count, 0), len(self.samples))
        later_s = self.start_s + count / self.rate_hz
        return (
            replace(self, samples=self.samples[:count]),
            replace(self, samples=self.samples[count:], start_s=later_s),
        )


@dataclass(frozen=True, slots=True)
class SoundEvent:
    """The speech and the laughter in a tenth of a second of sound.

    Attributes:
        stamp_s: time of its end, on the clock of the frames' stamps.
        speech: probability of speech, in [0, 1].
        laughter: probability of laughter, in [0, 1]; NaN: unknown.
        level_dbfs: level of the sound, see :class:`.types.SoundLevel`.
        bands_dbfs: levels of the bands between :data:`BAND_EDGES_HZ`; empty: unknown.
    """

    stamp_s: float
    speech: float
    laughter: float
    level_dbfs: float
    bands_dbfs: tuple[float, ...] = ()


def join_sounds(blocks: Sequence[Sound]) -> Sound:
    """Join blocks, at least one, that follow one another.

    Samples that are missing between two blocks become zeros. Blocks before a jump of the clock, and what is
    older than MAX_SOUND_S, are dropped.

    Raises:
        SoundError: the blocks have different rates.
    """
    rates_hz = sorted({block.rate_hz for block in blocks})
    if len(rates_hz) > 1:
        raise SoundError(f"blocks must have one rate_hz, got {rates_hz}")
    filled = [block for block in blocks if len(block.samples)]
    if len(filled) < 2:
        return filled[0] if filled else blocks[-1]
    jumps = [i for i, (a, b) in enumerate(pairwise(filled), 1) if b.start_s < a.end_s - _CLOCK_STEP_S]
    filled = filled[jumps[-1] if jumps else 0 :]
    rate_hz, end_s = rates_hz[0], filled[-1].end_s
    start_s = max(filled[0].start_s, end_s - MAX_SOUND_S)
    samples = np.zeros(round((end_s - start_s) * rate_hz), np.float32)
    for block in filled:
        first = round((block.start_s - start_s) * rate_hz)
        part = block.samples[max(0, -first) :]
        place = max(0, first)
        samples[place : place + len(part)] = part[: len(samples) - place]
    return Sound(samples, rate_hz, start_s)
