"""The smile network on torch: scores all faces of a frame in one batch."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from social_perception.core.config import SmileConfig
from social_perception.core.errors import ModelError
from social_perception.core.failover import CPU, Failover, error_summary
from social_perception.core.types import ImageArray
from social_perception.perception.smile.networks import SmileNetwork, to_input
from social_perception.perception.smile.states import TrackState
from social_perception.perception.smile.track_scorer import FloatArray, TrackScorer
from social_perception.perception.smile.weights import Network

_FACES_FOR_ONE_THREAD = 64
"""The small network scores up to this number of faces per frame in one thread.

A core takes about 0.2 ms per face. Two threads that synchronize at every layer, while the face detection
uses both cores, take 2 to 100 times as long.
"""


class StreamingScorer(TrackScorer):
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
        super().__init__(config)
        self.precision = precision
        place = torch.device(device)
        # Copied now: nothing can be read from a failed device.
        self._spare = None if place.type == CPU else _to_device(copy.deepcopy(network), CPU)
        self._failover = Failover("smile network", str(place), self._move_to_cpu)
        self._network = _to_device(network, place)
        self._memory = self._network.initial_state(config.max_faces)  # (slots, H) or (slots, L, H)
        self._max_batch = sys.maxsize

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

    def _advance(self, states: Sequence[TrackState], crops: ImageArray) -> FloatArray:
        alone = isinstance(self._network, SmileNetwork) and len(crops) <= _FACES_FOR_ONE_THREAD
        with torch.inference_mode(), _threads(1 if alone else torch.get_num_threads()):
            return self._run(lambda: self._step(states, crops), len(crops))

    @torch.inference_mode()
    def _score_stills(self, crops: ImageArray) -> FloatArray:
        return self._run(lambda: self._still(crops), len(crops))

    def _run(self, work: Callable[[], FloatArray], faces: int) -> FloatArray:
        def free_memory() -> None:
            torch.cuda.empty_cache()
            self._max_batch = max(1, min(self._max_batch, faces) // 2)

        try:
            return self._failover.run(work, free_memory)
        except (RuntimeError, MemoryError) as error:
            raise ModelError(f"smile network failed on {faces} faces: {error_summary(error)}") from error

    def _step(self, states: Sequence[TrackState], crops: ImageArray) -> FloatArray:
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
        outputs = _to_array(_concatenate([logits for logits, _ in parts]))
        self._memory[slots] = _concatenate([memory for _, memory in parts])
        return outputs

    def _still(self, crops: ImageArray) -> FloatArray:
        logits = []
        for part in self._parts(len(crops)):
            images = self._input(crops[part])
            both = torch.cat([images, images.flip(-1)])
            logits.append(self._network.still(both).view(2, len(images), -1).mean(dim=0))
        return _to_array(_concatenate(logits))

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


def _to_array(logits: Tensor) -> FloatArray:
    return logits.float().cpu().numpy()
