"""Between the package's messages and the core's value types."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point
from sensor_msgs.msg import RegionOfInterest
from std_msgs.msg import Header

from social_perception.core.errors import ImageError, MissingDependencyError
from social_perception.core.types import (
    CROP_SIZE_PX,
    Box,
    Frame,
    GroupAffect,
    GroupDynamics,
    ImageArray,
    PairDynamics,
    Position,
    Smile,
    SmileLevel,
    Track,
)
from social_perception.core.types import FaceAffect as CoreFaceAffect
from social_perception.ros.support.blob import blob
from social_perception.ros.support.checks import (
    all_finite,
    check_dynamics,
    check_faces,
    check_group,
    check_share,
    check_smile,
)

try:
    from social_perception.msg import FaceAffect, FaceAffectArray, TrackedFace, TrackedFaceArray
    from social_perception.msg import GroupAffect as GroupAffectMessage
    from social_perception.msg import GroupDynamics as GroupDynamicsMessage
    from social_perception.msg import PairDynamics as PairDynamicsMessage
except ImportError as error:
    raise MissingDependencyError(
        "the messages of social_perception are not built or not on the path: run colcon build and "
        "source install/setup.bash"
    ) from error

_CROP_SHAPE = (CROP_SIZE_PX, CROP_SIZE_PX, 3)
_MAX_OBSERVED_FRAMES = 65535


def seconds(stamp: Time) -> float:
    """A stamp in s; exact to a quarter of a microsecond."""
    return stamp.sec + stamp.nanosec * 1e-9


def nanoseconds(stamp: Time) -> int:
    """A stamp in ns; exact."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def in_picture(tracks: Sequence[Track], width: int, height: int) -> tuple[Track, ...]:
    """The tracks whose box shows at least half a pixel of the image; others have no region of interest."""
    return tuple(track for track in tracks if _clip(track.box, width, height) is not None)


def tracked_faces_message(
    header: Header, frame: Frame, tracks: Sequence[Track], crops: ImageArray | None
) -> TrackedFaceArray:
    """The followed faces of one image.

    Args:
        header: of the image; carried through.
        frame: the image.
        tracks: faces of :func:`in_picture`.
        crops: (N, 96, 96, 3) uint8, RGB, in the order of the tracks; None: not asked for.
    """
    message = TrackedFaceArray(header=header, image_width=frame.width, image_height=frame.height)
    message.faces = [_tracked_face(track, frame) for track in tracks]
    if crops is not None:
        message.crops = blob(crops)
    return message


def tracks_of(message: TrackedFaceArray) -> tuple[Track, ...]:
    """The tracks of a message; a confidence of 0 means not visible.

    Raises:
        MessageError: the message says what cannot be.
    """
    check_faces(message)
    for face in message.faces:
        check_share(f"confidence of face {face.id!r}", face.confidence)
    return tuple(
        Track(face.id, _box(face.roi), face.confidence, face.confidence > 0.0, _position(face.position))
        for face in message.faces
    )


def crops_of(message: TrackedFaceArray) -> ImageArray:
    """The crops of a message as (N, 96, 96, 3) uint8, RGB.

    Raises:
        ImageError: the crops are missing or not as many as the faces.
    """
    faces = len(message.faces)
    needed = faces * math.prod(_CROP_SHAPE)
    if len(message.crops) == needed:
        return np.frombuffer(message.crops, np.uint8).reshape(faces, *_CROP_SHAPE)
    if not message.crops:
        raise ImageError("tracked_faces comes without crops: set publish_crops of face_tracker to true")
    raise ImageError(f"crops of {faces} faces must be {needed} bytes, got {len(message.crops)}")


def face_affect_message(tracked: TrackedFaceArray, smiles: Sequence[Smile]) -> FaceAffectArray:
    """The smiles of one image's faces, in the order of the faces."""
    message = FaceAffectArray(
        header=tracked.header, image_width=tracked.image_width, image_height=tracked.image_height
    )
    message.faces = [_face_affect(face, smile) for face, smile in zip(tracked.faces, smiles)]
    return message


def faces_of(message: FaceAffectArray) -> tuple[CoreFaceAffect, ...]:
    """The faces of a message; what it does not say (confidence) is taken from ``valid``.

    Raises:
        MessageError: the message says what cannot be.
    """
    check_faces(message)
    for face in message.faces:
        check_smile(face)
    return tuple(CoreFaceAffect(_track(face), _smile(face)) for face in message.faces)


def group_affect_message(header: Header, group: GroupAffect) -> GroupAffectMessage:
    """The group's affect; header is that of the newest image in it."""
    return GroupAffectMessage(
        header=header,
        group_size=group.group_size,
        valid_faces=group.valid_faces,
        intensity=group.intensity,
        mean_intensity=group.mean_intensity,
        dispersion=group.dispersion,
        smiling_fraction=group.smiling_fraction,
        level=int(group.level),
        trend=group.trend,
        synchrony=group.synchrony,
        window=group.window_s,
        face_ids=list(group.face_ids),
        stale=group.stale,
    )


def group_of(message: GroupAffectMessage) -> GroupAffect:
    """The group's affect of a message.

    Raises:
        MessageError: the message says what cannot be.
    """
    check_group(message)
    return GroupAffect(
        stamp_s=seconds(message.header.stamp),
        group_size=message.group_size,
        valid_faces=message.valid_faces,
        intensity=message.intensity,
        mean_intensity=message.mean_intensity,
        dispersion=message.dispersion,
        smiling_fraction=message.smiling_fraction,
        level=SmileLevel(message.level),
        trend=message.trend,
        synchrony=message.synchrony,
        window_s=message.window,
        face_ids=tuple(message.face_ids),
        stale=message.stale,
    )


def group_dynamics_message(header: Header, dynamics: GroupDynamics) -> GroupDynamicsMessage:
    """Who smiles with whom; header is that of the newest image in it."""
    return GroupDynamicsMessage(
        header=header,
        face_ids=list(dynamics.face_ids),
        pairs=[
            PairDynamicsMessage(
                first=pair.first,
                second=pair.second,
                correlation=pair.correlation,
                lag=pair.lag_s,
                zero_lag_correlation=pair.zero_lag_correlation,
            )
            for pair in dynamics.pairs
        ],
        synchrony=dynamics.synchrony,
        window=dynamics.window_s,
        stale=dynamics.stale,
    )


def dynamics_of(message: GroupDynamicsMessage) -> GroupDynamics:
    """Who smiles with whom, of a message.

    Raises:
        MessageError: the message says what cannot be.
    """
    check_dynamics(message)
    return GroupDynamics(
        stamp_s=seconds(message.header.stamp),
        face_ids=tuple(message.face_ids),
        pairs=tuple(
            PairDynamics(each.first, each.second, each.correlation, each.lag, each.zero_lag_correlation)
            for each in message.pairs
        ),
        synchrony=message.synchrony,
        window_s=message.window,
        stale=message.stale,
    )


def _clip(box: Box, width: int, height: int) -> RegionOfInterest | None:
    left, right = (min(max(round(edge), 0), width) for edge in (box.left, box.right))
    top, bottom = (min(max(round(edge), 0), height) for edge in (box.top, box.bottom))
    if left >= right or top >= bottom:
        return None
    return RegionOfInterest(x_offset=left, y_offset=top, width=right - left, height=bottom - top)


def _box(roi: RegionOfInterest) -> Box:
    return Box(float(roi.x_offset), float(roi.y_offset), float(max(roi.width, 1)), float(max(roi.height, 1)))


def _point(position: Position | None) -> Point:
    if position is None:
        return Point(x=math.nan, y=math.nan, z=math.nan)
    return Point(x=position.x, y=position.y, z=position.z)


def _position(point: Point) -> Position | None:
    known = all_finite((point.x, point.y, point.z))
    return Position(point.x, point.y, point.z) if known else None


def _tracked_face(track: Track, frame: Frame) -> TrackedFace:
    return TrackedFace(
        id=track.id,
        roi=_clip(track.box, frame.width, frame.height),
        confidence=float(track.confidence) if track.visible else 0.0,
        position=_point(track.position),
    )


def _face_affect(face: TrackedFace, smile: Smile) -> FaceAffect:
    return FaceAffect(
        id=face.id,
        roi=face.roi,
        position=face.position,
        intensity=smile.intensity,
        level=int(smile.level),
        probabilities=np.asarray(smile.probabilities, np.float32),
        observed_frames=min(smile.observed_frames, _MAX_OBSERVED_FRAMES),
        valid=smile.valid,
    )


def _track(face: FaceAffect) -> Track:
    return Track(face.id, _box(face.roi), float(face.valid), face.valid, _position(face.position))


def _smile(face: FaceAffect) -> Smile:
    neutral, low, medium, high = (float(each) for each in face.probabilities)
    return Smile(
        intensity=face.intensity,
        level=SmileLevel(face.level),
        probabilities=(neutral, low, medium, high),
        observed_frames=face.observed_frames,
        valid=face.valid,
    )
