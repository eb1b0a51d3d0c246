"""Scores all faces of a frame in one batch and keeps the recurrent state of each track."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from social_perception.core.config import SmileConfig
from social_perception.core.errors import ImageError, ModelError
from social_perception.core.failover import CPU, Failover, error_summary
from social_perception.core.types import CROP_SIZE_PX, ImageArray, Smile, SmileLevel, Track
from social_perception.perception.smile.networks import SmileNetwork, intensity, level_probabilities, to_input
from social_perception.perception.smile.states import TrackState, TrackStates
from social_perception.perception.smile.weights import Network

_Outputs = tuple[list[float], list[list[float]]]

_FACES_FOR_ONE_THREAD = 64
"""The small network scores up to this number of faces per frame in one thread.

A core takes about 0.2 ms per face. Two threads that synchronize at every layer, while the face detection
uses both cores, take 2 to 100 times as long.
"""


_HYSTERESIS = 1.25
"""Factor on the size of faces that were scored in the previous frame, if there are too many faces.

Boxes jitter by some percent: without hysteresis other faces would be selected in every frame, and no state
would warm up.
"""


class StreamingScorer:
    """The Scorer of a smile network: one pass per frame for any number of faces.

    If a GPU fails, the scorer continues on the CPU, see :class:`social_perception.core.failover.Failover`.
    The states of the faces are moved if they can be read; otherwise they start again, and smiles are invalid
    until they have warmed up.

    Args:
        network: in evaluation mode, on the device.
        config: ``warmup_frames``, ``max_gap_s`` and ``max_faces`` are used.
        device: device of the network.
        precision: numeric precision of the network's convolutions, for information.
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
        place = torch.device(device)
        # Copied now: nothing can be read from a failed device.
        self._spare = None if place.type == CPU else _to_device(copy.deepcopy(network), CPU)
        self._failover = Failover("smile network", str(place), self._move_to_cpu)
        self._network = _to_device(network, place)
        self._tracks = TrackStates(config.max_faces)
        self._memory = self._network.initial_state(config.max_faces)  # (slots, H) or (slots, L, H)
        self._max_batch = sys.maxsize
        self._scored: frozenset[str] = frozenset()

    @property
    def network(self) -> Network:
        """The network, ready for inference on the device."""
        return self._network

    @property
    def device(self) -> str:
        """The device on which the network currently runs."""
        return self._failover.device

    @property
    def failure(self) -> str:
        """Why it fell back to the CPU; empty: it did not."""
        return self._failover.failure

    @torch.inference_mode()
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
            self._advance(states, crops[selected], stamp_s)
        self._scored = frozenset(tracks[i].id for i in selected)
        return tuple(self._smile(track, valid=track.id in self._scored) for track in tracks)

    @torch.inference_mode()
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
        outputs = self._run(lambda: self._still(crops), len(crops))
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

    def _advance(self, states: Sequence[TrackState], crops: ImageArray, stamp_s: float) -> None:
        alone = isinstance(self._network, SmileNetwork) and len(crops) <= _FACES_FOR_ONE_THREAD
        with _threads(1 if alone else torch.get_num_threads()):
            outputs = self._run(lambda: self._step(states, crops), len(crops))
        for state, intensity_, probabilities in zip(states, *outputs):
            state.last_seen_s = stamp_s
            state.observed_frames += 1
            state.smile = _smile(
                intensity_, probabilities, observed_frames=state.observed_frames, valid=False
            )

    def _run(self, work: Callable[[], _Outputs], faces: int) -> _Outputs:
        def free_memory() -> None:
            torch.cuda.empty_cache()
            self._max_batch = max(1, min(self._max_batch, faces) // 2)

        try:
            return self._failover.run(work, free_memory)
        except (RuntimeError, MemoryError) as error:
            raise ModelError(f"smile network failed on {faces} faces: {error_summary(error)}") from error

    def _step(self, states: Sequence[TrackState], crops: ImageArray) -> _Outputs:
        missing = self._tracks.capacity - len(self._memory)
        if missing > 0:
            self._memory = torch.cat([self._memory, self._network.initial_state(missing)])
        slots = torch.tensor([state.slot for state in states], device=self._memory.device)
        before = self._memory[slots]
        fresh = [place for place, state in enumerate(states) if state.observed_frames == 0]
        if fresh:
            before[fresh] = 0.0
        parts = [
            self._network.step(self._input(crops[part]), before[part]) for part in self._parts(len(crops))
        ]
        # Reading the outputs synchronizes with the device: errors occur before the states are changed.
        outputs = _to_outputs(_concatenate([logits for logits, _ in parts]))
        self._memory[slots] = _concatenate([memory for _, memory in parts])
        return outputs

    def _still(self, crops: ImageArray) -> _Outputs:
        logits = []
        for part in self._parts(len(crops)):
            images = self._input(crops[part])
            both = torch.cat([images, images.flip(-1)])
            logits.append(self._network.still(both).view(2, len(images), -1).mean(dim=0))
        return _to_outputs(_concatenate(logits))

    def _parts(self, faces: int) -> list[slice]:
        """Return the batches of the faces: a single one, or several if memory is short."""
        most = self._max_batch
        return [slice(first, first + most) for first in range(0, faces, most)]

    def _move_to_cpu(self) -> None:
        assert self._spare is not None  # the CPU does not fail as a device
        self._network, self._spare = self._spare, None
        try:
            self._memory = self._memory.cpu()
        except RuntimeError:
            self._memory = self._network.initial_state(self._tracks.capacity)
            self._tracks.restart_warm_up()

    def _input(self, crops: ImageArray) -> Tensor:
        images = torch.from_numpy(np.ascontiguousarray(crops)).to(self._memory.device)
        # This keeps the channels last in memory, which is the fastest layout for the convolutions.
        return to_input(images)

    def _smile(self, track: Track, *, valid: bool) -> Smile:
        state = self._tracks.get(track.id)
        if state is None or state.smile is None:
            return Smile.unknown()
        last = state.smile
        valid = valid and state.observed_frames >= self.config.warmup_frames
        return Smile(last.intensity, last.level, last.probabilities, last.observed_frames, valid)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Set torch's number of threads; other running threads keep theirs."""
    before = torch.get_num_threads()
    # Affects the calling thread, and threads that call torch for the first time meanwhile. The detection
    # thread is not among them: it has already run when there are faces.
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _to_device(network: Network, place: torch.device | str) -> Network:
    return network.to(place, memory_format=torch.channels_last)  # type: ignore[call-overload]


def _concatenate(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _to_outputs(logits: Tensor) -> _Outputs:
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
