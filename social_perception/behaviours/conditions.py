"""Conditions on the affect of group and scene: SUCCESS for yes, FAILURE for no or not known, never RUNNING.

Each reads the blackboard that :class:`~social_perception.behaviours.blackboard.AffectWriter` fills,
and applies a :class:`~social_perception.behaviours.hysteresis.Hysteresis`, so that a tree does not
flicker. Data that is stale, missing or unknown (NaN) is FAILURE at once, and the dwell begins anew
when it returns. So does it for a condition that was not ticked for the hysteresis' ``max_gap_s``: it
has not seen what was in between.
"""

from __future__ import annotations

import enum
import math
import time
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from social_perception.behaviours.blackboard import FACES, GROUP, NAMESPACE, SCENE, Clock, look_up, reader
from social_perception.behaviours.hysteresis import Hysteresis, Switch
from social_perception.behaviours.trees import py_trees
from social_perception.core.errors import ConfigurationError
from social_perception.core.types import (
    FaceAffect,
    GroupAffect,
    RoomSound,
    Scene,
    SceneAffect,
    Smile,
    SmileLevel,
    Voice,
)

MAX_AGE_S = 1.0
"""Age in s from which data is stale: ten times the period of group_affect."""

Status = py_trees.common.Status


class Mood(enum.Enum):
    """Which way the group's smile goes."""

    RISING = "rising"
    FALLING = "falling"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a condition holds against its hysteresis; ``text`` says it for people."""

    value: float
    text: str


class AffectCondition(py_trees.behaviour.Behaviour):
    """What the conditions have in common; a subclass says which key it reads, and measures it.

    Args:
        name: of the behaviour.
        hysteresis: from when on the measured value is a yes.
        max_age_s: age in s from which data counts as stale.
        clock: returns the time in s by which the data was received.
        namespace: of the blackboard's keys.
    """

    key = GROUP

    def __init__(
        self,
        name: str,
        hysteresis: Hysteresis,
        *,
        max_age_s: float = MAX_AGE_S,
        clock: Clock = time.monotonic,
        namespace: str = NAMESPACE,
    ) -> None:
        super().__init__(name)
        self._switch = Switch(hysteresis)
        self._max_age_s = max_age_s
        self._clock = clock
        self._reader = reader(name, (self.key,), namespace)
        self.blackboards.append(self._reader)  # py_trees displays what it reads

    @abstractmethod
    def measure(self, value: Any) -> Reading:
        """The number that decides, from the key's value; NaN: unknown."""

    def update(self) -> Status:
        found = look_up(self._reader, self.key, self._clock, self._max_age_s)
        if found.problem:
            self._switch.reset()
            self.feedback_message = found.problem
            return Status.FAILURE
        reading = self.measure(found.value)
        yes = self._switch.update(reading.value, found.now_s)
        self.feedback_message = f"{reading.text}: {'yes' if yes else 'no'}"
        return Status.SUCCESS if yes else Status.FAILURE

    def shutdown(self) -> None:
        self._switch.reset()


class IsGroupSmiling(AffectCondition):
    """Whether the group smiles.

    Args:
        name: of the behaviour.
        hysteresis: of the measure.
        measure: the field of GroupAffect that decides, in [0, 1]: ``smiling_fraction``,
            ``intensity`` or ``mean_intensity``.
        options: those of :class:`AffectCondition`.
    """

    MEASURES = ("smiling_fraction", "intensity", "mean_intensity")

    def __init__(
        self,
        name: str = "is the group smiling",
        hysteresis: Hysteresis = Hysteresis(on=0.5, off=0.3, on_dwell_s=0.5, off_dwell_s=0.5),  # noqa: B008
        *,
        measure: str = "smiling_fraction",
        **options: Any,
    ) -> None:
        if measure not in self.MEASURES:
            raise ConfigurationError(f"measure must be one of {', '.join(self.MEASURES)}, got {measure}")
        super().__init__(name, hysteresis, **options)
        self._measure = measure

    def measure(self, value: GroupAffect) -> Reading:
        number = float(getattr(value, self._measure))
        return Reading(number, f"{self._measure} {number:.2f}")


class SomeoneSmiles(AffectCondition):
    """Whether the broadest smile of all people reaches a level.

    Args:
        name: of the behaviour; None: made from the level.
        level: LOW, MEDIUM or HIGH; its lowest intensity is where the smile begins to count.
        margin: intensity by which the smile must fall below that, to count no more.
        on_dwell_s: time in s for which somebody must smile so.
        off_dwell_s: time in s for which nobody must.
        options: those of :class:`AffectCondition`.
    """

    key = FACES

    def __init__(
        self,
        level: SmileLevel,
        name: str | None = None,
        *,
        margin: float = 0.08,
        on_dwell_s: float = 0.3,
        off_dwell_s: float = 0.5,
        **options: Any,
    ) -> None:
        if level not in (SmileLevel.LOW, SmileLevel.MEDIUM, SmileLevel.HIGH):
            raise ConfigurationError(f"level must be LOW, MEDIUM or HIGH, got {level!r}")
        begins = (level - 0.5) / 3.0  # SmileLevel.of_intensity rounds to thirds
        hysteresis = Hysteresis(begins, begins - margin, on_dwell_s, off_dwell_s)
        super().__init__(name or f"someone smiles: {level.label}", hysteresis, **options)

    def measure(self, value: tuple[FaceAffect, ...]) -> Reading:
        valid = [face for face in value if face[Smile].valid]
        if not valid:
            return Reading(math.nan, "nobody's smile is known")
        broadest = max(valid, key=lambda face: face[Smile].intensity)
        smile = broadest[Smile]
        return Reading(smile.intensity, f"{broadest.track.id} smiles {smile.intensity:.2f}")


class _SomebodysVoice(AffectCondition):
    """Whether the loudest of all faces does something; a subclass says what."""

    key = FACES
    _field, _verb = "", ""

    def measure(self, value: tuple[FaceAffect, ...]) -> Reading:
        voices = [(float(getattr(face[Voice], self._field)), face.track.id) for face in value]
        known = [each for each in voices if not math.isnan(each[0])]
        if not known:
            return Reading(math.nan, f"whether anybody {self._verb} is not known")
        number, name = max(known)
        return Reading(number, f"{name} {self._verb} {number:.2f}")


class SomebodySpeaks(_SomebodysVoice):
    """Whether any visible person speaks.

    Args:
        name: of the behaviour.
        hysteresis: of the highest ``speaking`` of all faces.
        options: those of :class:`AffectCondition`.
    """

    _field, _verb = "speaking", "speaks"

    def __init__(
        self,
        name: str = "does somebody speak",
        hysteresis: Hysteresis = Hysteresis(on=0.6, off=0.4, on_dwell_s=0.2, off_dwell_s=0.8),  # noqa: B008
        **options: Any,
    ) -> None:
        super().__init__(name, hysteresis, **options)


class SomebodyLaughs(_SomebodysVoice):
    """Whether any visible person laughs.

    Args:
        name: of the behaviour.
        hysteresis: of the highest ``laughing`` of all faces.
        options: those of :class:`AffectCondition`.
    """

    _field, _verb = "laughing", "laughs"

    def __init__(
        self,
        name: str = "does somebody laugh",
        hysteresis: Hysteresis = Hysteresis(on=0.6, off=0.4, on_dwell_s=0.2, off_dwell_s=0.5),  # noqa: B008
        **options: Any,
    ) -> None:
        super().__init__(name, hysteresis, **options)


class GroupLaughs(AffectCondition):
    """Whether laughter is in the room, of people in view or not.

    Args:
        name: of the behaviour.
        hysteresis: of the group's ``laughter``.
        options: those of :class:`AffectCondition`.
    """

    def __init__(
        self,
        name: str = "does the group laugh",
        hysteresis: Hysteresis = Hysteresis(on=0.6, off=0.4, on_dwell_s=0.3, off_dwell_s=0.5),  # noqa: B008
        **options: Any,
    ) -> None:
        super().__init__(name, hysteresis, **options)

    def measure(self, value: GroupAffect) -> Reading:
        laughter = value[RoomSound].laughter
        return Reading(laughter, f"laughter {laughter:.2f}")


class GroupIsCheerful(AffectCondition):
    """Whether the scene as a whole is positive; needs no processing of single people.

    Args:
        name: of the behaviour.
        hysteresis: of the scene's ``valence``, in [-1, 1].
        options: those of :class:`AffectCondition`.
    """

    key = SCENE

    def __init__(
        self,
        name: str = "is the group cheerful",
        hysteresis: Hysteresis = Hysteresis(on=0.4, off=0.2, on_dwell_s=1.0, off_dwell_s=1.0),  # noqa: B008
        **options: Any,
    ) -> None:
        super().__init__(name, hysteresis, **options)

    def measure(self, value: Scene) -> Reading:
        valence = value[SceneAffect].valence
        return Reading(valence, f"valence {valence:+.2f}")


class MoodIs(AffectCondition):
    """Whether the group brightens up, or darkens.

    Args:
        mood: ``Mood.RISING`` or ``Mood.FALLING``, or its value as a string.
        name: of the behaviour; None: made from the mood.
        hysteresis: of the trend in 1/s, which for FALLING is taken negative.
        options: those of :class:`AffectCondition`.
    """

    def __init__(
        self,
        mood: Mood | str,
        name: str | None = None,
        hysteresis: Hysteresis = Hysteresis(on=0.05, off=0.02, on_dwell_s=0.5, off_dwell_s=0.5),  # noqa: B008
        **options: Any,
    ) -> None:
        try:
            mood = Mood(mood)
        except ValueError as error:
            raise ConfigurationError(f"mood must be one of rising, falling, got {mood!r}") from error
        super().__init__(name or f"mood is {mood.value}", hysteresis, **options)
        self._sign = 1.0 if mood is Mood.RISING else -1.0

    def measure(self, value: GroupAffect) -> Reading:
        return Reading(self._sign * value.trend, f"trend {value.trend:+.3f} 1/s")


class GroupIsPresent(AffectCondition):
    """Whether enough people are there; one who is hidden for a moment does not end it.

    FAILURE does not say that nobody is there, because the camera may be silent: see
    :class:`GroupIsAbsent`.

    Args:
        name: of the behaviour.
        min_size: people that make a group.
        on_dwell_s: time in s for which so many must be there.
        off_dwell_s: time in s for which there must be fewer.
        options: those of :class:`AffectCondition`.
    """

    def __init__(
        self,
        name: str = "is a group present",
        *,
        min_size: int = 1,
        on_dwell_s: float = 0.0,
        off_dwell_s: float = 1.0,
        **options: Any,
    ) -> None:
        _check_min_size(min_size)
        super().__init__(name, Hysteresis(min_size, min_size, on_dwell_s, off_dwell_s), **options)

    def measure(self, value: GroupAffect) -> Reading:
        return Reading(value.group_size, f"{value.group_size} people")


class GroupIsAbsent(AffectCondition):
    """Whether the camera sees that there are too few people, and has seen it for a while.

    Args:
        name: of the behaviour.
        min_size: people that make a group.
        dwell_s: time in s for which there must be fewer.
        options: those of :class:`AffectCondition`.
    """

    def __init__(
        self,
        name: str = "is the group absent",
        *,
        min_size: int = 1,
        dwell_s: float = 3.0,
        **options: Any,
    ) -> None:
        _check_min_size(min_size)
        super().__init__(name, Hysteresis(0.0, 0.0, dwell_s), **options)
        self._min_size = min_size

    def measure(self, value: GroupAffect) -> Reading:
        missing = self._min_size - 1 - value.group_size  # 0 or more: too few are there
        return Reading(missing, f"{value.group_size} people")


def _check_min_size(min_size: int) -> None:
    if min_size < 1:
        raise ConfigurationError(f"min_size must be at least 1, got {min_size}")
