"""The figures of a report, computed from the tables by time, not by counting frames.

A frame lasts until the next one: with stamps s and frame numbers n, frame i lasts
(s[i+1] - s[i]) / (n[i+1] - n[i]) seconds, so that frames which are missing in the table are not
counted; the last one lasts the median of the others. Phones record at varying rates: a share of
frames is not a share of time.

A person smiles where the level is ``smiling_level`` (Medium) or more. A smile is a stretch of such
frames; pauses up to ``max_pause_s`` do not end it, and stretches shorter than ``min_smile_s`` are
dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from social_perception.core.config import ReportConfig
from social_perception.core.signals import Field, Subject
from social_perception.core.timelines import Timeline, figures_of
from social_perception.core.types import GroupAffect, Smile, SmileLevel

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

LEVELS = (SmileLevel.NEUTRAL, SmileLevel.LOW, SmileLevel.MEDIUM, SmileLevel.HIGH, SmileLevel.UNKNOWN)

_LONE_FRAME_S = 0.04
# Stamps have six decimals: a duration that equals its limit must not fail by the seventh.
_TOLERANCE_S = 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """Every frame of the video, N of them in order: number, start and length in s."""

    frames: IntArray
    starts_s: FloatArray
    lengths_s: FloatArray

    @classmethod
    def of(cls, faces: Sequence[Timeline], group: Timeline | None) -> Clock:
        """The group's frames; without a group, all frames with a face."""
        if group is not None:
            frames, first = np.unique(group.frames, return_index=True)
            starts_s = group.stamps_s[first]
        elif faces:
            frames, first = np.unique(np.concatenate([face.frames for face in faces]), return_index=True)
            starts_s = np.concatenate([face.stamps_s for face in faces])[first]
        else:
            frames, starts_s = np.zeros(0, np.int64), np.zeros(0)
        return cls(frames, starts_s, _lengths_s(frames, starts_s))

    @property
    def ends_s(self) -> FloatArray:
        return self.starts_s + self.lengths_s

    @property
    def start_s(self) -> float:
        return float(self.starts_s[0]) if len(self.frames) else 0.0

    @property
    def end_s(self) -> float:
        return float(self.ends_s[-1]) if len(self.frames) else 0.0

    def places(self, timeline: Timeline) -> IntArray:
        """The index in the clock of each row of a timeline, all of whose frames the clock has."""
        return np.searchsorted(self.frames, timeline.frames).astype(np.int64)

    def kept(self, faces: Sequence[Timeline]) -> tuple[Timeline, ...]:
        """The faces by first frame, without frames that the clock lacks (after an interrupted run)."""
        kept = []
        for face in faces:
            here = np.isin(face.frames, self.frames)
            kept.append(face if here.all() else face.where(here))
        return tuple(sorted((face for face in kept if len(face.frames)), key=lambda face: face.frames[0]))


def _lengths_s(frames: IntArray, starts_s: FloatArray) -> FloatArray:
    if not len(frames):
        return np.zeros(0)
    steps_s = np.maximum(np.diff(starts_s), 0.0) / np.diff(frames)
    return np.append(steps_s, np.median(steps_s) if len(steps_s) else _LONE_FRAME_S)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time in s; ``first`` and ``last`` are the indices of its frames in the clock."""

    start_s: float
    end_s: float
    first: int
    last: int

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s


def stretches(
    holds: BoolArray, starts_s: FloatArray, ends_s: FloatArray, max_pause_s: float, min_length_s: float
) -> tuple[Stretch, ...]:
    """The stretches of frames, all (N,), in which a condition holds.

    Pauses up to ``max_pause_s`` are bridged first; then stretches shorter than ``min_length_s`` are dropped.
    """
    held = np.flatnonzero(holds)
    if not len(held):
        return ()
    pauses_s = starts_s[held[1:]] - ends_s[held[:-1]]
    breaks = np.flatnonzero(pauses_s > max_pause_s + _TOLERANCE_S)
    firsts = held[np.concatenate([[0], breaks + 1])]
    lasts = held[np.concatenate([breaks, [len(held) - 1]])]
    found = (
        Stretch(float(starts_s[first]), float(ends_s[last]), int(first), int(last))
        for first, last in zip(firsts, lasts)
    )
    return tuple(each for each in found if each.length_s >= min_length_s - _TOLERANCE_S)


def mean_over_time(values: FloatArray, lengths_s: FloatArray) -> float:
    """The mean of the known values, weighted by their duration; NaN where none is known."""
    known = ~np.isnan(values)
    total_s = float(lengths_s[known].sum())
    return float(values[known] @ lengths_s[known]) / total_s if total_s > 0 else float("nan")


def seconds_per_level(levels: npt.NDArray[np.uint8], lengths_s: FloatArray) -> tuple[float, ...]:
    """The time in s at Neutral, Low, Medium, High, and without a known level."""
    return tuple(float(lengths_s[levels == int(level)].sum()) for level in LEVELS)


def shares(seconds: Sequence[float]) -> tuple[float, ...]:
    """The shares of a sum, in [0, 1]; zeros where the sum is 0."""
    total = sum(seconds)
    return tuple(part / total if total > 0 else 0.0 for part in seconds)


@dataclass(frozen=True, slots=True)
class Figure:
    """The mean over time of a value that a further signal reports; NaN for unknown."""

    field: Field
    mean: float

    @property
    def title(self) -> str:
        """The label as a heading."""
        return self.field.label[:1].upper() + self.field.label[1:]

    @property
    def text(self) -> str:
        return self.field.text(self.mean)


def further_figures(subject: Subject, timeline: Timeline, lengths_s: FloatArray) -> tuple[Figure, ...]:
    """The values of a subject's signals besides those of smiles, averaged over time."""
    fields = figures_of(subject, without=(Smile, GroupAffect))
    return tuple(
        Figure(each, mean_over_time(timeline.values[each.columns[0]], lengths_s))
        for each in fields
        if each.columns[0] in timeline.values
    )


@dataclass(frozen=True, slots=True)
class Person:
    """The figures of one followed face; times in s, shares of the time it was seen, NaN for unknown."""

    name: str
    first_s: float
    last_s: float
    seen_s: float
    mean: float
    maximum: float
    maximum_at_s: float
    level_shares: tuple[float, ...]
    smiles: tuple[Stretch, ...]
    further: tuple[Figure, ...]


def person(face: Timeline, clock: Clock, settings: ReportConfig) -> Person:
    """The figures of a face with at least one frame."""
    places = clock.places(face)
    starts_s, lengths_s = clock.starts_s[places], clock.lengths_s[places]
    ends_s = starts_s + lengths_s
    known = bool((~np.isnan(face.intensities)).any())
    highest = int(np.nanargmax(face.intensities)) if known else 0
    smiles = stretches(_smiles(face, settings), starts_s, ends_s, settings.max_pause_s, settings.min_smile_s)
    return Person(
        name=face.name,
        first_s=float(starts_s[0]),
        last_s=float(ends_s[-1]),
        seen_s=float(lengths_s.sum()),
        mean=mean_over_time(face.intensities, lengths_s),
        maximum=float(face.intensities[highest]),
        maximum_at_s=float(starts_s[highest]),
        level_shares=shares(seconds_per_level(face.levels, lengths_s)),
        smiles=smiles,
        further=further_figures(Subject.FACE, face, lengths_s),
    )


def _smiles(timeline: Timeline, settings: ReportConfig) -> BoolArray:
    known = timeline.levels != int(SmileLevel.UNKNOWN)
    return np.asarray(known & (timeline.levels >= settings.smiling_level))


_VOICE_FROM, _VOICE_PAUSE_S, _SHORTEST_VOICE_S = 0.5, 0.3, 0.2


def voices(timeline: Timeline, clock: Clock, column: str) -> tuple[Stretch, ...] | None:
    """The stretches in which a face, or the room, speaks or laughs: from 0.5 on; None: it is never known.

    Pauses up to 0.3 s do not end one, and those shorter than 0.2 s are dropped.
    """
    values = timeline.values.get(column)
    if values is None or np.isnan(values).all():
        return None
    places = clock.places(timeline)
    starts_s, ends_s = clock.starts_s[places], clock.ends_s[places]
    return stretches(values >= _VOICE_FROM, starts_s, ends_s, _VOICE_PAUSE_S, _SHORTEST_VOICE_S)


@dataclass(frozen=True, slots=True)
class Laugh:
    """A moment of laughter: the people in view who laugh in it, in the order of their first laughter."""

    start_s: float
    end_s: float
    names: tuple[str, ...]

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s


def laughs(faces: Sequence[Timeline], group: Timeline | None, clock: Clock) -> tuple[Laugh, ...] | None:
    """The moments of laughter in the room; None: it is never known."""
    found = None if group is None else voices(group, clock, "laughter")
    if found is None:
        return None
    own = [(face.name, voices(face, clock, "laughing") or ()) for face in faces]
    return tuple(Laugh(each.start_s, each.end_s, _who_is_in(own, each.start_s, each.end_s)) for each in found)


def _who_is_in(
    own: Sequence[tuple[str, tuple[Stretch, ...]]], start_s: float, end_s: float
) -> tuple[str, ...]:
    first_s = {
        name: min(
            (each.start_s for each in parts if each.start_s < end_s and each.end_s > start_s), default=None
        )
        for name, parts in own
    }
    known = {name: time_s for name, time_s in first_s.items() if time_s is not None}
    return tuple(sorted(known, key=lambda name: known[name]))


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of shared smiling.

    ``names`` are all people who smile in it, the longest smile first. At the peak ``smiling`` of ``known``
    people smile, with ``intensity`` on average.
    """

    start_s: float
    end_s: float
    names: tuple[str, ...]
    peak_s: float
    peak_frame: int
    smiling: int
    known: int
    intensity: float

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s


def shared_moments(
    faces: Sequence[Timeline], clock: Clock, settings: ReportConfig | None = None
) -> tuple[Moment, ...]:
    """The moments of shared smiling.

    In frame t let K(t) be the people whose level is known and S(t) those of them who smile. Smiling
    is shared where |S(t)| >= shared_people (2) and |S(t)| >= shared_fraction (0.5) * |K(t)|. Pauses
    up to max_pause_s (0.3 s) do not end a moment, and it lasts min_smile_s (0.5 s) at least. Its peak
    is the frame in which the intensities of S(t) have the largest sum: many people smile broadly.
    """
    settings = settings or ReportConfig()
    count = len(clock.frames)
    known, smiling, total = np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count)
    placed = [(face.name, clock.places(face), _smiles(face, settings)) for face in faces]
    for face, (_, places, smiles) in zip(faces, placed):
        # A face has at most one row per frame, so that no place comes twice.
        known[places] += face.levels != int(SmileLevel.UNKNOWN)
        smiling[places] += smiles
        total[places] += np.where(smiles, np.nan_to_num(face.intensities), 0.0)
    shared = (smiling >= settings.shared_people) & (smiling >= settings.shared_fraction * known)
    found = stretches(shared, clock.starts_s, clock.ends_s, settings.max_pause_s, settings.min_smile_s)
    moments = []
    for each in found:
        inside = slice(each.first, each.last + 1)
        # Only where it is shared: in a bridged pause one person may smile alone.
        peak = each.first + int(np.argmax(np.where(shared[inside], total[inside], -1.0)))
        moments.append(
            Moment(
                start_s=each.start_s,
                end_s=each.end_s,
                names=_who_smiles(placed, clock, each),
                peak_s=float(clock.starts_s[peak]),
                peak_frame=int(clock.frames[peak]),
                smiling=int(smiling[peak]),
                known=int(known[peak]),
                intensity=float(total[peak] / smiling[peak]),
            )
        )
    return tuple(moments)


def _who_smiles(
    placed: Sequence[tuple[str, IntArray, BoolArray]], clock: Clock, stretch: Stretch
) -> tuple[str, ...]:
    smiled_s: list[tuple[float, int, str]] = []
    for name, places, smiles in placed:
        low, high = np.searchsorted(places, [stretch.first, stretch.last + 1])
        length_s = float(clock.lengths_s[places[low:high][smiles[low:high]]].sum())
        if length_s > 0:
            smiled_s.append((-length_s, len(smiled_s), name))
    return tuple(name for _, _, name in sorted(smiled_s))


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of the whole video; times in s, NaN for unknown.

    ``smiling_share`` is the share of the time in which the group's level is known; ``level_shares``
    are shares of the whole time.
    """

    start_s: float
    end_s: float
    frames: int
    people: int
    most_at_once: int
    intensity: float
    highest: float
    highest_at_s: float
    smiling_share: float
    synchrony: float
    dispersion: float
    level_shares: tuple[float, ...]
    further: tuple[Figure, ...] = ()

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


def summary(
    faces: Sequence[Timeline], group: Timeline | None, clock: Clock, settings: ReportConfig
) -> Summary:
    """The figures of the whole video; without a group its affect is unknown."""
    nan = float("nan")
    base: dict[str, Any] = {
        "start_s": clock.start_s,
        "end_s": clock.end_s,
        "frames": len(clock.frames),
        "people": len(faces),
    }
    if group is None:
        nobody: dict[str, Any] = {"intensity": nan, "highest": nan, "highest_at_s": nan, "smiling_share": nan}
        at_once = np.zeros(len(clock.frames), np.int64)
        for face in faces:
            at_once[clock.places(face)] += 1
        most = int(at_once.max(initial=0))
        return Summary(
            **base, most_at_once=most, synchrony=nan, dispersion=nan, level_shares=(0.0,) * 5, **nobody
        )
    lengths_s = clock.lengths_s[clock.places(group)]
    known_s = float(lengths_s[group.levels != int(SmileLevel.UNKNOWN)].sum())
    smiling_s = float(lengths_s[_smiles(group, settings)].sum())
    any_known = bool((~np.isnan(group.intensities)).any())
    highest = int(np.nanargmax(group.intensities)) if any_known else 0
    return Summary(
        **base,
        most_at_once=int(group.values["group_size"].max()),
        intensity=mean_over_time(group.intensities, lengths_s),
        highest=float(group.intensities[highest]),
        highest_at_s=float(group.stamps_s[highest]),
        smiling_share=smiling_s / known_s if known_s > 0 else nan,
        synchrony=mean_over_time(group.values["synchrony"], lengths_s),
        dispersion=mean_over_time(group.values["dispersion"], lengths_s),
        level_shares=shares(seconds_per_level(group.levels, lengths_s)),
        further=further_figures(Subject.GROUP, group, lengths_s),
    )
