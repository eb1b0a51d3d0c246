"""Runs an audit: scores every image, compares the groups and measures the effects of image changes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm import tqdm

from social_perception.core.errors import ImageError, SourceError
from social_perception.core.types import ImageArray
from social_perception.research.evaluation.audit.appearance import (
    FACE_MEASUREMENTS,
    MEASURED_GROUPS,
    measure,
    measured_groups,
)
from social_perception.research.evaluation.audit.changes import CHANGES, Change
from social_perception.research.evaluation.audit.groups import Comparison, compare
from social_perception.research.evaluation.audit.intervals import Resampling
from social_perception.research.evaluation.audit.labelled_images import AuditSet
from social_perception.research.evaluation.audit.scoring import (
    Effect,
    ScoredFace,
    StillScorer,
    Subject,
    make_subjects,
    measure_effects,
    select_subjects,
)
from social_perception.research.evaluation.audit.settings import AuditConfig
from social_perception.sources.image_folder import warn_of_skipped


@dataclass(frozen=True, slots=True)
class SetResult:
    """The results of one set.

    ``pictures`` is the number of images, ``unread`` of those that cannot be read, ``found`` of those with a
    detected face, ``changed_pictures`` of those that the changes were applied to.
    """

    name: str
    about: str
    pictures: int
    unread: int
    found: int
    comparison: Comparison
    effects: tuple[Effect, ...]
    changed_pictures: int
    seconds: float


def audit(
    audit_set: AuditSet,
    scorer: StillScorer,
    config: AuditConfig,
    measured: Sequence[str] = MEASURED_GROUPS,
    changes: Sequence[Change] = CHANGES,
) -> SetResult:
    """Audit one set of images.

    Args:
        audit_set: the images with labels and groups.
        scorer: detects and scores faces.
        config: minimum group size, resamples and seed.
        measured: those of MEASURED_GROUPS to compare by.
        changes: applied to ``config.change_pictures`` of the images.

    Raises:
        SourceError: no image can be read, or none has a face.
    """
    start = time.monotonic()
    rows, faces, numbers = _score(audit_set, scorer)
    images = tuple(audit_set.images[row] for row in rows)
    truth, groups = (table.iloc[rows].reset_index(drop=True) for table in (audit_set.truth, audit_set.groups))
    found = sum(each.face is not None for each in faces)
    if not found:
        raise SourceError(f"no face was detected in any of the {len(faces)} images of {audit_set.name}")
    own = measured_groups(numbers[[name for name in MEASURED_GROUPS if name in measured]], config.quantiles)
    # A column of the labels takes precedence over a measurement of the same name.
    groups = groups.join(own[[name for name in own if name not in groups]])
    comparison = compare(_results(faces, truth), groups, config, of_faces=FACE_MEASUREMENTS)
    subjects = (
        select_subjects(make_subjects(images, faces, truth), config.change_pictures, config.seed)
        if changes
        else ()
    )
    effects = _measure_effects(audit_set.name, subjects, scorer, config, changes) if subjects else ()
    return SetResult(
        audit_set.name, audit_set.description, len(faces), len(audit_set.images) - len(rows), found,
        comparison, effects, len(subjects), time.monotonic() - start,
    )  # fmt: skip


def _score(audit_set: AuditSet, scorer: StillScorer) -> tuple[list[int], list[ScoredFace], pd.DataFrame]:
    """Return the rows of the readable images, and the scored face and the measurements of each."""
    rows: list[int] = []
    errors: list[str] = []

    def images() -> Iterator[ImageArray]:
        for row, audit_image in enumerate(
            tqdm(audit_set.images, f"{audit_set.name}: faces", unit="image", disable=None)
        ):
            try:
                image = audit_image.read()
            except ImageError as error:
                errors.append(str(error))
                continue
            rows.append(row)
            yield image

    faces = list(scorer.score(images()))
    if not faces:
        raise SourceError(f"none of the {len(audit_set.images)} images of {audit_set.name} can be read")
    warn_of_skipped(audit_set.name, errors, len(audit_set.images))
    measurements = [
        measure(audit_set.images[row].read(), None if each.face is None else each.face.box)
        for row, each in zip(rows, faces)
    ]
    return rows, faces, pd.DataFrame(measurements, columns=list(MEASURED_GROUPS))


def _results(faces: Sequence[ScoredFace], truth: pd.DataFrame) -> pd.DataFrame:
    found = np.array([each.face is not None for each in faces], bool)
    table = pd.DataFrame({"found": found, "intensity": [each.smile.intensity for each in faces]})
    table["level"] = [float(each.smile.level) if each.face is not None else np.nan for each in faces]
    return table.join(truth.add_prefix("true_"))


def _measure_effects(
    name: str,
    subjects: Sequence[Subject],
    scorer: StillScorer,
    config: AuditConfig,
    changes: Sequence[Change],
) -> tuple[Effect, ...]:
    total = len(subjects) * sum(len(change.strengths) for change in changes)
    resampling = Resampling(config.resamples, config.seed)
    with tqdm(desc=f"{name}: changes", total=total, unit="image", disable=None) as bar:
        return measure_effects(subjects, changes, scorer, resampling, config.min_group, bar.update)
