"""The group without its people: no ids, and no values of so few that they are somebody's."""

from __future__ import annotations

import dataclasses

from social_perception.core.types import FrameAffect, GroupAffect
from social_perception.perception.group.aggregator import NOTHING_SEEN


def frame_without_people(affect: FrameAffect, min_group_size: int) -> FrameAffect:
    """What may be told of a frame: :func:`without_people` of its group, and none of its faces."""
    group = None if affect.group is None else without_people(affect.group, min_group_size)
    return dataclasses.replace(affect, faces=(), group=group)


def without_people(group: GroupAffect, min_group_size: int) -> GroupAffect:
    """What may be told of a group where nothing may be told of single people.

    How many there are is told in any case. The values are, where they rest on at least ``min_group_size``
    people, so that no value belongs to fewer: k-anonymity (Sweeney 2002) of the published message. Who
    sees messages one after the other, or knows who smiles alike, may still conclude more.

    Args:
        group: of the aggregator.
        min_group_size: k, 1 or more; 1 withholds nothing but the ids.
    """
    if group.valid_faces >= min_group_size:
        return dataclasses.replace(group, face_ids=())
    return dataclasses.replace(
        NOTHING_SEEN,
        stamp_s=group.stamp_s,
        group_size=group.group_size,
        valid_faces=group.valid_faces,
        window_s=group.window_s,
        stale=group.stale,
    )
