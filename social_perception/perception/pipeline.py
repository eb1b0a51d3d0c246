"""The way of one frame: detect, track, crop, score, aggregate.

The ROS nodes, ``social-perception live`` and ``social-perception annotate`` all walk it. Each step
can also be used alone, because the nodes share the steps out between processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from social_perception.core.config import PipelineConfig
from social_perception.core.types import FaceAffect, Frame, FrameAffect, Track
from social_perception.perception.detection.factory import make_detector
from social_perception.perception.detection.schedule import (
    BackgroundDetection,
    DetectionSchedule,
    InlineDetection,
)
from social_perception.perception.group.aggregator import GroupAggregator
from social_perception.perception.smile.crop import crop_faces
from social_perception.perception.smile.factory import make_scorer
from social_perception.perception.smile.scorer import Scorer
from social_perception.perception.tracking.tracker import Tracker


class FaceTracking:
    """Detection and tracking together: a frame in, its followed faces out."""

    def __init__(self, detection: DetectionSchedule, tracker: Tracker) -> None:
        self.detection = detection
        self.tracker = tracker

    def update(self, frame: Frame) -> tuple[Track, ...]:
        """Follow the known faces into this frame and take in the detections that are ready."""
        self.tracker.advance(frame)
        for found in self.detection.update(frame):
            self.tracker.correct(found.frame_index, found.faces, found.scope)
        return self.tracker.tracks()

    def reconfigure(self, config: PipelineConfig) -> None:
        """Take over the dynamic settings, between two frames."""
        self.tracker.config = config.tracking
        self.detection.interval = config.detection.detection_interval
        self.detection.detector.threshold = config.detection.detection_threshold

    def reset(self) -> None:
        """Forget all faces; ids that were given stay used."""
        self.tracker.reset()
        self.detection.restart()

    def restart(self, new_id: Callable[[], str] | None = None) -> None:
        """Forget all faces and ids, as for another video; the detector stays loaded."""
        self.tracker = Tracker(self.tracker.config, new_id)
        self.detection.restart()

    def close(self) -> None:
        self.detection.close()


class Pipeline:
    """The whole way, in one process."""

    def __init__(self, tracking: FaceTracking, scorer: Scorer, aggregator: GroupAggregator) -> None:
        self.tracking = tracking
        self.scorer = scorer
        self.aggregator = aggregator

    def process(self, frame: Frame) -> FrameAffect:
        """Return the smiles of the frame's faces and the group's affect.

        Raises:
            SocialPerceptionError: a step failed; the pipeline can go on with the next frame.
        """
        tracks = self.tracking.update(frame)
        faces = self._score(frame, tracks)
        group = self.aggregator.update(faces, frame.stamp_s)
        return FrameAffect(frame.stamp_s, frame.index, frame.width, frame.height, faces, group)

    def _score(self, frame: Frame, tracks: Sequence[Track]) -> tuple[FaceAffect, ...]:
        crops = crop_faces(frame.image, [track.box for track in tracks])
        smiles = self.scorer.score(tracks, crops, frame.stamp_s)
        return tuple(FaceAffect(track, smile) for track, smile in zip(tracks, smiles))

    def restart(self, new_id: Callable[[], str] | None = None) -> None:
        """Begin another video as a new pipeline would; the networks stay loaded.

        Args:
            new_id: names the people; None: at random.
        """
        self.tracking.restart(new_id)
        self.scorer.reset()
        self.aggregator.reset()

    def close(self) -> None:
        """Stop the background detection; the pipeline cannot be used afterwards."""
        self.tracking.close()

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()


def make_tracking(config: PipelineConfig, *, live: bool) -> FaceTracking:
    """Build detection and tracking; live ones detect in the background, unless they are reproducible."""
    schedule = BackgroundDetection if live and not config.detection.reproducible else InlineDetection
    detector = make_detector(config.detection, video=True)
    return FaceTracking(schedule(detector, config.detection.detection_interval), Tracker(config.tracking))


def make_pipeline(config: PipelineConfig, *, live: bool) -> Pipeline:
    """Build the pipeline from its configuration.

    Raises:
        ModelError: weights are missing or damaged.
        MissingDependencyError: the chosen detector's package is not installed.
    """
    tracking = make_tracking(config, live=live)
    return Pipeline(tracking, make_scorer(config.smile), GroupAggregator(config.group))
