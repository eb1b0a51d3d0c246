"""Finds and scores faces as ``social-perception score`` does, for many pictures in batches."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from social_perception.core.errors import DetectionError
from social_perception.core.types import Face, ImageArray, Smile
from social_perception.perception.detection import still
from social_perception.perception.detection.schedule import Detector
from social_perception.perception.smile.crop import crop_faces
from social_perception.perception.smile.streaming import StreamingScorer

_logger = logging.getLogger(__name__)

BATCH_FACES = 32


@dataclass(frozen=True, slots=True)
class Seen:
    """The largest face of a picture and its smile; None and unknown where no face was found."""

    face: Face | None
    smile: Smile


class StillJudge:
    """A detector and a network that look at stills, each on its own."""

    def __init__(self, detector: Detector, scorer: StreamingScorer) -> None:
        self._detector = detector
        self._scorer = scorer

    def look(self, images: Iterable[ImageArray]) -> Iterator[Seen]:
        """Tell what is seen in each image, in order; read ahead by a batch of faces at most."""
        waiting: list[Face | None] = []
        crops: list[ImageArray] = []
        for image in images:
            face = self._largest(image)
            waiting.append(face)
            if face is not None:
                crops.append(crop_faces(image, [face.box])[0])
            if len(crops) == BATCH_FACES:
                yield from self._scored(waiting, crops)
                waiting, crops = [], []
        yield from self._scored(waiting, crops)

    def _largest(self, image: ImageArray) -> Face | None:
        try:
            faces = still.detect_in_still(self._detector, image)
        except DetectionError as error:
            _logger.warning("%s; counted as without a face", error)
            faces = ()
        return max(faces, key=lambda face: face.box.area, default=None)

    def _scored(self, faces: list[Face | None], crops: list[ImageArray]) -> Iterator[Seen]:
        smiles = iter(self._scorer.score_still(np.stack(crops)) if crops else ())
        for face in faces:
            yield Seen(face, Smile.unknown() if face is None else next(smiles))
