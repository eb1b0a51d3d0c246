"""How long one face search takes: dlib's own against ours, exact and for video."""

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
from social_perception.research.benchmarks.timing import Contender, Effort, interleaved
from social_perception.sources.sample import SampleSource

DLIB, EXACT, VIDEO = "dlib", "ours, exact", "ours, for video"
VIDEO_DEFAULT = "ours, for video, from 40 px"

PEOPLE = 3
"""In the picture; few, so that their faces are large enough for every size of picture."""

FACES_FROM_PX = 80
"""The smallest face that dlib's network sees in a picture that is not enlarged."""


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a picture in px."""

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
def picture(size: Size) -> ImageArray:
    """The sample's first picture in a size."""
    image = _sample()
    method = cv2.INTER_AREA if size.width < image.shape[1] else cv2.INTER_CUBIC
    resized = cv2.resize(image, (size.width, size.height), interpolation=method)
    return np.asarray(resized, np.uint8)


@cache
def _sample() -> ImageArray:
    return next(SampleSource(PEOPLE)).image


def compare_detectors(sizes: Sequence[Size], device: str, effort: Effort) -> Iterator[Comparison]:
    """Measure the detectors at each size of picture."""
    at_80 = DetectionConfig(device=device, min_face_px=FACES_FROM_PX)
    detectors: list[tuple[str, Detector]] = [
        (EXACT, make_detector(at_80)),
        (VIDEO, make_detector(at_80, video=True)),
        (VIDEO_DEFAULT, make_detector(DetectionConfig(device=device), video=True)),
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
    image = picture(size)
    searches = [_Search(detector, image) for _, detector in detectors]
    contenders = [Contender(name, search, device) for (name, _), search in zip(detectors, searches)]
    measured = [
        replace(side, faces=search.faces) for side, search in zip(interleaved(contenders, effort), searches)
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
    """A search that can be called again and again; ``faces`` is how many the last one found."""

    def __init__(self, detector: Detector, image: ImageArray) -> None:
        self._detector, self._image = detector, image
        self.faces: int | None = None

    def __call__(self) -> None:
        self.faces = len(self._detector.detect(self._image))
