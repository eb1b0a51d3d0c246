"""The sound of the sample: who speaks and laughs when, and a synthesised voice for each.

Speech is a row of vowels and hisses: a train of pulses through three resonances (formants). Laughter is a row
of short vowels, five a second, whose pitch falls, with breath between. Everything follows from the time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from social_perception.core.sound import Sound, SoundArray

CYCLE_S = 20.0
"""The sound repeats after this time, with other people."""

RAMP_S = 0.5
"""Time in s in which the smile of somebody who laughs comes and goes."""

_SPEECH_S = ((1.0, 4.5), (5.5, 9.0), (14.0, 17.5))
_LAUGHTER_S = (10.0, 12.5)
_ENVELOPE_HZ = 100
_LOUDNESS = 0.35
_PITCHES_HZ = (115.0, 205.0, 140.0)
_LAUGH_HZ = 5.0
_VOWELS_HZ = ((730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240))

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Voice:
    """What one person does at a time.

    Attributes:
        speaks: whether the person speaks.
        laughs: how much the person laughs, in [0, 1].
        opening: how wide the mouth is open, in [0, 1].
    """

    speaks: bool = False
    laughs: float = 0.0
    opening: float = 0.0


SILENT = Voice()


class SampleVoices:
    """The voices of the people of the sample.

    Args:
        people: their number.
        rate_hz: of the sound, at least 8000.
    """

    def __init__(self, people: int, rate_hz: int) -> None:
        self._people, self.rate_hz = people, rate_hz
        self._samples = _synthesize(rate_hz)
        loudness = np.abs(self._samples).reshape(round(CYCLE_S * _ENVELOPE_HZ), -1).max(axis=1)
        self._opening = np.clip(np.convolve(loudness, np.ones(5) / 5, "same") / (0.7 * _LOUDNESS), 0.0, 1.0)

    def of(self, number: int, time_s: float) -> Voice:
        """What a person does at a time."""
        cycle, since_s = divmod(time_s, CYCLE_S)
        opening = float(self._opening[int(since_s * _ENVELOPE_HZ) % len(self._opening)])
        for turn, (start_s, end_s) in enumerate(_SPEECH_S):
            if start_s <= since_s < end_s and number == (len(_SPEECH_S) * int(cycle) + turn) % self._people:
                return Voice(speaks=True, opening=opening)
        start_s, end_s = _LAUGHTER_S
        laughs = min(1.0, 1.0 + (since_s - start_s) / RAMP_S, 1.0 + (end_s - since_s) / RAMP_S)
        if laughs > 0.0 and (self._people == 1 or (number + int(cycle)) % 2 == 0):
            return Voice(laughs=laughs, opening=opening if start_s <= since_s < end_s else 0.0)
        return SILENT

    def between(self, start_s: float, end_s: float) -> Sound:
        """The sound from one time to another."""
        first, end = (round(time_s * self.rate_hz) for time_s in (start_s, end_s))
        places = np.arange(first, end) % len(self._samples)
        return Sound(self._samples[places], self.rate_hz, first / self.rate_hz)


def _synthesize(rate_hz: int) -> SoundArray:
    """One cycle of the sound."""
    random = np.random.default_rng(7)
    samples = 1e-4 * random.normal(size=round(CYCLE_S * rate_hz))
    for (start_s, end_s), pitch_hz in zip(_SPEECH_S, _PITCHES_HZ):
        _add(samples, start_s, _speech(end_s - start_s, pitch_hz, rate_hz, random), rate_hz)
    start_s, end_s = _LAUGHTER_S
    for pitch_hz in (140.0, 230.0):
        _add(samples, start_s, 0.7 * _laughter(end_s - start_s, pitch_hz, rate_hz, random), rate_hz)
    return np.clip(samples, -1.0, 1.0).astype(np.float32)


def _add(samples: FloatArray, start_s: float, part: FloatArray, rate_hz: int) -> None:
    first = round(start_s * rate_hz)
    samples[first : first + len(part)] += _LOUDNESS * part / np.abs(part).max()


def _speech(duration_s: float, pitch_hz: float, rate_hz: int, random: np.random.Generator) -> FloatArray:
    speech, place = np.zeros(round(duration_s * rate_hz)), 0
    while place < len(speech):
        count = min(round(random.uniform(0.14, 0.24) * rate_hz), len(speech) - place)
        melody = 1.0 + 0.12 * np.sin(2 * np.pi * place / rate_hz / 1.7) + 0.04 * random.normal()
        pitches_hz = pitch_hz * melody * np.linspace(1.0, 0.9, count)
        vowel = _VOWELS_HZ[random.integers(len(_VOWELS_HZ))]
        syllable = _resonate(_pulses(pitches_hz, rate_hz), vowel, (80, 100, 140), rate_hz)
        syllable *= np.sqrt(np.hanning(count))
        hiss = min(round(0.05 * rate_hz), count)
        if random.random() < 0.5:
            syllable[:hiss] *= 0.2
            syllable[:hiss] += 0.02 * np.diff(random.normal(size=hiss + 1)) * np.hanning(hiss)
        speech[place : place + count] = syllable
        # Now and then a pause, as between words.
        place += count + (round(0.12 * rate_hz) if random.random() < 0.12 else 0)
    return speech


def _laughter(duration_s: float, pitch_hz: float, rate_hz: int, random: np.random.Generator) -> FloatArray:
    laughter = np.zeros(round(duration_s * rate_hz))
    period, voiced = round(rate_hz / _LAUGH_HZ), round(0.11 * rate_hz)
    for number, place in enumerate(range(0, len(laughter) - period, period)):
        breath = 0.12 * random.normal(size=period) * np.hanning(period)
        laughter[place : place + period] += _resonate(breath, (1000, 1800, 2800), (300, 300, 400), rate_hz)
        pitches_hz = pitch_hz * (1.35 - 0.05 * (number % 8)) * np.linspace(1.0, 0.85, voiced)
        vowel = _resonate(_pulses(pitches_hz, rate_hz), (850, 1300, 2500), (90, 120, 160), rate_hz)
        laughter[place : place + voiced] += vowel * np.hanning(voiced)
    return laughter


def _pulses(pitches_hz: FloatArray, rate_hz: int) -> FloatArray:
    """The pulses of vocal cords: the derivative of a sawtooth, with a little of it."""
    saw = 2.0 * (np.cumsum(pitches_hz) / rate_hz % 1.0) - 1.0
    return np.asarray(0.1 * saw - 0.5 * np.diff(saw, prepend=0.0))


def _resonate(
    samples: FloatArray, centers_hz: tuple[int, ...], widths_hz: tuple[int, ...], rate_hz: int
) -> FloatArray:
    """The sum of resonators of second order."""
    from scipy.signal import lfilter

    total = np.zeros_like(samples)
    for center_hz, width_hz in zip(centers_hz, widths_hz):
        radius, angle = np.exp(-np.pi * width_hz / rate_hz), 2 * np.pi * center_hz / rate_hz
        total += lfilter([1.0 - radius], [1.0, -2.0 * radius * np.cos(angle), radius**2], samples)
    return total
