"""Who speaks and who laughs: the room's speech and laughter beside the motion of each mouth."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from social_perception.core.config import PipelineConfig
from social_perception.core.sound import SoundEvent
from social_perception.core.types import FrameAffect, RoomSound, TrackedFaces, Voice
from social_perception.perception.hearing.mouth import GrayArray, mouth_image, mouth_motion

SPEAKS_FROM = 0.5
"""From this value of ``Voice.speaking`` on somebody is counted as speaking."""

ROWS = 30
"""Events that a decision is made from: 3 s."""

_MOTION_ROWS = 10

WEIGHTS = (0.37, 1.11, 0.30, 1.97, 1.39)
"""Of the features, and the bias: a logistic regression on the calibration clips of ``evaluate --sound``."""

MOTION_WEIGHTS = (0.43, 1.20, 1.56)
"""The same of the motion's features alone."""

_ROW_S = 0.1
_RECENT = 5
_MAX_AGE_S = 1.0
_STILL = 0.004
_MIN_KNOWN = 6

FloatArray = npt.NDArray[np.float64]


def features(motions: Sequence[FloatArray], speech: FloatArray, level_dbfs: FloatArray) -> FloatArray:
    """What tells who speaks, of N faces: shape (N, 4).

    The columns are the mean logarithm of a mouth's motion in the last second, that relative to the liveliest
    other mouth, the correlation of the motion with the sound over time, and that relative to the best of the
    others.

    Args:
        motions: of each face, its mean motion in each row (rows,), NaN where it was not visible.
        speech: probability of speech (rows,).
        level_dbfs: of the sound (rows,).
    """
    loudness = speech * np.clip((level_dbfs - level_dbfs.max()) / 30.0 + 1.0, 0.0, 1.0)
    logs = np.log(_STILL + np.asarray(motions))
    known = np.isfinite(logs)
    recent, seen = logs[:, -_MOTION_ROWS:], known[:, -_MOTION_ROWS:]
    amounts = np.where(seen, recent, 0.0).sum(axis=1) / np.maximum(1, seen.sum(axis=1))
    amounts[~seen.any(axis=1)] = math.log(_STILL)
    fits = np.array([_correlation(each, loudness) for each in logs])
    return np.column_stack([amounts, amounts - _best_other(amounts), fits, fits - _best_other(fits)])


def _best_other(values: FloatArray) -> FloatArray:
    """For each value the highest of the others; itself where there is no other."""
    if len(values) < 2:
        return values
    order = np.argsort(values)
    best = np.full(len(values), values[order[-1]])
    best[order[-1]] = values[order[-2]]
    return best


def _correlation(motion: FloatArray, loudness: FloatArray) -> float:
    """The highest correlation with the sound up to 0.1 s before or after; 0 where too little is known."""
    best = -1.0
    for lag in (-1, 0, 1):
        first, last = max(0, lag), len(motion) + min(0, lag)
        moved, loud = motion[first:last], loudness[first - lag : last - lag]
        known = np.isfinite(moved)
        if known.sum() < _MIN_KNOWN:
            return 0.0
        moved, loud = moved[known] - moved[known].mean(), loud[known] - loud[known].mean()
        size = math.sqrt(float((moved @ moved) * (loud @ loud)))
        best = max(best, float(moved @ loud) / size if size > 1e-9 else 0.0)
    return best


@dataclass(slots=True)
class _Mouth:
    """The motion of one mouth in the last seconds: times and values."""

    image: GrayArray
    stamp_s: float
    motions: deque[tuple[float, float]]

    def per_row(self, ends_s: FloatArray) -> FloatArray:
        """The mean motion in the tenth of a second before each time; NaN where it is unknown."""
        if not self.motions:
            return np.full(len(ends_s), np.nan)
        times_s, values = np.array(self.motions).T
        rows = np.searchsorted(ends_s, times_s - 1e-6)
        inside = (rows < len(ends_s)) & (times_s > ends_s[0] - _ROW_S)
        counts = np.bincount(rows[inside], minlength=len(ends_s))
        sums = np.bincount(rows[inside], values[inside], minlength=len(ends_s))
        with np.errstate(invalid="ignore"):
            return np.asarray(sums / counts)


class SpeakerEstimator:
    """Estimates which of the visible faces speaks, and which laughs."""

    def __init__(self) -> None:
        self._mouths: dict[str, _Mouth] = {}
        self._voices: dict[str, Voice] = {}
        self._events: deque[SoundEvent] = deque(maxlen=ROWS)

    def estimate(self, faces: TrackedFaces) -> Sequence[Voice | None]:
        """Return one Voice per track, in order; None without sound."""
        if faces.sound_events is None:
            return [None] * len(faces.tracks)
        self._watch(faces)
        for event in faces.sound_events:
            if self._events and event.stamp_s < self._events[-1].stamp_s:
                self._events.clear()
            self._events.append(event)
        is_current = bool(self._events) and abs(faces.stamp_s - self._events[-1].stamp_s) <= _MAX_AGE_S
        if faces.sound_events or not is_current:
            self._voices = self._decide() if is_current else {}
        unknown = Voice(math.nan, math.nan)
        return [self._voices.get(track.id, unknown) for track in faces.tracks]

    def motions(self, stamp_s: float) -> list[float]:
        """The mean motion of each visible mouth in the second before a time."""
        ends_s = np.asarray(stamp_s - _ROW_S * np.arange(_MOTION_ROWS)[::-1], np.float64)
        rows = [each.per_row(ends_s) for each in self._mouths.values()]
        return [float(np.nanmean(each)) if np.isfinite(each).any() else 0.0 for each in rows]

    def configure(self, config: PipelineConfig) -> None:
        """There are no settings."""

    def reset(self) -> None:
        """Forget every track and the sound."""
        self._mouths, self._voices = {}, {}
        self._events.clear()

    def _watch(self, faces: TrackedFaces) -> None:
        """Measure how much each visible mouth moved since the frame before."""
        mouths = {}
        for track, crop in zip(faces.tracks, faces.crops):
            if not track.visible:
                continue
            image, mouth = mouth_image(crop), self._mouths.get(track.id)
            motions: deque[tuple[float, float]] = deque(maxlen=200) if mouth is None else mouth.motions
            if mouth is not None and 0.0 < faces.stamp_s - mouth.stamp_s <= _ROW_S:
                motions.append((faces.stamp_s, mouth_motion(mouth.image, image)))
            mouths[track.id] = _Mouth(image, faces.stamp_s, motions)
        self._mouths = mouths

    def _decide(self) -> dict[str, Voice]:
        if not self._mouths:
            return {}
        ends_s, speech, level, laughter = np.array(
            [(each.stamp_s, each.speech, each.level_dbfs, each.laughter) for each in self._events]
        ).T
        found = features([each.per_row(ends_s) for each in self._mouths.values()], speech, level)
        says = _logistic(found @ WEIGHTS[:-1] + WEIGHTS[-1])
        # Laughter and its mouths go together less closely than speech and its.
        moves = _logistic(found[:, :2] @ MOTION_WEIGHTS[:-1] + MOTION_WEIGHTS[-1])
        speaking = says * min(1.0, 2.0 * float(speech[-_RECENT:].mean()))
        laughing = np.minimum(1.0, 2.0 * moves) * float(laughter[-1])
        return {name: Voice(*map(float, pair)) for name, *pair in zip(self._mouths, speaking, laughing)}


def _logistic(values: FloatArray) -> FloatArray:
    return np.asarray(1.0 / (1.0 + np.exp(-values)))


class RoomListener:
    """Reports the speech and the laughter in the room, and how many of the visible people speak."""

    def __init__(self) -> None:
        self._latest: SoundEvent | None = None

    def estimate(self, affect: FrameAffect) -> RoomSound | None:
        """Return the newest event and the number of people who speak; None without sound."""
        if affect.sound_events is None:
            return None
        self._latest = affect.sound_events[-1] if affect.sound_events else self._latest
        if self._latest is None or abs(affect.stamp_s - self._latest.stamp_s) > _MAX_AGE_S:
            return RoomSound(math.nan, math.nan, -1)
        speaking = sum(face[Voice].speaking >= SPEAKS_FROM for face in affect.faces)
        return RoomSound(self._latest.speech, self._latest.laughter, speaking)

    def reset(self) -> None:
        """Forget the history."""
        self._latest = None
