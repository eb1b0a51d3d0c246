"""Scores all faces of a frame in one batch and remembers each track between frames."""

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
from social_perception.core.failover import CPU, Failover, reason_of
from social_perception.core.types import CROP_SIZE_PX, ImageArray, Smile, SmileLevel, Track
from social_perception.perception.smile.networks import SmileNetwork, intensity, level_probabilities, to_input
from social_perception.perception.smile.states import TrackState, TrackStates
from social_perception.perception.smile.weights import Network

_Answers = tuple[list[float], list[list[float]]]

_FACES_FOR_ONE_THREAD = 64
"""The small network scores up to so many faces of a frame in one thread.

A core takes some 0.2 ms per face. Two threads that wait for each other at every layer, while the face
detection needs both cores, take from two to a hundred times as long.
"""


_INCUMBENCY = 1.25
"""How much larger a face counts that was scored in the frame before, where there are too many.

Boxes of one size jitter by some percent: without it other faces would be chosen in every frame, and
nobody's memory would warm up.
"""


class StreamingScorer:
    """The Scorer of a smile network: one pass per frame, whatever the number of faces.

    A GPU that fails is done without: see :class:`social_perception.core.failover.Failover`. The
    memories of the faces are taken along if they can be read; else they begin anew, and no smile is
    valid until they are warm again.

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
        place = torch.device(device)
        # Made now: nothing can be fetched from a device that has failed.
        self._spare = None if place.type == CPU else _placed(copy.deepcopy(network), CPU)
        self._failover = Failover("smile network", str(place), self._move_to_cpu)
        self._network = _placed(network, place)
        self._tracks = TrackStates(config.max_faces)
        self._memory = self._network.initial_state(config.max_faces)  # (slots, H) or (slots, L, H)
        self._most_together = sys.maxsize
        self._scored: frozenset[str] = frozenset()

    @property
    def network(self) -> Network:
        """The network, ready for inference on the device."""
        return self._network

    @property
    def device(self) -> str:
        """Where the network runs now."""
        return self._failover.device

    @property
    def trouble(self) -> str:
        """Why it runs on the CPU though it began elsewhere, in one line; empty: it does not."""
        return self._failover.trouble

    @torch.inference_mode()
    def score(self, tracks: Sequence[Track], crops: ImageArray, stamp_s: float) -> tuple[Smile, ...]:
        """Return one Smile per track, in order; see :class:`.scorer.Scorer`.

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
            states = [self._tracks.claim(tracks[i].id, stamp_s) for i in chosen]
            self._advance(states, crops[chosen], stamp_s)
        self._scored = frozenset(tracks[i].id for i in chosen)
        return tuple(self._smile(track, valid=track.id in self._scored) for track in tracks)

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
        answers = self._guarded(lambda: self._still(crops), len(crops))
        return tuple(_smile(*row, observed_frames=1, valid=True) for row in zip(*answers))

    def reset(self) -> None:
        """Forget every track."""
        self._tracks.clear()
        self._scored = frozenset()

    def _chosen(self, tracks: Sequence[Track]) -> list[int]:
        visible = [i for i, track in enumerate(tracks) if track.visible]
        if len(visible) <= self.config.max_faces:
            return visible
        largest = sorted(visible, key=lambda i: -self._standing(tracks[i]))[: self.config.max_faces]
        return sorted(largest)

    def _standing(self, track: Track) -> float:
        return track.box.area * (_INCUMBENCY if track.id in self._scored else 1.0)

    def _advance(self, states: Sequence[TrackState], crops: ImageArray, stamp_s: float) -> None:
        alone = isinstance(self._network, SmileNetwork) and len(crops) <= _FACES_FOR_ONE_THREAD
        with _threads(1 if alone else torch.get_num_threads()):
            answers = self._guarded(lambda: self._step(states, crops), len(crops))
        for state, intensity_, probabilities in zip(states, *answers):
            state.last_seen_s = stamp_s
            state.observed_frames += 1
            state.smile = _smile(
                intensity_, probabilities, observed_frames=state.observed_frames, valid=False
            )

    def _guarded(self, work: Callable[[], _Answers], faces: int) -> _Answers:
        def relieve() -> None:
            torch.cuda.empty_cache()
            self._most_together = max(1, min(self._most_together, faces) // 2)

        try:
            return self._failover.run(work, relieve)
        except (RuntimeError, MemoryError) as error:
            raise ModelError(f"smile network failed on {faces} faces: {reason_of(error)}") from error

    def _step(self, states: Sequence[TrackState], crops: ImageArray) -> _Answers:
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
        # Answers wait for the device: what fails has failed before the memories are changed.
        answers = _answers(_joined([logits for logits, _ in parts]))
        self._memory[slots] = _joined([memory for _, memory in parts])
        return answers

    def _still(self, crops: ImageArray) -> _Answers:
        logits = []
        for part in self._parts(len(crops)):
            pictures = self._input(crops[part])
            both = torch.cat([pictures, pictures.flip(-1)])
            logits.append(self._network.still(both).view(2, len(pictures), -1).mean(dim=0))
        return _answers(_joined(logits))

    def _parts(self, faces: int) -> list[slice]:
        """How so many faces go through the network: all at once, or in parts where memory is short."""
        most = self._most_together
        return [slice(first, first + most) for first in range(0, faces, most)]

    def _move_to_cpu(self) -> None:
        assert self._spare is not None  # the CPU does not fail as a device
        self._network, self._spare = self._spare, None
        try:
            self._memory = self._memory.cpu()
        except RuntimeError:
            self._memory = self._network.initial_state(self._tracks.capacity)
            self._tracks.start_over()

    def _input(self, crops: ImageArray) -> Tensor:
        pictures = torch.from_numpy(np.ascontiguousarray(crops)).to(self._memory.device)
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


def _placed(network: Network, place: torch.device | str) -> Network:
    return network.to(place, memory_format=torch.channels_last)  # type: ignore[call-overload]


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _answers(logits: Tensor) -> _Answers:
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
