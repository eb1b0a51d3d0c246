"""Runs the requested parts of the benchmark and prints the progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from social_perception.perception.pipeline import make_pipeline
from social_perception.research.benchmarks import backends
from social_perception.research.benchmarks.detector import SIZES, Size, compare_detectors
from social_perception.research.benchmarks.first_box import TRIES, measure_first_box
from social_perception.research.benchmarks.image_loop import FRAMES
from social_perception.research.benchmarks.machine import this_machine
from social_perception.research.benchmarks.peers import EFFORT, compare_peers
from social_perception.research.benchmarks.peers import PEOPLE as PEERS_PEOPLE
from social_perception.research.benchmarks.recording import NO_ROS, TOPICS, WARM_UP_S, StreamRequest
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
from social_perception.research.benchmarks.scaling import MATRIX_SIDE_QUICK, ScalingPlan, measure_scaling
from social_perception.research.benchmarks.scoring import FACES, FACES_GPU, compare_scoring
from social_perception.research.benchmarks.stream_processes import measure, measure_overload, measure_soak
from social_perception.research.benchmarks.stream_without_ros import config_on
from social_perception.research.benchmarks.timing import QUICK, Effort
from social_perception.research.benchmarks.web import WebRequest, measure_web

PEOPLE = (1, 2, 4, 8, 16)
STREAM_S = 18.0
SOAK_PEOPLE = 8
SOAK_PARTS = 10
OVERLOAD_PEOPLE = 16
OVERLOAD_S = 60.0
OVERLOAD_PARTS = 3
PARTS = ("scoring", "detector", "backends", "pipeline", "growth", "first_box", "web", "peers")


@dataclass(frozen=True, slots=True)
class Plan:
    """Problem sizes and effort of a run."""

    faces: tuple[int, ...] = FACES
    faces_gpu: tuple[int, ...] = FACES_GPU
    sizes: tuple[Size, ...] = SIZES
    people: tuple[int, ...] = PEOPLE
    stream_s: float = STREAM_S
    loop_frames: int = FRAMES
    warm_up_s: float = WARM_UP_S
    tries: int = TRIES
    web: WebRequest = field(default_factory=WebRequest)
    scenes: tuple[Callable[[], backends.Scene], ...] = backends.SCENES
    backends_effort: Effort = backends.EFFORT
    peers_people: tuple[int, ...] = PEERS_PEOPLE
    peers_effort: Effort = EFFORT
    effort: Effort = field(default_factory=Effort)
    scaling: ScalingPlan = field(default_factory=lambda: ScalingPlan((1, 2, 4, 8, 16, 32), PEOPLE, SIZES))


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
    scenes=backends.SCENES[:3],
    backends_effort=QUICK,
    peers_people=(1,),
    peers_effort=QUICK,
    effort=QUICK,
    scaling=ScalingPlan((1, 2), (1, 2), (Size(320, 180), Size(480, 270)), MATRIX_SIDE_QUICK),
)
"""A few repetitions at small sizes: tests all parts, but its times are not meaningful."""


def run(
    parts: Sequence[str], *, quick: bool = False, peer_models: Mapping[str, Path] | None = None
) -> Report:
    """Measure the given parts, a subset of PARTS.

    Args:
        parts: names of parts.
        quick: whether small sizes and few repetitions are enough.
        peer_models: model files of peers, by suffix.
    """
    plan = QUICK_PLAN if quick else Plan()
    machine, start_s = this_machine(), time.monotonic()
    devices = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
    scoring = detector = compared = pipeline = lines = limits = first_box = web = peers = None
    if "scoring" in parts:
        scoring = tuple(each for device in devices for each in _scoring(plan, device))
    if "detector" in parts:
        detector = tuple(each for device in devices for each in _detector(plan, device))
    if "backends" in parts:
        compared = tuple(_backends(plan))
    if "growth" in parts:
        both = [_scaling(plan, device) for device in devices]
        lines = tuple(line for each, _ in both for line in each)
        limits = tuple(limit for _, each in both for limit in each)
    if "first_box" in parts:
        first_box = tuple(each for device in devices for each in _first_box(plan, device))
    if "web" in parts:
        web = tuple(_web(plan, device) for device in devices)
    if "peers" in parts:
        peers = tuple(_peers(plan, peer_models or {}))
    if "pipeline" in parts:
        pipeline = tuple(each for device in devices for each in _pipeline(plan, device))
    passed_s = time.monotonic() - start_s
    streams = (scoring, detector, pipeline, None)
    found = (*streams, lines, limits, first_box, web)
    return Report(VERSION, machine, quick, passed_s, *found, peers=peers, backends=compared)


def soak(seconds: float) -> Report:
    """Run the pipeline for a long time with people who come and go."""
    machine, start_s = this_machine(), time.monotonic()
    _print_progress(f"pipeline with {SOAK_PEOPLE} people who come and go, {seconds:g} s")
    streams = measure_soak(StreamRequest(SOAK_PEOPLE, seconds, coming_and_going=True, parts=SOAK_PARTS))
    return Report(VERSION, machine, False, time.monotonic() - start_s, soak=streams)


def overload(seconds: float) -> Report:
    """Send at least twice as many images as can be processed, through topics and without ROS.

    Args:
        seconds: duration of each of both streams.
    """
    machine, start_s = this_machine(), time.monotonic()
    streams: list[Stream] = []
    _print_progress(f"overload with {OVERLOAD_PEOPLE} people, {seconds:g} s")
    request = StreamRequest(OVERLOAD_PEOPLE, seconds, parts=OVERLOAD_PARTS)
    for mode in (TOPICS, NO_ROS):
        try:
            streams.append(measure_overload(request, mode))
        except KeyboardInterrupt:
            if not streams:
                raise
            streams.append(
                Stream(mode, request.device, request.people, reason="interrupted", interrupted=True)
            )
        _print_progress(f"  {mode}: {streams[-1].reason or 'done'}")
        if streams[-1].interrupted:
            break
    return Report(VERSION, machine, False, time.monotonic() - start_s, overload=tuple(streams))


def _scoring(plan: Plan, device: str) -> Iterator[Comparison]:
    _print_progress(f"scoring on {device}")
    faces = plan.faces_gpu if device == "cuda" else plan.faces
    for each in compare_scoring(faces, device, plan.effort):
        _print_progress(f"  {each.what} done")
        yield each


def _detector(plan: Plan, device: str) -> Iterator[Comparison]:
    _print_progress(f"detector on {device}")
    for each in compare_detectors(plan.sizes, device, plan.effort):
        _print_progress(f"  {each.what} done")
        yield each


def _backends(plan: Plan) -> Iterator[Comparison]:
    _print_progress("pipeline with each backend on cpu")
    for each in backends.compare_backends(plan.scenes, plan.backends_effort):
        _print_progress(f"  {each.what} done")
        yield each


def _peers(plan: Plan, models: Mapping[str, Path]) -> Iterator[Comparison]:
    _print_progress("peers on cpu")
    for each in compare_peers(plan.peers_people, models, plan.peers_effort):
        _print_progress(f"  {each.what} done")
        yield each


def _scaling(plan: Plan, device: str) -> tuple[tuple[Line, ...], tuple[Limit, ...]]:
    _print_progress(f"scaling on {device}")
    return measure_scaling(plan.scaling, device, plan.effort)


def _first_box(plan: Plan, device: str) -> Iterator[FirstBox]:
    _print_progress(f"time to the first box on {device}")
    for each in measure_first_box(
        lambda config: make_pipeline(config, live=True), config_on(device), plan.tries
    ):
        _print_progress(f"  {each.face_px} px: {each.found} of {each.tries} detected")
        yield each


def _pipeline(plan: Plan, device: str) -> Iterator[Stream]:
    _print_progress(f"pipeline on {device}")
    loop = (plan.loop_frames, plan.warm_up_s)
    requests = [StreamRequest(people, plan.stream_s, device, *loop) for people in plan.people]
    for each in measure(requests):
        _print_progress(f"  {each.people} people, {each.mode}: {each.reason or 'done'}")
        yield each


def _web(plan: Plan, device: str) -> WebRun:
    _print_progress(f"live page on {device}")
    return measure_web(replace(plan.web, device=device))


def _print_progress(text: str) -> None:
    print(f"measuring: {text}", file=sys.stderr, flush=True)
