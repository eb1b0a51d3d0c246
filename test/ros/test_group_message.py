"""GroupAffect of the core to its message and back."""

from __future__ import annotations

import dataclasses
import math

import pytest
from std_msgs.msg import Header

from social_perception.core.types import GroupAffect, SmileLevel
from social_perception.ros.convert import group_of
from test.ros.messages import group_affect_message

AFFECT = GroupAffect(
    stamp_s=12.5,
    group_size=3,
    valid_faces=2,
    intensity=0.625,
    mean_intensity=0.5,
    dispersion=0.25,
    smiling_fraction=0.75,
    level=SmileLevel.MEDIUM,
    trend=-0.125,
    synchrony=math.nan,
    window_s=4.5,
    face_ids=("abcde", "fghij", "klmno"),
    stale=True,
)


def test_nothing_is_lost_on_the_way_through_the_message() -> None:
    header = Header(frame_id="camera")
    header.stamp.sec, header.stamp.nanosec = 12, 500_000_000
    back = dataclasses.asdict(group_of(group_affect_message(header, AFFECT)))
    for name, value in dataclasses.asdict(AFFECT).items():
        assert (
            back[name] == pytest.approx(value, nan_ok=True)
            if isinstance(value, float)
            else back[name] == value
        )
