"""Time to score the faces of one frame: sliding windows as in the reference, in a batch, and streaming.

For every frame, the reference (V. Witzig, J. Kennedy and C. Segalin, 2019) runs the network on the window of
the last 20 frames of each face, one face after the other; in a batch, all windows at once. The streaming
scorer runs on the newest crops only and keeps the recurrent state of each face.

The reference network has random weights here, which do not affect the time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from social_perception.core.config import SmileConfig
from social_perception.core.errors import ModelError
from social_perception.core.types import CROP_SIZE_PX, Box, ImageArray, Smile, Track
from social_perception.perception.smile.factory import make_torch_scorer
from social_perception.perception.smile.networks import intensity, level_probabilities, to_input
from social_perception.perception.smile.reference_network import ReferenceNetwork
from social_perception.perception.smile.streaming import StreamingScorer
from social_perception.perception.smile.weights import Network
from social_perception.research.benchmarks.machine import available_bytes
from social_perception.research.benchmarks.report import Comparison, Ratio, Side
from social_perception.research.benchmarks.timing import Candidate, Effort, measure_interleaved

WINDOW_FRAMES = 20
"""Frames per window of the reference network, newest last."""

REFERENCE, SHIPPED = "reference network", "shipped network"
ONE_BY_ONE, BATCH, OURS = "windows, face after face", "windows, one batch", "streaming, all faces"

FACES = (1, 2, 4, 8, 16, 32, 64)
FACES_GPU = (*FACES, 128, 256, 512)

TARGET_FACES, TARGET_SAME, TARGET_SHIPPED = 8, 15.0, 100.0
"""Target speedups at 8 faces over windows face after face: with the same network and with the shipped one."""

_RATE_HZ = 30.0
_MAX_FACES = 1024
_BYTES_PER_CROP = 2 * 64 * CROP_SIZE_PX**2 * 4
"""Memory of input and output of the reference network's largest layer for one crop in float32."""


@dataclass(frozen=True, slots=True)
class NamedScorer:
    """A streaming scorer and the name of its network in the tables."""

    name: str
    scorer: StreamingScorer


def scorers(device: str) -> tuple[NamedScorer, NamedScorer]:
    """Return scorers of the reference network with random weights and of the shipped network."""
    config = SmileConfig(device=device, max_faces=_MAX_FACES)
    torch.manual_seed(1)
    reference = StreamingScorer(ReferenceNetwork().eval().requires_grad_(False), config, device)
    return NamedScorer(REFERENCE, reference), NamedScorer(SHIPPED, make_torch_scorer(config))


class WindowScorer:
    """Scores as the reference does: for every frame, the complete window of each face.

    The windows are stored as network input, so that only the newest crop is converted. It always replaces the
    last frame: shifting the others is omitted, in favor of this side.
    """

    def __init__(self, network: Network, faces: int, device: str, *, batch: bool) -> None:
        shape = (faces, WINDOW_FRAMES, 3, CROP_SIZE_PX, CROP_SIZE_PX)
        self._windows = torch.zeros(shape, device=device)
        self._network, self._device, self._batch = network, device, batch

    @torch.inference_mode()
    def score(self, crops: ImageArray) -> list[list[float]]:
        """Score crops (N, 96, 96, 3) uint8; return N rows of intensity and four probabilities.

        Raises:
            ModelError: the network failed, for example out of memory.
        """
        try:
            self._windows[:, -1] = to_input(torch.from_numpy(crops).to(self._device))
            if self._batch:
                return self._rows(self._windows)
            return [row for window in self._windows for row in self._rows(window[None])]
        except RuntimeError as error:
            raise ModelError(f"{str(error).splitlines()[0]} ({len(crops)} windows)") from error

    def _rows(self, windows: Tensor) -> list[list[float]]:
        logits = self._network(windows)[0][:, -1]
        rows: list[list[float]] = torch.cat(
            [intensity(logits)[:, None], level_probabilities(logits)], 1
        ).tolist()
        return rows


class StreamingCall:
    """Scores consecutive frames of the same people with the streaming scorer."""

    def __init__(self, scorer: StreamingScorer, faces: int) -> None:
        self._scorer = scorer
        self._tracks = [Track(f"face{number}", Box(0, 0, 80, 80), 1.0) for number in range(faces)]
        self._frames = itertools.count()

    def score(self, crops: ImageArray) -> tuple[Smile, ...]:
        return self._scorer.score(self._tracks, crops, next(self._frames) / _RATE_HZ)


def random_crops(faces: int) -> ImageArray:
    """Return crops of noise, (N, 96, 96, 3) uint8; their content does not affect the time."""
    noise = np.random.default_rng(1).integers(0, 256, (faces, CROP_SIZE_PX, CROP_SIZE_PX, 3), np.uint8)
    return np.asarray(noise)


def side_name(network: str, mode: str) -> str:
    """Return the name of a side, for example ``reference network: windows, one batch``."""
    return f"{network}: {mode}"


def compare_scoring(faces: Sequence[int], device: str, effort: Effort) -> Iterator[Comparison]:
    """Measure all modes with both networks, with increasing numbers of faces.

    Modes that would take too long or too much memory, estimated from the smaller numbers, are skipped.
    """
    both = scorers(device)
    before: Comparison | None = None
    for count in sorted(faces):
        before = _compare(both, count, device, effort, before)
        yield before


def _compare(
    both: Sequence[NamedScorer], faces: int, device: str, effort: Effort, before: Comparison | None
) -> Comparison:
    candidates: list[Candidate] = []
    sides: dict[str, Side] = {}
    for named, mode in itertools.product(both, (ONE_BY_ONE, BATCH, OURS)):
        name = side_name(named.name, mode)
        reason = _skip_reason(name, mode, faces, device, effort, before)
        sides[name] = Side.missing(name, reason)
        if not reason:
            candidates.append(Candidate(name, _call(named.scorer, mode, faces, device), device))
    sides |= {side.name: side for side in measure_interleaved(candidates, effort)}
    what = f"{faces} face{'s' * (faces > 1)}"
    return Comparison(device, what, faces, tuple(sides.values()), _ratios(sides, faces))


def _call(scorer: StreamingScorer, mode: str, faces: int, device: str) -> Callable[[], object]:
    crops = random_crops(faces)
    if mode == OURS:
        streaming = StreamingCall(scorer, faces)
        return lambda: streaming.score(crops)
    windows = WindowScorer(scorer.network, faces, device, batch=mode == BATCH)
    return lambda: windows.score(crops)


def _skip_reason(
    name: str, mode: str, faces: int, device: str, effort: Effort, before: Comparison | None
) -> str:
    """Return why a side is skipped; empty: it is measured."""
    needed = _BYTES_PER_CROP * WINDOW_FRAMES * faces
    if mode == BATCH and needed > available_bytes(device) / 2:
        return f"skipped: the windows of {faces} faces need about {needed / 1e9:.0f} GB of memory at once"
    earlier = None if before is None else before.side(name)
    if before is None or earlier is None:
        return ""
    if earlier.seconds is None:
        return earlier.reason
    if earlier.seconds * faces / before.size > effort.limit_s:
        duration = f"{before.what} took {earlier.seconds:.1f} s per frame"
        return f"skipped: {duration}; the limit is {effort.limit_s:g} s"
    return ""


def _ratios(named: Mapping[str, Side], faces: int) -> tuple[Ratio, ...]:
    at_target = faces == TARGET_FACES
    ratios = []
    for network in (REFERENCE, SHIPPED):
        one_by_one, batch, ours = (named[side_name(network, mode)] for mode in (ONE_BY_ONE, BATCH, OURS))
        target = TARGET_SAME if at_target and network == REFERENCE else None
        ratios += [
            Ratio.of(f"{network}: streaming / face after face", one_by_one, ours, target),
            Ratio.of(f"{network}: streaming / one batch", batch, ours),
        ]
    slow, fast = named[side_name(REFERENCE, ONE_BY_ONE)], named[side_name(SHIPPED, OURS)]
    name = f"{SHIPPED}, streaming / {REFERENCE}, face after face"
    return (*ratios, Ratio.of(name, slow, fast, TARGET_SHIPPED if at_target else None))
