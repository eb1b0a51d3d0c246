"""Scaling of the cost with faces and pixels, and arithmetic efficiency of the networks.

All steps and the large matrix products are measured interleaved in one run. Multiply-adds are counted by
torch's FlopCounterMode, each as two operations.
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
from social_perception.research.benchmarks.detector import FACES_FROM_PX, Size, sample_image
from social_perception.research.benchmarks.image_loop import Loop
from social_perception.research.benchmarks.report import Limit, Line, Side
from social_perception.research.benchmarks.scoring import StreamingCall, random_crops, scorers
from social_perception.research.benchmarks.timing import Candidate, Effort, measure_interleaved

TRACKING = "tracking and crops"
MATRIX_SIDE, MATRIX_SIDE_QUICK = 2048, 512
_LOOP_FRAMES = 20
_PIXEL_COLUMNS = 32


@dataclass(frozen=True, slots=True)
class ScalingPlan:
    """What is measured: numbers of faces, image sizes, the side of the matrices."""

    scored: tuple[int, ...]
    tracked: tuple[int, ...]
    sizes: tuple[Size, ...]
    matrix_side: int = MATRIX_SIDE


@dataclass(frozen=True, slots=True)
class _Step:
    """One step at one size: ``x`` is in faces or megapixels; ``precision`` is empty if operations are not
    counted.
    """

    name: str
    unit: str
    x: float
    call: Callable[[], object]
    precision: str = ""


def measure_scaling(
    plan: ScalingPlan, device: str, effort: Effort
) -> tuple[tuple[Line, ...], tuple[Limit, ...]]:
    """Measure the steps; return the fitted lines and the arithmetic efficiencies."""
    steps = [*_scoring(plan.scored, device), *_detection(plan.sizes, device)]
    # Tracking runs on the CPU (OpenCV) for every device.
    steps += _tracking(plan.tracked) if device == "cpu" else []
    candidates = [Candidate(step.name, step.call, device) for step in steps]
    for precision in _PRECISIONS:
        candidates += _products(precision, plan.matrix_side, device)
    sides = measure_interleaved(candidates, effort)
    peaks: dict[str, float] = {}
    for side in sides[len(steps) :]:
        speed = 2.0 * plan.matrix_side**3 / _seconds(side) / 1e9
        peaks[side.name] = max(speed, peaks.get(side.name, 0.0))
    return _lines(steps, sides, device), _limits(steps, sides, peaks, device)


def fit(name: str, device: str, unit: str, points: Sequence[tuple[float, float]]) -> Line:
    """Fit a line by least squares to points (x, ms) with at least two different x."""
    x, ms = np.array(points).T
    slope, intercept = np.polyfit(x, ms, 1)
    residual, total = float(((ms - slope * x - intercept) ** 2).sum()), float(((ms - ms.mean()) ** 2).sum())
    r_squared = 1.0 - residual / total if total > 0 else 1.0
    return Line(name, device, unit, float(slope), float(intercept), r_squared, tuple(points))


def operations(call: Callable[[], object]) -> int | None:
    """Count the operations of the products in a call, two per multiply-add; None if torch cannot count."""
    try:
        from torch.utils.flop_counter import FlopCounterMode
    except ImportError:  # torch before 2.1
        return None
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())


_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def _products(precision: str, side: int, device: str) -> list[Candidate]:
    """Return a large matrix product as matrix multiplication and as convolution.

    Which library is faster depends on the processor; the faster one is the reference.
    """
    generator = torch.Generator().manual_seed(1)
    left, right = (
        torch.randn(side, side, generator=generator).to(device, _PRECISIONS[precision]) for _ in range(2)
    )
    columns = left.t().reshape(1, side, -1, _PIXEL_COLUMNS).contiguous(memory_format=torch.channels_last)
    kernel = right.view(side, side, 1, 1)
    return [
        Candidate(precision, partial(torch.matmul, left, right), device),
        Candidate(precision, partial(F.conv2d, columns, kernel), device),
    ]


def _precision_of(network: nn.Module) -> str:
    """Return bfloat16 if any layer of the network uses it, else float32."""
    lowered = any(parameter.dtype == torch.bfloat16 for parameter in network.parameters())
    return "bfloat16" if lowered else "float32"


def _scoring(faces: Sequence[int], device: str) -> list[_Step]:
    steps = []
    for named, count in itertools.product(scorers(device), faces):
        frame, crops = StreamingCall(named.scorer, count), random_crops(count)
        precision = _precision_of(named.scorer.network)
        steps.append(_Step(f"scoring, {named.name}", "face", count, partial(frame.score, crops), precision))
    return steps


def _detection(sizes: Sequence[Size], device: str) -> list[_Step]:
    steps = []
    config = DetectionConfig(backend="mmod-torch", device=device, min_face_px=FACES_FROM_PX)
    for video in (False, True):
        detector = make_detector(config, video=video)
        precision = str(getattr(detector, "dtype", torch.float32)).removeprefix("torch.")
        name = f"detection, {'for video' if video else 'exact'}"
        for size in sizes:
            call = partial(detector.detect, sample_image(size))
            steps.append(_Step(name, "megapixel", size.pixels / 1e6, call, precision))
    return steps


def _tracking(faces: Sequence[int]) -> list[_Step]:
    return [_Step(TRACKING, "face", count, TrackingCall(count)) for count in faces]


class TrackingCall:
    """Tracks the people of the sample in the next frame and crops their faces.

    Every tenth frame has a detection, which is the ground truth.
    """

    def __init__(self, people: int) -> None:
        self._loop = Loop(people, _LOOP_FRAMES)
        self._tracker = Tracker(TrackingConfig())
        self._interval = DetectionConfig().detection_interval
        self._number = 0
        self.tracked = 0

    def __call__(self) -> None:
        number, self._number = self._number, self._number + 1
        image = self._loop[number]
        self._tracker.advance(Frame(image, number / self._loop.rate_hz, number))
        if number % self._interval == 0:
            self._tracker.correct(number, [Face(face.box, 1.0) for face in self._loop.truth(number)])
        tracks = self._tracker.tracks()
        crop_faces(image, [track.box for track in tracks])
        self.tracked = sum(track.visible for track in tracks)


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
    """Return the efficiency of each step at its largest size, where it is highest."""
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
