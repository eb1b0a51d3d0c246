"""A clock that is set by hand, and a blackboard of one's own."""

from __future__ import annotations

import itertools

import factories
import pytest
from factories import group

pytest.importorskip("py_trees")

from social_perception.behaviours import AffectWriter
from social_perception.core.types import SmileLevel

NEUTRAL = {
    "intensity": 0.0,
    "mean_intensity": 0.0,
    "dispersion": 0.0,
    "smiling_fraction": 0.0,
    "level": SmileLevel.NEUTRAL,
}
_namespaces = (f"/affect_{number}" for number in itertools.count())


class Scene:
    """A clock, what the perception says, and what a behaviour answers."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.namespace = next(_namespaces)
        self._writer = AffectWriter(namespace=self.namespace)

    @property
    def options(self):
        return {"clock": lambda: self.now_s, "namespace": self.namespace}

    def say(self, faces=None, of_scene=None, **values) -> None:
        """What the perception says now of the group, and of the faces and the scene if given."""
        if of_scene is not None:
            self._writer.write_scene(of_scene, self.now_s)
        self._writer.write_group(group(**{**NEUTRAL, **values}), self.now_s)
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
    return factories.face
