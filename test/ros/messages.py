"""Messages of tests, made from the core's values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from factories import affect
from std_msgs.msg import Header

from social_perception.core.signals import Signals
from social_perception.core.types import (
    FaceAffect,
    Frame,
    FrameAffect,
    GroupAffect,
    GroupDynamics,
    ImageArray,
    Smile,
    Track,
    TrackedFaces,
)
from social_perception.perception.smile.crop import crop_faces
from social_perception.ros.convert import seconds, tracks_of
from social_perception.ros.support.messages import MESSAGES


def header(sec: int = 100, nanosec: int = 7, frame_id: str = "camera") -> Header:
    return Header(stamp=Time(sec=sec, nanosec=nanosec), frame_id=frame_id)


def face_affects_message(head: Header, *faces: FaceAffect) -> Any:
    """Faces in an image of 640 x 480 px."""
    return MESSAGES.face_affects(head, affect(*faces, stamp_s=seconds(head.stamp)))


def tracked(frame: Frame, tracks: Sequence[Track]) -> TrackedFaces:
    """What the tracking step returns for these tracks."""
    crops = crop_faces(frame.image, [track.box for track in tracks])
    return TrackedFaces(frame.stamp_s, frame.index, frame.width, frame.height, tuple(tracks), crops)


def tracked_faces_message(
    header: Any, frame: Frame, tracks: Sequence[Track], crops: ImageArray | None
) -> Any:
    """The tracks of an image, with their crops where there are some."""
    given = np.zeros((len(tracks), 96, 96, 3), np.uint8) if crops is None else crops
    faces = TrackedFaces(frame.stamp_s, frame.index, frame.width, frame.height, tuple(tracks), given)
    return MESSAGES.tracked_faces(header, faces, crops=crops is not None)


def face_affect_message(tracked: Any, smiles: Sequence[Smile]) -> Any:
    """The smiles of tracked faces, in their order."""
    faces = tuple(FaceAffect(track, Signals(smile)) for track, smile in zip(tracks_of(tracked), smiles))
    stamp_s = seconds(tracked.header.stamp)
    return MESSAGES.face_affects(
        tracked.header, FrameAffect(stamp_s, 0, tracked.image_width, tracked.image_height, faces)
    )


def group_affect_message(header: Any, group: GroupAffect) -> Any:
    return MESSAGES.group_affect(header, group)


def group_dynamics_message(header: Any, dynamics: GroupDynamics) -> Any:
    return MESSAGES.group_dynamics(header, dynamics)
