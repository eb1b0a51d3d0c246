"""The estimators of the pipeline, by name: what each needs is one class and one line here.

An estimator gives one signal, a dataclass declared with :func:`social_perception.core.signals.signal`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from social_perception.core.config import PipelineConfig
from social_perception.core.types import FrameAffect, TrackedFaces
from social_perception.perception.hearing.level_meter import LevelMeter
from social_perception.perception.hearing.speakers import RoomListener, SpeakerEstimator
from social_perception.perception.smile.explanation import ExplanationEstimator
from social_perception.perception.smile.factory import make_scorer
from social_perception.perception.smile.scorer import SmileEstimator


class FaceEstimator(Protocol):
    """Estimates one signal of each face, for all faces of a frame in one call."""

    def estimate(self, faces: TrackedFaces) -> Sequence[object | None]:
        """Return one signal per track, in order; no tracks is legal.

        None: the signal cannot be estimated in this run, and views leave it out.
        """

    def configure(self, config: PipelineConfig) -> None:
        """Apply the dynamic settings, between two frames."""

    def reset(self) -> None:
        """Forget every track."""


class GroupEstimator(Protocol):
    """Estimates one signal of the group."""

    def estimate(self, affect: FrameAffect) -> object | None:
        """Return the group's signal for the faces and the sound of a frame; no faces are legal.

        None: the signal cannot be estimated in this run, and views leave it out.
        """

    def reset(self) -> None:
        """Forget the history."""


FACE_ESTIMATORS: dict[str, Callable[[PipelineConfig], FaceEstimator]] = {
    "smile": lambda config: SmileEstimator(make_scorer(config.smile)),
    "speakers": lambda config: SpeakerEstimator(),
    "explanation": lambda config: ExplanationEstimator(
        make_scorer(config.smile) if config.explanation.explain else None
    ),
}
GROUP_ESTIMATORS: dict[str, Callable[[PipelineConfig], GroupEstimator]] = {
    "sound_level": lambda config: LevelMeter(config.hearing),
    "room": lambda config: RoomListener(),
}


def make_face_estimators(config: PipelineConfig) -> Mapping[str, FaceEstimator]:
    """Build every registered face estimator.

    Raises:
        ModelError: weights are missing or damaged.
    """
    return {name: make(config) for name, make in FACE_ESTIMATORS.items()}


def make_group_estimators(config: PipelineConfig) -> Mapping[str, GroupEstimator]:
    """Build every registered group estimator."""
    return {name: make(config) for name, make in GROUP_ESTIMATORS.items()}
