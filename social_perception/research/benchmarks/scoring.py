"""How long the faces of one frame take to score: the reference's way, its batch, and ours.

The reference (V. Witzig, J. Kennedy and C. Segalin, 2019) feeds each face's window of the last 20
frames through the network anew with every frame, face after face; as a batch, all windows at once.
The streaming scorer feeds the newest crops alone and keeps each face's memory.

The reference network has random weights here: a product takes the same time whatever its numbers.
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
from social_perception.perception.smile.factory import make_scorer
from social_perception.perception.smile.networks import intensity, level_probabilities, to_input
from social_perception.perception.smile.reference_network import ReferenceNetwork
from social_perception.perception.smile.streaming import StreamingScorer
from social_perception.perception.smile.weights import Network
from social_perception.research.benchmarks.machine import available_bytes
from social_perception.research.benchmarks.report import Comparison, Ratio, Side
from social_perception.research.benchmarks.timing import Contender, Effort, interleaved

WINDOW_FRAMES = 20
"""Frames that the reference's network looks at, newest last."""

REFERENCE, SHIPPED = "reference network", "shipped network"
ONE_BY_ONE, BATCH, OURS = "windows, face after face", "windows, one batch", "streaming, all faces"

FACES = (1, 2, 4, 8, 16, 32, 64)
FACES_GPU = (*FACES, 128, 256, 512)

TARGET_FACES, TARGET_SAME, TARGET_SHIPPED = 8, 15.0, 100.0
"""At 8 faces: ours against face after face, with the same network and with the shipped one."""

_RATE_HZ = 30.0
_MOST_FACES = 1024
_BYTES_PER_CROP = 2 * 64 * CROP_SIZE_PX**2 * 4
"""Memory of the reference network's largest layer, in and out, for one crop in float32."""


@dataclass(frozen=True, slots=True)
class NamedScorer:
    """Our scorer of a network, and what the network is called in the tables."""

    name: str
    scorer: StreamingScorer


def scorers(device: str) -> tuple[NamedScorer, NamedScorer]:
    """The reference network with random weights, and the shipped one as the pipeline has it."""
    config = SmileConfig(device=device, max_faces=_MOST_FACES)
    torch.manual_seed(1)
    reference = StreamingScorer(ReferenceNetwork().eval().requires_grad_(False), config, device)
    return NamedScorer(REFERENCE, reference), NamedScorer(SHIPPED, make_scorer(config))


class WindowScorer:
    """Scores as the reference does: with every frame each face's whole window goes through.

    The windows are kept as the network's input, so that only the newest crop is converted. It always
    goes to the last place: moving the others up is left out, in favour of this side.
    """

    def __init__(self, network: Network, faces: int, device: str, *, batch: bool) -> None:
        shape = (faces, WINDOW_FRAMES, 3, CROP_SIZE_PX, CROP_SIZE_PX)
        self._windows = torch.zeros(shape, device=device)
        self._network, self._device, self._batch = network, device, batch

    @torch.inference_mode()
    def score(self, crops: ImageArray) -> list[list[float]]:
        """Crops (N, 96, 96, 3) uint8 to N rows of intensity and four probabilities.

        Raises:
            ModelError: the network failed, for instance for want of memory.
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
        answers: list[list[float]] = torch.cat(
            [intensity(logits)[:, None], level_probabilities(logits)], 1
        ).tolist()
        return answers


class StreamingCall:
    """Scores frame after frame of the same people with the package's own scorer."""

    def __init__(self, scorer: StreamingScorer, faces: int) -> None:
        self._scorer = scorer
        self._tracks = [Track(f"face{number}", Box(0, 0, 80, 80), 1.0) for number in range(faces)]
        self._frames = itertools.count()

    def score(self, crops: ImageArray) -> tuple[Smile, ...]:
        return self._scorer.score(self._tracks, crops, next(self._frames) / _RATE_HZ)


def some_crops(faces: int) -> ImageArray:
    """Crops of noise, (N, 96, 96, 3) uint8: what is in a crop does not change the time."""
    noise = np.random.default_rng(1).integers(0, 256, (faces, CROP_SIZE_PX, CROP_SIZE_PX, 3), np.uint8)
    return np.asarray(noise)


def side_name(network: str, way: str) -> str:
    """The name of a side: ``reference network: windows, one batch``."""
    return f"{network}: {way}"


def compare_scoring(faces: Sequence[int], device: str, effort: Effort) -> Iterator[Comparison]:
    """Measure all ways with both networks, from few faces to many.

    What a smaller number of faces shows to take too long, or too much memory, is left out.
    """
    both = scorers(device)
    before: Comparison | None = None
    for count in sorted(faces):
        before = _compare(both, count, device, effort, before)
        yield before


def _compare(
    both: Sequence[NamedScorer], faces: int, device: str, effort: Effort, before: Comparison | None
) -> Comparison:
    contenders: list[Contender] = []
    sides: dict[str, Side] = {}
    for named, way in itertools.product(both, (ONE_BY_ONE, BATCH, OURS)):
        name = side_name(named.name, way)
        reason = _too_much(name, way, faces, device, effort, before)
        sides[name] = Side.missing(name, reason)
        if not reason:
            contenders.append(Contender(name, _call(named.scorer, way, faces, device), device))
    sides |= {side.name: side for side in interleaved(contenders, effort)}
    what = f"{faces} face{'s' * (faces > 1)}"
    return Comparison(device, what, faces, tuple(sides.values()), _ratios(sides, faces))


def _call(scorer: StreamingScorer, way: str, faces: int, device: str) -> Callable[[], object]:
    crops = some_crops(faces)
    if way == OURS:
        streaming = StreamingCall(scorer, faces)
        return lambda: streaming.score(crops)
    windows = WindowScorer(scorer.network, faces, device, batch=way == BATCH)
    return lambda: windows.score(crops)


def _too_much(name: str, way: str, faces: int, device: str, effort: Effort, before: Comparison | None) -> str:
    """Why a side is left out; empty: it is not."""
    needed = _BYTES_PER_CROP * WINDOW_FRAMES * faces
    if way == BATCH and needed > available_bytes(device) / 2:
        return f"left out: the windows of {faces} faces need about {needed / 1e9:.0f} GB of memory at once"
    earlier = None if before is None else before.side(name)
    if before is None or earlier is None:
        return ""
    if earlier.seconds is None:
        return earlier.reason
    if earlier.seconds * faces / before.size > effort.limit_s:
        took = f"{before.what} took {earlier.seconds:.1f} s per frame"
        return f"left out: {took}; the limit is {effort.limit_s:g} s"
    return ""


def _ratios(named: Mapping[str, Side], faces: int) -> tuple[Ratio, ...]:
    at_target = faces == TARGET_FACES
    ratios = []
    for network in (REFERENCE, SHIPPED):
        one_by_one, batch, ours = (named[side_name(network, way)] for way in (ONE_BY_ONE, BATCH, OURS))
        target = TARGET_SAME if at_target and network == REFERENCE else None
        ratios += [
            Ratio.of(f"{network}: streaming / face after face", one_by_one, ours, target),
            Ratio.of(f"{network}: streaming / one batch", batch, ours),
        ]
    slow, fast = named[side_name(REFERENCE, ONE_BY_ONE)], named[side_name(SHIPPED, OURS)]
    name = f"{SHIPPED}, streaming / {REFERENCE}, face after face"
    return (*ratios, Ratio.of(name, slow, fast, TARGET_SHIPPED if at_target else None))
