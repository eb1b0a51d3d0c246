"""The part of a scorer that does not depend on what computes the network: the tracks and their smiles."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from social_perception.core.config import SmileConfig
from social_perception.core.errors import ImageError
from social_perception.core.types import CROP_SIZE_PX, ImageArray, Smile, SmileLevel, Track
from social_perception.perception.smile.states import TrackState, TrackStates

Outputs = tuple[list[float], list[list[float]]]
"""N intensities, and N lists of four probabilities."""

_HYSTERESIS = 1.25
"""Factor on the size of faces that were scored in the previous frame, if there are too many faces.

Boxes jitter by some percent: without hysteresis other faces would be selected in every frame, and no state
would warm up.
"""


class TrackScorer(ABC):
    """The Scorer of a smile network: one pass per frame for any number of faces.

    Args:
        config: ``warmup_frames``, ``max_gap_s`` and ``max_faces`` are used.

    Attributes:
        precision: numeric precision of the network's convolutions.
    """

    precision = "float32"

    def __init__(self, config: SmileConfig) -> None:
        self.config = config
        self._tracks = TrackStates(config.max_faces)
        self._scored: frozenset[str] = frozenset()

    @property
    @abstractmethod
    def device(self) -> str:
        """The device on which the network currently runs."""

    @property
    @abstractmethod
    def failure(self) -> str:
        """Why it fell back to the CPU; empty: it did not."""

    @abstractmethod
    def _advance(self, states: Sequence[TrackState], crops: ImageArray) -> Outputs:
        """Score crops of tracks and advance their rows in the state; a track's first frame starts at zero.

        Raises:
            ModelError: the network failed; the rows are unchanged.
        """

    @abstractmethod
    def _score_stills(self, crops: ImageArray) -> Outputs:
        """Score crops and their mirror images without a state."""

    def score(self, tracks: Sequence[Track], crops: ImageArray, stamp_s: float) -> tuple[Smile, ...]:
        """Return one Smile per track, in order; see :class:`.scorer.Scorer`.

        Of more than ``max_faces`` visible faces the largest are scored; the others, like those not
        visible, keep their last smile with ``valid`` false.

        Raises:
            ImageError: the crops have another shape or type, or another number than the tracks.
            ModelError: the network failed, for example out of memory.
        """
        _check(tracks, crops)
        self._tracks.expire(stamp_s, self.config.max_gap_s)
        selected = self._select_faces(tracks)
        if selected:
            states = [self._tracks.acquire(tracks[i].id, stamp_s) for i in selected]
            outputs = self._advance(states, crops[selected])
            for state, value, probabilities in zip(states, *outputs):
                state.last_seen_s = stamp_s
                state.observed_frames += 1
                state.smile = _smile(value, probabilities, observed_frames=state.observed_frames, valid=False)
        self._scored = frozenset(tracks[i].id for i in selected)
        return tuple(self._smile(track, valid=track.id in self._scored) for track in tracks)

    def score_still(self, crops: ImageArray) -> tuple[Smile, ...]:
        """Score single images (N, 96, 96, 3) uint8 RGB, independent of each other.

        A still has no next frame that could refine the score; instead, the score is averaged with that of the
        mirror image.

        Raises:
            ImageError: the crops have another shape or type.
            ModelError: the network failed, for example out of memory.
        """
        _check(None, crops)
        if not len(crops):
            return ()
        outputs = self._score_stills(crops)
        return tuple(_smile(*row, observed_frames=1, valid=True) for row in zip(*outputs))

    def reset(self) -> None:
        """Drop all tracks."""
        self._tracks.clear()
        self._scored = frozenset()

    def _select_faces(self, tracks: Sequence[Track]) -> list[int]:
        visible = [i for i, track in enumerate(tracks) if track.visible]
        if len(visible) <= self.config.max_faces:
            return visible
        largest = sorted(visible, key=lambda i: -self._priority(tracks[i]))[: self.config.max_faces]
        return sorted(largest)

    def _priority(self, track: Track) -> float:
        return track.box.area * (_HYSTERESIS if track.id in self._scored else 1.0)

    def _smile(self, track: Track, *, valid: bool) -> Smile:
        state = self._tracks.get(track.id)
        if state is None or state.smile is None:
            return Smile.unknown()
        last = state.smile
        valid = valid and state.observed_frames >= self.config.warmup_frames
        return Smile(last.intensity, last.level, last.probabilities, last.observed_frames, valid)


def _smile(value: float, probabilities: Sequence[float], *, observed_frames: int, valid: bool) -> Smile:
    neutral, low, medium, high = probabilities
    level = SmileLevel.of_intensity(value)
    return Smile(value, level, (neutral, low, medium, high), observed_frames, valid)


def _check(tracks: Sequence[Track] | None, crops: ImageArray) -> None:
    if crops.dtype != np.uint8 or crops.shape[1:] != (CROP_SIZE_PX, CROP_SIZE_PX, 3):
        raise ImageError(f"crops must be uint8 of shape (N, 96, 96, 3), got {crops.dtype} of {crops.shape}")
    if tracks is not None and len(tracks) != len(crops):
        raise ImageError(f"crops must be one per track, got {len(crops)} for {len(tracks)} tracks")
    if tracks is not None and len({track.id for track in tracks}) != len(tracks):
        raise ValueError("track ids must differ within a frame")
