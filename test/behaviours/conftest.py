"""A clock that is set by hand, and a blackboard of one's own."""

from __future__ import annotations

import itertools
import math

import pytest

pytest.importorskip("py_trees")

from social_perception.behaviours import AffectWriter
from social_perception.core.signals import Signals
from social_perception.core.types import Box, FaceAffect, GroupAffect, Smile, SmileLevel, Track

_namespaces = (f"/affect_{number}" for number in itertools.count())


def group_affect(**values) -> GroupAffect:
    """A group of two neutral people, but for what is given."""
    known = {
        "stamp_s": 1.0, "group_size": 2, "valid_faces": 2, "intensity": 0.0, "mean_intensity": 0.0,
        "dispersion": 0.0, "smiling_fraction": 0.0, "level": SmileLevel.NEUTRAL, "trend": 0.0,
        "synchrony": math.nan, "window_s": 5.0, "face_ids": ("a", "b"), "stale": False,
    }  # fmt: skip
    return GroupAffect(**{**known, **values})


def face_affect(name: str, intensity: float, *, valid: bool = True) -> FaceAffect:
    smile = Smile(intensity, SmileLevel.of_intensity(intensity), (0.25,) * 4, 20, valid)
    return FaceAffect(Track(name, Box(0, 0, 10, 10), 1.0), Signals(smile))


class Scene:
    """A clock, what the perception says, and what a behaviour answers."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.namespace = next(_namespaces)
        self._writer = AffectWriter(namespace=self.namespace)

    @property
    def options(self):
        return {"clock": lambda: self.now_s, "namespace": self.namespace}

    def say(self, faces=None, **values) -> None:
        """What the perception says now of the group, and of the faces if given."""
        self._writer.write_group(group_affect(**values), self.now_s)
        if faces is not None:
            self._writer.write_faces(faces, self.now_s)

    def tick(self, behaviour) -> str:
        behaviour.tick_once()
        return behaviour.status.name

    def play(self, behaviour, rows, step_s=0.1):
        """Tick after each row of values, a step apart; S for SUCCESS, F for FAILURE. None: silence."""
        answers = ""
        for row in rows:
            if row is not None:
                self.say(**row)
            answers += self.tick(behaviour)[0]
            self.now_s += step_s
        return answers


@pytest.fixture
def scene():
    return Scene()


@pytest.fixture
def face():
    return face_affect
