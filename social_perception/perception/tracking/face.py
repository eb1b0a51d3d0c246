"""One followed face: all that the tracker remembers of a person."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from social_perception.core.types import Track
from social_perception.perception.tracking.appearance import blended, patches_in
from social_perception.perception.tracking.geometry import BoolArray, FloatArray, to_box
from social_perception.perception.tracking.history import CAPACITY, SlotArray

MIN_POSITION_GAIN = 0.35
MIN_SIZE_GAIN = 0.25
"""The detector's boxes jitter by some px and 10 to 20 % in size; flow is steady but drifts."""

DRIFT = 0.25
"""Offset, in box sides, from which a detection is no jitter: the box goes there at once."""

SHOWN_DECAY = 0.65
"""Share of a correction that is still held back one frame later, so that boxes glide."""

VELOCITY_TIME_S = 0.15
COAST_TIME_S = 1.0
"""Time constant with which a lost face's predicted movement comes to rest."""

LOOK_GAIN = 0.3
QUALITY_GAIN = 0.3
MISS_FACTOR = 0.8
MAX_MISSES = 5
MIN_REACH_PX = 1e-3


@dataclass(slots=True, eq=False)
class FollowedFace:
    """A face's present state, and its boxes in the frames of the history.

    Attributes:
        row: (4,) the box in the newest frame; a prediction while not visible.
        look: (LOOK_SIZE,) appearance when last confirmed.
        picture: (144,) tiny gray picture when no other face was near, or when last confirmed.
        score: the detector's score when last confirmed.
        id: the name, once enough detections agreed.
        visible: whether the face is followed.
        hits: detections that found it.
        misses: detections since that did not.
        placed: whether the predicted place means anything; false after a cut.
        lost_at_s: the tracker's clock when it was lost.
        path: (CAPACITY, 4) boxes by history slot, NaN where it was not known.
        seen: (CAPACITY,) whether it was followed in those frames.
    """

    row: FloatArray
    look: FloatArray
    picture: FloatArray
    score: float
    id: str = ""
    visible: bool = True
    hits: int = 1
    misses: int = 0
    placed: bool = True
    lost_at_s: float = 0.0
    path: FloatArray = field(default_factory=lambda: np.full((CAPACITY, 4), np.nan))
    seen: BoolArray = field(default_factory=lambda: np.zeros(CAPACITY, np.bool_))
    _velocity: FloatArray = field(default_factory=lambda: np.zeros(2))
    _quality: float = 1.0
    _held_back: FloatArray = field(default_factory=lambda: np.zeros(4))
    _before_overlap: FloatArray | None = None

    def moved_to(self, row: FloatArray, quality: float, step_s: float) -> None:
        """Take the box that flow found in the newest frame."""
        gain = 1.0 - math.exp(-step_s / VELOCITY_TIME_S)
        if self._before_overlap is None:
            self._velocity += gain * ((row[:2] - self.row[:2]) / step_s - self._velocity)
        else:
            # Flow may show the other head's movement by now; go by what was known before.
            self._before_overlap = _shifted(self._before_overlap, self._coasted(step_s))
        self.row = row
        self._quality += QUALITY_GAIN * (quality - self._quality)
        self._held_back = self._held_back * SHOWN_DECAY

    def note_contact(self, picture: FloatArray, *, covered: bool) -> None:
        """Note what the box shows, and whether another head may cover it now."""
        if not covered:
            self.picture, self._before_overlap = picture, None
        elif self._before_overlap is None:
            self._before_overlap = self.row.copy()

    def lose(self, clock_s: float) -> None:
        """Follow no longer; the box is predicted from now on."""
        if self._before_overlap is not None:
            self.row = self._before_overlap
        self.visible, self.lost_at_s, self._before_overlap = False, clock_s, None
        self._held_back = np.zeros(4)

    def uproot(self, clock_s: float) -> None:
        """Note that the scene is another one: wherever the face is now, its box tells nothing of it."""
        if self.visible:
            self.lose(clock_s)
        self.placed, self._velocity = False, np.zeros(2)

    def coast(self, step_s: float) -> None:
        """Predict the lost face's box in the newest frame."""
        self.row = _shifted(self.row, self._coasted(step_s))
        self._velocity = self._velocity * math.exp(-step_s / COAST_TIME_S)

    def lost_s(self, clock_s: float) -> float:
        """The time in s for which it had been lost at a time of the tracker's clock; 0 if followed."""
        return 0.0 if self.visible else max(0.0, clock_s - self.lost_at_s)

    def remember(self, slot: int) -> None:
        """Note the present box under the newest frame's slot."""
        self.path[slot], self.seen[slot] = self.row, self.visible

    def forget_path(self) -> None:
        self.path[:], self.seen[:] = np.nan, False

    def confirm(self, found: FloatArray, score: float, slots: SlotArray) -> None:
        """Correct the box by a detection made in the frame of the first slot.

        The correction, in units of the box's sides, is applied to that frame and all since, so that
        the next late detection does not ask for it again. Jitter is averaged out.
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
        held_back = np.zeros(4) if drifted else self._held_back - np.concatenate([offset, growth])
        self._held_back = held_back

    def find_again(self, look: FloatArray, score: float) -> None:
        """Note that a detection found a lost face."""
        self._count_hit(score)
        self.learn_look(look, covered=False)
        self.visible, self.placed, self._quality = True, True, 1.0
        self._held_back, self._before_overlap = np.zeros(4), None

    def take_path(self, path: FloatArray, slots: SlotArray, velocity: FloatArray) -> None:
        """Take the boxes (L, 4) of the L slots' frames, the last the newest one's, and px per second."""
        self.path[slots], self.seen[slots] = path, True
        self.row, self._velocity = path[-1].copy(), velocity

    def learn_look(self, look: FloatArray, *, covered: bool) -> None:
        """Take what a confirmed box showed; the colours around a covered one are partly another's."""
        self.picture = patches_in(look[None])[0]
        if not covered:
            self.look = blended(self.look, look, LOOK_GAIN)

    def miss(self, clock_s: float, *, still_alike: bool) -> None:
        """Note that a detection did not find the face; lose it if that can be no detector's slip."""
        self.misses += 1
        if not still_alike or self.misses > min(self.hits, MAX_MISSES):
            self.lose(clock_s)

    def reach_px(self, clock_s: float) -> float:
        """How far in px from its predicted place the face can be, if lost: it grows with time."""
        if not self.placed:
            return MIN_REACH_PX
        lost_s, speed = self.lost_s(clock_s), float(np.linalg.norm(self._velocity))
        return math.sqrt(self.row[2] * self.row[3]) * (0.8 + 1.5 * lost_s) + 0.5 * speed * lost_s

    def as_track(self) -> Track:
        """The face as others see it: its box glides to where a correction has put it.

        The confidence is the detector's score s at the last confirmation as 1 / (1 + exp(-2 s)),
        times the smoothed flow quality, times 0.8 for each detection since that missed the face.
        """
        if not self.visible:
            return Track(self.id, to_box(self.row), 0.0, visible=False)
        sides = self.row[2:] * np.exp(self._held_back[2:])
        center = self.row[:2] + self._held_back[:2] * self.row[2:]
        sureness = 0.5 * (1.0 + math.tanh(self.score))
        confidence = sureness * self._quality * MISS_FACTOR**self.misses
        return Track(self.id, to_box(np.concatenate([center, sides])), min(1.0, max(0.0, confidence)))

    def _count_hit(self, score: float) -> None:
        self.hits += 1
        self.misses, self.score = 0, score

    def _coasted(self, step_s: float) -> FloatArray:
        return self._velocity * COAST_TIME_S * (1.0 - math.exp(-step_s / COAST_TIME_S))


def _shifted(row: FloatArray, shift: FloatArray) -> FloatArray:
    return np.concatenate([row[:2] + shift, row[2:]])
