"""Who speaks and who laughs: the room's speech and laughter beside the motion of each mouth."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from social_perception.core.config import PipelineConfig
from social_perception.core.sound import BANDS, SoundEvent
from social_perception.core.types import FrameAffect, RoomSound, TrackedFaces, Voice
from social_perception.perception.hearing.lip_sync import FloatArray, LipSync, shipped
from social_perception.perception.hearing.mouth import VIEW, GrayArray, mouth_image, mouth_view

SPEAKS_FROM = 0.5
"""From this value of ``Voice.speaking`` on somebody is counted as speaking."""

ROWS = 30
"""Events that a decision is made from: 3 s."""

MOTION_WEIGHTS = (0.43, 1.20, 1.56)
"""Of the features of motion, and the bias, for laughter: a logistic regression on the calibration clips of
``evaluate --sound``.
"""

_MOTION_ROWS = 10
_ROW_S = 0.1
_RECENT = 5
_MAX_AGE_S = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """What a decision is made from: the last R events, and N mouths.

    Attributes:
        views: mean view of each mouth in the tenth of a second of each event, (N, R, 293); NaN: not visible.
        levels: of the sound and its bands in dBFS, (R, 9); NaN: unknown.
        speech: its probability, (R,).
        laughter: the newest probability.
    """

    views: FloatArray
    levels: FloatArray
    speech: FloatArray
    laughter: float

    def voices(self, weights: LipSync) -> list[Voice]:
        """The voice of each face."""
        found = weights.features(self.views, self.levels)
        says = _logistic(found @ weights.decision[:-1] + weights.decision[-1])
        # Laughter and its mouths go together less closely than speech and its.
        moves = _logistic(found[:, :2] @ MOTION_WEIGHTS[:-1] + MOTION_WEIGHTS[-1])
        speaking = says * min(1.0, 2.0 * float(self.speech[-_RECENT:].mean()))
        laughing = np.minimum(1.0, 2.0 * moves) * self.laughter
        return [Voice(float(speaks), float(laughs)) for speaks, laughs in zip(speaking, laughing)]


@dataclass(slots=True)
class _Mouth:
    """The views of one mouth in the last seconds, with their times."""

    image: GrayArray
    stamp_s: float
    views: deque[tuple[float, GrayArray]]

    def per_row(self, ends_s: FloatArray) -> FloatArray:
        """The mean view in the tenth of a second before each time, (R, 293); NaN where it is unknown."""
        rows = np.full((len(ends_s), VIEW), np.nan)
        if not self.views:
            return rows
        times_s = np.array([time_s for time_s, _ in self.views])
        places = np.searchsorted(ends_s, times_s - 1e-6)
        inside = np.flatnonzero((places < len(ends_s)) & (times_s > ends_s[0] - _ROW_S))
        if not len(inside):
            return rows
        views = np.stack([self.views[index][1] for index in inside])
        # Times rise, so the views of a row follow one another.
        known, first, counts = np.unique(places[inside], return_index=True, return_counts=True)
        rows[known] = np.add.reduceat(views, first, axis=0) / counts[:, np.newaxis]
        return rows


class SpeakerEstimator:
    """Estimates which of the visible faces speaks, and which laughs.

    Args:
        weights: None: the shipped ones.
        rows: events that a decision is made from.

    Raises:
        ModelError: these cannot be read.
    """

    def __init__(self, weights: LipSync | None = None, rows: int = ROWS) -> None:
        self._weights = weights or shipped()
        self._mouths: dict[str, _Mouth] = {}
        self._voices: dict[str, Voice] = {}
        self._events: deque[SoundEvent] = deque(maxlen=rows)
        self._most_views = max(200, 10 * rows)

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
            self._voices = self._decide() if is_current and self._mouths else {}
        unknown = Voice(math.nan, math.nan)
        return [self._voices.get(track.id, unknown) for track in faces.tracks]

    def observation(self) -> Observation:
        """What the newest decision was made from; there must be an event."""
        ends_s = np.array([each.stamp_s for each in self._events])
        unknown = (math.nan,) * BANDS
        return Observation(
            np.array([each.per_row(ends_s) for each in self._mouths.values()]).reshape(-1, len(ends_s), VIEW),
            np.array([(each.level_dbfs, *(each.bands_dbfs or unknown)) for each in self._events]),
            np.array([each.speech for each in self._events]),
            self._events[-1].laughter,
        )

    def motions(self, stamp_s: float) -> list[float]:
        """The mean motion of each visible mouth in the second before a time."""
        ends_s = np.asarray(stamp_s - _ROW_S * np.arange(_MOTION_ROWS)[::-1], np.float64)
        rows = [each.per_row(ends_s)[:, 0] for each in self._mouths.values()]
        return [float(np.nanmean(each)) if np.isfinite(each).any() else 0.0 for each in rows]

    def configure(self, config: PipelineConfig) -> None:
        """There are no settings."""

    def reset(self) -> None:
        """Forget every track and the sound."""
        self._mouths, self._voices = {}, {}
        self._events.clear()

    def _watch(self, faces: TrackedFaces) -> None:
        """Note how each visible mouth looks, and how it moved since the frame before."""
        mouths = {}
        for track, crop in zip(faces.tracks, faces.crops):
            if not track.visible:
                continue
            image, mouth = mouth_image(crop), self._mouths.get(track.id)
            views: deque[tuple[float, GrayArray]] = (
                deque(maxlen=self._most_views) if mouth is None else mouth.views
            )
            if mouth is not None and 0.0 < faces.stamp_s - mouth.stamp_s <= _ROW_S:
                views.append((faces.stamp_s, mouth_view(mouth.image, image)))
            mouths[track.id] = _Mouth(image, faces.stamp_s, views)
        self._mouths = mouths

    def _decide(self) -> dict[str, Voice]:
        return dict(zip(self._mouths, self.observation().voices(self._weights)))


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
