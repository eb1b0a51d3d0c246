"""Nobody and three hundred people at once: the limits hold, and the work does not run away."""

from __future__ import annotations

import dataclasses
import math
import tracemalloc

import cv2
import numpy as np

from social_perception.core.config import DynamicsConfig, GroupConfig, SmileConfig, TrackingConfig
from social_perception.core.signals import Signals
from social_perception.core.types import Box, Face, FaceAffect, Frame, FrameAffect, Smile, Track
from social_perception.perception.group.aggregator import GroupAggregator
from social_perception.perception.group.dynamics import DynamicsEstimator
from social_perception.perception.pipeline import make_pipeline
from social_perception.perception.smile.crop import crop_faces
from social_perception.perception.smile.factory import make_scorer
from social_perception.perception.tracking.tracker import Tracker
from social_perception.sources.sample import SampleSource

WIDTH, HEIGHT = 1920, 1080
RATE_HZ = 30.0


class ManyFaces:
    """So many faces of one size, side by side: patches of a texture, each its own, that drift together."""

    def __init__(self, count: int) -> None:
        columns = math.ceil(math.sqrt(count * WIDTH / HEIGHT))
        rows = math.ceil(count / columns)
        width, height = WIDTH / columns, HEIGHT / rows
        side = 0.7 * min(width, height)
        self.boxes = [
            Box((n % columns + 0.5) * width - side / 2, (n // columns + 0.5) * height - side / 2, side, side)
            for n in range(count)
        ]
        noise = np.random.default_rng(0).integers(0, 256, (HEIGHT // 6, WIDTH // 6, 3), dtype=np.uint8)
        self._image = cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)

    def frame(self, index: int) -> Frame:
        shift = np.float32([[1, 0, 0.5 * index], [0, 1, 0]])
        return Frame(cv2.warpAffine(self._image, shift, (WIDTH, HEIGHT)), index / RATE_HZ, index)

    def faces(self, index: int) -> list[Face]:
        return [Face(box.moved(0.5 * index, 0.0), 1.0) for box in self.boxes]


class Steps:
    """Tracker, crops, scorer, aggregator and dynamics, as the pipeline joins them, with given detections."""

    def __init__(self) -> None:
        self.tracker = Tracker(TrackingConfig())
        self.scorer = make_scorer(SmileConfig(device="cpu", warmup_frames=3))
        self.aggregator = GroupAggregator(GroupConfig())
        self.dynamics = DynamicsEstimator(DynamicsConfig())

    def process(self, frame: Frame, found: list[Face] | None) -> FrameAffect:
        self.tracker.advance(frame)
        if found is not None:
            self.tracker.correct(frame.index, found)
        tracks = self.tracker.tracks()
        crops = crop_faces(frame.image, [track.box for track in tracks])
        smiles = self.scorer.score(tracks, crops, frame.stamp_s)
        faces = tuple(FaceAffect(track, Signals(smile)) for track, smile in zip(tracks, smiles))
        self.dynamics.add(faces, frame.stamp_s)
        group = self.aggregator.update(faces, frame.stamp_s)
        return FrameAffect(frame.stamp_s, frame.index, frame.width, frame.height, faces, group)


def walk(count: int, frames: int) -> list[FrameAffect]:
    many, steps = ManyFaces(count), Steps()
    return [
        steps.process(many.frame(index), many.faces(index) if index % 5 == 0 else None)
        for index in range(frames)
    ]


def test_of_three_hundred_people_the_same_sixty_four_are_scored_and_all_are_listed(check_sane) -> None:
    affects = walk(300, 8)
    for affect in affects:
        check_sane(affect)
    assert [len(affect.faces) for affect in affects] == [300] * 8
    # The faces are noise, so a mouth may count as covered, and a smile that was scored as not valid.
    scored = [{face.track.id for face in affect.faces if face[Smile].observed_frames} for affect in affects]
    assert [len(each) for each in scored] == [SmileConfig().max_faces] * 8
    assert len(set.union(*scored)) == SmileConfig().max_faces
    # Those that were never scored are unknown, and enter no number of the group.
    others = [face[Smile] for face in affects[-1].faces if face.track.id not in scored[-1]]
    assert all(math.isnan(smile.intensity) and not smile.valid for smile in others)
    valid = sum(face[Smile].valid for face in affects[-1].faces)
    assert affects[-1].group.valid_faces == valid > SmileConfig().max_faces / 2
    assert len(affects[-1].group.face_ids) == 300


def test_the_dynamics_of_three_hundred_people_are_all_their_pairs() -> None:
    estimator = DynamicsEstimator(DynamicsConfig(dynamics_window_s=2.0))
    rng = np.random.default_rng(1)
    (scored,) = walk(1, 3)[-1].faces
    tracks = [Track(f"person{n:03}", Box(n, 0, 10, 10), 1.0) for n in range(300)]
    for index in range(30):
        faces = [
            FaceAffect(track, Signals(dataclasses.replace(scored[Smile], intensity=value, valid=True)))
            for track, value in zip(tracks, rng.random(300))
        ]
        estimator.add(faces, index / 10)
    dynamics = estimator.estimate()
    assert len(dynamics.pairs) == 300 * 299 // 2
    assert abs(dynamics.synchrony) < 0.05


def test_the_memory_for_three_hundred_people_stays_small() -> None:
    """Of arrays that Python sees; some steps compare every two heads, with 49 points in each."""
    steps, many = Steps(), ManyFaces(300)
    steps.process(many.frame(0), many.faces(0))
    frame = many.frame(1)
    tracemalloc.start()
    steps.process(frame, None)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 20e6
    assert peak < 400e6


def test_an_empty_room_is_known_and_takes_nothing(pipeline, people, check_sane) -> None:
    wall = np.full_like(people[0], 150)
    for index in range(3):
        affect = pipeline.process(Frame(wall, index / RATE_HZ, index))
        check_sane(affect)
    group = affect.group
    assert (affect.faces, group.group_size, group.valid_faces, group.face_ids) == ((), 0, 0, ())
    assert (math.isnan(group.intensity), group.stale) == (True, False)


def test_every_drawn_face_is_found_followed_and_scored_up_to_the_limit(config, check_sane) -> None:
    image = SampleSource(people=16).image(0)
    few = dataclasses.replace(
        config,
        detection=dataclasses.replace(config.detection, min_face_px=50),
        smile=dataclasses.replace(config.smile, max_faces=10),
    )
    with make_pipeline(few, live=False) as pipeline:
        affects = [pipeline.process(Frame(image, index / RATE_HZ, index)) for index in range(7)]
    for affect in affects:
        check_sane(affect)
    assert affects[-1].group.group_size >= 14
    assert affects[-1].group.valid_faces == 10
    # The nearest are scored.
    sizes = {face[Smile].valid: [] for face in affects[-1].faces}
    for face in affects[-1].faces:
        sizes[face[Smile].valid].append(face.track.box.area)
    assert min(sizes[True]) > 0.8 * max(sizes[False])
