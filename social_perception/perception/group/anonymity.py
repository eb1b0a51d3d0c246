"""Anonymizes the group: no ids, and no values of fewer people than a minimum."""

from __future__ import annotations

import dataclasses

from social_perception.core.types import FrameAffect, GroupAffect
from social_perception.perception.group.aggregator import NOTHING_SEEN


def frame_without_people(affect: FrameAffect, min_group_size: int) -> FrameAffect:
    """Anonymize a frame: :func:`without_people` of its group, no faces, and no sound of too few people."""
    group = None if affect.group is None else without_people(affect.group, min_group_size)
    are_enough = affect.group is not None and affect.group.valid_faces >= min_group_size
    return dataclasses.replace(
        affect, faces=(), group=group, sound_events=affect.sound_events if are_enough else None
    )


def without_people(group: GroupAffect, min_group_size: int) -> GroupAffect:
    """Remove everything about single people from a group.

    The group size is always kept. The values are kept if they are based on at least ``min_group_size``
    people: k-anonymity (Sweeney 2002) of the published message. A sequence of messages, or other knowledge,
    may still allow conclusions about single people.

    Args:
        group: result of the aggregator.
        min_group_size: k >= 1; 1 removes only the ids.
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
