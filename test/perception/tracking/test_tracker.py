"""The tracker on painted people: lifetimes, late detections, times, sizes, odd input."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import count, pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from social_perception.core.config import TrackingConfig
from social_perception.core.types import Box, Face, Frame, Scope
from social_perception.perception.tracking.appearance import DESCRIPTOR_SIZE
from social_perception.perception.tracking.face import FaceTrack
from social_perception.perception.tracking.history import CAPACITY
from social_perception.perception.tracking.tracker import Tracker

RATE_HZ = 30.0


def numbered() -> object:
    numbers = count()
    return lambda: f"id{next(numbers)}"


@pytest.fixture
def tracker() -> Tracker:
    return Tracker(TrackingConfig(), numbered())


@pytest.fixture
def one(theatre: SimpleNamespace) -> object:
    """One painted person who moves a little."""
    return theatre.Stage([theatre.painted("anna", 1, 200, theatre.straight(300, 200, 2.0, 1.0))])


def step(tracker: Tracker, stage: object, index: int, stamp_s: float | None = None) -> None:
    tracker.advance(Frame(stage.image(index), index / RATE_HZ if stamp_s is None else stamp_s, index))


def faces_of(stage: object, index: int) -> list[Face]:
    return [Face(box, 1.0) for box, seen in stage.truth(index).values() if seen > 0.5]


def empty(index: int, side: tuple[int, int] = (720, 1280)) -> Frame:
    return Frame(np.full((*side, 3), 90, np.uint8), index / RATE_HZ, index)


# Lifetimes ------------------------------------------------------------------------------------


def test_a_new_face_is_listed_at_once_and_followed(tracker, one):
    step(tracker, one, 0)
    assert tracker.tracks() == ()
    tracker.correct(0, faces_of(one, 0))
    assert [track.box for track in tracker.tracks()] == [one.truth(0)["anna"][0]]
    for index in range(1, 40):
        step(tracker, one, index)
        (track,) = tracker.tracks()
        assert track.id == "id0"
        assert track.visible
        assert track.box.iou(one.truth(index)["anna"][0]) > 0.85


@pytest.mark.parametrize("needed", [1, 2, 3])
def test_a_face_is_listed_when_enough_detections_agree(one, needed):
    tracker = Tracker(TrackingConfig(confirm_detections=needed), numbered())
    for index in range(30):
        step(tracker, one, index)
        if index % 10 == 0:
            tracker.correct(index, faces_of(one, index))
        assert len(tracker.tracks()) == int(index >= 10 * (needed - 1))


def test_few_known_faces_are_due_the_longest_unconfirmed_first(theatre):
    stage = theatre.Stage(
        [
            theatre.painted(str(number), number, 120, theatre.straight(120 * number, 300))
            for number in range(10)
        ]
    )
    tracker = Tracker(TrackingConfig(), numbered())
    everywhere = Scope(Box(-1280, -720, 3840, 2160), 0.0, 500.0)
    for index in range(3):
        step(tracker, stage, index)
        assert (tracker.known().due >= 10) == (index > 0), "new faces are always due"
        tracker.correct(index, faces_of(stage, index))
    confirmed = []
    for index in range(3, 7):
        step(tracker, stage, index)
        known = tracker.known()
        due = known.boxes[: known.due]
        confirmed += [int(box.center[0] // 120) for box in due]
        skipped = frozenset(known.boxes[known.due :])
        tracker.correct(index, [Face(box, 1.0) for box in due], replace(everywhere, skipped=skipped))
        assert [track.visible for track in tracker.tracks()] == [True] * 10
    assert confirmed == [*range(10), *range(6)], "in turns"
    step(tracker, stage, 7)
    first = tracker.known().boxes[0]
    tracker.correct(7, (), replace(everywhere, skipped=frozenset(tracker.known().boxes[1:])))
    step(tracker, stage, 8)
    assert tracker.known().boxes[0].iou(first) > 0.8, "a face that was missed is due at once"
    assert tracker.known().due == 5


@pytest.mark.parametrize(
    ("area", "sizes", "stays"),
    [
        ((0, 0, 1280, 720), (0, 500), False),
        ((0, 0, 1280, 720), (0, 100), True),
        ((0, 0, 1280, 720), (150, 500), True),
        ((700, 0, 580, 720), (0, 500), True),
        ((0, 500, 1280, 220), (0, 500), True),
    ],
)
def test_only_a_face_that_was_sought_can_be_missed(tracker, one, area, sizes, stays):
    """The face is 112 px wide and near (400, 300); no detection finds it after the first."""
    scope = Scope(Box(*area), *sizes)
    step(tracker, one, 0)
    tracker.correct(0, faces_of(one, 0))
    for index in range(1, 12):
        step(tracker, one, index)
        tracker.correct(index, (), scope)
    assert [track.visible for track in tracker.tracks() if track.visible] == [True] * stays
    if stays:
        sure = tracker.tracks()[0].confidence
        step(tracker, one, 12)
        tracker.correct(12, faces_of(one, 12), scope)
        assert len(tracker.tracks()) == 1, "what is found is the known face all the same"
        assert tracker.tracks()[0].confidence == pytest.approx(sure, abs=0.05)


def test_a_face_not_confirmed_gets_no_id(theatre):
    tracker = Tracker(TrackingConfig(confirm_detections=2), numbered())
    stage = theatre.Stage(
        [theatre.painted("ghost", 1, 200, theatre.straight(300, 200), present=lambda i: i < 3)]
    )
    for index in range(30):
        step(tracker, stage, index)
        if index % 10 == 0:
            tracker.correct(index, faces_of(stage, index))
        assert tracker.tracks() == ()


def test_a_lost_face_coasts_and_is_then_hidden(tracker, theatre):
    stage = theatre.Stage(
        [theatre.painted("anna", 1, 160, theatre.straight(300, 200, 5.0), present=lambda index: index < 20)]
    )
    for index in range(20):
        step(tracker, stage, index)
        if index % 10 == 0:
            tracker.correct(index, faces_of(stage, index))
    for index in range(20, 28):
        step(tracker, stage, index)
        (track,) = tracker.tracks()
        assert (track.visible, track.confidence) == (False, 0.0)
        assert track.box.iou(stage.actors[0].face(index)) > 0.6
    step(tracker, stage, 30)
    assert tracker.tracks() == ()


@pytest.mark.parametrize(("away", "same"), [(30, True), (55, True), (75, False)])
@pytest.mark.parametrize("moved", [0.0, 60.0, 500.0], ids=["same place", "near", "far"])
def test_who_comes_back_in_time_keeps_the_id(theatre, tracker, away, same, moved):
    back = 20 + away
    stage = theatre.Stage(
        [
            theatre.painted(
                "anna",
                1,
                160,
                lambda index: (300 + moved * (index >= back), 200),
                present=lambda index: index < 20 or index >= back,
            )
        ]
    )
    moments = theatre.play(stage, theatre.FakeDetector(stage, interval=5, miss=0.0), back + 20, tracker)
    ids = theatre.ids_of(moments, "anna")
    assert ids == (["id0"] if same else ["id0", "id1"])


def test_a_late_detection_gives_the_id_back_if_its_frame_was_in_time(theatre, tracker):
    stage = theatre.Stage(
        [theatre.painted("anna", 1, 160, theatre.straight(300, 200), present=lambda i: not 45 <= i < 93)]
    )
    moments = theatre.play(stage, theatre.FakeDetector(stage, interval=5, delay=30, miss=0.0), 135, tracker)
    assert any(moment.tracks for moment in moments[125:])
    assert theatre.ids_of(moments, "anna") == ["id0"]


def test_lost_faces_are_dropped_for_ever(theatre, tracker):
    stage = theatre.Stage(
        [theatre.painted("anna", 1, 160, theatre.straight(300, 200), present=lambda index: index < 5)]
    )
    theatre.play(stage, theatre.FakeDetector(stage, miss=0.0), 80, tracker)
    assert tracker._faces == []


def test_after_a_cut_nothing_is_predicted(theatre, tracker):
    anna = theatre.painted("anna", 1, 160, theatre.straight(300, 200))
    scenes = [theatre.Stage([anna], seed=0), theatre.Stage([], seed=1)]
    step(tracker, scenes[0], 0)
    tracker.correct(0, faces_of(scenes[0], 0))
    step(tracker, scenes[0], 1)
    step(tracker, scenes[1], 2)
    assert tracker.tracks() == ()


def test_a_face_that_fades_away_goes_with_the_next_detection(theatre, tracker):
    anna = theatre.painted("anna", 1, 160, theatre.straight(300, 200))
    full, bare = theatre.Stage([anna]), theatre.Stage([])
    for index in range(90):
        share = min(1.0, max(0.0, (index - 45) / 30.0))
        image = ((1.0 - share) * full.image(index) + share * bare.image(index)).astype(np.uint8)
        tracker.advance(Frame(image, index / RATE_HZ, index))
        if index % 10 == 0:
            tracker.correct(index, faces_of(full, index) if share < 0.5 else [])
        assert any(track.visible for track in tracker.tracks()) or index > 60
    assert not any(track.visible for track in tracker.tracks())


def test_another_person_does_not_inherit_the_id(theatre, tracker):
    stage = theatre.Stage(
        [
            theatre.painted("anna", 1, 160, theatre.straight(300, 200), present=lambda index: index < 20),
            theatre.painted("bert", 2, 160, theatre.straight(320, 210), present=lambda index: index >= 35),
        ]
    )
    moments = theatre.play(stage, theatre.FakeDetector(stage, miss=0.0), 60, tracker)
    assert theatre.ids_of(moments, "anna") == ["id0"]
    assert theatre.ids_of(moments, "bert") == ["id1"]


def test_missed_detections_are_tolerated_while_the_face_is_there(tracker, one):
    for index in range(60):
        step(tracker, one, index)
        if index % 10 == 0:
            tracker.correct(index, faces_of(one, index) if index in (0, 10, 20) else [])
        assert [track.visible for track in tracker.tracks()] == [True]


def test_a_box_that_no_detection_confirms_goes_in_the_end(tracker, one):
    for index in range(90):
        step(tracker, one, index)
        if index % 10 == 0:
            tracker.correct(index, faces_of(one, index) if index == 0 else [])
    assert tracker.tracks() == ()


def test_a_face_that_walks_out_of_the_picture_goes(tracker, theatre):
    stage = theatre.Stage([theatre.painted("anna", 1, 200, theatre.straight(1000, 200, 10.0))])
    step(tracker, stage, 0)
    tracker.correct(0, faces_of(stage, 0))
    for index in range(1, 30):
        step(tracker, stage, index)
        if stage.truth(index)["anna"][1] < 0.3:
            assert not any(track.visible for track in tracker.tracks())
    assert stage.truth(29)["anna"][1] == 0.0
    assert tracker.tracks() == ()


def test_two_boxes_on_one_face_become_one(tracker, one):
    step(tracker, one, 0)
    box = one.truth(0)["anna"][0]
    tracker.correct(0, [Face(box, 1.0), Face(box.moved(10, 5, 0.9), 0.4), Face(box.moved(0, 0, 0.5), 0.2)])
    assert [track.box for track in tracker.tracks()] == [box]


def test_tracks_keep_the_order_of_first_sight(theatre, tracker):
    names = ["anna", "bert", "carl"]
    stage = theatre.Stage(
        [theatre.painted(name, i, 180, theatre.straight(100 + 350 * i, 200)) for i, name in enumerate(names)]
    )
    for index in range(21):
        step(tracker, stage, index)
        faces = faces_of(stage, index)
        if index % 10 == 0:
            tracker.correct(index, faces if index else faces[1:])
    assert [track.id for track in tracker.tracks()] == ["id0", "id1", "id2"]
    assert [round(track.box.left) for track in tracker.tracks()] == [490, 840, 140]


# Late detections ------------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [0, 7, 20, 45])
def test_late_detections_are_right_at_once(theatre, tracker, delay):
    stage = theatre.Stage(
        [
            theatre.painted("anna", 1, 200, theatre.swaying(200, 200, 90, 40, 90)),
            theatre.painted("bert", 2, 140, theatre.swaying(800, 300, 60, 60, 70)),
        ]
    )
    for moment in theatre.play(stage, theatre.FakeDetector(stage, delay=delay, miss=0.0), 110, tracker):
        if moment.index < delay:
            assert moment.tracks == ()
            continue
        assert [moment.best(name)[0] for name in ("anna", "bert")] == ["id0", "id1"]
        assert min(moment.best(name)[1] for name in ("anna", "bert")) > 0.6


def test_a_late_correction_is_not_made_twice(tracker, theatre):
    """Two detections of old frames, both made before the first one's correction, ask for one shift."""
    stage = theatre.Stage([theatre.painted("anna", 1, 200, theatre.straight(300, 200))])
    true = stage.truth(0)["anna"][0]
    shifted = true.moved(0.15 * true.width, 0.0)
    for index in range(41):
        step(tracker, stage, index)
        if index == 0:
            tracker.correct(0, [Face(true, 1.0)])
    for index in (10, 20, 30, 40):
        tracker.correct(index, [Face(shifted, 1.0)])
        step(tracker, stage, 41 + index)
    for index in range(100, 120):
        step(tracker, stage, index)
    (track,) = tracker.tracks()
    offset = (track.box.center[0] - true.center[0]) / true.width
    assert 0.1 < offset < 0.16


@pytest.mark.parametrize("index", [-5, 3, 10, 10**12], ids=["negative", "never seen", "too old", "future"])
def test_detections_of_unknown_frames_are_ignored(tracker, one, index):
    for frame in range(10, 11 + CAPACITY):
        step(tracker, one, frame)
    tracker.correct(index, [Face(Box(10, 10, 50, 50), 1.0)])
    assert tracker.tracks() == ()


def test_a_detection_before_any_frame_is_ignored(tracker):
    tracker.correct(0, [Face(Box(10, 10, 50, 50), 1.0)])
    assert tracker.tracks() == ()


def test_jitter_of_the_detector_is_smoothed(tracker, theatre):
    stage = theatre.Stage([theatre.painted("anna", 1, 200, theatre.straight(300, 200))])
    moments = theatre.play(stage, theatre.FakeDetector(stage, miss=0.0, seed=4), 120, tracker)
    boxes = [moment.tracks[0].box for moment in moments[40:]]
    for before, after in pairwise(boxes):
        assert math.dist(before.center, after.center) < 0.01 * before.width
        assert abs(math.log(after.width / before.width)) < 0.02


# Meetings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("speed", [4.0, 7.0, 10.0])
@pytest.mark.parametrize("delay", [0, 10])
def test_who_crosses_keeps_the_id(theatre, tracker, speed, delay):
    stage = theatre.Stage(
        [
            theatre.painted("behind", 1, 220, theatre.straight(150, 200, speed)),
            theatre.painted("before", 2, 240, theatre.straight(900, 210, -speed)),
        ]
    )
    moments = theatre.play(stage, theatre.FakeDetector(stage, delay=delay), int(900 / speed), tracker)
    assert len(theatre.ids_of(moments, "behind")) == 1
    assert len(theatre.ids_of(moments, "before")) == 1
    for moment in moments:
        visible = [track for track in moment.tracks if track.visible]
        assert all(a.box.iou(b.box) < 0.65 for a, b in pairwise(visible))
        for track in moment.tracks:
            # Also a hidden face's predicted box stays with the face.
            assert max(box.iou(track.box) for box, _ in moment.truth.values()) > 0.45


def test_a_face_half_covered_is_not_dragged_along(theatre, tracker):
    """Nearer, Bert comes to a stop, shakes his head, and hides half of Anna, who keeps still."""
    stage = theatre.Stage(
        [
            theatre.painted("anna", 1, 240, theatre.straight(300, 200)),
            theatre.painted(
                "bert", 2, 240, lambda index: (500 - 4.0 * min(index, 20) + 4 * (index % 2), 200)
            ),
        ]
    )
    moments = theatre.play(stage, theatre.FakeDetector(stage, miss=0.0), 30, tracker)
    ids = {name: moments[0].best(name)[0] for name in ("anna", "bert")}
    for moment in moments:
        box = next(track.box for track in moment.tracks if track.id == ids["anna"])
        assert box.iou(moment.truth["anna"][0]) > 0.75


def test_a_face_lost_behind_another_is_where_it_was_going():
    face = FaceTrack(np.array([100.0, 100.0, 50.0, 50.0]), np.zeros(DESCRIPTOR_SIZE), np.zeros(144), 1.0)
    for x in range(105, 205, 5):
        face.update_by_flow(np.array([x, 100.0, 50.0, 50.0]), 1.0, 1.0 / RATE_HZ)
        face.update_overlap(face.patch, covered=False)
    face.update_overlap(face.patch, covered=True)
    for x in range(198, 178, -2):
        face.update_by_flow(np.array([x, 90.0, 40.0, 40.0]), 1.0, 1.0 / RATE_HZ)
        face.update_overlap(face.patch, covered=True)
    face.mark_lost(1.0)
    np.testing.assert_allclose(face.row, [250.0, 100.0, 50.0, 50.0], atol=6.0)


# Times, sizes, odd input ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "stamps",
    [
        pytest.param(lambda index: 0.0, id="standing still"),
        pytest.param(lambda index: (index // 3) / 10.0, id="repeated"),
        pytest.param(lambda index: (index % 25) / 30.0, id="jumping back"),
        pytest.param(lambda index: -index / 30.0, id="backwards"),
        pytest.param(lambda index: index * 1e6, id="huge steps"),
        pytest.param(lambda index: index * 1e-9, id="tiny steps"),
    ],
)
def test_odd_stamps_do_no_harm(tracker, theatre, stamps):
    stage = theatre.Stage(
        [theatre.painted("anna", 1, 160, theatre.straight(300, 200, 3.0), present=lambda index: index < 40)]
    )
    for index in range(120):
        step(tracker, stage, index, stamps(index))
        if index % 10 == 0:
            tracker.correct(index, faces_of(stage, index))
        if index < 40:
            assert tracker.tracks()[0].box.iou(stage.truth(index)["anna"][0]) > 0.7
    if stamps(1) != 1e-9:
        assert tracker.tracks() == ()


def test_a_time_jump_back_keeps_the_lost_face(tracker, theatre):
    stage = theatre.Stage(
        [theatre.painted("anna", 1, 160, theatre.straight(300, 200), present=lambda i: i < 20 or i > 40)]
    )
    for index in range(60):
        step(tracker, stage, index, index / RATE_HZ - (1000.0 if index > 30 else 0.0))
        if index % 10 == 0:
            tracker.correct(index, faces_of(stage, index))
    assert [track.id for track in tracker.tracks()] == ["id0"]


@pytest.mark.parametrize(("width", "height"), [(640, 360), (1920, 1080)])
def test_faces_are_kept_when_the_resolution_changes(tracker, one, width, height):
    import cv2

    step(tracker, one, 0)
    tracker.correct(0, faces_of(one, 0))
    for index in range(1, 10):
        image = cv2.resize(one.image(index), (width, height), interpolation=cv2.INTER_AREA)
        tracker.advance(Frame(image, index / RATE_HZ, index))
        box, ratio = one.truth(index)["anna"][0], width / 1280
        true = Box(box.left * ratio, box.top * ratio, box.width * ratio, box.height * ratio)
        assert tracker.tracks()[0].box.iou(true) > 0.8
    tracker.correct(0, faces_of(one, 0))
    assert [track.id for track in tracker.tracks()] == ["id0"]


@pytest.mark.parametrize("size", [(1, 1), (1, 1280), (720, 1), (5, 5), (17, 17)])
def test_tiny_frames_do_no_harm(tracker, one, size):
    step(tracker, one, 0)
    tracker.correct(0, faces_of(one, 0))
    for index in range(1, 5):
        tracker.advance(empty(index, size))
        tracker.correct(index, [Face(Box(0, 0, 1, 1), 1.0), Face(Box(-50, -50, 2000, 2000), 1.0)])
        assert len({track.id for track in tracker.tracks()}) == len(tracker.tracks())
    step(tracker, one, 5)


@pytest.mark.parametrize("index", [0, 4, 5], ids=["from the start", "back", "repeated"])
def test_frame_indices_may_start_again(tracker, one, index):
    for frame in range(6):
        step(tracker, one, frame)
        tracker.correct(frame, faces_of(one, frame))
    tracker.advance(Frame(one.image(6), 6 / RATE_HZ, index))
    tracker.correct(index, faces_of(one, 6))
    assert [track.id for track in tracker.tracks()] == ["id0"]


def test_reset_forgets_faces_but_not_ids(tracker, one):
    step(tracker, one, 0)
    tracker.correct(0, faces_of(one, 0))
    tracker.reset()
    assert tracker.tracks() == ()
    step(tracker, one, 0)
    tracker.correct(0, faces_of(one, 0))
    assert [track.id for track in tracker.tracks()] == ["id1"]


def test_the_given_image_is_not_changed(tracker, one):
    image = one.image(0)
    image.setflags(write=False)
    tracker.advance(Frame(image, 0.0, 0))
    tracker.correct(0, faces_of(one, 0))
    tracker.advance(Frame(image[:, ::-1], 0.1, 1))


@pytest.mark.parametrize("score", [-5.0, 0.0, 1.0, 50.0])
def test_confidence_follows_the_detectors_score(one, score):
    tracker = Tracker(TrackingConfig())
    step(tracker, one, 0)
    tracker.correct(0, [Face(one.truth(0)["anna"][0], score)])
    assert tracker.tracks()[0].confidence == pytest.approx(1.0 / (1.0 + math.exp(-2.0 * score)), abs=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_any_detections_give_legal_tracks(theatre, seed):
    """Random faces, late and wrong, in patches that change: ids stay unique, values in range."""
    chance = np.random.default_rng(seed)
    paths = [theatre.swaying(*chance.uniform(0, 900, 2), 200, 150, 60) for _ in range(5)]
    actors = [theatre.painted(str(number), number, 120, path) for number, path in enumerate(paths)]
    stages = [theatre.Stage(actors, seed=seed), theatre.Stage(actors[:2], seed=seed + 1)]
    tracker = Tracker(TrackingConfig(coast_s=1.0))
    for index in range(80):
        stage = stages[int(chance.random() < 0.05)]
        step(tracker, stage, index)
        if chance.random() < 0.4:
            wrong = [
                Face(Box(*chance.uniform(-200, 1300, 2), *chance.uniform(1, 400, 2)), 0.1) for _ in range(3)
            ]
            true = [face for face in faces_of(stage, index) if chance.random() < 0.7]
            tracker.correct(index - int(chance.integers(0, 30)), [*wrong, *true])
        tracks = tracker.tracks()
        assert len({track.id for track in tracks}) == len(tracks)
        for track in tracks:
            assert 0.0 <= track.confidence <= 1.0
            assert track.visible or track.confidence == 0.0
        visible = [track.box for track in tracks if track.visible]
        assert all(a.iou(b) < 0.66 for i, a in enumerate(visible) for b in visible[i + 1 :])
