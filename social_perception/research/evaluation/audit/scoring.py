"""Scores the faces of still images, and measures how controlled image changes affect the scores.

Effects are paired differences of the same faces, separately for neutral and smiling ones.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from social_perception.core.errors import DetectionError
from social_perception.core.types import Box, Face, ImageArray, Smile
from social_perception.perception.detection import still
from social_perception.perception.detection.schedule import Detector
from social_perception.perception.smile.crop import crop_faces
from social_perception.perception.smile.track_scorer import TrackScorer
from social_perception.research.evaluation.audit import intervals
from social_perception.research.evaluation.audit.changes import Change
from social_perception.research.evaluation.audit.intervals import UNKNOWN, Interval, Resampling
from social_perception.research.evaluation.audit.labelled_images import AuditImage

_logger = logging.getLogger(__name__)

BATCH_FACES = 32
KINDS = ("all", "neutral", "smiling")


@dataclass(frozen=True, slots=True)
class ScoredFace:
    """The largest face of an image and its smile; None and unknown if no face was detected."""

    face: Face | None
    smile: Smile


class StillScorer:
    """Detects and scores faces in still images, in batches, as ``social-perception score`` does."""

    def __init__(self, detector: Detector, scorer: TrackScorer) -> None:
        self._detector = detector
        self._scorer = scorer

    def score(self, images: Iterable[ImageArray]) -> Iterator[ScoredFace]:
        """Yield the largest face of each image, in order; at most a batch of faces is read ahead."""
        faces: list[Face | None] = []
        crops: list[ImageArray] = []
        for image in images:
            face = self._largest(image)
            faces.append(face)
            if face is not None:
                crops.append(crop_faces(image, [face.box])[0])
            if len(crops) == BATCH_FACES:
                yield from self._score_batch(faces, crops)
                faces, crops = [], []
        yield from self._score_batch(faces, crops)

    def _largest(self, image: ImageArray) -> Face | None:
        try:
            faces = still.detect_in_still(self._detector, image)
        except DetectionError as error:
            _logger.warning("%s; counted as an image without a face", error)
            faces = ()
        return max(faces, key=lambda face: face.box.area, default=None)

    def _score_batch(self, faces: list[Face | None], crops: list[ImageArray]) -> Iterator[ScoredFace]:
        smiles = iter(self._scorer.score_still(np.stack(crops)) if crops else ())
        for face in faces:
            yield ScoredFace(face, Smile.unknown() if face is None else next(smiles))


@dataclass(frozen=True, slots=True)
class Subject:
    """An image with a detected face, and its results; ``smiling`` is the label 1, 0 or NaN."""

    image: AuditImage
    box: Box
    intensity: float
    level: int
    smiling: float


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect of one strength of a change on one kind of faces, where it is applicable.

    ``lost`` is the share of faces no longer detected; the other values are for those still detected, and
    unknown if these are too few: mean intensity before and after, mean of the paired differences, share of
    faces with a changed level.
    """

    change: str
    strength: float
    kind: str
    pictures: int
    still_found: int
    before: float
    after: float
    lost: Interval
    difference: Interval
    level_changed: Interval


def select_subjects(subjects: Sequence[Subject], count: int, seed: int) -> tuple[Subject, ...]:
    """Select at most ``count`` subjects at random, with neutral and smiling ones as balanced as possible."""
    rng = np.random.default_rng(seed)
    order = [subjects[index] for index in rng.permutation(len(subjects))]
    kinds = [[each for each in order if each.smiling == value] for value in (0.0, 1.0)]
    half = count // 2
    neutral = min(len(kinds[0]), max(half, count - len(kinds[1])))
    selected = kinds[0][:neutral] + kinds[1][: count - neutral]
    unlabelled = [each for each in order if np.isnan(each.smiling)]
    return tuple(selected + unlabelled[: count - len(selected)])


def measure_effects(
    subjects: Sequence[Subject],
    changes: Sequence[Change],
    scorer: StillScorer,
    resampling: Resampling,
    min_faces: int,
    on_progress: Callable[[int], object] | None = None,
) -> tuple[Effect, ...]:
    """Apply every strength of every change to every subject and compare the scores with the original.

    Args:
        subjects: images with a face.
        changes: the changes to apply.
        scorer: detects and scores faces.
        resampling: seed of the noise, and settings of the bootstrap.
        min_faces: with fewer faces still detected, only ``lost`` is known.
        on_progress: called with 1 for every image and strength.
    """
    pairs_of: dict[tuple[str, float], list[tuple[Subject, ScoredFace]]] = {
        (change.name, strength): [] for change in changes for strength in change.strengths
    }
    applied: list[tuple[Change, float, Subject, int]] = []

    def images() -> Iterator[ImageArray]:
        for number, subject in enumerate(subjects):
            image = subject.image.read()
            for change in changes:
                for strength in change.strengths:
                    rng = np.random.default_rng((resampling.seed, number))
                    changed = change.apply(image, subject.box, strength, rng)
                    if on_progress is not None:
                        on_progress(1)
                    if changed is not None:
                        applied.append((change, strength, subject, image.shape[1]))
                        yield changed

    for index, result in enumerate(scorer.score(images())):
        change, strength, subject, width = applied[index]
        if not is_same_face(change.name, subject, result, width):
            result = ScoredFace(None, Smile.unknown())
        pairs_of[change.name, strength].append((subject, result))
    return tuple(
        effect
        for (change, strength), pairs in pairs_of.items()
        for kind in KINDS
        if (effect := _effect(change, strength, kind, pairs, resampling, min_faces)) is not None
    )


def is_same_face(change: str, subject: Subject, result: ScoredFace, width: int) -> bool:
    """Return whether the detected face is the subject's: its center lies in the subject's box."""
    if result.face is None:
        return False
    x, y = result.face.box.center
    return subject.box.contains(width - x if change == "mirror" else x, y)


def _effect(
    change: str,
    strength: float,
    kind: str,
    pairs: Sequence[tuple[Subject, ScoredFace]],
    resampling: Resampling,
    min_faces: int,
) -> Effect | None:
    label = {"neutral": 0.0, "smiling": 1.0}.get(kind)
    own = [pair for pair in pairs if label is None or pair[0].smiling == label]
    if not own:
        return None
    found = [(subject, result.smile) for subject, result in own if result.face is not None]
    lost = intervals.share(len(own) - len(found), len(own))
    if len(found) < min_faces:
        unknown = (math.nan, math.nan, lost, UNKNOWN, UNKNOWN)
        return Effect(change, strength, kind, len(own), len(found), *unknown)
    table = np.array([(s.intensity, m.intensity, s.level, m.level) for s, m in found], float)
    before, after, level_before, level_after = table.T
    return Effect(
        change, strength, kind, len(own), len(found), float(before.mean()), float(after.mean()), lost,
        intervals.mean(after - before, resampling),
        intervals.share(int((level_before != level_after).sum()), len(found)),
    )  # fmt: skip


def make_subjects(
    images: Sequence[AuditImage], faces: Sequence[ScoredFace], truth: pd.DataFrame
) -> tuple[Subject, ...]:
    """Return the images with a detected face; all arguments have N rows."""
    return tuple(
        Subject(image, each.face.box, each.smile.intensity, int(each.smile.level), float(smiling))
        for image, each, smiling in zip(images, faces, truth["smile"])
        if each.face is not None
    )
