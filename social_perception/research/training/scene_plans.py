"""What synthetic group scenes show and sound like, and their labels.

The label follows one rule. Most faces of a scene show one emotion, and it decides. Where they are
neutral, or nobody can be seen, the sound decides: laughter is positive; cries, moans and anger are negative;
speech, noise and silence are neutral.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from social_perception.research.training.scene_material import NEUTRAL


class Kind(Enum):
    """What a scene shows."""

    GROUP = "group of 3 to 15"
    FEW = "1 or 2 people"
    MANY = "about 100 faces"
    EMPTY = "empty room"
    DARK = "darkness"


class SoundKind(Enum):
    """What the sound of a scene is."""

    NOTHING = "no sound"
    BACKGROUND = "silence, noise or speech"
    BURSTS = "vocal bursts"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is drawn for a scene; the emotion of its faces is None where none can be seen."""

    kind: Kind
    faces: int | None
    sound_kind: SoundKind
    sound: int

    @property
    def label(self) -> int:
        """Negative, neutral or positive."""
        return self.sound if self.faces in (None, NEUTRAL) else self.faces

    @property
    def conflicts(self) -> bool:
        """Whether faces that can be seen and the bursts have different emotions."""
        return self.faces is not None and self.sound_kind is SoundKind.BURSTS and self.faces != self.sound


@dataclass(frozen=True, slots=True)
class Shares:
    """How often scenes are of a kind; the rest are groups."""

    few: float = 0.08
    many: float = 0.06
    empty: float = 0.06
    dark: float = 0.05
    silent: float = 0.3
    """Scenes without sound."""
    bursts: float = 0.5
    """Scenes with vocal bursts; the rest have other sound or none."""
    fitting: float = 0.5
    """Of the scenes with bursts, those in which they fit the faces; in the rest a third does so by chance."""


def draw_plan(draw: np.random.Generator, shares: Shares) -> Plan:
    """Sample what a scene is."""
    limits = np.cumsum([shares.few, shares.many, shares.empty, shares.dark])
    place = int(np.searchsorted(limits, draw.random(), side="right"))
    kind = (Kind.FEW, Kind.MANY, Kind.EMPTY, Kind.DARK, Kind.GROUP)[place]
    faces = None if kind in (Kind.EMPTY, Kind.DARK) else int(draw.integers(3))
    chance = draw.random()
    if chance < shares.silent:
        return Plan(kind, faces, SoundKind.NOTHING, NEUTRAL)
    if chance < shares.silent + shares.bursts:
        fits = faces is not None and draw.random() < shares.fitting
        return Plan(
            kind, faces, SoundKind.BURSTS, faces if fits and faces is not None else int(draw.integers(3))
        )
    return Plan(kind, faces, SoundKind.BACKGROUND, NEUTRAL)
