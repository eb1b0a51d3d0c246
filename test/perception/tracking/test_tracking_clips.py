"""The tracker on real faces: filmed people moved over a patch, and real clips with real detectors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from social_perception.core.config import DetectionConfig, TrackingConfig
from social_perception.core.types import Frame, Track
from social_perception.perception.detection.factory import make_detector
from social_perception.perception.tracking.tracker import Tracker

PEOPLE = ["talker_d0", "talker_d3", "talker_d6", "talker_d9", "talker_d18"]
HOG = DetectionConfig(backend="hog", min_face_px=80)
MMOD = DetectionConfig(backend="mmod-torch", min_face_px=40, device="cpu")


def follow_clip(clip: Path, detection: DetectionConfig, lag: int = 0) -> Iterator[tuple[Track, ...]]:
    """Play a clip with a real detector, whose answers are late by some frames; yield each frame's tracks."""
    detector = make_detector(detection)
    tracker, waiting = Tracker(TrackingConfig()), []
    capture = cv2.VideoCapture(str(clip))
    rate_hz, index = capture.get(cv2.CAP_PROP_FPS), 0
    while True:
        read, image = capture.read()
        if not read:
            return
        rgb = np.ascontiguousarray(image[:, :, ::-1])
        tracker.advance(Frame(rgb, index / rate_hz, index))
        if index % 10 == 0:
            waiting.append((index, detector.detect(rgb)))
        while waiting and waiting[0][0] + lag <= index:
            tracker.correct(*waiting.pop(0))
        yield tracker.tracks()
        index += 1


@pytest.mark.parametrize(
    ("behind", "before", "speed", "delay"),
    [
        ("talker_d9", "talker_d3", 4.0, 0),
        ("talker_d9", "talker_d3", 8.0, 20),
        ("talker_d6", "talker_d18", 6.0, 10),
        ("talker_d0", "talker_d6", 5.0, 20),
    ],
)
def test_people_who_cross_keep_their_ids(theatre, filmed, behind, before, speed, delay):
    stage = theatre.Stage(
        [
            filmed(behind, 230, theatre.straight(100, 200, speed)),
            filmed(before, 250, theatre.straight(850, 215, -speed)),
        ]
    )
    detector = theatre.FakeDetector(stage, delay=delay)
    moments = theatre.play(stage, detector, delay + int(1000 / speed))
    (first,), (second,) = theatre.ids_of(moments, behind), theatre.ids_of(moments, before)
    assert first != second
    for moment in moments[delay:]:
        boxes = [track.box for track in moment.tracks if track.visible]
        assert all(max(box.iou(face) for face, _ in moment.truth.values()) > 0.3 for box in boxes)


@pytest.mark.parametrize(("away", "same"), [(45, True), (80, False)])
def test_who_leaves_and_comes_back_in_time_keeps_the_id(theatre, filmed, away, same):
    """Out to the left at frame 30, and in again: the face is lost for about `away` frames."""

    def path(index: int) -> tuple[float, float]:
        return min(60.0, -140.0 + 9.0 * max(30 - index, index - 30 - away)), 200.0

    stage = theatre.Stage(
        [filmed("talker_d3", 230, path), filmed("talker_d9", 230, theatre.straight(800, 300, -1.0))]
    )
    moments = theatre.play(stage, theatre.FakeDetector(stage, miss=0.0), 60 + away)
    assert len(theatre.ids_of(moments, "talker_d3")) == (1 if same else 2)
    assert len(theatre.ids_of(moments, "talker_d9")) == 1


@pytest.mark.parametrize("delay", [0, 20])
def test_eight_people_are_followed_with_late_detections(theatre, filmed, delay):
    actors = []
    for i in range(8):
        x, y = 20 + 310 * (i % 4), 60 + 330 * (i // 4)
        actor = filmed(
            PEOPLE[i % 5], (170, 220, 250)[i % 3], theatre.swaying(x, y, 25 + 4 * i, 30, 60 + 9 * i)
        )
        actor.name = str(i)
        actors.append(actor)
    stage = theatre.Stage(actors)
    moments = theatre.play(stage, theatre.FakeDetector(stage, delay=delay, miss=0.05), 110)
    for name in (actor.name for actor in actors):
        known = [m for m in moments[delay + 30 :] if m.truth[name][1] > 0.9]
        assert len(theatre.ids_of(known, name)) == 1
        assert min(moment.best(name)[1] for moment in known) >= 0.6


@pytest.mark.parametrize("lag", [0, 10])
def test_a_face_is_gone_soon_after_the_cut(shared, lag):
    """In face_leaves.mov another film begins at frame 72."""
    listed = list(follow_clip(shared / "clips" / "face_leaves.mov", HOG, lag))
    assert all(len(tracks) == 1 and tracks[0].visible for tracks in listed[lag:72])
    assert len({tracks[0].id for tracks in listed[lag:72]}) == 1
    assert not any(track.visible for tracks in listed[72 + 5 :] for track in tracks)
    assert not any(listed[72 + 15 :])


def test_a_face_that_enters_is_found_and_stays(shared):
    listed = list(follow_clip(shared / "clips" / "face_enters.mov", HOG))
    present = [index for index, tracks in enumerate(listed) if any(track.visible for track in tracks)]
    assert 95 <= present[0] <= 120
    # The last frame is black.
    assert present == list(range(present[0], len(listed) - 1))
    assert len({track.id for tracks in listed for track in tracks}) == 1


@pytest.mark.slow
def test_nobody_inherits_an_id_through_a_cut(shared):
    """stage_cuts.mp4 has cuts at frames 20, 82 and 211; other people are seen after each."""
    listed = list(follow_clip(shared / "clips" / "stage_cuts.mp4", MMOD))
    scenes = [(0, 20), (20, 82), (82, 211), (211, 275)]
    ids = [{track.id for tracks in listed[a:b] for track in tracks if track.visible} for a, b in scenes]
    assert all(ids)
    assert sum(len(names) for names in ids) == len(set().union(*ids))
    assert len(ids[2]) == 1
