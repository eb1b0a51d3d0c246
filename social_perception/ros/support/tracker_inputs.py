"""Several face_trackers as the input of one node: one batch of what waits of all, and one time."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from rclpy.node import Node
from std_msgs.msg import Header

from social_perception.core.types import FaceAffect, FrameAffect, TrackedFaces
from social_perception.ros.support.intra_process import IntraProcess, Stamped
from social_perception.ros.support.messages import TrackedFaceArray
from social_perception.ros.support.qos import NEWEST_RESULT_QOS
from social_perception.ros.support.topic_input import TopicInput

Tracked: TypeAlias = TrackedFaceArray | Stamped[TrackedFaces]
"""How the tracked faces of an image come in: as a message, or as they are."""

_APART_S = 5.0
"""Cameras whose times differ by more have clocks that do not go together."""


def topic_of(tracker: str, name: str) -> str:
    """A topic in the namespace of a tracker; an empty one is that of the node."""
    return f"{tracker}/{name}" if tracker else name


@dataclass(frozen=True, slots=True)
class CameraFaces:
    """The tracked faces of one camera in a batch.

    Attributes:
        tracker: namespace of the face_tracker.
        header: of the image.
        faces: as the tracker gave them.
        common_s: stamp in the time that is common to all cameras.
    """

    tracker: str
    header: Header
    faces: TrackedFaces
    common_s: float


def as_batch(cameras: Sequence[CameraFaces]) -> TrackedFaces:
    """The faces of at least one camera as those of one frame, camera after camera.

    All batches are of one epoch: the node starts again where the stamps of one camera go back.
    """
    all_faces = [each.faces for each in cameras]
    # Two cameras may give two people the same id; the states of their smiles must not mix.
    tracks = [
        dataclasses.replace(track, id=topic_of(each.tracker, track.id))
        for each in cameras
        for track in each.faces.tracks
    ]
    return TrackedFaces(
        stamp_s=max(each.common_s for each in cameras),
        index=max(faces.index for faces in all_faces),
        width=max(faces.width for faces in all_faces),
        height=max(faces.height for faces in all_faces),
        tracks=tuple(tracks),
        crops=np.concatenate([faces.crops for faces in all_faces]),
    )


def by_camera(
    affect: FrameAffect, cameras: Sequence[CameraFaces]
) -> Iterator[tuple[CameraFaces, FrameAffect]]:
    """What was estimated of a batch, for each of its cameras, with the camera's own ids and time."""
    estimated = iter(affect.faces)
    for each in cameras:
        faces = each.faces
        own = tuple(FaceAffect(track, face.signals) for track, face in zip(faces.tracks, estimated))
        size = (faces.width, faces.height)
        events = affect.sound_events
        yield (
            each,
            FrameAffect(faces.stamp_s, faces.index, *size, faces=own, epoch=faces.epoch, sound_events=events),
        )


class TrackerInputs:
    """Subscribes the tracked faces of several trackers; to its node it is one :class:`TopicInput`.

    Args:
        node: that subscribes.
        trackers: their namespaces.
        take: called with a tracker's namespace and each of its messages or results.
        on_replaced: called with the number of messages that were newly found to have been replaced.
        intra_process: the topics within this process.
    """

    def __init__(
        self,
        node: Node,
        trackers: Sequence[str],
        take: Callable[[str, Tracked], None],
        on_replaced: Callable[[int], None],
        intra_process: IntraProcess,
    ) -> None:
        self._inputs = [
            TopicInput(
                node,
                TrackedFaceArray,
                topic_of(tracker, "tracked_faces"),
                NEWEST_RESULT_QOS,
                functools.partial(take, tracker),
                noun="tracked faces",
                origin="face_tracker",
                on_replaced=on_replaced,
                intra_process=intra_process,
            )
            for tracker in trackers
        ]

    @property
    def topic(self) -> str:
        """The full names of the topics, after remapping."""
        return ", ".join(each.topic for each in self._inputs)

    @property
    def lost(self) -> int:
        """Messages lost on the way."""
        return sum(each.lost for each in self._inputs)

    @property
    def replaced(self) -> int:
        """Messages that arrived and were replaced by newer ones before the node took them."""
        return sum(each.replaced for each in self._inputs)

    def silence_s(self) -> float:
        """Time in s since the last message of any tracker, by the node's clock."""
        return min(each.silence_s() for each in self._inputs)

    def check(self, limit_s: float) -> str:
        """Return which trackers are silent and why, or an empty string. To be called often."""
        return "; ".join(filter(None, [each.check(limit_s) for each in self._inputs]))

    def other_publishers(self) -> str:
        """On which topics several nodes publish, or an empty string. To be called often."""
        return "; ".join(filter(None, [each.other_publishers() for each in self._inputs]))

    def close(self) -> None:
        """Unsubscribe."""
        for each in self._inputs:
            each.close()


class CommonTime:
    """One time for several cameras, whose clocks need not go together.

    The first camera's time is everybody's. Another one's is taken as it is while it differs by less than
    5 s, and else shifted to where the others are when its first message is received.
    """

    def __init__(self) -> None:
        self._shifts_s: dict[str, float] = {}
        self._now_s = 0.0

    def of(self, camera: str, stamp_s: float) -> float:
        """The common time in s of a camera's stamp."""
        shift_s = self._shifts_s.get(camera, 0.0)
        if self._shifts_s.keys() - {camera} and abs(stamp_s + shift_s - self._now_s) > _APART_S:
            shift_s = self._now_s - stamp_s
        self._shifts_s[camera] = shift_s
        self._now_s = stamp_s + shift_s
        return self._now_s
