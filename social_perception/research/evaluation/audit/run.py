"""Runs an audit: looks at every picture, compares the groups, tries the changes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm import tqdm

from social_perception.core.errors import ImageError, SourceError
from social_perception.core.types import ImageArray
from social_perception.research.evaluation.audit.appearance import (
    MEASURED,
    OF_FACES,
    measure,
    measured_groups,
)
from social_perception.research.evaluation.audit.changes import CHANGES, Change
from social_perception.research.evaluation.audit.effects import (
    Effect,
    Subject,
    chosen,
    steps,
    subjects_of,
    try_changes,
)
from social_perception.research.evaluation.audit.groups import Comparison, compare
from social_perception.research.evaluation.audit.intervals import Draws
from social_perception.research.evaluation.audit.labels import AuditSet
from social_perception.research.evaluation.audit.scoring import Seen, StillJudge
from social_perception.research.evaluation.audit.settings import AuditConfig

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SetResult:
    """What an audit found in one set; ``unknown`` are groups known of too few pictures to be told."""

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
    judge: StillJudge,
    config: AuditConfig,
    measured: Sequence[str] = MEASURED,
    changes: Sequence[Change] = CHANGES,
) -> SetResult:
    """Audit one set of pictures.

    Args:
        audit_set: the pictures with labels and groups.
        judge: finds and scores faces.
        config: sizes, resamples and seed.
        measured: of MEASURED, the groups to make from the pictures.
        changes: what is tried on ``config.change_pictures`` of the pictures.

    Raises:
        SourceError: no picture can be read, or none has a face.
    """
    begun = time.monotonic()
    kept, seen, numbers = _look(audit_set, judge)
    pictures = tuple(audit_set.pictures[row] for row in kept)
    truth, groups = (table.iloc[kept].reset_index(drop=True) for table in (audit_set.truth, audit_set.groups))
    found = sum(each.face is not None for each in seen)
    if not found:
        raise SourceError(f"no face was found in any of the {len(seen)} pictures of {audit_set.name}")
    own = measured_groups(numbers[[name for name in MEASURED if name in measured]], config.quantiles)
    # A column that the labels bring goes before a measured one of the same name.
    groups = groups.join(own[[name for name in own if name not in groups]])
    comparison = compare(_table(seen, truth), groups, config, of_faces=OF_FACES)
    subjects = (
        chosen(subjects_of(pictures, seen, truth), config.change_pictures, config.seed) if changes else ()
    )
    effects = _changed(audit_set.name, subjects, judge, config, changes) if subjects else ()
    return SetResult(
        audit_set.name, audit_set.about, len(seen), len(audit_set.pictures) - len(kept), found,
        comparison, effects, len(subjects), time.monotonic() - begun,
    )  # fmt: skip


def _look(audit_set: AuditSet, judge: StillJudge) -> tuple[list[int], list[Seen], pd.DataFrame]:
    """The rows of the pictures that can be read, what is seen in each and what is measured of each."""
    kept: list[int] = []

    def images() -> Iterator[ImageArray]:
        for row, picture in enumerate(
            tqdm(audit_set.pictures, f"{audit_set.name}: faces", unit="image", disable=None)
        ):
            try:
                image = picture.read()
            except ImageError as error:
                _logger.warning("%s; left out", error)
                continue
            kept.append(row)
            yield image

    seen = list(judge.look(images()))
    if not seen:
        raise SourceError(f"none of the {len(audit_set.pictures)} pictures of {audit_set.name} can be read")
    rows = [
        measure(audit_set.pictures[row].read(), None if each.face is None else each.face.box)
        for row, each in zip(kept, seen)
    ]
    return kept, seen, pd.DataFrame(rows, columns=list(MEASURED))


def _table(seen: Sequence[Seen], truth: pd.DataFrame) -> pd.DataFrame:
    found = np.array([each.face is not None for each in seen], bool)
    table = pd.DataFrame({"found": found, "intensity": [each.smile.intensity for each in seen]})
    table["level"] = [float(each.smile.level) if each.face is not None else np.nan for each in seen]
    return table.join(truth.add_prefix("true_"))


def _changed(
    name: str, subjects: Sequence[Subject], judge: StillJudge, config: AuditConfig, changes: Sequence[Change]
) -> tuple[Effect, ...]:
    total = len(subjects) * steps(changes)
    with _bar(f"{name}: changes", total) as bar:
        draws = Draws(config.resamples, config.seed)
        return try_changes(subjects, changes, judge, draws, config.min_group, bar)


@contextmanager
def _bar(title: str, total: int) -> Iterator[object]:
    with tqdm(desc=title, total=total, unit="image", disable=None) as bar:
        yield bar
