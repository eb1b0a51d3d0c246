"""Time of one face search: dlib against this package, exact and for video."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import cv2
import numpy as np

from social_perception.core.config import DetectionConfig
from social_perception.core.errors import MissingDependencyError
from social_perception.core.types import ImageArray
from social_perception.perception.detection.factory import make_detector
from social_perception.perception.detection.schedule import Detector
from social_perception.research.benchmarks.report import Comparison, Ratio, Side
from social_perception.research.benchmarks.timing import Candidate, Effort, measure_interleaved
from social_perception.sources.sample import SampleSource

DLIB, EXACT, VIDEO = "dlib", "ours, exact", "ours, for video"
VIDEO_SMALL, CASCADE = "ours, for video, from 40 px", "cascade, for video, from 40 px"

PEOPLE = 3
"""People in the image; few, so that their faces are large enough for all image sizes."""

FACES_FROM_PX = 80
"""The smallest face that dlib's network detects without upsampling."""


@dataclass(frozen=True, slots=True)
class Size:
    """The size of an image in px."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def pixels(self) -> int:
        return self.width * self.height


SIZES = (Size(640, 360), Size(1280, 720), Size(1920, 1080))
TARGET_SIZE, TARGET = Size(1280, 720), 30.0


@cache
def sample_image(size: Size) -> ImageArray:
    """Return the first image of the sample, resized."""
    image = _sample()
    method = cv2.INTER_AREA if size.width < image.shape[1] else cv2.INTER_CUBIC
    resized = cv2.resize(image, (size.width, size.height), interpolation=method)
    return np.asarray(resized, np.uint8)


@cache
def _sample() -> ImageArray:
    return next(SampleSource(PEOPLE)).image


def compare_detectors(sizes: Sequence[Size], device: str, effort: Effort) -> Iterator[Comparison]:
    """Measure the detectors at each image size."""
    at_80 = DetectionConfig(backend="mmod-torch", device=device, min_face_px=FACES_FROM_PX)
    detectors: list[tuple[str, Detector]] = [
        (EXACT, make_detector(at_80)),
        (VIDEO, make_detector(at_80, video=True)),
        (VIDEO_SMALL, make_detector(DetectionConfig(backend="mmod-torch", device=device), video=True)),
        (CASCADE, make_detector(DetectionConfig(device=device), video=True)),
    ]
    missing: tuple[Side, ...] = ()
    try:
        detectors.insert(0, (DLIB, make_detector(replace(at_80, backend="mmod-dlib"))))
    except MissingDependencyError as error:
        missing = (Side.missing(DLIB, str(error)),)
    for size in sizes:
        yield _compare(detectors, missing, size, device, effort)


def _compare(
    detectors: Sequence[tuple[str, Detector]],
    missing: tuple[Side, ...],
    size: Size,
    device: str,
    effort: Effort,
) -> Comparison:
    image = sample_image(size)
    searches = [_Search(detector, image) for _, detector in detectors]
    candidates = [Candidate(name, search, device) for (name, _), search in zip(detectors, searches)]
    measured = [
        replace(side, faces=search.faces)
        for side, search in zip(measure_interleaved(candidates, effort), searches)
    ]
    sides = (*missing, *measured)
    dlib, exact, video = sides[:3]
    target = TARGET if size == TARGET_SIZE else None
    ratios = (
        Ratio.of("exact / dlib", dlib, exact, target),
        Ratio.of("for video / dlib", dlib, video, target),
    )
    return Comparison(device, str(size), size.pixels, sides, ratios)


class _Search:
    """A repeatable search; ``faces`` is the number of faces detected by the last call."""

    def __init__(self, detector: Detector, image: ImageArray) -> None:
        self._detector, self._image = detector, image
        self.faces: int | None = None

    def __call__(self) -> None:
        self.faces = len(self._detector.detect(self._image))
