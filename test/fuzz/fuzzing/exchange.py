"""ROS messages between the nodes: there and back, and whatever another program may have filled in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import RegionOfInterest
from social_perception.msg import FaceAffect as FaceAffectMessage
from social_perception.msg import FaceAffectArray, TrackedFace, TrackedFaceArray
from std_msgs.msg import Header

from fuzzing.faces import boxes
from fuzzing.people import faces
from fuzzing.target import PROPERTY, may_refuse, of_property, promise
from social_perception.core.config import GroupConfig
from social_perception.core.signals import Signals
from social_perception.core.types import FaceAffect, FrameAffect, SceneAffect, Smile, Track, TrackedFaces
from social_perception.perception.group.aggregator import GroupAggregator
from social_perception.ros.convert import (
    crops_of,
    faces_of,
    group_of,
    in_image,
    nanoseconds,
    scene_of,
    seconds,
    tracks_of,
)
from social_perception.ros.support.messages import MESSAGES
from social_perception.ros.support.messages import GroupAffect as GroupAffectMessage
from social_perception.ros.support.messages import SceneAffect as SceneAffectMessage

WIDTH, HEIGHT = 200, 150
_TIMES = st.builds(Time, sec=st.integers(-(2**31) + 2, 2**31 - 2), nanosec=st.integers(0, 10**9 - 1))
_PX = st.integers(0, 2**32 - 1) | st.integers(0, 250)
_FLOATS = st.floats(width=32) | st.floats(0, 1, width=32)
_ROIS = st.builds(RegionOfInterest, x_offset=_PX, y_offset=_PX, width=_PX, height=_PX)
_POINTS = st.builds(Point, x=st.floats(), y=st.floats(), z=st.floats())
_NAMES = st.text(st.characters(exclude_categories=("Cs",)), max_size=6)


def same(first: float, second: float) -> bool:
    """Whether two numbers are the same in a float32 field."""
    return bool(np.float32(first) == np.float32(second)) or (math.isnan(first) and math.isnan(second))


@PROPERTY
@given(_TIMES, st.lists(st.tuples(boxes(), st.floats(0.01, 1.0)), max_size=5), faces())
def check_face_messages(stamp: Time, found: list[Any], people: list[FaceAffect]) -> None:
    promise(abs(seconds(stamp) - nanoseconds(stamp) * 1e-9) < 1e-5, f"{stamp}")
    tracks = tuple(Track(f"face{index}", box, confidence) for index, (box, confidence) in enumerate(found))
    crops = np.full((len(tracks), 96, 96, 3), 7, np.uint8)
    faces = in_image(TrackedFaces(seconds(stamp), 0, WIDTH, HEIGHT, tracks, crops))
    seen, crops = faces.tracks, faces.crops
    message = MESSAGES.tracked_faces(Header(stamp=stamp), faces, crops=True)
    back = tracks_of(message)
    promise([track.id for track in back] == [track.id for track in seen], "other faces come back")
    for there, here in zip(back, seen):
        promise(same(there.confidence, here.confidence), f"{there.confidence} for {here.confidence}")
        promise(abs(there.box.left - max(0, here.box.left)) <= 1.0, f"{there.box} for {here.box}")
    promise(bool((crops_of(message) == crops).all()) or not seen, "other crops come back")
    smiles = [face[Smile] for face in people][: len(seen)]
    if len(smiles) < len(seen):
        return
    affected = tuple(FaceAffect(track, Signals(smile)) for track, smile in zip(back, smiles))
    affect = FrameAffect(seconds(stamp), 0, WIDTH, HEIGHT, affected)
    for face, smile in zip(faces_of(MESSAGES.face_affects(message.header, affect)), smiles):
        promise(same(face[Smile].intensity, smile.intensity), f"{face[Smile]} for {smile}")
        promise(
            (face[Smile].level, face[Smile].valid) == (smile.level, smile.valid), f"{face[Smile]} for {smile}"
        )


_TRACKED = st.builds(TrackedFace, id=_NAMES, roi=_ROIS, confidence=_FLOATS, position=_POINTS)
_AFFECTS = st.builds(
    FaceAffectMessage,
    id=_NAMES,
    roi=_ROIS,
    confidence=_FLOATS,
    visible=st.booleans(),
    position=_POINTS,
    intensity=_FLOATS,
    level=st.sampled_from([0, 1, 2, 3, 255]) | st.integers(0, 255),
    probabilities=st.lists(_FLOATS, min_size=4, max_size=4) | st.just([0.25] * 4),
    observed_frames=st.integers(0, 65535),
    valid=st.booleans(),
)
_SIDES = st.sampled_from([0, 640, 2**32 - 1])


@PROPERTY
@given(
    st.builds(
        TrackedFaceArray, image_width=_SIDES, image_height=_SIDES, faces=st.lists(_TRACKED, max_size=3)
    ),
    st.builds(FaceAffectArray, image_width=_SIDES, image_height=_SIDES, faces=st.lists(_AFFECTS, max_size=3)),
    st.builds(
        GroupAffectMessage,
        group_size=_PX,
        valid_faces=_PX,
        intensity=_FLOATS,
        mean_intensity=_FLOATS,
        dispersion=_FLOATS,
        smiling_fraction=_FLOATS,
        level=st.integers(0, 255),
        trend=_FLOATS,
        synchrony=_FLOATS,
        window=_FLOATS,
        face_ids=st.lists(_NAMES, max_size=3),
        stale=st.booleans(),
    ),
    st.sampled_from("tfg"),
)
@may_refuse
def check_group_messages(tracked: Any, affects: Any, group: Any, which: str) -> None:
    if which == "t":
        for track in tracks_of(tracked):
            promise(0.0 <= track.confidence <= 1.001, f"{track}")
        return
    if which == "g":
        taken = group_of(group)
        promise(same(MESSAGES.group_affect(Header(), taken).intensity, taken.intensity), repr(taken))
        return
    people = faces_of(affects)
    found = GroupAggregator(GroupConfig()).update(people, 1.0)
    known = [face for face in people if face[Smile].valid]
    promise(math.isnan(found.intensity) != bool(known), f"an intensity of {found.intensity}")
    promise(not known or -0.01 <= found.intensity <= 1.01, f"an intensity of {found.intensity}")
    promise(
        group_of(MESSAGES.group_affect(Header(), found)).group_size == len(people), "another group comes back"
    )


@PROPERTY
@given(
    st.builds(
        SceneAffectMessage,
        probabilities=st.lists(_FLOATS, min_size=3, max_size=3),
        valence=_FLOATS,
        with_sound=st.booleans(),
        stale=st.booleans(),
    )
)
@may_refuse
def check_scene_messages(message: SceneAffectMessage) -> None:
    scene = scene_of(message)
    affect = scene[SceneAffect]
    promise(not abs(affect.valence) > 1.001, f"a valence of {affect.valence}")
    promise(not any(each < -0.001 or each > 1.001 for each in affect.probabilities), f"{affect}")
    back = MESSAGES.scene_affect(Header(), scene)
    promise(same(back.valence, affect.valence), f"{affect} becomes {back}")
    promise(back.stale == scene.stale, "another state comes back")


TARGETS = {
    "face_messages": of_property("values survive a message, to a pixel and a float32", check_face_messages),
    "group_messages": of_property(
        "what no message may say is a MessageError, the rest has its range", check_group_messages
    ),
    "scene_messages": of_property("a scene survives a message, or is a MessageError", check_scene_messages),
}
