"""How the answer follows known changes of still faces: acted smiles, rolled and covered faces."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from social_perception.core.types import Box
from social_perception.perception.smile.track_scorer import TrackScorer
from social_perception.research.evaluation.audit.changes import (
    Apply,
    cover_eyes,
    cover_mouth,
    cover_side,
    mask,
    rotation,
)
from social_perception.research.evaluation.metrics import FloatArray, spearman
from social_perception.research.evaluation.stills import (
    BATCH,
    ScoredStills,
    rated_by_both,
    raters,
)
from social_perception.research.training.augmentation import Augmentation
from social_perception.research.training.morph import Expression, MorphFace, morph_face
from social_perception.research.training.stills import Stills, to_rgb

AMOUNTS = np.linspace(0, 1, 21)
"""Amounts of the smile that a neutral face acts."""
CHANGES = np.linspace(-0.3, 0.5, 9)
"""Amounts of the smile that is added to a face of any level."""
TENTH = 2
"""Steps of :data:`AMOUNTS` in a tenth of the morph's range."""
PARTING = 0.5
"""Of the lips, and as much of the opening shows teeth."""
_SHIFT, _SCALE = 0.015, 0.02
"""Standard deviations of a detector's box on the same face: shift in sides of the crop, and relative size."""
_BACKLASH = 0.005
"""A fall of the intensity that does not count against its monotony."""

ANGLES = (-45, -30, -15, 15, 30, 45)
"""Rotations in the image plane, in degrees."""


@dataclass(frozen=True, slots=True)
class Covering:
    """Ways in which a face is covered, each a change and its strength, and the share that may be valid.

    ``target`` is of the share of the faces whose smile is not valid.
    """

    title: str
    target: str
    ways: tuple[tuple[Apply, float], ...]


COVERINGS = (
    Covering("mouth covered by a patch or a mask", ">= 0.98", ((cover_mouth, 1.0), (mask, 0.45))),
    Covering("mouth covered by three quarters of the patch", ">= 0.9", ((cover_mouth, 0.75),)),
    Covering("half of the face covered, left or right", ">= 0.95", ((cover_side, -0.5), (cover_side, 0.5))),
    Covering("mouth not covered, or the eyes are", "<= 0.01", ((cover_side, 0.0), (cover_eyes, 0.2))),
)


@dataclass(frozen=True, slots=True, eq=False)
class ActedSmiles:
    """Crops of faces that act smiles, (N, A, 96, 96) uint8 gray, and the faces' rated level (N,)."""

    level: FloatArray
    crops: npt.NDArray[np.uint8]

    def intensity(self, scorer: TrackScorer) -> FloatArray:
        """Return the intensity of each face and amount, (N, A)."""
        flat = self.crops.reshape(-1, 96, 96)
        smiles = [
            smile.intensity
            for first in range(0, len(flat), BATCH)
            for smile in scorer.score_still(np.repeat(flat[first : first + BATCH, :, :, None], 3, axis=3))
        ]
        return np.array(smiles).reshape(self.crops.shape[:2])


def morph_faces(scored: Iterable[ScoredStills]) -> tuple[list[MorphFace], FloatArray]:
    """Return the held-out faces on whose level both raters agree, prepared for warping, and the levels."""
    faces: list[MorphFace] = []
    levels: list[float] = []
    for each in scored:
        first, second = raters(each.stills.name, each).T
        agreed = rated_by_both(each.stills.name, each) & (first == second) & ~np.isnan(each.level)
        for row in np.flatnonzero(agreed):
            gray = cv2.cvtColor(to_rgb(each.stills.images[row]), cv2.COLOR_RGB2GRAY)
            faces.append(morph_face(gray, each.stills.boxes[row]))
            levels.append(float(first[row]))
    return faces, np.array(levels)


def act_onset(faces: list[MorphFace], levels: FloatArray) -> ActedSmiles:
    """Let the neutral faces act a smile from nothing to its full amount."""
    neutral = [face for face, level in zip(faces, levels) if level == 0]
    return _act(neutral, np.zeros(len(neutral)), AMOUNTS, Augmentation(), jitter=0.0)


def act_changes(faces: list[MorphFace], levels: FloatArray) -> ActedSmiles:
    """Let the faces smile less and more than they do, in boxes that jitter as a detector's."""
    return _act(faces, levels, CHANGES, Augmentation(), jitter=1.0)


def _act(
    faces: list[MorphFace], levels: FloatArray, amounts: FloatArray, view: Augmentation, *, jitter: float
) -> ActedSmiles:
    rng = np.random.default_rng(0)
    crops = np.zeros((len(faces), len(amounts), 96, 96), np.uint8)
    for row, face in enumerate(faces):
        for column, amount in enumerate(amounts):
            x, y, scale = jitter * rng.normal(0, (_SHIFT, _SHIFT, _SCALE))
            jittered = replace(view, shift_x=x, shift_y=y, log_scale=scale)
            expression = Expression(smile=float(amount), parting=PARTING, teeth=PARTING)
            crops[row, column] = face.render(expression, jittered, rng)
    return ActedSmiles(levels, crops)


def smallest_tenth(curve: FloatArray) -> float:
    """Return the smallest share of a curve's range (A,) that is passed in a tenth of the amounts."""
    span = np.ptp(curve)
    return float((curve[TENTH:] - curve[:-TENTH]).min() / span) if span > 0 else 0.0


def follows(curve: FloatArray, share: float) -> bool:
    """Tell whether a curve (A,) passes this share of its range in every tenth between onset and apex.

    The onset is where 5 % of the range are passed, the apex where 95 % are.
    """
    low, span = curve.min(), np.ptp(curve)
    onset, apex = (int(np.argmax(curve >= low + part * span)) for part in (0.05, 0.95))
    inner = curve[max(0, onset - 1) : apex + 1]
    steps = inner[TENTH:] - inner[:-TENTH]
    return bool(curve[-1] > curve[0] and (steps >= share * span).all())


def is_monotone(curve: FloatArray) -> bool:
    """Tell whether a curve (A,) never falls."""
    return bool((np.diff(curve) >= -_BACKLASH).all())


def rank_agreements(intensity: FloatArray) -> FloatArray:
    """Return for each face (N, A) Spearman's correlation of the intensity with the amount, (N,)."""
    return np.array([np.nan_to_num(spearman(CHANGES, each)) for each in intensity])


def roll(stills: Stills, degrees: float) -> Stills:
    """Rotate each image about the center of its face; the boxes stay: the scorer alone is measured."""
    return changed(stills, rotation, degrees)


def changed(stills: Stills, apply: Apply, strength: float) -> Stills:
    """Apply a change of the audit to each image with a face; the boxes stay."""
    rng = np.random.default_rng(0)  # not used by the changes measured here
    images = []
    for image, box in zip(stills.images, stills.boxes):
        detected = not np.isnan(box[0])
        new = apply(to_rgb(image), Box(*map(float, box)), strength, rng) if detected else None
        images.append(image if new is None else new)
    return Stills(stills.name, tuple(images), stills.boxes, stills.table)
