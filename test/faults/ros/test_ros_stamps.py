"""Images out of order, repeated, or with wrong stamps, through the real tracker, network and group."""

from __future__ import annotations

import cv2
import pytest
from builtin_interfaces.msg import Time

from social_perception.ros.nodes.face_tracker import FaceTrackerNode
from social_perception.ros.nodes.group_affect import GroupAffectNode
from social_perception.ros.nodes.smile_intensity import SmileIntensityNode
from social_perception.ros.support.images import encode, image_header
from social_perception.ros.support.intra_process import Stamped
from social_perception.sources.sample import SampleSource

pytestmark = [pytest.mark.ros]

PEOPLE, SIZE, IMAGES, PERIOD_S = 2, (360, 203), 30, 1 / 30
PATIENT = {"silent_after_s": 1000.0, "diagnostics_period_s": 60.0}


@pytest.fixture(scope="module")
def pictures():
    source = SampleSource(people=PEOPLE)
    drawn = map(source.image, range(IMAGES))
    return [cv2.resize(each, SIZE, interpolation=cv2.INTER_AREA) for each in drawn]


class Chain:
    """The three nodes; what one publishes is handed to the next, so that nothing is lost or late."""

    def __init__(self, ros) -> None:
        tracker = {**PATIENT, "min_face_px": 40, "device": "cpu", "reproducible": True}
        self.tracker = ros.start(FaceTrackerNode, tracker)
        self.scorer = ros.start(SmileIntensityNode, {**PATIENT, "device": "cpu"})
        self.group = ros.start(GroupAffectNode, PATIENT)
        self.tracked, self.affects, self.groups = [], [], []
        self.tracker._output.publish = self._score
        self.scorer._outputs[""].publish = self._aggregate

    def see(self, picture, stamp_s: float) -> None:
        ns = round(stamp_s * 1e9)
        stamp = Time(sec=ns // 10**9, nanosec=ns % 10**9)
        self.tracker._run(encode(picture, image_header(stamp, "camera")))

    def _score(self, header, faces) -> None:
        self.tracked.append(faces)
        self.scorer._work({"": Stamped(header, faces)})

    def _aggregate(self, header, affect) -> None:
        self.affects.append(affect)
        self.group._run(Stamped(header, affect))
        self.groups.append(self.group.step.current(0.0))

    @property
    def ids(self) -> set[str]:
        return {track.id for faces in self.tracked for track in faces.tracks}

    @property
    def dropped(self) -> int:
        return self.tracker.health.totals.failed


def late(number: int) -> float:
    """Each tenth image overtakes the one before it."""
    return number + {4: 1, 5: -1}.get(number % 10, 0)


CASES = {
    "on time": (lambda n: n, 0),
    "late": (late, IMAGES // 10),
    "repeated": (lambda n: n // 2 * 2, 0),
    "zero now and then": (lambda n: None if n % 13 == 7 else n, 2),
    "in the future now and then": (lambda n: n + 1e8 if n % 13 == 7 else n, 2),
}


@pytest.mark.parametrize("name", CASES)
def test_stray_stamps_cost_their_images_alone(name, ros, pictures) -> None:
    place, lost = CASES[name]
    chain = Chain(ros)
    now_s = ros.node.get_clock().now().nanoseconds * 1e-9
    for number, picture in enumerate(pictures):
        at = place(number)
        chain.see(picture, 0.0 if at is None else now_s + at * PERIOD_S)
    assert (chain.dropped, len(chain.affects)) == (lost, IMAGES - lost)
    assert len(chain.ids) == PEOPLE, "everybody keeps the id"
    assert [group.valid_faces for group in chain.groups[5:]] == [PEOPLE] * (len(chain.groups) - 5)
    stamps = [group.stamp_s for group in chain.groups]
    assert stamps == sorted(stamps)
    assert chain.groups[-1].window_s == pytest.approx((IMAGES - 1) * PERIOD_S, abs=0.05), "one history"
    assert not chain.scorer.health.totals.failed
    assert not chain.group.health.totals.failed


@pytest.mark.parametrize(("jump_s", "kept"), [(-500.0, False), (500.0, True), (-0.3, False)])
def test_a_clock_that_is_set_costs_two_images_and_begins_anew(jump_s, kept, ros, pictures) -> None:
    chain = Chain(ros)
    now_s = ros.node.get_clock().now().nanoseconds * 1e-9
    for number, picture in enumerate(pictures):
        chain.see(picture, now_s + number * PERIOD_S + (jump_s if number >= IMAGES // 2 else 0.0))
    assert chain.dropped == 2
    assert [group.valid_faces for group in chain.groups[-5:]] == [PEOPLE] * 5, "everybody is known again"
    assert len(chain.ids) == (PEOPLE if kept else 2 * PEOPLE), "after a jump back nobody is who they were"
    assert chain.groups[-1].stamp_s == pytest.approx(now_s + (IMAGES - 1) * PERIOD_S + jump_s, abs=1e-6)


@pytest.mark.parametrize("without", [1, 5])
def test_first_images_without_a_stamp_change_nobody_s_id(without, ros, pictures) -> None:
    """As those of a camera in a simulation whose clock is not known yet."""
    chain = Chain(ros)
    now_s = ros.node.get_clock().now().nanoseconds * 1e-9
    for number, picture in enumerate(pictures):
        chain.see(picture, 0.0 if number < without else now_s + number * PERIOD_S)
    assert (chain.dropped, len(chain.affects)) == (0, IMAGES)
    assert len(chain.ids) == PEOPLE
    assert [group.valid_faces for group in chain.groups[-15:]] == [PEOPLE] * 15
    assert chain.groups[-1].window_s == pytest.approx((IMAGES - 1 - without) * PERIOD_S, abs=0.05)


def test_a_camera_that_knows_no_time_is_followed_all_the_same(ros, pictures) -> None:
    chain = Chain(ros)
    for picture in pictures[:15]:
        chain.see(picture, 0.0)
    assert (chain.dropped, len(chain.ids)) == (0, PEOPLE)
    assert chain.groups[-1].valid_faces == PEOPLE
    assert "behind the node's clock" in chain.tracker._stamps.problem
