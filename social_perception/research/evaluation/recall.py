"""What the detector's options find and take: ``social-perception evaluate --detector``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from social_perception.core.config import DetectionConfig
from social_perception.core.errors import SourceError
from social_perception.core.types import ImageArray
from social_perception.perception.detection.factory import make_detector
from social_perception.research.evaluation.detection import (
    DetectionRecall,
    Example,
    measure_recall,
    photo_examples,
    scaled_examples,
)
from social_perception.research.training.stills import data_folder

CLIPS = ("single_face", "talker_d0", "talker_d3", "talker_d6", "talker_d9", "talker_d18")
"""Clips with one near face, of which frames are scaled down."""

FRAMES = (0, 30)
WIDTHS_PX = (30, 40, 45, 55, 70, 90, 120)
CANVAS = (480, 360)

DETECTORS = (
    ("exact", DetectionConfig(), False),
    ("video", DetectionConfig(), True),
    ("video, from 80 px", DetectionConfig(min_face_px=80), True),
    ("video, pyramid_divisor 4", DetectionConfig(pyramid_divisor=4), True),
    ("video, pyramid_divisor 3", DetectionConfig(pyramid_divisor=3), True),
)
"""Name, settings and whether it is for video."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one detector finds in one set of pictures, and its processor time in s for all of them."""

    detector: str
    pictures: str
    recall: DetectionRecall
    seconds: float


def main() -> tuple[Row, ...]:
    """Measure recall by face size on the photos and on clips scaled down, print it and return it.

    Raises:
        SourceError: the data is missing.
    """
    folder = data_folder()
    reference = make_detector(DetectionConfig(min_face_px=80))
    sets = (
        ("photos", list(photo_examples(folder / "photos"))),
        ("clips", list(scaled_examples(_frames(folder / "clips"), reference, WIDTHS_PX, CANVAS))),
    )
    rows = []
    for pictures, examples in sets:
        for name, config, video in DETECTORS:
            row = _measured(name, config, examples, pictures, video=video)
            print(line(row), flush=True)
            rows.append(row)
    return tuple(rows)


def line(row: Row) -> str:
    """One row: found / faces for each range of widths that has any; after each search, for parts."""
    found = "  ".join(
        f"{size.low_px}-{size.high_px} px {' then '.join(map(str, size.found_after))} / {size.faces}"
        for size in row.recall.sizes
        if size.faces
    )
    return (
        f"{row.pictures:<7} {row.detector:<25} {found}  no face {row.recall.extra}  cpu {row.seconds:.1f} s"
    )


def _measured(
    name: str, config: DetectionConfig, examples: Sequence[Example], pictures: str, *, video: bool
) -> Row:
    detector = make_detector(config, video=video)
    begun = time.process_time()
    recall = measure_recall(detector, examples)
    return Row(name, pictures, recall, time.process_time() - begun)


def _frames(folder: Path) -> Iterator[ImageArray]:
    for clip in CLIPS:
        video = cv2.VideoCapture(str(folder / f"{clip}.mp4"))
        for index in range(max(FRAMES) + 1):
            read, image = video.read()
            if not read:
                raise SourceError(f"cannot read frame {index} of the clip {folder / clip}.mp4")
            if index in FRAMES:
                yield np.ascontiguousarray(image[:, :, ::-1])
