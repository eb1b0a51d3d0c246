"""The state of one face track."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from social_perception.core.types import Track
from social_perception.perception.tracking.appearance import blend, patches_from
from social_perception.perception.tracking.geometry import BoolArray, FloatArray, to_box
from social_perception.perception.tracking.history import CAPACITY, SlotArray

MIN_POSITION_GAIN = 0.35
MIN_SIZE_GAIN = 0.25
"""The detector's boxes jitter by some px and by 10 to 20 % in size; optical flow is smooth but drifts."""

DRIFT = 0.25
"""Offset, in box sides, from which a detection is not jitter: the box moves there immediately."""

SHOWN_DECAY = 0.65
"""Share of a correction that is not yet applied one frame later, so that published boxes move smoothly."""

VELOCITY_TIME_S = 0.15
COAST_TIME_S = 1.0
"""Time constant of the decay of a lost face's predicted velocity."""

DESCRIPTOR_GAIN = 0.3
QUALITY_GAIN = 0.3
MISS_FACTOR = 0.8
MAX_MISSES = 5
MIN_REACH_PX = 1e-3


@dataclass(slots=True, eq=False)
class FaceTrack:
    """The current state of a track, and its boxes in the frames of the history.

    Attributes:
        row: (4,) the box in the newest frame; a prediction while not visible.
        descriptor: (DESCRIPTOR_SIZE,) appearance when last confirmed.
        patch: (144,) gray patch when no other face was near, or when last confirmed.
        score: the detector's score when last confirmed.
        id: the id, once enough detections agreed.
        visible: whether the face is tracked; false: it is lost.
        hits: detections of the face.
        misses: misses since its last detection.
        position_valid: whether the predicted position is meaningful; false after a scene change.
        lost_at_s: tracker clock when it was lost.
        found_at_s: tracker clock of the frame of its last detection.
        path: (CAPACITY, 4) boxes by history slot, NaN where unknown.
        seen: (CAPACITY,) whether it was tracked in those frames.
    """

    row: FloatArray
    descriptor: FloatArray
    patch: FloatArray
    score: float
    id: str = ""
    visible: bool = True
    hits: int = 1
    misses: int = 0
    position_valid: bool = True
    lost_at_s: float = 0.0
    found_at_s: float = 0.0
    path: FloatArray = field(default_factory=lambda: np.full((CAPACITY, 4), np.nan))
    seen: BoolArray = field(default_factory=lambda: np.zeros(CAPACITY, np.bool_))
    _velocity: FloatArray = field(default_factory=lambda: np.zeros(2))
    _quality: float = 1.0
    _smoothing: FloatArray = field(default_factory=lambda: np.zeros(4))
    _before_overlap: FloatArray | None = None

    def update_by_flow(self, row: FloatArray, quality: float, step_s: float) -> None:
        """Update the box by optical flow into the newest frame."""
        gain = 1.0 - math.exp(-step_s / VELOCITY_TIME_S)
        if self._before_overlap is None:
            self._velocity += gain * ((row[:2] - self.row[:2]) / step_s - self._velocity)
        else:
            # The flow may be that of the other head; use the velocity from before the overlap.
            self._before_overlap = _shifted(self._before_overlap, self._coasted(step_s))
        self.row = row
        self._quality += QUALITY_GAIN * (quality - self._quality)
        self._smoothing = self._smoothing * SHOWN_DECAY

    def update_overlap(self, patch: FloatArray, *, covered: bool) -> None:
        """Store the patch of the box unless another head may cover it."""
        if not covered:
            self.patch, self._before_overlap = patch, None
        elif self._before_overlap is None:
            self._before_overlap = self.row.copy()

    def mark_lost(self, clock_s: float) -> None:
        """Mark the face as lost; its box is predicted from now on."""
        if self._before_overlap is not None:
            self.row = self._before_overlap
        self.visible, self.lost_at_s, self._before_overlap = False, clock_s, None
        self._smoothing = np.zeros(4)

    def detach(self, clock_s: float) -> None:
        """Invalidate the position after a scene change."""
        if self.visible:
            self.mark_lost(clock_s)
        self.position_valid, self._velocity = False, np.zeros(2)

    def coast(self, step_s: float) -> None:
        """Predict the lost face's box in the newest frame."""
        self.row = _shifted(self.row, self._coasted(step_s))
        self._velocity = self._velocity * math.exp(-step_s / COAST_TIME_S)

    def lost_s(self, clock_s: float) -> float:
        """Return the time in s since the loss at a tracker clock; 0 if tracked."""
        return 0.0 if self.visible else max(0.0, clock_s - self.lost_at_s)

    def record(self, slot: int) -> None:
        """Record the current box for the slot of the newest frame."""
        self.path[slot], self.seen[slot] = self.row, self.visible

    def clear_path(self) -> None:
        self.path[:], self.seen[:] = np.nan, False

    def confirm(self, found: FloatArray, score: float, slots: SlotArray) -> None:
        """Correct the box by a detection in the frame of the first slot.

        The correction, in units of the box's sides, is applied to that frame and all later ones, so that the
        next late detection does not repeat it. Jitter is averaged.
        """
        self._count_hit(score)
        then = self.path[slots[0]].copy()
        offset = (found[:2] - then[:2]) / then[2:]
        growth = np.log(found[2:] / then[2:])
        drifted = max(np.abs(offset).max(), np.abs(growth).max()) > DRIFT
        offset *= 1.0 if drifted else max(MIN_POSITION_GAIN, 1.0 / self.hits)
        growth *= 1.0 if drifted else max(MIN_SIZE_GAIN, 1.0 / self.hits)
        self.path[slots, :2] += offset * self.path[slots, 2:]
        self.path[slots, 2:] *= np.exp(growth)
        if self._before_overlap is not None:
            self._before_overlap = _shifted(self._before_overlap, self.path[slots[-1], :2] - self.row[:2])
        self.row = self.path[slots[-1]].copy()
        smoothing = np.zeros(4) if drifted else self._smoothing - np.concatenate([offset, growth])
        self._smoothing = smoothing

    def reacquire(self, descriptor: FloatArray, score: float) -> None:
        """Resume tracking of a lost face after a detection."""
        self._count_hit(score)
        self.update_descriptor(descriptor, covered=False)
        self.visible, self.position_valid, self._quality = True, True, 1.0
        self._smoothing, self._before_overlap = np.zeros(4), None

    def set_path(self, path: FloatArray, slots: SlotArray, velocity: FloatArray) -> None:
        """Set the boxes (L, 4) in the frames of L slots, newest last, and the velocity in px/s."""
        self.path[slots], self.seen[slots] = path, True
        self.row, self._velocity = path[-1].copy(), velocity

    def update_descriptor(self, descriptor: FloatArray, *, covered: bool) -> None:
        """Update the appearance from a confirmed box; around a covered box colors belong to another face."""
        self.patch = patches_from(descriptor[None])[0]
        if not covered:
            self.descriptor = blend(self.descriptor, descriptor, DESCRIPTOR_GAIN)

    def mark_missed(self, clock_s: float, *, similar: bool) -> None:
        """Count a missed detection; mark the face as lost if the detector is unlikely to be wrong."""
        self.misses += 1
        if not similar or self.misses > min(self.hits, MAX_MISSES):
            self.mark_lost(clock_s)

    def search_radius_px(self, clock_s: float) -> float:
        """Return how far in px a lost face can be from its predicted position; it grows with time."""
        if not self.position_valid:
            return MIN_REACH_PX
        lost_s, speed = self.lost_s(clock_s), float(np.linalg.norm(self._velocity))
        return math.sqrt(self.row[2] * self.row[3]) * (0.8 + 1.5 * lost_s) + 0.5 * speed * lost_s

    def to_track(self) -> Track:
        """Return the published track; its box moves smoothly to the corrected position.

        The confidence is the detector's score s at the last confirmation as 1 / (1 + exp(-2 s)),
        times the smoothed flow quality, times 0.8 for each detection since that missed the face.
        """
        if not self.visible:
            return Track(self.id, to_box(self.row), 0.0, visible=False)
        sides = self.row[2:] * np.exp(self._smoothing[2:])
        center = self.row[:2] + self._smoothing[:2] * self.row[2:]
        certainty = 0.5 * (1.0 + math.tanh(self.score))
        confidence = certainty * self._quality * MISS_FACTOR**self.misses
        return Track(self.id, to_box(np.concatenate([center, sides])), min(1.0, max(0.0, confidence)))

    def _count_hit(self, score: float) -> None:
        self.hits += 1
        self.misses, self.score = 0, score

    def _coasted(self, step_s: float) -> FloatArray:
        return self._velocity * COAST_TIME_S * (1.0 - math.exp(-step_s / COAST_TIME_S))


def _shifted(row: FloatArray, shift: FloatArray) -> FloatArray:
    return np.concatenate([row[:2] + shift, row[2:]])
