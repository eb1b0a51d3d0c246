"""Sound as it comes from a device: its samples at one rate, on the machine's clock."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from social_perception.core.sound import Sound, SoundArray
from social_perception.sources.sound import SoundTrack

_logger = logging.getLogger(__name__)

MAX_DRIFT_S = 0.2
"""A larger difference between the samples' time and the clock is a break: the sound begins again."""

_TOLERANCE_S = 0.002
_WINDOW_BLOCKS = 40
_STRETCH = 1e-3
"""A block is made longer or shorter by at most this share; clocks of sound cards differ by a tenth of it."""

_MUTED_S = 5.0
_FULL_SCALE, _CLIPPED_SHARE = 0.999, 0.01


class SampleClock:
    """The time of a device's samples: counted, and held to the machine's clock.

    The crystal of a sound card and that of the computer differ by some ten millionths, which is a video frame
    an hour. A median difference of two seconds above 2 ms is corrected: blocks become a thousandth longer or
    shorter.

    Attributes:
        corrected_s: the sum of the corrections; positive: the device is slow.
        breaks: how often the difference exceeded MAX_DRIFT_S.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._start_s: float | None = None
        self._count = self._since_break = 0
        self._differences_s: deque[float] = deque(maxlen=_WINDOW_BLOCKS)
        self.corrected_s = 0.0
        self.breaks = 0

    @property
    def drift_ppm(self) -> float:
        """By how many millionths the device is slower than the clock, since the last break."""
        return 1e6 * self.corrected_s * self._rate_hz / max(1, self._since_break)

    def admit(self, end_s: float, count: int) -> tuple[float, int, bool]:
        """Note a block.

        Args:
            end_s: when it ended, by the machine's clock.
            count: of its samples.

        Returns:
            The time of its first sample, the number of samples it shall have, and whether the sound begins
            again with it.
        """
        begins = self._start_s is None
        if self._start_s is not None:
            self._differences_s.append(end_s - self._time(self._count + count))
            if abs(self._median_s()) > MAX_DRIFT_S:
                self.breaks += 1
                begins = True
        if begins or self._start_s is None:
            self._start_s, self._count, self._since_break = end_s - count / self._rate_hz, 0, 0
            self._differences_s.clear()
            self.corrected_s = 0.0
        start_s, fitted = self._time(self._count), count + self._correction(count)
        self._count += fitted
        self._since_break += count
        return start_s, fitted, begins

    def _correction(self, count: int) -> int:
        """By how many samples a block is made longer."""
        difference_s = self._median_s()
        if abs(difference_s) <= _TOLERANCE_S:
            return 0
        most = max(1, round(_STRETCH * count))
        samples = min(max(round(difference_s * self._rate_hz), -most), most)
        shift_s = samples / self._rate_hz
        self.corrected_s += shift_s
        self._differences_s = deque((each - shift_s for each in self._differences_s), _WINDOW_BLOCKS)
        return samples

    def _median_s(self) -> float:
        is_full = len(self._differences_s) == _WINDOW_BLOCKS
        return float(np.median(self._differences_s)) if is_full else 0.0

    def _time(self, count: int) -> float:
        assert self._start_s is not None
        return self._start_s + count / self._rate_hz


@dataclass(slots=True)
class _LevelWatch:
    """Finds a microphone that is muted, or set too loud; each is reported once."""

    name: str
    zeros_s: float = 0.0
    is_reported: bool = False

    def note(self, block: SoundArray, rate_hz: int) -> None:
        peak = float(np.abs(block).max(initial=0.0))
        self.zeros_s = 0.0 if peak else self.zeros_s + len(block) / rate_hz
        if self.is_reported:
            return
        if self.zeros_s > _MUTED_S:
            self._report("has delivered only zeros for 5 s: is it muted?")
        elif peak >= _FULL_SCALE and np.mean(np.abs(block) >= _FULL_SCALE) > _CLIPPED_SHARE:
            self._report("clips: lower its volume in the system's settings")

    def _report(self, text: str) -> None:
        self.is_reported = True
        _logger.warning("%s %s", self.name, text)


class LiveTrack:
    """Turns the blocks of a device into sound of one channel and rate, whose time is that of the clock.

    Several channels are averaged; NaN is 0; samples beyond full scale are clipped.

    Args:
        name: of the device, for the log.
        rate_hz: of the sound.
    """

    def __init__(self, name: str, rate_hz: int) -> None:
        self._name, self._rate_hz = name, rate_hz
        self._track, self._levels = SoundTrack(rate_hz), _LevelWatch(name)
        self._clock: SampleClock | None = None
        self._device_hz = 0

    @property
    def drift_ppm(self) -> float:
        """By how many millionths the device's clock is slower than the machine's."""
        return 0.0 if self._clock is None else self._clock.drift_ppm

    def add(self, samples: npt.NDArray[np.float32], rate_hz: int, end_s: float) -> list[Sound]:
        """The sound that is complete with a block.

        Args:
            samples: (channels, N).
            rate_hz: of the device.
            end_s: when the block ended, by the machine's clock.

        Raises:
            SoundError: the rate is not supported.
        """
        block = np.clip(np.nan_to_num(samples), -1.0, 1.0).mean(axis=0, dtype=np.float32)
        self._levels.note(block, rate_hz)
        if self._clock is None or rate_hz != self._device_hz:
            self._clock, self._device_hz = SampleClock(rate_hz), rate_hz
        start_s, count, begins = self._clock.admit(end_s, len(block))
        sounds: list[Sound] = []
        if begins:
            if self._clock.breaks:
                _logger.warning("%s and this machine's clock differ: its sound begins again", self._name)
            sounds, self._track = self._track.finish(), SoundTrack(self._rate_hz)
        audio = av.AudioFrame.from_ndarray(_stretched(block, count)[np.newaxis], "fltp", "mono")
        audio.sample_rate = rate_hz
        return sounds + self._track.add(audio, start_s if begins else None)


def _stretched(block: SoundArray, count: int) -> SoundArray:
    """The block with another number of samples, interpolated."""
    if count == len(block):
        return block
    places = np.linspace(0.0, len(block) - 1.0, count)
    return np.interp(places, np.arange(len(block)), block).astype(np.float32)


def samples_of(frame: av.AudioFrame) -> npt.NDArray[np.float32]:
    """The samples, (channels, N), of a planar frame of floats or 16-bit numbers."""
    decoded: Any = frame.to_ndarray()
    scale = 1.0 if decoded.dtype == np.float32 else 1.0 / 32768
    return np.asarray(scale * decoded.astype(np.float32))
