"""How cost grows with faces and pixels, and how near the networks come to the machine's limit.

All of it is measured in turns in one run, the large matrix products too. Multiply-adds are counted by
torch's FlopCounterMode while a step runs, each as two operations.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from social_perception.core.config import DetectionConfig, TrackingConfig
from social_perception.core.types import Face, Frame
from social_perception.perception.detection.factory import make_detector
from social_perception.perception.smile.crop import crop_faces
from social_perception.perception.tracking.tracker import Tracker
from social_perception.research.benchmarks.detector import FACES_FROM_PX, Size, picture
from social_perception.research.benchmarks.loop import Loop
from social_perception.research.benchmarks.report import Limit, Line, Side
from social_perception.research.benchmarks.scoring import StreamingCall, scorers, some_crops
from social_perception.research.benchmarks.timing import Contender, Effort, interleaved

TRACKING = "tracking and crops"
MATRIX_SIDE, MATRIX_SIDE_QUICK = 2048, 512
_LOOP_FRAMES = 20
_PIXEL_COLUMNS = 32


@dataclass(frozen=True, slots=True)
class Growth:
    """What is measured: numbers of faces, sizes of pictures, the side of the matrices."""

    scored: tuple[int, ...]
    tracked: tuple[int, ...]
    sizes: tuple[Size, ...]
    matrix_side: int = MATRIX_SIDE


@dataclass(frozen=True, slots=True)
class _Step:
    """One step at one size: ``x`` is in faces or megapixels; ``precision`` where operations count."""

    name: str
    unit: str
    x: float
    call: Callable[[], object]
    precision: str = ""


def measure_growth(growth: Growth, device: str, effort: Effort) -> tuple[tuple[Line, ...], tuple[Limit, ...]]:
    """Fit the lines and find the distance to the limit."""
    steps = [*_scoring(growth.scored, device), *_detection(growth.sizes, device)]
    # Tracking is done by OpenCV, on the CPU whatever the device.
    steps += _tracking(growth.tracked) if device == "cpu" else []
    contenders = [Contender(step.name, step.call, device) for step in steps]
    for precision in _PRECISIONS:
        contenders += _products(precision, growth.matrix_side, device)
    sides = interleaved(contenders, effort)
    peaks: dict[str, float] = {}
    for side in sides[len(steps) :]:
        speed = 2.0 * growth.matrix_side**3 / _seconds(side) / 1e9
        peaks[side.name] = max(speed, peaks.get(side.name, 0.0))
    return _lines(steps, sides, device), _limits(steps, sides, peaks, device)


def fit(name: str, device: str, unit: str, points: Sequence[tuple[float, float]]) -> Line:
    """The line of least squares through points (x, ms); at least two different x."""
    x, ms = np.array(points).T
    slope, intercept = np.polyfit(x, ms, 1)
    rest, spread = float(((ms - slope * x - intercept) ** 2).sum()), float(((ms - ms.mean()) ** 2).sum())
    r_squared = 1.0 - rest / spread if spread > 0 else 1.0
    return Line(name, device, unit, float(slope), float(intercept), r_squared, tuple(points))


def operations(call: Callable[[], object]) -> int | None:
    """Operations of the products in a call, two per multiply-add; None where torch cannot count."""
    try:
        from torch.utils.flop_counter import FlopCounterMode
    except ImportError:  # torch before 2.1
        return None
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())


_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def _products(precision: str, side: int, device: str) -> list[Contender]:
    """A large matrix product, by the library for matrices and by the one for convolutions.

    They are not equally good on every processor; the faster one shows what the machine can do.
    """
    generator = torch.Generator().manual_seed(1)
    left, right = (
        torch.randn(side, side, generator=generator).to(device, _PRECISIONS[precision]) for _ in range(2)
    )
    columns = left.t().reshape(1, side, -1, _PIXEL_COLUMNS).contiguous(memory_format=torch.channels_last)
    kernel = right.view(side, side, 1, 1)
    return [
        Contender(precision, partial(torch.matmul, left, right), device),
        Contender(precision, partial(F.conv2d, columns, kernel), device),
    ]


def _precision_of(network: nn.Module) -> str:
    """bfloat16 if any of a network's layers computes in it."""
    lowered = any(parameter.dtype == torch.bfloat16 for parameter in network.parameters())
    return "bfloat16" if lowered else "float32"


def _scoring(faces: Sequence[int], device: str) -> list[_Step]:
    steps = []
    for named, count in itertools.product(scorers(device), faces):
        frame, crops = StreamingCall(named.scorer, count), some_crops(count)
        precision = _precision_of(named.scorer.network)
        steps.append(_Step(f"scoring, {named.name}", "face", count, partial(frame.score, crops), precision))
    return steps


def _detection(sizes: Sequence[Size], device: str) -> list[_Step]:
    steps = []
    config = DetectionConfig(device=device, min_face_px=FACES_FROM_PX)
    for video in (False, True):
        detector = make_detector(config, video=video)
        precision = str(getattr(detector, "dtype", torch.float32)).removeprefix("torch.")
        name = f"detection, {'for video' if video else 'exact'}"
        for size in sizes:
            call = partial(detector.detect, picture(size))
            steps.append(_Step(name, "megapixel", size.pixels / 1e6, call, precision))
    return steps


def _tracking(faces: Sequence[int]) -> list[_Step]:
    return [_Step(TRACKING, "face", count, TrackingCall(count)) for count in faces]


class TrackingCall:
    """Follows the people of the sample through one frame more, and cuts their crops.

    Every tenth frame brings a detection, which is the truth.
    """

    def __init__(self, people: int) -> None:
        self._loop = Loop(people, _LOOP_FRAMES)
        self._tracker = Tracker(TrackingConfig())
        self._interval = DetectionConfig().detection_interval
        self._number = 0
        self.followed = 0

    def __call__(self) -> None:
        number, self._number = self._number, self._number + 1
        image = self._loop[number]
        self._tracker.advance(Frame(image, number / self._loop.rate_hz, number))
        if number % self._interval == 0:
            self._tracker.correct(number, [Face(face.box, 1.0) for face in self._loop.truth(number)])
        tracks = self._tracker.tracks()
        crop_faces(image, [track.box for track in tracks])
        self.followed = sum(track.visible for track in tracks)


def _seconds(side: Side) -> float:
    return side.seconds if side.seconds is not None else float("nan")


def _lines(steps: Sequence[_Step], sides: Sequence[Side], device: str) -> tuple[Line, ...]:
    points: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for step, side in zip(steps, sides):
        if side.seconds is not None:
            points.setdefault((step.name, step.unit), []).append((step.x, 1e3 * side.seconds))
    return tuple(fit(name, device, unit, found) for (name, unit), found in points.items() if len(found) > 1)


def _limits(
    steps: Sequence[_Step], sides: Sequence[Side], peaks: dict[str, float], device: str
) -> tuple[Limit, ...]:
    """Of every step its largest size, where it is nearest to its limit."""
    largest: dict[str, tuple[_Step, Side]] = {}
    for step, side in zip(steps, sides):
        if step.precision and side.seconds is not None:
            largest[step.name] = (step, side)
    limits = []
    for name, (step, side) in largest.items():
        count = operations(step.call)
        achieved = count / _seconds(side) / 1e9 if count is not None else None
        peak = peaks[step.precision]
        share = achieved / peak if achieved is not None else None
        unit = f"{step.x:g} {step.unit}{'s' * (step.x != 1)}"
        limits.append(Limit(f"{name}, {unit}", device, step.precision, achieved, peak, share))
    return tuple(limits)
