"""Processor time of the pipeline per image, with the default detector and with dlib's CNN on the whole image.

Both get the same images in turns, on one thread and without ROS, and search in the same thread.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import cv2
import numpy as np

from social_perception.core.types import Frame, ImageArray
from social_perception.perception.pipeline import Pipeline, make_pipeline
from social_perception.research.benchmarks.peers import one_thread
from social_perception.research.benchmarks.report import Comparison, Ratio
from social_perception.research.benchmarks.stream_without_ros import config_on
from social_perception.research.benchmarks.timing import Candidate, Effort, measure_interleaved
from social_perception.sources.sample import MAX_PEOPLE, RATE_HZ, SampleSource

BACKENDS = ("mmod-torch", "cascade")
FRAMES = 30
EFFORT = Effort(slice_s=1.0, budget_s=6.0)
"""A turn has several searches of the pipeline, which searches every tenth image."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A video: its name, and what draws the image (H, W, 3) uint8 RGB of a frame."""

    name: str
    draw: Callable[[int], ImageArray]

    @classmethod
    def with_people(cls, people: int) -> Scene:
        """The sample, 1280x720; 17 to 32 people sit in two samples side by side."""
        who = "1 person" if people == 1 else f"{people} people"
        if people <= MAX_PEOPLE:
            return cls(f"{who}, 1280x720", SampleSource(people).image)
        left, right = SampleSource(people // 2), SampleSource(people - people // 2)
        return cls(
            f"{who}, 2560x720",
            lambda index: np.hstack([left.image(index), right.image(index)]),
        )

    def enlarged(self, width: int, height: int) -> Scene:
        """The same in another size."""
        name = f"{self.name.partition(',')[0]}, {width}x{height}"
        return Scene(name, lambda index: cv2.resize(self.draw(index), (width, height)))


@functools.cache
def _room() -> ImageArray:
    return SampleSource(1).image(0, present=())


SCENES: tuple[Callable[[], Scene], ...] = (
    lambda: Scene("nobody, nothing moves, 1280x720", lambda _: _room()),
    lambda: Scene("nobody, the camera moves, 1280x720", lambda index: np.roll(_room(), 8 * index, axis=1)),
    *(lambda people=people: Scene.with_people(people) for people in (1, 8, 16)),
    lambda: Scene.with_people(8).enlarged(1920, 1080),
    lambda: Scene.with_people(30),
)


def compare_backends(
    scenes: Sequence[Callable[[], Scene]] = SCENES, effort: Effort = EFFORT
) -> Iterator[Comparison]:
    """Measure the pipeline on each scene, on one thread of the CPU.

    Args:
        scenes: make the scenes, one at a time.
        effort: rounds and time limits, in processor time.
    """
    with one_thread():
        for make in scenes:
            yield _compare(make(), effort)


def _compare(scene: Scene, effort: Effort) -> Comparison:
    images = [scene.draw(index) for index in range(FRAMES)]
    default = config_on("cpu")
    with ExitStack() as opened:
        runs = []
        for backend in BACKENDS:
            config = replace(default, detection=replace(default.detection, backend=backend))
            runs.append(_Run(backend, opened.enter_context(make_pipeline(config, live=False)), images))
        measured = measure_interleaved([Candidate(run.name, run) for run in runs], effort, time.process_time)
    whole, cascade = (replace(side, faces=run.faces) for side, run in zip(measured, runs))
    ratios = (
        Ratio.of(f"{whole.name} / {cascade.name}", whole, cascade),
        Ratio("images per s of one core", cascade.name, cascade.name, cascade.per_second, RATE_HZ),
    )
    height, width = images[0].shape[:2]
    return Comparison("cpu", scene.name, width * height, (whole, cascade), ratios)


class _Run:
    """Processes the next image, forwards and backwards; ``faces`` is the median number of reported people."""

    def __init__(self, name: str, pipeline: Pipeline, images: Sequence[ImageArray]) -> None:
        self.name, self._pipeline = name, pipeline
        self._images = [*images, *images[-2:0:-1]]
        self._counts: list[int] = []

    @property
    def faces(self) -> int | None:
        return statistics.median_low(self._counts) if self._counts else None

    def __call__(self) -> None:
        number = len(self._counts)
        image = self._images[number % len(self._images)]
        self._counts.append(len(self._pipeline.process(Frame(image, number / RATE_HZ, number)).faces))
