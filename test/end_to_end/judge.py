"""Compares what was reported of the meeting with what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from meeting import LENGTH, PEOPLE, Meeting, Person, quiet_frames
from scipy.stats import spearmanr

SETTLE = 20


@dataclass(frozen=True)
class SeenFace:
    """One face of one frame: id, centre in px, intensity (None while not valid)."""

    id: str
    x: float
    y: float
    intensity: float | None


@dataclass(frozen=True)
class SeenFrame:
    """What was reported of one frame."""

    frame: int
    faces: tuple[SeenFace, ...]


@dataclass(frozen=True)
class Verdict:
    """The three figures that count, and what led to them."""

    ids: dict[str, list[str]]
    count_accuracy: float
    correlation: float
    answered: int
    rated_samples: int
    wrong_counts: dict[int, tuple[int, int]]

    def text(self) -> str:
        return (
            f"answered {self.answered} of {LENGTH} frames, counts right in {self.count_accuracy:.1%}, "
            f"Spearman {self.correlation:.3f} over {self.rated_samples} samples, ids {self.ids}, "
            f"wrong counts by frame (said, true) {self.wrong_counts}"
        )


def judge(meeting: Meeting, seen: Sequence[SeenFrame]) -> Verdict:
    """Ids per person, share of quiet frames with the right count, correlation with the raters."""
    levels, intensities = [], []
    for said in seen:
        for person in PEOPLE:
            face = _face_of(person, said)
            level = meeting.level(person, said.frame) if person.present(said.frame) else None
            if face is not None and face.intensity is not None and level is not None:
                levels.append(level)
                intensities.append(face.intensity)
    quiet = [said for said in seen if said.frame in quiet_frames(SETTLE)]
    counts = {said.frame: (len(said.faces), people_in(said.frame)) for said in quiet}
    wrong = {frame: count for frame, count in counts.items() if count[0] != count[1]}
    return Verdict(
        ids={person.name: _ids_of(person, seen) for person in PEOPLE},
        count_accuracy=1.0 - len(wrong) / len(counts),
        correlation=float(spearmanr(levels, intensities).statistic),
        answered=len(seen),
        rated_samples=len(levels),
        wrong_counts=wrong,
    )


def people_in(frame: int) -> int:
    """How many people are there."""
    return sum(person.present(frame) for person in PEOPLE)


def _ids_of(person: Person, seen: Sequence[SeenFrame]) -> list[str]:
    """All ids that a person ever had, the first one first."""
    faces = [_face_of(person, said) for said in seen if person.present(said.frame)]
    return list(dict.fromkeys(face.id for face in faces if face is not None))


def _face_of(person: Person, said: SeenFrame) -> SeenFace | None:
    return next((face for face in said.faces if person.contains(face.x, face.y)), None)
