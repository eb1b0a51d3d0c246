"""Scores all faces of a frame in one batch and remembers each track between frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from social_perception.core.config import SmileConfig
from social_perception.core.errors import ImageError, ModelError
from social_perception.core.types import CROP_SIZE_PX, ImageArray, Smile, SmileLevel, Track
from social_perception.smile.networks import SmileNetwork, intensity, level_probabilities, to_input
from social_perception.smile.states import TrackState, TrackStates
from social_perception.smile.weights import Network

_FACES_FOR_ONE_THREAD = 64
"""The small network scores up to so many faces of a frame in one thread.

A core takes some 0.2 ms per face. Two threads that wait for each other at every layer, while the face
detection needs both cores, take from two to a hundred times as long.
"""


class StreamingScorer:
    """The Scorer of a smile network: one pass per frame, whatever the number of faces.

    Args:
        network: in evaluation mode, on the device.
        config: ``warmup_frames``, ``max_gap_s`` and ``max_faces`` are read.
        device: where the network is.
        precision: arithmetic of the network's convolutions, for who asks.
    """

    def __init__(
        self,
        network: Network,
        config: SmileConfig,
        device: torch.device | str = "cpu",
        precision: str = "float32",
    ) -> None:
        self.config = config
        self.precision = precision
        self._device = torch.device(device)
        self._network = network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._tracks = TrackStates(config.max_faces)
        self._memory = self._network.initial_state(config.max_faces)  # (slots, H) or (slots, L, H)

    @property
    def network(self) -> Network:
        """The network, ready for inference on the device."""
        return self._network

    @property
    def device(self) -> str:
        """Where the network runs."""
        return str(self._device)

    @torch.inference_mode()
    def score(self, tracks: Sequence[Track], crops: ImageArray, stamp_s: float) -> tuple[Smile, ...]:
        """Return one Smile per track, in order; see :class:`social_perception.smile.scorer.Scorer`.

        Of more than ``max_faces`` visible faces the largest are scored; the others, like those not
        visible, keep their last smile with ``valid`` false.

        Raises:
            ImageError: the crops have another shape or type, or another number than the tracks.
            ModelError: the network failed, for instance for want of memory.
        """
        _check(tracks, crops)
        self._tracks.forget(stamp_s, self.config.max_gap_s)
        chosen = self._chosen(tracks)
        if chosen:
            states = self._claim([tracks[i].id for i in chosen], stamp_s)
            self._advance(states, crops[chosen], stamp_s)
        scored = set(chosen)
        return tuple(self._smile(track, valid=i in scored) for i, track in enumerate(tracks))

    @torch.inference_mode()
    def score_still(self, crops: ImageArray) -> tuple[Smile, ...]:
        """Score single pictures, (N, 96, 96, 3) uint8 RGB, each on its own and at once.

        A still has no next frame that could correct this one. The mirror image stands in for it:
        the two scores are averaged.

        Raises:
            ImageError: the crops have another shape or type.
            ModelError: the network failed, for instance for want of memory.
        """
        _check(None, crops)
        if not len(crops):
            return ()
        try:
            pictures = self._input(crops)
            both = torch.cat([pictures, pictures.flip(-1)])
            logits = self._network.still(both).view(2, len(crops), -1).mean(dim=0)
        except RuntimeError as error:
            raise ModelError(f"smile network failed on {len(crops)} faces: {error}") from error
        return tuple(_smile(*row, observed_frames=1, valid=True) for row in zip(*_answers(logits)))

    def reset(self) -> None:
        """Forget every track."""
        self._tracks.clear()

    def _chosen(self, tracks: Sequence[Track]) -> list[int]:
        visible = [i for i, track in enumerate(tracks) if track.visible]
        if len(visible) <= self.config.max_faces:
            return visible
        largest = sorted(visible, key=lambda i: -tracks[i].box.area)[: self.config.max_faces]
        return sorted(largest)

    def _claim(self, ids: Sequence[str], stamp_s: float) -> list[TrackState]:
        claimed = [self._tracks.claim(track_id, stamp_s) for track_id in ids]
        missing = self._tracks.capacity - len(self._memory)
        if missing > 0:
            self._memory = torch.cat([self._memory, self._network.initial_state(missing)])
        fresh = [state.slot for state, is_new in claimed if is_new]
        if fresh:
            self._memory[fresh] = 0.0
        return [state for state, _ in claimed]

    def _advance(self, states: Sequence[TrackState], crops: ImageArray, stamp_s: float) -> None:
        slots = torch.tensor([state.slot for state in states], device=self._device)
        alone = isinstance(self._network, SmileNetwork) and len(crops) <= _FACES_FOR_ONE_THREAD
        try:
            with _threads(1 if alone else torch.get_num_threads()):
                logits, memory = self._network.step(self._input(crops), self._memory[slots])
        except RuntimeError as error:
            raise ModelError(f"smile network failed on {len(crops)} faces: {error}") from error
        self._memory[slots] = memory
        for state, intensity_, probabilities in zip(states, *_answers(logits)):
            state.last_seen_s = stamp_s
            state.observed_frames += 1
            state.smile = _smile(
                intensity_, probabilities, observed_frames=state.observed_frames, valid=False
            )

    def _input(self, crops: ImageArray) -> Tensor:
        pictures = torch.from_numpy(np.ascontiguousarray(crops)).to(self._device)
        # Moving the channels forward leaves them last in memory, as the convolutions like it.
        return to_input(pictures)

    def _smile(self, track: Track, *, valid: bool) -> Smile:
        state = self._tracks.get(track.id)
        if state is None or state.smile is None:
            return Smile.unknown()
        last = state.smile
        valid = valid and state.observed_frames >= self.config.warmup_frames
        return Smile(last.intensity, last.level, last.probabilities, last.observed_frames, valid)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let torch compute with so many threads; others who compute meanwhile keep theirs."""
    before = torch.get_num_threads()
    # Reaches the calling thread, and threads that call torch for the first time meanwhile. The face
    # detection's is none of them: it has run when there are faces.
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _answers(logits: Tensor) -> tuple[list[float], list[list[float]]]:
    """Logits (N, 3) to N intensities and N lists of four probabilities, in one transfer."""
    table = torch.cat([intensity(logits)[:, None], level_probabilities(logits)], dim=1).tolist()
    return [row[0] for row in table], [row[1:] for row in table]


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
