"""Score still images: the largest face of each and how much it smiles."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from social_perception.cli.options import add_settings, settings_from
from social_perception.cli.stills import MIN_FACE_PX, NOT_FOR_STILLS, with_progress
from social_perception.core.config import DetectionConfig, ExplanationConfig, SmileConfig
from social_perception.core.errors import SocialPerceptionError
from social_perception.core.types import CROP_SIZE_PX, Face, ImageArray, Smile

if TYPE_CHECKING:
    from social_perception.perception.detection.schedule import Detector
    from social_perception.perception.smile.track_scorer import TrackScorer
    from social_perception.sinks.tables import ScoreTable
    from social_perception.sources.image_folder import Images

_logger = logging.getLogger(__name__)

_BATCH_FACES = 32


@dataclass(frozen=True, slots=True, eq=False)
class _Still:
    """An image's largest face and its crop, (96, 96, 3); None and None without a face."""

    name: str
    face: Face | None
    crop: ImageArray | None


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", type=Path, metavar="IMAGES_DIR", help="a folder of images, or one image")
    parser.add_argument("--output", type=Path, required=True, metavar="SCORES.CSV")
    add_settings(parser, [DetectionConfig, SmileConfig, ExplanationConfig], leave_out=NOT_FOR_STILLS)


def run(options: argparse.Namespace) -> int:
    # Imported here: torch takes seconds to load, and --help must not.
    from social_perception.perception.detection.factory import make_detector
    from social_perception.perception.smile.factory import make_scorer
    from social_perception.sinks.tables import ScoreTable
    from social_perception.sources.image_folder import Images, list_images

    images = Images(list_images(options.images))
    detector = make_detector(settings_from(options, DetectionConfig, min_face_px=MIN_FACE_PX))
    scorer = make_scorer(settings_from(options, SmileConfig))
    explained = settings_from(options, ExplanationConfig).explain
    found = 0
    with ScoreTable(options.output, explained=explained) as table:
        for batch in _batches(_find(images, detector)):
            found += _write(table, batch, scorer, explained=explained)
    print(f"{found} of {len(images)} images have a face -> {options.output}")
    return int(images.unread > 0)


def _find(images: Images, detector: Detector) -> Iterator[_Still]:
    from social_perception.perception.detection.still import detect_in_still
    from social_perception.perception.smile.crop import crop_faces

    for path, image in with_progress(images):
        if image is None:
            yield _Still(path.name, None, None)
            continue
        try:
            faces = detect_in_still(detector, image)
        except SocialPerceptionError as error:
            _logger.warning("%s: %s; counted as an image without a face", path, error)
            faces = ()
        if faces:
            largest = max(faces, key=lambda face: face.box.area)
            yield _Still(path.name, largest, crop_faces(image, [largest.box])[0])
        else:
            yield _Still(path.name, None, None)


def _batches(stills: Iterator[_Still]) -> Iterator[list[_Still]]:
    """Cut the stills, in order, into lists with at most a batch of faces."""
    batch: list[_Still] = []
    for still in stills:
        batch.append(still)
        if sum(each.face is not None for each in batch) == _BATCH_FACES:
            yield batch
            batch = []
    if batch:
        yield batch


def _write(table: ScoreTable, batch: list[_Still], scorer: TrackScorer, *, explained: bool) -> int:
    """Score the batch, write its rows and return how many faces it has."""
    from social_perception.perception.smile.explanation import explain

    found = [still.crop for still in batch if still.crop is not None]
    crops = np.array(found, np.uint8).reshape(-1, CROP_SIZE_PX, CROP_SIZE_PX, 3)
    smiles = iter(scorer.score_still(crops))
    explanations = iter(explain(scorer, crops) if explained else ())
    for still in batch:
        if still.face is None:
            table.add(still.name, None, Smile.unknown())
        else:
            table.add(still.name, still.face, next(smiles), next(explanations, None))
    return len(crops)
