"""The part of a scorer that does not depend on what computes the network: the tracks and their smiles."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from social_perception.core.config import SmileConfig
from social_perception.core.errors import ImageError
from social_perception.core.types import CROP_SIZE_PX, ImageArray, Smile, SmileLevel, Track
from social_perception.perception.smile.states import TrackState, TrackStates

FloatArray = npt.NDArray[np.float32]

_HYSTERESIS = 1.25
"""Factor on the size of faces that were scored in the previous frame, if there are too many faces.

Boxes jitter by some percent: without hysteresis other faces would be selected in every frame, and no state
would warm up.
"""


COVERED_LOGIT = -1.0
"""Logit of a visible mouth below which it counts as covered."""


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
    def _advance(self, states: Sequence[TrackState], crops: ImageArray) -> FloatArray:
        """Score crops of N tracks and advance their rows in the state; a track's first frame starts at zero.

        Returns:
            Logits of P(level > k), (N, 3), or (N, 4) with that of a visible mouth.

        Raises:
            ModelError: the network failed; the rows are unchanged.
        """

    @abstractmethod
    def _score_stills(self, crops: ImageArray) -> FloatArray:
        """Score crops and their mirror images without a state: logits as from :meth:`_advance`."""

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
            for state, smile in zip(states, to_smiles(self._advance(states, crops[selected]))):
                state.last_seen_s = stamp_s
                state.observed_frames += 1
                state.smile = replace(smile, observed_frames=state.observed_frames)
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
        return to_smiles(self._score_stills(crops))

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
        return replace(
            last, valid=valid and last.valid and state.observed_frames >= self.config.warmup_frames
        )


def to_smiles(logits: FloatArray) -> tuple[Smile, ...]:
    """Convert the logits (N, 3) or (N, 4) of N first frames; a smile is not valid where the mouth is covered.

    The values are those of :func:`.networks.intensity` and :func:`.networks.level_probabilities`.
    """
    first, second, third = logits.T[:3]
    value = 2.0 * _sigmoid(np.minimum(first, 0.0)) + 2.0 * _sigmoid(np.maximum(third, 0.0)) - 1.0  # sixths
    value += 2.0 * np.clip(first / np.maximum(first - second, 1e-6), 0.0, 1.0)
    value += 2.0 * np.clip(second / np.maximum(second - third, 1e-6), 0.0, 1.0)
    above = _sigmoid(logits[:, :3])
    levels = np.concatenate([1.0 - above[:, :1], above[:, :-1] - above[:, 1:], above[:, -1:]], axis=1)
    visible = logits[:, 3] >= COVERED_LOGIT if logits.shape[1] > 3 else np.ones(len(logits), bool)
    rows = zip((value / 6.0).tolist(), levels.tolist(), visible.tolist())
    return tuple(
        Smile(each, SmileLevel.of_intensity(each), (neutral, low, medium, high), 1, seen)
        for each, (neutral, low, medium, high), seen in rows
    )


def _sigmoid(x: FloatArray) -> FloatArray:
    return np.asarray(1.0 / (1.0 + np.exp(-x)), np.float32)


def _check(tracks: Sequence[Track] | None, crops: ImageArray) -> None:
    if crops.dtype != np.uint8 or crops.shape[1:] != (CROP_SIZE_PX, CROP_SIZE_PX, 3):
        raise ImageError(f"crops must be uint8 of shape (N, 96, 96, 3), got {crops.dtype} of {crops.shape}")
    if tracks is not None and len(tracks) != len(crops):
        raise ImageError(f"crops must be one per track, got {len(crops)} for {len(tracks)} tracks")
    if tracks is not None and len({track.id for track in tracks}) != len(tracks):
        raise ValueError("track ids must differ within a frame")
