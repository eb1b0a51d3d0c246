"""The pipeline: detect, track, crop, estimate, aggregate.

Each step is an object whose ``process`` takes the result of the step before it. The nodes
face_tracker, smile_intensity and group_affect run one step each; ``live``, ``annotate`` and the
anonymous node run all of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from social_perception.core.clock import FrameClock
from social_perception.core.config import PipelineConfig
from social_perception.core.signals import Signals
from social_perception.core.types import FaceAffect, Frame, FrameAffect, GroupAffect, TrackedFaces
from social_perception.perception.detection.factory import make_detector
from social_perception.perception.detection.schedule import (
    BackgroundDetection,
    DetectionSchedule,
    InlineDetection,
    SearchBudget,
)
from social_perception.perception.estimators import (
    FaceEstimator,
    GroupEstimator,
    make_face_estimators,
    make_group_estimators,
)
from social_perception.perception.group.aggregator import GroupAggregator
from social_perception.perception.smile.crop import crop_faces
from social_perception.perception.tracking.tracker import Tracker

if TYPE_CHECKING:
    from social_perception.perception.hearing.listener import Listener


class FaceTracking:
    """Detect, track and crop: a frame in, its tracked faces out.

    Attributes:
        budget: determines the interval between detections of a live video.
    """

    def __init__(self, detection: DetectionSchedule, tracker: Tracker, cpu_budget: float = 0.0) -> None:
        self.detection = detection
        self.tracker = tracker
        self.budget = SearchBudget(detection.interval, cpu_budget)
        self.clock = FrameClock()

    def process(self, frame: Frame) -> TrackedFaces:
        """Follow the known faces into this frame and accept the detections that are ready.

        Raises:
            DetectionError: the detector failed; the next frame can be processed.
        """
        # The images go on where stamps jump, so that a wrong stamp changes nobody's id.
        stamp_s = self.clock.admit(frame.stamp_s)
        frame = frame if stamp_s == frame.stamp_s else dataclasses.replace(frame, stamp_s=stamp_s)
        self.tracker.advance(frame)
        for found in self.detection.update(frame, self.tracker.known()):
            self.tracker.correct(found.frame_index, found.faces, found.scope)
        pending = self.detection.searched_index
        self.tracker.forget_before(frame.index if pending is None else pending)
        tracks = self.tracker.tracks()
        crops = crop_faces(frame.image, [track.box for track in tracks])
        return TrackedFaces(
            stamp_s,
            frame.index,
            frame.width,
            frame.height,
            tracks,
            crops,
            epoch=self.clock.epoch,
            sound=frame.sound,
        )

    def note_usage(self, now_s: float, cpu_s: float) -> None:
        """Keep to the processor budget, between two frames; see :meth:`SearchBudget.note`."""
        self.budget.note(now_s, cpu_s)
        self.detection.interval = self.budget.interval

    def configure(self, config: PipelineConfig) -> None:
        """Apply the dynamic settings, between two frames."""
        self.tracker.config = config.tracking
        self.budget.shortest = config.detection.detection_interval
        self.budget.cores = config.detection.cpu_budget
        self.detection.interval = self.budget.interval
        self.detection.detector.threshold = config.detection.detection_threshold

    def reset(self) -> None:
        """Forget all faces; ids that were given stay used."""
        self.clock.restart()
        self.tracker.reset()
        self.detection.restart()

    def restart(self, new_id: Callable[[], str] | None = None) -> None:
        """Forget all faces and ids, as for another video; the detector stays loaded."""
        self.tracker = Tracker(self.tracker.config, new_id)
        self.clock.restart()
        self.detection.restart()

    def close(self) -> None:
        """Stop the background detection."""
        self.detection.close()


class FaceEstimation:
    """Estimate the signals of each face, every estimator once per frame with all faces in one batch.

    Args:
        estimators: by name.
        listener: hears the frames' sound; None: nobody listens, or another step did.
    """

    def __init__(self, estimators: Mapping[str, FaceEstimator], listener: Listener | None = None) -> None:
        self.estimators = estimators
        self.listener = listener
        self._epoch = 0

    def process(self, faces: TrackedFaces) -> FrameAffect:
        """Return the faces with their signals; the group is not known yet."""
        if faces.epoch != self._epoch:
            self._epoch = faces.epoch
            self.reset()
        if self.listener is not None and faces.sound is not None:
            faces = dataclasses.replace(faces, sound_events=self.listener.listen(faces.sound))
        signals = zip(*(each.estimate(faces) for each in self.estimators.values()))
        known = (Signals(*(each for each in values if each is not None)) for values in signals)
        found = tuple(FaceAffect(track, each) for track, each in zip(faces.tracks, known))
        size = (faces.width, faces.height)
        return FrameAffect(
            faces.stamp_s,
            faces.index,
            *size,
            faces=found,
            epoch=faces.epoch,
            sound=faces.sound,
            sound_events=faces.sound_events,
        )

    def configure(self, config: PipelineConfig) -> None:
        """Apply the dynamic settings, between two frames."""
        for each in self.estimators.values():
            each.configure(config)

    def reset(self) -> None:
        """Forget every track."""
        for each in self.estimators.values():
            each.reset()
        if self.listener is not None:
            self.listener.reset()


class GroupAggregation:
    """Aggregate the faces' signals to the group's, and estimate the group's further signals."""

    def __init__(self, aggregator: GroupAggregator, estimators: Mapping[str, GroupEstimator]) -> None:
        self.aggregator = aggregator
        self.estimators = estimators
        self._epoch = 0

    def process(self, affect: FrameAffect) -> FrameAffect:
        """Return the frame's affect with its group."""
        if affect.epoch != self._epoch:
            self._epoch = affect.epoch
            self.reset()
        estimated = (each.estimate(affect) for each in self.estimators.values())
        further = Signals(*(each for each in estimated if each is not None))
        group = self.aggregator.update(affect.faces, affect.stamp_s, further)
        return dataclasses.replace(affect, group=group, sound=None)

    def current(self, silence_s: float) -> GroupAffect:
        """The latest group; see :meth:`GroupAggregator.current`."""
        return self.aggregator.current(silence_s)

    def configure(self, config: PipelineConfig) -> None:
        """Apply the dynamic settings, between two frames."""
        self.aggregator.config = config.group

    def reset(self) -> None:
        """Forget the history."""
        self.aggregator.reset()
        for each in self.estimators.values():
            each.reset()


class Pipeline:
    """All steps in one process."""

    def __init__(
        self, tracking: FaceTracking, estimation: FaceEstimation, aggregation: GroupAggregation
    ) -> None:
        self.tracking = tracking
        self.estimation = estimation
        self.aggregation = aggregation

    def process(self, frame: Frame) -> FrameAffect:
        """Return the signals of the frame's faces and of the group.

        Raises:
            SocialPerceptionError: a step failed; the next frame can be processed.
        """
        track, estimate = self.halves
        return estimate(track(frame))

    @property
    def halves(self) -> tuple[Callable[[Frame], TrackedFaces], Callable[[TrackedFaces], FrameAffect]]:
        """The steps of :meth:`process` in two parts that take about equally long, for a thread each."""
        return self.tracking.process, lambda faces: self.aggregation.process(self.estimation.process(faces))

    def note_usage(self, now_s: float, cpu_s: float) -> None:
        """Keep to the processor budget, between two frames; see :meth:`FaceTracking.note_usage`."""
        self.tracking.note_usage(now_s, cpu_s)

    def without_images(self, last: FrameAffect | None, silence_s: float) -> FrameAffect:
        """What is reported while no frames come: no faces, and the group as old as the silence.

        Args:
            last: result; None: there was none.
            silence_s: time in s since the last frame.
        """
        group = self.aggregation.current(silence_s)
        return dataclasses.replace(last or FrameAffect(0.0, 0, 0, 0), faces=(), group=group)

    def configure(self, config: PipelineConfig) -> None:
        """Apply the dynamic settings, between two frames."""
        for step in (self.tracking, self.estimation, self.aggregation):
            step.configure(config)

    def reset(self) -> None:
        """Forget what was seen; ids that were given stay used."""
        for step in (self.tracking, self.estimation, self.aggregation):
            step.reset()

    def restart(self, new_id: Callable[[], str] | None = None) -> None:
        """Begin another video as a new pipeline would; the networks stay loaded.

        Args:
            new_id: names the people; None: at random.
        """
        self.tracking.restart(new_id)
        self.estimation.reset()
        self.aggregation.reset()

    def close(self) -> None:
        """Stop the background detection; the pipeline cannot be used afterwards."""
        self.tracking.close()

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()


def make_tracking(config: PipelineConfig, *, live: bool) -> FaceTracking:
    """Build the tracking step; a live one detects in the background, unless it is reproducible."""
    schedule = BackgroundDetection if live and not config.detection.reproducible else InlineDetection
    detector = make_detector(config.detection, video=True)
    detection = schedule(detector, config.detection.detection_interval)
    return FaceTracking(detection, Tracker(config.tracking), config.detection.cpu_budget)


def make_estimation(config: PipelineConfig, listener: Listener | None = None) -> FaceEstimation:
    """Build the estimation step.

    Args:
        config: of the estimators.
        listener: hears the frames' sound; None: nobody listens, or another step did.

    Raises:
        ModelError: weights are missing or damaged.
    """
    return FaceEstimation(make_face_estimators(config), listener)


def make_aggregation(config: PipelineConfig) -> GroupAggregation:
    """Build the aggregation step."""
    return GroupAggregation(GroupAggregator(config.group), make_group_estimators(config))


def make_pipeline(config: PipelineConfig, *, live: bool) -> Pipeline:
    """Build the pipeline from its configuration.

    Raises:
        ModelError: weights are missing or damaged.
        MissingDependencyError: the package of the chosen detector, or of the hearing, is not installed.
    """
    listener: Listener | None = None
    if config.hearing.sound:
        # Imported here: FFmpeg needs time to load and memory.
        from social_perception.perception.hearing.listener import Listener

        listener = Listener(config.laughter)
    estimation = make_estimation(config, listener)
    return Pipeline(make_tracking(config, live=live), estimation, make_aggregation(config))
