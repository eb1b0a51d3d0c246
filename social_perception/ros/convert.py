"""Conversion between the core's value types and the package's messages, with the types of rclpy or rosbags.

The fields of signals are read from their declarations: a field of a signal is in a message if the .msg file
has a field with its name. This module imports neither rclpy nor rosbags.
"""

from __future__ import annotations

import array
import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import Any, TypeVar

import numpy as np

from social_perception.core.errors import ImageError, MessageError
from social_perception.core.signals import (
    ROUNDING,
    Field,
    Signal,
    Signals,
    Subject,
    declaration,
    signals_of,
)
from social_perception.core.sound import BANDS, SoundEvent
from social_perception.core.types import (
    CROP_SIZE_PX,
    Box,
    FaceAffect,
    FrameAffect,
    GroupAffect,
    GroupDynamics,
    ImageArray,
    PairDynamics,
    Position,
    Scene,
    Track,
    TrackedFaces,
)

PACKAGE = "social_perception"
MAX_FACES = 1024
"""Maximum number of faces in a message, and the maximum that smile_intensity can score."""
MAX_ID_LENGTH = 256

_CROP_SHAPE = (CROP_SIZE_PX, CROP_SIZE_PX, 3)

S = TypeVar("S")


def seconds(stamp: Any) -> float:
    """A builtin_interfaces/Time in s, with a precision of a quarter of a microsecond."""
    return float(stamp.sec + stamp.nanosec * 1e-9)


def nanoseconds(stamp: Any) -> int:
    """A builtin_interfaces/Time in ns, exactly."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def nanoseconds_of(stamp_s: float) -> int:
    """A stamp in s as ns, such that :func:`seconds` returns the same number; 0 for negative stamps."""
    whole = math.floor(stamp_s)
    return max(0, whole * 1_000_000_000 + round((stamp_s - whole) * 1e9))


def blob(pixels: ImageArray) -> array.array[int]:
    """The bytes of uint8 pixels of any shape for a uint8[] field, copied once.

    rclpy accepts an array.array as it is; it checks every element of other types, a second per image.
    """
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(pixels).data)
    return data


def in_image(faces: TrackedFaces) -> TrackedFaces:
    """The faces of which at least half a pixel is in the image; others have no region of interest."""
    shown = [_edges(track.box, faces.width, faces.height) is not None for track in faces.tracks]
    if all(shown):
        return faces
    tracks = tuple(track for track, kept in zip(faces.tracks, shown) if kept)
    return dataclasses.replace(faces, tracks=tracks, crops=faces.crops[np.array(shown, bool)])


def _edges(box: Box, width: int, height: int) -> tuple[int, int, int, int] | None:
    left, right = (min(max(round(edge), 0), width) for edge in (box.left, box.right))
    top, bottom = (min(max(round(edge), 0), height) for edge in (box.top, box.bottom))
    return None if left >= right or top >= bottom else (left, top, right, bottom)


class Messages:
    """Builds messages.

    Args:
        type_of: returns the class of a message by its name, for example ``std_msgs/msg/Header``.
    """

    def __init__(self, type_of: Callable[[str], Any]) -> None:
        self._type = functools.cache(type_of)

    def header(self, stamp_s: float, frame_id: str) -> Any:
        """A std_msgs/Header."""
        sec, nanosec = divmod(nanoseconds_of(stamp_s), 1_000_000_000)
        stamp = self._type("builtin_interfaces/msg/Time")(sec=sec, nanosec=nanosec)
        return self._type("std_msgs/msg/Header")(stamp=stamp, frame_id=frame_id)

    def tracked_faces(self, header: Any, faces: TrackedFaces, *, crops: bool = False) -> Any:
        """TrackedFaceArray: the tracked faces that are visible in an image.

        Args:
            header: of the image.
            faces: of the tracking step.
            crops: whether the message contains the crops.
        """
        faces = in_image(faces)
        return self._ours("TrackedFaceArray")(
            header=header,
            image_width=faces.width,
            image_height=faces.height,
            faces=[self._tracked("TrackedFace", each, faces.width, faces.height) for each in faces.tracks],
            crops=blob(faces.crops) if crops else array.array("B"),
        )

    def face_affects(self, header: Any, affect: FrameAffect) -> Any:
        """FaceAffectArray: the faces that are visible in an image, with their signals."""
        width, height = affect.width, affect.height
        shown = [face for face in affect.faces if _edges(face.track.box, width, height) is not None]
        return self._ours("FaceAffectArray")(
            header=header,
            image_width=width,
            image_height=height,
            faces=[self._face(face, width, height) for face in shown],
        )

    def _face(self, face: FaceAffect, width: int, height: int) -> Any:
        values = self._values("FaceAffect", Subject.FACE, face)
        return self._tracked("FaceAffect", face.track, width, height, visible=face.track.visible, **values)

    def group_affect(self, header: Any, group: GroupAffect) -> Any:
        """GroupAffect with the group's further signals; the header is that of the newest image."""
        values = self._values("GroupAffect", Subject.GROUP, group)
        return self._ours("GroupAffect")(header=header, **values)

    def group_dynamics(self, header: Any, dynamics: GroupDynamics) -> Any:
        """GroupDynamics; the header is that of the newest image."""
        pair_type, about = self._ours("PairDynamics"), declaration(PairDynamics)
        return self._ours("GroupDynamics")(
            header=header,
            pairs=[
                pair_type(first=pair.first, second=pair.second, **dict(_encoded(about, pair)))
                for pair in dynamics.pairs
            ],
            laughing_lags=np.asarray(dynamics.laughing_lags_s, np.float32),
            **dict(_encoded(declaration(GroupDynamics), dynamics)),
        )

    def scene_affect(self, header: Any, scene: Scene) -> Any:
        """SceneAffect; the header is that of the newest image."""
        return self._ours("SceneAffect")(
            header=header, stale=scene.stale, **self._values("SceneAffect", Subject.SCENE, scene)
        )

    def sound_event(self, header: Any, event: SoundEvent) -> Any:
        """SoundEvent; the header has the event's stamp."""
        return self._ours("SoundEvent")(
            header=header,
            speech=float(event.speech),
            laughter=float(event.laughter),
            level=float(event.level_dbfs),
            bands=np.array(event.bands_dbfs, np.float32),
        )

    def _ours(self, name: str) -> Any:
        return self._type(f"{PACKAGE}/msg/{name}")

    def _tracked(self, name: str, track: Track, width: int, height: int, **values: Any) -> Any:
        """A TrackedFace or FaceAffect."""
        edges = _edges(track.box, width, height)
        assert edges is not None
        left, top, right, bottom = edges
        xyz = (math.nan,) * 3 if track.position is None else dataclasses.astuple(track.position)
        return self._ours(name)(
            id=track.id,
            roi=self._type("sensor_msgs/msg/RegionOfInterest")(
                x_offset=left, y_offset=top, width=right - left, height=bottom - top, do_rectify=False
            ),
            confidence=float(track.confidence) if track.visible else 0.0,
            position=self._type("geometry_msgs/msg/Point")(**dict(zip("xyz", xyz))),
            **values,
        )

    def _values(
        self, name: str, subject: Subject, signals: FaceAffect | GroupAffect | Scene
    ) -> dict[str, Any]:
        """The values of the signals for which the message has a field."""
        known = field_names(self._ours(name))
        encoded = (_encoded(one, signals[one.kind]) for one in signals_of(subject))
        return {key: each for values in encoded for key, each in values if key in known}


@functools.cache
def field_names(message_type: Any) -> frozenset[str]:
    """The names of the fields of a message type of rclpy or rosbags."""
    if hasattr(message_type, "get_fields_and_field_types"):
        return frozenset(message_type.get_fields_and_field_types())
    return frozenset(each.name for each in dataclasses.fields(message_type))


def _encoded(about: Signal, values: Any) -> Iterable[tuple[str, Any]]:
    for each in about.fields:
        yield each.message, _encode(each, getattr(values, each.name))


def _encode(field: Field, value: Any) -> Any:
    if field.type is tuple:
        return np.asarray(value, np.float32) if len(field.columns) > 1 else list(value)
    if issubclass(field.type, IntEnum):
        return int(value)
    if field.type is int and field.high is not None:
        return min(int(value), int(field.high))
    convert: Callable[[Any], Any] = field.type
    return convert(value)


def _decoded(kind: type[S], message: Any, **others: Any) -> S:
    """A signal from the fields of a message; missing ones are unknown."""
    values: dict[str, Any] = {}
    for each in declaration(kind).fields:
        value = getattr(message, each.message, each.unknown)
        if each.type is tuple:
            values[each.name] = tuple(float(one) if len(each.columns) > 1 else one for one in value)
        else:
            values[each.name] = each.type(value)
    make: Callable[..., S] = kind
    return make(**others, **values)


def tracks_of(message: Any) -> tuple[Track, ...]:
    """The tracks of a TrackedFaceArray; a confidence of 0 means not visible.

    Raises:
        MessageError: a value is outside its range.
    """
    check_faces(message)
    return tuple(_track(face, face.confidence > 0.0) for face in message.faces)


def crops_of(message: Any) -> ImageArray:
    """The crops of a TrackedFaceArray as (N, 96, 96, 3) uint8, RGB.

    Raises:
        ImageError: the crops are missing, or their number is not that of the faces.
    """
    faces = len(message.faces)
    needed = faces * math.prod(_CROP_SHAPE)
    if len(message.crops) == needed:
        return np.frombuffer(message.crops, np.uint8).reshape(faces, *_CROP_SHAPE)
    if not message.crops:
        raise ImageError("tracked_faces has no crops: set publish_crops of face_tracker to true")
    raise ImageError(f"crops of {faces} faces must be {needed} bytes, got {len(message.crops)}")


def tracked_faces_of(message: Any) -> TrackedFaces:
    """The faces of a TrackedFaceArray that contains crops.

    Raises:
        MessageError: a value is outside its range.
        ImageError: the crops are missing, or their number is not that of the faces.
    """
    size = message.image_width, message.image_height
    return TrackedFaces(seconds(message.header.stamp), 0, *size, tracks_of(message), crops_of(message))


def frame_affect_of(message: Any) -> FrameAffect:
    """The faces of a FaceAffectArray, without the group.

    Raises:
        MessageError: a value is outside its range.
    """
    size = message.image_width, message.image_height
    return FrameAffect(seconds(message.header.stamp), 0, *size, faces_of(message))


def faces_of(message: Any) -> tuple[FaceAffect, ...]:
    """The faces of a FaceAffectArray with their signals.

    Raises:
        MessageError: a value is outside its range.
    """
    check_faces(message)
    faces = []
    for face in message.faces:
        for one in signals_of(Subject.FACE):
            valid = bool(one.valid) and bool(getattr(face, one.valid, False))
            _check(one, face, f"of face {face.id!r}", must_be_known=valid)
        signals = _known(_decoded(one.kind, face) for one in signals_of(Subject.FACE) if _has(face, one))
        faces.append(FaceAffect(_track(face, bool(face.visible)), signals))
    return tuple(faces)


def group_of(message: Any) -> GroupAffect:
    """The group's affect of a GroupAffect, with the group's further signals.

    Raises:
        MessageError: a value is outside its range.
    """
    check_ids(message.face_ids)
    for one in signals_of(Subject.GROUP):
        _check(one, message, "of the group")
    further = [one.kind for one in signals_of(Subject.GROUP) if one.kind is not GroupAffect]
    signals = _known(_decoded(kind, message) for kind in further if _has(message, declaration(kind)))
    return _decoded(GroupAffect, message, stamp_s=seconds(message.header.stamp), signals=signals)


def _known(decoded: Iterable[Any]) -> Signals:
    # A message has all fields; a signal without a known value was not estimated.
    return Signals(*(each for each in decoded if declaration(type(each)).is_known(each)))


def dynamics_of(message: Any) -> GroupDynamics:
    """The dynamics of a GroupDynamics message.

    Raises:
        MessageError: a value is outside its range.
    """
    check_ids(message.face_ids)
    _check(declaration(GroupDynamics), message, "of the group")
    for pair in message.pairs:
        _check(declaration(PairDynamics), pair, f"of the pair {pair.first!r} and {pair.second!r}")
    pairs = (_decoded(PairDynamics, each, first=each.first, second=each.second) for each in message.pairs)
    lags_s = tuple(map(float, getattr(message, "laughing_lags", ())))
    return _decoded(
        GroupDynamics,
        message,
        stamp_s=seconds(message.header.stamp),
        pairs=tuple(pairs),
        laughing_lags_s=lags_s,
    )


def scene_of(message: Any) -> Scene:
    """The scene of a SceneAffect message.

    Raises:
        MessageError: a value is outside its range.
    """
    for one in signals_of(Subject.SCENE):
        _check(one, message, "of the scene")
    kinds = [one.kind for one in signals_of(Subject.SCENE) if _has(message, one)]
    signals = _known(_decoded(kind, message) for kind in kinds)
    return Scene(seconds(message.header.stamp), signals, bool(message.stale))


def sound_event_of(message: Any) -> SoundEvent:
    """The event of a SoundEvent message.

    Raises:
        MessageError: a value is outside its range.
    """
    for name, low, high in (("speech", 0.0, 1.0), ("laughter", 0.0, 1.0), ("level", -120.0, 3.0)):
        number = getattr(message, name)
        is_unknown = name == "laughter" and math.isnan(number)
        if not (is_unknown or low - ROUNDING <= number <= high + ROUNDING):
            raise MessageError(f"{name} of a sound event must be in [{low:g}, {high:g}], got {number:g}")
    bands = tuple(map(float, message.bands))
    if len(bands) not in (0, BANDS) or not all(-120.0 - ROUNDING <= each <= 3.0 + ROUNDING for each in bands):
        raise MessageError(f"bands of a sound event must be none or {BANDS} levels in [-120, 3], got {bands}")
    return SoundEvent(seconds(message.header.stamp), message.speech, message.laughter, message.level, bands)


def _has(message: Any, about: Signal) -> bool:
    return any(hasattr(message, each.message) for each in about.fields)


def _check(about: Signal, message: Any, where: str, *, must_be_known: bool = False) -> None:
    for each in about.fields:
        if hasattr(message, each.message):
            each.check(getattr(message, each.message), where, must_be_known=must_be_known)


def _track(face: Any, visible: bool) -> Track:
    roi, point = face.roi, face.position
    box = Box(float(roi.x_offset), float(roi.y_offset), float(max(roi.width, 1)), float(max(roi.height, 1)))
    known = all(math.isfinite(each) for each in (point.x, point.y, point.z))
    position = Position(point.x, point.y, point.z) if known else None
    return Track(face.id, box, float(face.confidence), visible, position)


def check_faces(message: Any) -> None:
    """Check the common fields of TrackedFaceArray and FaceAffectArray.

    Raises:
        MessageError: there are too many faces, an id is missing or duplicate, a confidence is not in [0, 1],
            or a face is outside the image.
    """
    faces, width, height = message.faces, message.image_width, message.image_height
    if width < 1 or height < 1:
        raise MessageError(f"image_width and image_height must be at least 1, got {width} x {height}")
    check_ids([face.id for face in faces])
    for face in faces:
        roi = face.roi
        if roi.x_offset + roi.width > width or roi.y_offset + roi.height > height:
            raise MessageError(
                f"roi of face {face.id!r} must be inside the image of {width} x {height} px, got "
                f"{roi.width} x {roi.height} px at ({roi.x_offset}, {roi.y_offset})"
            )
        if not -ROUNDING <= face.confidence <= 1.0 + ROUNDING:
            raise MessageError(f"confidence of face {face.id!r} must be in [0, 1], got {face.confidence:g}")


def check_ids(ids: Sequence[str]) -> None:
    """Check the ids of the people in one image.

    Raises:
        MessageError: there are too many, or one is empty, too long or duplicate.
    """
    check_count(ids)
    for each in ids:
        if not 0 < len(each) <= MAX_ID_LENGTH:
            raise MessageError(f"id of a face must have 1 to {MAX_ID_LENGTH} characters, got {len(each)}")
    if len(set(ids)) < len(ids):
        twice = next(each for place, each in enumerate(ids) if each in ids[:place])
        raise MessageError(f"ids of the faces in a message must differ, got {twice!r} twice")


def check_count(ids: Sequence[str]) -> None:
    """Check the number of people in one image.

    Raises:
        MessageError: there are too many.
    """
    if len(ids) > MAX_FACES:
        raise MessageError(f"a message may have at most {MAX_FACES} faces, got {len(ids)}")
