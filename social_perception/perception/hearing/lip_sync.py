"""How well each mouth goes with the sound: linear projections, and a logistic regression of who speaks.

A canonical correlation analysis finds combinations of what is seen of a mouth and of the sound's bands that
go together over time; ``social-perception train config/train_speakers.yaml`` fits all weights. R rows of
0.1 s, N faces.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load

from social_perception.core.errors import ModelError
from social_perception.core.files import read_weights
from social_perception.core.sound import BANDS
from social_perception.perception.hearing.mouth import PARTS, VIEW

FloatArray = npt.NDArray[np.float64]

STILL = 0.004
"""Added to a motion before its logarithm."""

WEIGHTS_SHA256 = "3c71aadee5b0dca5383429a145f5dcfd67cec18789de0a056a3b17a65d74ff6c"
"""Of the shipped file."""

_PART_STILL = 0.02
_RANGE_DB = 35.0
_LIVELY = 2.0
"""Logarithm above that of stillness from which a mouth moves as in speech."""
_DELAYS = (-1, 0, 1)
_MIN_KNOWN = 6
_MOTION_ROWS = 10
_MAX_FILE_BYTES = 2**20


@dataclass(frozen=True, slots=True, eq=False)
class LipSync:
    """The weights.

    Attributes:
        pixels: of the region of the mouth, (280, K).
        mouth: of what is seen, in three rows each, (3 (13 + K), C).
        sound: of what :func:`sound_inputs` returns, in three rows each, (54, C).
        strength: correlation of each of the C combinations.
        decision: of the four :meth:`features`, and the bias, (5,).
    """

    pixels: FloatArray
    mouth: FloatArray
    sound: FloatArray
    strength: FloatArray
    decision: FloatArray

    def features(self, views: FloatArray, levels: FloatArray) -> FloatArray:
        """What tells who speaks, of N faces: shape (N, 4).

        The columns are the mean logarithm of a mouth's motion in the last second, that relative to the
        liveliest other mouth, how well it goes with the sound, and that relative to the best of the others.

        Args:
            views: mean view of each mouth in each row, (N, R, 293); NaN where it was not visible.
            levels: of the sound and its bands in dBFS, (R, 9); NaN: unknown.
        """
        amounts = np.array([_amount(each[-_MOTION_ROWS:, 0]) for each in views])
        # A mouth at rest goes with any sound by chance, and would compete with the one that speaks.
        fits = self.fits(views, levels) * np.clip((amounts - math.log(STILL)) / _LIVELY, 0.0, 1.0)
        return np.column_stack([amounts, amounts - _best_other(amounts), fits, fits - _best_other(fits)])

    def fits(self, views: FloatArray, levels: FloatArray) -> FloatArray:
        """How well each mouth goes with the sound, (N,); 0 where too little is known."""
        if np.isnan(levels).any() or len(levels) < _MIN_KNOWN:
            return np.zeros(len(views))
        sound = sound_inputs(levels) @ self.sound
        return np.array([self._fit(each, sound) for each in views])

    def _fit(self, view: FloatArray, sound: FloatArray) -> float:
        known = np.isfinite(view[:, 0])
        if known.sum() < _MIN_KNOWN:
            return 0.0
        rows = np.flatnonzero(known)
        nearest = rows[np.abs(np.arange(len(view))[:, None] - rows).argmin(axis=1)]
        seen = mouth_inputs(view[nearest], self.pixels) @ self.mouth
        # A row's inputs reach into the next one.
        used = rows[rows < len(view) - 1]
        fits = _correlations(seen[used], sound[used])
        return float(fits @ self.strength) * math.sqrt(len(rows) / len(view))


def mouth_inputs(view: FloatArray, pixels: FloatArray) -> FloatArray:
    """The inputs of a mouth's projection, (R, 3 (13 + K)), from its views (R, 293)."""
    motion, parts, image = view[:, :1], view[:, 1 : 1 + PARTS], view[:, 1 + PARTS :]
    return _delayed(np.hstack([np.log(STILL + motion), np.log(_PART_STILL + parts), image @ pixels]))


def sound_inputs(levels: FloatArray) -> FloatArray:
    """The inputs of the sound's projection, (R, 54), from its levels (R, 9): these and their change."""
    audible = np.maximum(levels, levels[:, 0].max() - _RANGE_DB) / _RANGE_DB
    return _delayed(np.hstack([audible, np.abs(np.gradient(audible, axis=0))]))


def _delayed(values: FloatArray) -> FloatArray:
    places = np.arange(len(values))
    return np.hstack([values[np.clip(places + delay, 0, len(values) - 1)] for delay in _DELAYS])


def _correlations(first: FloatArray, second: FloatArray) -> FloatArray:
    first, second = first - first.mean(axis=0), second - second.mean(axis=0)
    sizes = np.sqrt((first**2).sum(axis=0) * (second**2).sum(axis=0))
    return np.asarray((first * second).sum(axis=0) / np.maximum(sizes, 1e-9))


def _amount(motion: FloatArray) -> float:
    known = motion[np.isfinite(motion)]
    return float(np.log(STILL + known).mean()) if len(known) else math.log(STILL)


def _best_other(values: FloatArray) -> FloatArray:
    """For each value the highest of the others; itself where there is no other."""
    if len(values) < 2:
        return values
    order = np.argsort(values)
    best = np.full(len(values), values[order[-1]])
    best[order[-1]] = values[order[-2]]
    return best


@cache
def shipped() -> LipSync:
    """The shipped weights."""
    folder = Path(str(resources.files(__package__))) / "weights"
    return read_lip_sync(folder / "speakers.safetensors", WEIGHTS_SHA256)


def read_lip_sync(path: Path, sha256: str = "") -> LipSync:
    """Read weights.

    Args:
        path: of the file.
        sha256: expected; empty: not checked.

    Raises:
        ModelError: the file is missing or damaged, or has other weights.
    """
    names: Sequence[str] = [each.name for each in fields(LipSync)]
    try:
        tensors = load(read_weights(path, _MAX_FILE_BYTES, sha256))
        found = LipSync(*(tensors[name].astype(np.float64) for name in names))
        views = np.full((2, _MOTION_ROWS, VIEW), 0.1)
        values = found.features(views, np.zeros((_MOTION_ROWS, 1 + BANDS)))
        if not np.isfinite(values @ found.decision[:-1] + found.decision[-1]).all():
            raise ValueError("weights are not finite")
    except (OSError, SafetensorError, KeyError, ValueError, IndexError) as error:
        raise ModelError(f"the weights of who speaks, {path}, cannot be read: {error}") from error
    return found
