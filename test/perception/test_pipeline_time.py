"""What the pipeline does where the stamps of its frames jump: one answer for all steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from social_perception.core.config import GroupConfig, TrackingConfig
from social_perception.core.types import Box, Face, Frame, Smile, SmileLevel
from social_perception.perception.group.aggregator import GroupAggregator
from social_perception.perception.pipeline import FaceEstimation, FaceTracking, GroupAggregation, Pipeline
from social_perception.perception.tracking.tracker import Tracker


@dataclass(frozen=True)
class Found:
    frame_index: int
    faces: tuple[Face, ...] = (Face(Box(20.0, 20.0, 60.0, 60.0), 1.0),)
    scope: None = None


class Detection:
    """Finds one face in every frame."""

    interval = 10
    restarts = 0
    searched_index = None

    def update(self, frame, known=()):
        return [Found(frame.index)]

    def restart(self) -> None:
        self.restarts += 1

    def close(self) -> None: ...


class Counting:
    """Smiles with the number of frames since it was reset."""

    def __init__(self) -> None:
        self.frames = 0

    def estimate(self, faces):
        self.frames += 1
        share = self.frames / 100
        return [Smile(share, SmileLevel.LOW, (0.0, 1.0, 0.0, 0.0), self.frames, True) for _ in faces.tracks]

    def configure(self, config) -> None: ...

    def reset(self) -> None:
        self.frames = 0


@pytest.fixture
def process():
    tracking = FaceTracking(Detection(), Tracker(TrackingConfig()))
    aggregation = GroupAggregation(GroupAggregator(GroupConfig()), {})
    pipeline = Pipeline(tracking, FaceEstimation({"smile": Counting()}), aggregation)
    image = np.random.default_rng(0).integers(0, 256, (120, 120, 3), np.uint8)
    return lambda stamps_s: [pipeline.process(Frame(image, t, i)) for i, t in enumerate(stamps_s)]


def test_a_recording_that_is_played_again_starts_every_history_again(process) -> None:
    stamps_s = [index / 10 for index in range(20)]
    found = process([*stamps_s, *stamps_s])
    first, again = found[:20], found[20:]
    assert {each.epoch for each in first} == {0}
    assert {each.epoch for each in again} == {1}
    assert next(each.faces[0][Smile].observed_frames for each in again if each.faces) <= 3
    assert again[-1].group.window_s == pytest.approx(first[-1].group.window_s)
    ids = {face.track.id for each in found for face in each.faces}
    assert len(ids) == 1, "a stamp changes nobody's id"


def test_a_late_frame_changes_nothing(process) -> None:
    found = process([0.0, 0.1, 0.2, 0.15, 0.3, 0.4])
    assert [each.stamp_s for each in found] == [0.0, 0.1, 0.2, 0.2, 0.3, 0.4]
    assert {each.epoch for each in found} == {0}
    assert len({face.track.id for each in found for face in each.faces}) == 1
    assert found[-1].group.window_s == pytest.approx(0.4)


class Searching(Detection):
    """Still searches one frame."""

    searched_index = 5

    def update(self, frame, known=()):
        return []


def test_frames_are_kept_while_their_detection_is_pending() -> None:
    tracker = Tracker(TrackingConfig())
    tracking = FaceTracking(Searching(), tracker)
    image = np.random.default_rng(0).integers(0, 256, (120, 120, 3), np.uint8)
    for index in range(20):
        tracking.process(Frame(image, index / 30, index))
    tracker.correct(4, Found(4).faces)
    assert not tracker.known().boxes, "no detection of that frame was pending"
    tracker.correct(5, Found(5).faces)
    assert len(tracker.known().boxes) == 1
