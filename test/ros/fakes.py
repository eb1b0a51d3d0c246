"""Steps of the pipeline for tests: nothing is searched or scored, and what they get is remembered."""

from __future__ import annotations

import threading

from factories import smile

from social_perception.core.config import SmileConfig
from social_perception.core.types import Box, Track
from social_perception.perception.detection.schedule import SearchBudget
from social_perception.perception.pipeline import FaceEstimation
from social_perception.perception.smile.scorer import SmileEstimator
from test.ros.messages import tracked

BOXES = (Box(4, 6, 20, 24), Box(40, 10, 22, 28))
TRACKS = tuple(Track(f"p{i}", box, 0.5 + i / 4) for i, box in enumerate(BOXES))


class FakeTracking:
    """Tracks the same faces in every frame; can be held up and made to fail."""

    def __init__(self, tracks=TRACKS) -> None:
        self.tracks = tracks
        self.frames, self.results, self.failures, self.configs = [], [], [], []
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.is_closed = False
        self.resets = 0
        self.budget = SearchBudget(10)
        self.usages = []

    def note_usage(self, now_s, cpu_s) -> None:
        self.usages.append((now_s, cpu_s))

    def process(self, frame):
        self.frames.append(frame)
        assert self.may_go_on.wait(10.0)
        if self.failures:
            raise self.failures.pop()
        self.results.append(tracked(frame, self.tracks))
        return self.results[-1]

    def configure(self, config) -> None:
        self.configs.append(config)

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None:
        self.is_closed = True


class FakeScorer:
    """The mean of a face's crop is its smile."""

    def __init__(self) -> None:
        self.config = SmileConfig()
        self.calls = []
        self.resets = 0
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def score(self, tracks, crops, stamp_s):
        self.calls.append((tracks, crops, stamp_s))
        assert self.may_go_on.wait(10.0)
        means = crops.mean(axis=(1, 2, 3)) / 255 if len(crops) else []
        return tuple(smile(float(mean), valid=track.visible) for track, mean in zip(tracks, means))

    def reset(self) -> None:
        self.resets += 1


def estimation(scorer) -> FaceEstimation:
    """The estimation step around a scorer."""
    return FaceEstimation({"smile": SmileEstimator(scorer)})
