"""What controlled changes of pictures do to what is seen in them: paired, neutral and smiling apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from social_perception.core.types import Box, ImageArray, Smile
from social_perception.research.evaluation.audit import intervals
from social_perception.research.evaluation.audit.changes import Change
from social_perception.research.evaluation.audit.intervals import UNKNOWN, Draws, Interval
from social_perception.research.evaluation.audit.labels import Picture
from social_perception.research.evaluation.audit.scoring import Seen, StillJudge

KINDS = ("all", "neutral", "smiling")


@dataclass(frozen=True, slots=True)
class Subject:
    """A picture whose face was found unchanged; ``smiling`` is 1, 0 or NaN, as labelled."""

    picture: Picture
    box: Box
    intensity: float
    level: int
    smiling: float


@dataclass(frozen=True, slots=True)
class Effect:
    """What one strength of a change does to the faces of one kind, where it could be applied.

    ``lost`` is the share of faces no longer found; the other figures are of those still found, and unknown
    where these are too few: mean intensity before and after, mean of the paired differences, share of faces
    whose level is another one.
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


def chosen(subjects: Sequence[Subject], count: int, seed: int) -> tuple[Subject, ...]:
    """At most ``count`` subjects, drawn at random, neutral and smiling ones as evenly as there are."""
    rng = np.random.default_rng(seed)
    order = [subjects[place] for place in rng.permutation(len(subjects))]
    kinds = [[each for each in order if each.smiling == value] for value in (0.0, 1.0)]
    half = count // 2
    take = min(len(kinds[0]), max(half, count - len(kinds[1])))
    picked = kinds[0][:take] + kinds[1][: count - take]
    unlabelled = [each for each in order if np.isnan(each.smiling)]
    return tuple(picked + unlabelled[: count - len(picked)])


def try_changes(
    subjects: Sequence[Subject],
    changes: Sequence[Change],
    judge: StillJudge,
    draws: Draws,
    least: int,
    listener: object = None,
) -> tuple[Effect, ...]:
    """Apply every strength of every change to every subject, score it and compare with the unchanged one.

    Args:
        subjects: pictures with a face.
        changes: what is tried.
        judge: finds and scores faces.
        draws: seed of the noise, and of the bootstrap.
        least: faces still found below which nothing but the loss is told.
        listener: has ``update(n)``, called for every picture and strength.
    """
    seen: dict[tuple[str, float], list[tuple[Subject, Seen]]] = {
        (change.name, strength): [] for change in changes for strength in change.strengths
    }
    waiting: list[tuple[Change, float, Subject, int]] = []

    def images() -> Iterator[ImageArray]:
        for number, subject in enumerate(subjects):
            image = subject.picture.read()
            for change in changes:
                for strength in change.strengths:
                    rng = np.random.default_rng((draws.seed, number))
                    changed = change.apply(image, subject.box, strength, rng)
                    if listener is not None:
                        listener.update(1)  # type: ignore[attr-defined]
                    if changed is not None:
                        waiting.append((change, strength, subject, image.shape[1]))
                        yield changed

    for place, result in enumerate(judge.look(images())):
        change, strength, subject, width = waiting[place]
        if not same_face(change.name, subject, result, width):
            result = Seen(None, Smile.unknown())
        seen[change.name, strength].append((subject, result))
    return tuple(
        effect
        for (change, strength), pairs in seen.items()
        for kind in KINDS
        if (effect := _effect(change, strength, kind, pairs, draws, least)) is not None
    )


def steps(changes: Sequence[Change]) -> int:
    """How many pictures are made of each."""
    return sum(len(change.strengths) for change in changes)


def same_face(change: str, subject: Subject, result: Seen, width: int) -> bool:
    """Whether a face was found where the subject's is: its centre lies in the subject's box."""
    if result.face is None:
        return False
    x, y = result.face.box.center
    return subject.box.contains(width - x if change == "mirror" else x, y)


def _effect(
    change: str, strength: float, kind: str, pairs: Sequence[tuple[Subject, Seen]], draws: Draws, least: int
) -> Effect | None:
    wanted = {"neutral": 0.0, "smiling": 1.0}.get(kind)
    own = [pair for pair in pairs if wanted is None or pair[0].smiling == wanted]
    if not own:
        return None
    found = [(subject, seen.smile) for subject, seen in own if seen.face is not None]
    lost = intervals.share(len(own) - len(found), len(own))
    if len(found) < least:
        unknown = (math.nan, math.nan, lost, UNKNOWN, UNKNOWN)
        return Effect(change, strength, kind, len(own), len(found), *unknown)
    table = np.array([(s.intensity, m.intensity, s.level, m.level) for s, m in found], float)
    before, after, level_before, level_after = table.T
    return Effect(
        change, strength, kind, len(own), len(found), float(before.mean()), float(after.mean()), lost,
        intervals.mean(after - before, draws),
        intervals.share(int((level_before != level_after).sum()), len(found)),
    )  # fmt: skip


def subjects_of(
    pictures: Sequence[Picture], seen: Sequence[Seen], truth: pd.DataFrame
) -> tuple[Subject, ...]:
    """The pictures with a face, (N,) each."""
    return tuple(
        Subject(picture, each.face.box, each.smile.intensity, int(each.smile.level), float(smiling))
        for picture, each, smiling in zip(pictures, seen, truth["smile"])
        if each.face is not None
    )
