"""Nobody, and 300 people, through the real network and the group; two scorers of one name."""

from __future__ import annotations

import array
import math

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from social_perception.msg import FaceAffectArray, GroupAffect, TrackedFaceArray

from social_perception.core.config import SmileConfig
from social_perception.ros.nodes.group_affect import GroupAffectNode
from social_perception.ros.nodes.smile_intensity import SmileIntensityNode
from social_perception.ros.support import topic_input
from test.faults.ros import ros_bad_messages as messages

pytestmark = [pytest.mark.ros]

QUICK = {"diagnostics_period_s": 0.1, "silent_after_s": 1000.0}


def many(ros, count: int) -> TrackedFaceArray:
    """So many faces side by side, each a little wider than the one before, with crops of their own."""
    faces = [
        messages.face(id=f"f{number}", roi=messages.roi(number, 0, 20 + number, 30))
        for number in range(count)
    ]
    message = messages.tracked(faces, 0, image_width=1000)
    noise = np.random.default_rng(1).integers(0, 256, count * messages.CROP_BYTES, np.uint8)
    message.crops = array.array("B", noise.tobytes())
    message.header.stamp = ros.node.get_clock().now().to_msg()
    return message


def test_no_face_and_many_faces_pass_the_pipeline(ros) -> None:
    ros.start(GroupAffectNode, {**QUICK, "dynamics_rate_hz": 0.1})
    ros.start(SmileIntensityNode, {**QUICK, "device": "cpu", "warmup_frames": 1})
    affects, groups = ros.collect(FaceAffectArray, "face_affect"), ros.collect(GroupAffect, "group_affect")
    publisher = ros.publisher(TrackedFaceArray, "tracked_faces")
    for count in (0, 300, 0):
        affects.clear()
        groups.clear()
        publisher.publish(many(ros, count))
        ros.until(lambda: affects, f"the smiles of {count}")
        assert len(affects[0].faces) == count
        scored = [number for number, face in enumerate(affects[0].faces) if not math.isnan(face.intensity)]
        most = min(count, SmileConfig().max_faces)
        assert scored == list(range(count - most, count)), "the largest are scored"
        ros.until(
            lambda count=count: any(not each.stale and each.group_size == count for each in groups),
            f"a group of {count}",
        )


def test_two_scorers_of_one_name_are_reported(ros, monkeypatch) -> None:
    monkeypatch.setattr(topic_input, "OTHER_PUBLISHERS_S", 0.3)
    group = ros.start(GroupAffectNode, QUICK)
    statuses = ros.statuses(group)
    for _ in range(2):
        ros.start(SmileIntensityNode, {**QUICK, "device": "cpu"})
    groups = ros.collect(GroupAffect, "group_affect")
    publisher = ros.publisher(TrackedFaceArray, "tracked_faces")
    name = f"{ros.namespace}/smile_intensity"
    topic = f"{ros.namespace}/face_affect"
    reported = f"2 publishers send face affects on {topic}, where one is expected: {name}, {name}"

    def said():
        publisher.publish(many(ros, 2))
        return any(reported in each.message and each.level == DiagnosticStatus.WARN for each in statuses)

    ros.until(said, reported)
    ros.until(lambda: groups and groups[-1].group_size == 2, "two people")
    assert {each.group_size for each in groups} <= {0, 2}, "a face that is published twice is one person"
    assert groups[-1].face_ids == ["f0", "f1"]
