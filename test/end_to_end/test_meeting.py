"""Eight people meet: one id each, right counts, intensities that follow the smiles."""

from __future__ import annotations

import pytest
from judge import SeenFace, SeenFrame, judge
from meeting import RATE_HZ, Meeting

from social_perception.core.config import PipelineConfig
from social_perception.core.types import Frame, Smile
from social_perception.perception.pipeline import make_pipeline

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def meeting(shared):
    return Meeting(shared / "clips")


def check(verdict):
    print(verdict.text())
    for name, ids in verdict.ids.items():
        assert len(ids) == 1, f"{name} had the ids {ids}"
    assert len({ids[0] for ids in verdict.ids.values()}) == len(verdict.ids), "two people share an id"
    assert verdict.count_accuracy >= 0.95, verdict.text()
    assert verdict.correlation >= 0.6, verdict.text()


def test_meeting_without_ros(meeting):
    seen = []
    with make_pipeline(PipelineConfig(), live=False) as pipeline:
        for index, image in enumerate(meeting.frames()):
            affect = pipeline.process(Frame(image, index / RATE_HZ, index))
            seen.append(SeenFrame(index, tuple(map(seen_face, affect.faces))))
    check(judge(meeting, seen))


def seen_face(face):
    return SeenFace(
        face.track.id, *face.track.box.center, face[Smile].intensity if face[Smile].valid else None
    )


def test_meeting_through_ros_topics(meeting):
    pytest.importorskip("rclpy", reason="needs ROS 2")
    pytest.importorskip("social_perception.msg", reason="needs the built messages")
    from ros_meeting import play

    seen, sizes = play(meeting)
    assert len(seen) >= 0.9 * len(sizes), "frames were published one by one, so nearly all must be answered"
    check(judge(meeting, seen))
    by_frame = {said.frame: len(said.faces) for said in seen}
    agreeing = [by_frame[frame] == size for frame, size in sizes.items() if frame in by_frame]
    assert agreeing
    assert sum(agreeing) >= 0.99 * len(agreeing), "GroupAffect and FaceAffectArray disagree on the count"
