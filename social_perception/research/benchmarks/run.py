"""Runs the parts that were asked for, one after the other, and says what it is at."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch

from social_perception.perception.pipeline import make_pipeline
from social_perception.research.benchmarks.detector import SIZES, Size, compare_detectors
from social_perception.research.benchmarks.first_box import TRIES, measure_first_box
from social_perception.research.benchmarks.growth import MATRIX_SIDE_QUICK, Growth, measure_growth
from social_perception.research.benchmarks.live import config_on
from social_perception.research.benchmarks.loop import FRAMES
from social_perception.research.benchmarks.machine import this_machine
from social_perception.research.benchmarks.report import (
    VERSION,
    Comparison,
    FirstBox,
    Limit,
    Line,
    Report,
    Stream,
    WebRun,
)
from social_perception.research.benchmarks.scoring import FACES, FACES_GPU, compare_scoring
from social_perception.research.benchmarks.stream import NO_ROS, TOPICS, WARM_UP_S, StreamRequest
from social_perception.research.benchmarks.streams import measure, measure_overload, measure_soak
from social_perception.research.benchmarks.timing import QUICK, Effort
from social_perception.research.benchmarks.web import WebRequest, measure_web

PEOPLE = (1, 2, 4, 8, 16)
STREAM_S = 18.0
SOAK_PEOPLE = 8
SOAK_PARTS = 10
OVERLOAD_PEOPLE = 16
OVERLOAD_S = 60.0
OVERLOAD_PARTS = 3
PARTS = ("scoring", "detector", "pipeline", "growth", "first_box", "web")


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes and effort of a run."""

    faces: tuple[int, ...] = FACES
    faces_gpu: tuple[int, ...] = FACES_GPU
    sizes: tuple[Size, ...] = SIZES
    people: tuple[int, ...] = PEOPLE
    stream_s: float = STREAM_S
    loop_frames: int = FRAMES
    warm_up_s: float = WARM_UP_S
    tries: int = TRIES
    web: WebRequest = field(default_factory=WebRequest)
    effort: Effort = field(default_factory=Effort)
    growth: Growth = field(default_factory=lambda: Growth((1, 2, 4, 8, 16, 32), PEOPLE, SIZES))


QUICK_PLAN = Plan(
    faces=(1, 2),
    faces_gpu=(1, 2),
    sizes=(Size(320, 180),),
    people=(2,),
    stream_s=2.0,
    loop_frames=20,
    warm_up_s=1.0,
    tries=1,
    web=WebRequest(people=2, clients=5, not_reading=1, rounds=1, turn_s=1.5, frames=20, warm_up_s=1.0),
    effort=QUICK,
    growth=Growth((1, 2), (1, 2), (Size(320, 180), Size(480, 270)), MATRIX_SIDE_QUICK),
)
"""A few repetitions at small sizes: shows that all parts work, not how fast they are."""


def run(parts: Sequence[str], *, quick: bool = False) -> Report:
    """Measure these parts, some of PARTS."""
    plan = QUICK_PLAN if quick else Plan()
    machine, begun_s = this_machine(), time.monotonic()
    devices = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
    scoring = detector = pipeline = lines = limits = first_box = web = None
    if "scoring" in parts:
        scoring = tuple(each for device in devices for each in _scoring(plan, device))
    if "detector" in parts:
        detector = tuple(each for device in devices for each in _detector(plan, device))
    if "growth" in parts:
        both = [_grow(plan, device) for device in devices]
        lines = tuple(line for found, _ in both for line in found)
        limits = tuple(limit for _, found in both for limit in found)
    if "first_box" in parts:
        first_box = tuple(each for device in devices for each in _first_box(plan, device))
    if "web" in parts:
        web = tuple(_web(plan, device) for device in devices)
    if "pipeline" in parts:
        pipeline = tuple(each for device in devices for each in _pipeline(plan, device))
    passed_s = time.monotonic() - begun_s
    streams = (scoring, detector, pipeline, None)
    return Report(VERSION, machine, quick, passed_s, *streams, lines, limits, first_box, web)


def soak(seconds: float) -> Report:
    """Run the pipeline alone, for a long time, with people who come and go."""
    machine, begun_s = this_machine(), time.monotonic()
    _tell(f"pipeline with {SOAK_PEOPLE} people who come and go, {seconds:g} s")
    streams = measure_soak(StreamRequest(SOAK_PEOPLE, seconds, coming_and_going=True, parts=SOAK_PARTS))
    return Report(VERSION, machine, False, time.monotonic() - begun_s, soak=streams)


def overload(seconds: float) -> Report:
    """Send twice as many images as can be answered, through topics and without ROS, for so many s each."""
    machine, begun_s = this_machine(), time.monotonic()
    found: list[Stream] = []
    _tell(f"twice as many images with {OVERLOAD_PEOPLE} people as can be answered, {seconds:g} s")
    request = StreamRequest(OVERLOAD_PEOPLE, seconds, parts=OVERLOAD_PARTS)
    for way in (TOPICS, NO_ROS):
        try:
            found.append(measure_overload(request, way))
        except KeyboardInterrupt:
            if not found:
                raise
            found.append(Stream(way, request.device, request.people, reason="interrupted", interrupted=True))
        _tell(f"  {way}: {found[-1].reason or 'done'}")
        if found[-1].interrupted:
            break
    return Report(VERSION, machine, False, time.monotonic() - begun_s, overload=tuple(found))


def _scoring(plan: Plan, device: str) -> Iterator[Comparison]:
    _tell(f"scoring on {device}")
    faces = plan.faces_gpu if device == "cuda" else plan.faces
    for each in compare_scoring(faces, device, plan.effort):
        _tell(f"  {each.what} done")
        yield each


def _detector(plan: Plan, device: str) -> Iterator[Comparison]:
    _tell(f"detector on {device}")
    for each in compare_detectors(plan.sizes, device, plan.effort):
        _tell(f"  {each.what} done")
        yield each


def _grow(plan: Plan, device: str) -> tuple[tuple[Line, ...], tuple[Limit, ...]]:
    _tell(f"growth on {device}")
    return measure_growth(plan.growth, device, plan.effort)


def _first_box(plan: Plan, device: str) -> Iterator[FirstBox]:
    _tell(f"time to the first box on {device}")
    for each in measure_first_box(
        lambda given: make_pipeline(given, live=True), config_on(device), plan.tries
    ):
        _tell(f"  {each.face_px} px: {each.found} of {each.tries} boxed")
        yield each


def _pipeline(plan: Plan, device: str) -> Iterator[Stream]:
    _tell(f"pipeline on {device}")
    loop = (plan.loop_frames, plan.warm_up_s)
    requests = [StreamRequest(people, plan.stream_s, device, *loop) for people in plan.people]
    for each in measure(requests):
        _tell(f"  {each.people} people, {each.way}: {each.reason or 'done'}")
        yield each


def _web(plan: Plan, device: str) -> WebRun:
    _tell(f"live page on {device}")
    return measure_web(replace(plan.web, device=device))


def _tell(text: str) -> None:
    print(f"measuring: {text}", file=sys.stderr, flush=True)
