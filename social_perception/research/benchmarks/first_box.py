"""Time until a new face is detected by the pipeline without ROS at camera rate.

Measured from the due time of the first image with the face until the pipeline reports it; the search runs in
the background, as on a robot.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from social_perception.core.config import PipelineConfig
from social_perception.core.types import Box, Frame, ImageArray
from social_perception.perception.pipeline import Pipeline
from social_perception.research.benchmarks.report import FirstBox
from social_perception.sources.portrait import BUST, FACE, load_portrait

WIDTH, HEIGHT, RATE_HZ = 1280, 720, 30.0
TARGETS_S = {45: 1.0, 90: 0.5}
"""Widths of the faces in px, and the target time in s until detection."""

TRIES = 15
_TIMEOUT_S = 5.0
_EMPTY_S = (0.7, 1.1)
"""Range of the time without a face, so that the face enters at a random point between two searches."""

_MARGIN_PX = 150
_MIN_IOU = 0.5


@dataclass(frozen=True, slots=True)
class Scene:
    """The portrait in front of a gray wall, and the box of its face."""

    image: ImageArray
    face: Box

    @classmethod
    def with_face(cls, face_px: float, center: tuple[float, float]) -> Scene:
        """Create a scene with a face of this width in px, centered at a point."""
        left, top, right, bottom = BUST
        scale = face_px / FACE.width
        bust = load_portrait()[top:bottom, left:right]
        bust = cv2.resize(bust, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        image = wall()
        x = round(center[0] - scale * (FACE.center[0] - left))
        y = round(center[1] - scale * (FACE.center[1] - top))
        x0, y0 = max(0, x), max(0, y)
        x1, y1 = min(WIDTH, x + bust.shape[1]), min(HEIGHT, y + bust.shape[0])
        image[y0:y1, x0:x1] = bust[y0 - y : y1 - y, x0 - x : x1 - x]
        return cls(image, Box(center[0] - face_px / 2, center[1] - face_px / 2, face_px, face_px))


def wall() -> ImageArray:
    """Return the empty scene, (720, 1280, 3) uint8 RGB."""
    noise = np.random.default_rng(0).integers(90, 140, (18, 32, 3), dtype=np.uint8)
    return cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def measure_first_box(
    make: Callable[[PipelineConfig], Pipeline], config: PipelineConfig, tries: int = TRIES
) -> Iterator[FirstBox]:
    """Measure faces of each width that enter at random positions and times.

    Args:
        make: creates the pipeline.
        config: settings of the pipeline.
        tries: faces per width.

    Raises:
        MissingDependencyError: the portrait's package is not installed.
    """
    random = np.random.default_rng(1)
    with make(config) as pipeline:
        for face_px, target_s in TARGETS_S.items():
            waits_s = [_wait_s(pipeline, _random_scene(face_px, random), random) for _ in range(tries)]
            yield _figures(config.detection.device, face_px, waits_s, target_s)


def _random_scene(face_px: int, random: np.random.Generator) -> Scene:
    x = float(random.uniform(_MARGIN_PX, WIDTH - _MARGIN_PX))
    y = float(random.uniform(_MARGIN_PX, HEIGHT - _MARGIN_PX))
    return Scene.with_face(face_px, (x, y))


def _wait_s(pipeline: Pipeline, scene: Scene, random: np.random.Generator) -> float | None:
    """Return the time in s from the first image of the face until it is reported; None: timed out."""
    pipeline.tracking.reset()
    empty, start_s = wall(), time.monotonic()
    enters = round(random.uniform(*_EMPTY_S) * RATE_HZ)
    tick = index = 0
    while tick < enters + _TIMEOUT_S * RATE_HZ:
        time.sleep(max(0.0, start_s + tick / RATE_HZ - time.monotonic()))
        image = scene.image if tick >= enters else empty
        affect = pipeline.process(Frame(image, start_s + tick / RATE_HZ, index))
        if any(face.track.box.iou(scene.face) > _MIN_IOU for face in affect.faces):
            return time.monotonic() - (start_s + enters / RATE_HZ)
        # The camera does not wait: of the images due in the meantime, only the newest is processed.
        tick = max(tick + 1, int((time.monotonic() - start_s) * RATE_HZ))
        index += 1
    return None


def _figures(device: str, face_px: int, waits_s: Sequence[float | None], target_s: float) -> FirstBox:
    detected = [wait_s for wait_s in waits_s if wait_s is not None]
    median_s = statistics.median(detected) if detected else None
    longest_s = max(detected) if detected else None
    return FirstBox(device, face_px, len(waits_s), len(detected), median_s, longest_s, target_s)
