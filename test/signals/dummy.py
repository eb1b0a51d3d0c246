"""A face signal and a group signal of a test: all that a new signal takes is in this file."""

from __future__ import annotations

import math
from dataclasses import dataclass

from social_perception.core.signals import Subject, signal, value
from social_perception.core.types import FrameAffect, TrackedFaces
from social_perception.perception.estimators import FACE_ESTIMATORS, GROUP_ESTIMATORS


@signal(Subject.FACE)
@dataclass(frozen=True, slots=True)
class Yawn:
    """How wide a mouth is open, in mm."""

    yawn: float = value("yawn", unit="mm", low=0.0, high=100.0, unknown=math.nan, display=".1f")


@signal(Subject.GROUP)
@dataclass(frozen=True, slots=True)
class Tiredness:
    """How many yawns there were, and how tired everybody is."""

    yawns: int = value("yawns", low=0)
    tiredness: float = value("tiredness", unit="%", low=0.0, high=100.0, unknown=math.nan, display=".0f")


class YawnEstimator:
    """Knows every second frame."""

    def estimate(self, faces: TrackedFaces) -> list[Yawn]:
        return [Yawn(12.34567 if faces.index % 2 else math.nan) for _ in faces.tracks]

    def configure(self, config) -> None:
        """Nothing can be configured."""

    def reset(self) -> None:
        """There is no state."""


class TirednessEstimator:
    def estimate(self, affect: FrameAffect) -> Tiredness:
        known = [face[Yawn].yawn for face in affect.faces if not math.isnan(face[Yawn].yawn)]
        return Tiredness(len(known), 50.0 if known else math.nan)

    def reset(self) -> None:
        """There is no state."""


FACE_ESTIMATORS["yawn"] = lambda config: YawnEstimator()
GROUP_ESTIMATORS["tiredness"] = lambda config: TirednessEstimator()
