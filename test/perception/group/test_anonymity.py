from __future__ import annotations

import dataclasses
import math

import factories
import pytest

from social_perception.core.signals import Signals
from social_perception.core.types import SmileLevel
from social_perception.perception.group.anonymity import without_people

GROUP = factories.group(4, stamp_s=12.5, valid_faces=3, synchrony=0.3)
KNOWN_IN_ANY_CASE = {"stamp_s", "group_size", "valid_faces", "window_s", "stale"}


@pytest.mark.parametrize("least", [1, 2, 3])
def test_a_group_that_is_large_enough_loses_its_ids_only(least: int) -> None:
    assert without_people(GROUP, least) == dataclasses.replace(GROUP, face_ids=())


@pytest.mark.parametrize("valid", [0, 1, 3])
def test_of_fewer_only_their_number_is_reported(valid: int) -> None:
    """It is those with a smile who count: the values of four people may rest on one of them."""
    group = dataclasses.replace(GROUP, valid_faces=valid)
    reported = dataclasses.asdict(without_people(group, 4))
    for name, value in dataclasses.asdict(group).items():
        if name in KNOWN_IN_ANY_CASE:
            assert reported[name] == value, name
        else:
            unknown = reported[name] in ((), SmileLevel.UNKNOWN, Signals()) or math.isnan(reported[name])
            assert unknown, f"{name} is reported"
