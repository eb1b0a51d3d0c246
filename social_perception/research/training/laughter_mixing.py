"""Training examples of the laughter network: recordings placed over one another, in a room, at a level.

The powers of independent sounds add up, so that log-mel frames are mixed without their samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.signal import lfilter
from torch import Tensor
from torch.utils.data import Dataset

from social_perception.perception.hearing.laughter import CONTEXT
from social_perception.perception.hearing.mel import BANDS
from social_perception.research.training.laughter_sounds import Recordings

ROWS = 30
"""Tenths of a second of an example."""

FRAMES = 10 * ROWS
FLOOR = 1e-7

_LAUGHTER, _OTHER_BURSTS = 0.38, 0.34
"""Shares of the examples; the rest is speech."""

_ACTIVE_DB = 25.0
_HOLD = 25
"""Frames for which laughter goes on in a pause."""

_ONSET_ROWS = 2
_UNSURE = 0.3
"""Weight of the beginning of laughter, and of what follows it."""

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Sounds:
    """What examples are mixed from.

    ``laughs`` is whether each burst is labelled as laughter.
    """

    bursts: Recordings
    laughs: npt.NDArray[np.bool_]
    speech: Recordings
    others: Recordings


def active(mel: FloatArray) -> npt.NDArray[np.bool_]:
    """Which frames of a burst are part of it: within 25 dB of the loudest tenth, and pauses of 0.25 s."""
    level_db = 10.0 * np.log10(np.exp(mel).sum(axis=1))
    loud = level_db > np.percentile(level_db, 90) - _ACTIVE_DB
    last = np.where(loud, np.arange(len(loud)), -(10**6))
    return np.asarray(np.arange(len(loud)) - np.maximum.accumulate(last) <= _HOLD)


class Mixtures(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Random examples: frames (CONTEXT + 300, 64), targets (30,) and weights (30,).

    Args:
        sounds: what is mixed.
        draws: examples of an epoch.
        seed: of the first epoch; later ones differ.
    """

    def __init__(self, sounds: Sounds, draws: int, seed: int) -> None:
        self._sounds = sounds
        self._draws = draws
        self._generator = np.random.default_rng(seed)
        self._laughs, self._rest = np.flatnonzero(sounds.laughs), np.flatnonzero(~sounds.laughs)

    def __len__(self) -> int:
        return self._draws

    def reseed(self, seed: Sequence[int]) -> None:
        self._generator = np.random.default_rng(seed)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        draw = self._generator
        power = np.zeros((CONTEXT + FRAMES, BANDS), np.float32)
        target, weight = np.zeros(ROWS, np.float32), np.ones(ROWS, np.float32)
        kind = draw.random()
        foreground = 10 ** (draw.uniform(-4.5, -0.5))
        if kind < _LAUGHTER:
            people = 1 if draw.random() < 0.7 else int(draw.integers(2, 9))
            for _ in range(people):
                self._place_burst(
                    self._laughs, power, target, weight, foreground * 10 ** draw.uniform(-0.5, 0)
                )
        elif kind < _LAUGHTER + _OTHER_BURSTS:
            for _ in range(int(draw.integers(1, 4))):
                self._place_burst(self._rest, power, target, weight, foreground)
        is_speech = kind >= _LAUGHTER + _OTHER_BURSTS
        if is_speech or draw.random() < 0.35:
            level = foreground if is_speech else foreground * 10 ** draw.uniform(-2.0, 0.3)
            # Speech, too, begins after silence.
            start = int(draw.integers(0, len(power) - 50)) if draw.random() < 0.6 else 0
            self._fill(self._sounds.speech, power[start:], level)
        if draw.random() < 0.4:
            self._fill(self._sounds.others, power, foreground * 10 ** draw.uniform(-2.5, 0.3))
        power = self._in_a_room(power) * self._coloured()
        if draw.random() < 0.7:
            power += 10 ** draw.uniform(-7.5, -4.5) * draw.chisquare(4, power.shape).astype(np.float32) / 4
        frames = np.log(power + FLOOR, dtype=np.float32)
        return torch.from_numpy(frames), torch.from_numpy(target), torch.from_numpy(weight)

    def _place_burst(
        self,
        chosen: npt.NDArray[np.int_],
        power: FloatArray,
        target: FloatArray,
        weight: FloatArray,
        level: float,
    ) -> None:
        """Add a burst, or several of it one after another, from a random time on."""
        draw, start = self._generator, int(self._generator.integers(CONTEXT, CONTEXT + FRAMES - 50))
        for _ in range(int(draw.integers(1, 3))):
            index = int(draw.choice(chosen))
            mel = self._sounds.bursts.mel[index].astype(np.float32)
            mel = mel[: len(power) - start]
            if len(mel) < 20:
                return
            is_active = active(mel)
            power[start : start + len(mel)] += at_level(np.exp(mel), level)
            frames = np.zeros(FRAMES, bool)
            frames[start - CONTEXT : start - CONTEXT + len(mel)] = is_active
            rows = frames.reshape(ROWS, 10).mean(axis=1) >= 0.5
            if not rows.any():
                return
            first = int(np.argmax(rows))
            if self._sounds.laughs[index]:
                target[rows] = 1.0
                weight[first : first + _ONSET_ROWS] = _UNSURE
                # The room and the memory go on for a while.
                last = ROWS - int(np.argmax(rows[::-1]))
                weight[last : last + _ONSET_ROWS] = _UNSURE
            start += len(mel) + int(draw.integers(0, 60))
            if start > len(power) - 30:
                return

    def _fill(self, recordings: Recordings, power: FloatArray, level: float) -> None:
        """Add recordings one after another for the whole example."""
        draw, start = self._generator, 0
        while start < len(power) - 20:
            mel = recordings.mel[int(draw.integers(len(recordings)))]
            first = int(draw.integers(0, max(1, len(mel) - 100)))
            part = np.exp(mel[first : first + len(power) - start].astype(np.float32))
            power[start : start + len(part)] += at_level(part, level)
            start += len(part) + int(draw.integers(0, 40))

    def _in_a_room(self, power: FloatArray) -> FloatArray:
        """With an exponentially decaying reverberation in half of the examples."""
        draw = self._generator
        if draw.random() < 0.5:
            return power
        decay = 10 ** (-6 * 0.01 / draw.uniform(0.15, 0.9))
        tail = lfilter([0.0, 1.0 - decay], [1.0, -decay], power, axis=0)
        return np.asarray(power + 10 ** draw.uniform(-1.0, 0.5) * tail, np.float32)

    def _coloured(self) -> FloatArray:
        """The factors of a microphone's bands; a third of the examples have no high or no low ones."""
        draw = self._generator
        knots = draw.normal(0.0, 0.3, 6)
        gains = 10 ** np.interp(np.arange(BANDS), np.linspace(0, BANDS - 1, 6), knots)
        if draw.random() < 0.3:
            gains[int(draw.integers(44, 62)) :] *= 1e-4
        if draw.random() < 0.15:
            gains[: int(draw.integers(1, 8))] *= 1e-3
        return gains.astype(np.float32)


def at_level(power: FloatArray, level: float) -> FloatArray:
    """Scaled so that the loudest tenth has a power."""
    loudest = np.percentile(power.sum(axis=1), 90)
    return np.asarray(power * (level / max(loudest, 1e-6)), np.float32)
