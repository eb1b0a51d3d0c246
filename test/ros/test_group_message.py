"""GroupAffect of the core to its message and back."""

from __future__ import annotations

import dataclasses
import math

import pytest
from factories import group
from std_msgs.msg import Header

from social_perception.ros.convert import group_of
from test.ros.messages import group_affect_message

AFFECT = group(
    3, stamp_s=12.5, valid_faces=2, intensity=0.625, trend=-0.125, synchrony=float("nan"), stale=True
)


def test_nothing_is_lost_on_the_way_through_the_message() -> None:
    header = Header(frame_id="camera")
    header.stamp.sec, header.stamp.nanosec = 12, 500_000_000
    message = group_affect_message(header, AFFECT)
    assert math.isnan(message.sound_level), "without sound its level is unknown"
    back = dataclasses.asdict(group_of(message))
    for name, value in dataclasses.asdict(AFFECT).items():
        assert (
            back[name] == pytest.approx(value, nan_ok=True)
            if isinstance(value, float)
            else back[name] == value
        )
