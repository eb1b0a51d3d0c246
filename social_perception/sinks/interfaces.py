"""The package's messages without ROS: their definitions, and values of the core as CDR, by rosbags.

A message holds what the nodes would publish, byte for byte.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import social_perception
from social_perception.core.errors import MissingDependencyError
from social_perception.core.types import (
    Box,
    FaceAffect,
    FrameAffect,
    GroupAffect,
    GroupDynamics,
    ImageArray,
    Position,
    Smile,
)

PACKAGE = "social_perception"
FACES, GROUP, DYNAMICS, COMPRESSED = (
    f"{PACKAGE}/msg/FaceAffectArray",
    f"{PACKAGE}/msg/GroupAffect",
    f"{PACKAGE}/msg/GroupDynamics",
    "sensor_msgs/msg/CompressedImage",
)

_MAX_OBSERVED_FRAMES = 65535


def interface_folder(places: Iterable[str | Path] = ()) -> Path:
    """The folder with the .msg files.

    colcon and pip both install them to ``PREFIX/share/social_perception/msg``, where PREFIX is above the
    Python package; in the source tree they lie beside it.

    Args:
        places: folders of the Python package; none: where it was imported from.

    Raises:
        MissingDependencyError: there is no such folder.
    """
    packages = [Path(place).resolve() for place in places or social_perception.__path__]
    for package in packages:
        beside = package.parent / "msg"
        for folder in (beside, *(above / "share" / PACKAGE / "msg" for above in package.parents)):
            if (folder / "FaceAffectArray.msg").is_file():
                return folder
    raise MissingDependencyError(
        f"the message definitions (share/{PACKAGE}/msg) are missing beside {packages[0]}: "
        "install the package anew"
    )


class Interfaces:
    """Makes and describes messages.

    Args:
        folder: with the .msg files; None: :func:`interface_folder`.

    Raises:
        MissingDependencyError: rosbags or the definitions are missing.
    """

    def __init__(self, folder: Path | None = None) -> None:
        try:
            from rosbags.typesys import Stores, get_types_from_msg, get_typestore
        except ImportError as error:
            raise MissingDependencyError("recording needs rosbags: pip install rosbags") from error
        self._store = get_typestore(Stores.ROS2_HUMBLE)
        known = {}
        for path in sorted((folder or interface_folder()).glob("*.msg")):
            known.update(get_types_from_msg(path.read_text(encoding="utf-8"), f"{PACKAGE}/msg/{path.stem}"))
        self._store.register(known)

    def definition(self, kind: str) -> str:
        """The definition of a message with those that it needs, in the form ``ros2msg``."""
        return str(self._store.generate_msgdef(kind, ros_version=2)[0])

    def type_hash(self, kind: str) -> str:
        """The hash by which ROS 2 (from Iron on) tells whether two definitions are the same."""
        return str(self._store.hash_rihs01(kind))

    def faces(self, affect: FrameAffect, frame_id: str) -> bytes:
        """FaceAffectArray of a frame: the faces that show at least half a pixel in it."""
        clipped = [(face, _clip(face.track.box, affect.width, affect.height)) for face in affect.faces]
        return self._serialized(
            FACES,
            header=self._header(affect.stamp_s, frame_id),
            image_width=affect.width,
            image_height=affect.height,
            faces=[self._face(face, edges) for face, edges in clipped if edges is not None],
        )

    def group(self, group: GroupAffect, stamp_s: float, frame_id: str) -> bytes:
        """GroupAffect; the stamp is that of the newest image in it."""
        return self._serialized(
            GROUP,
            header=self._header(stamp_s, frame_id),
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

    def dynamics(self, dynamics: GroupDynamics, stamp_s: float, frame_id: str) -> bytes:
        """GroupDynamics; the stamp is that of the newest image in it."""
        pair_of = self._store.types[f"{PACKAGE}/msg/PairDynamics"]
        pairs = [
            pair_of(
                first=pair.first,
                second=pair.second,
                correlation=pair.correlation,
                lag=pair.lag_s,
                zero_lag_correlation=pair.zero_lag_correlation,
            )
            for pair in dynamics.pairs
        ]
        return self._serialized(
            DYNAMICS,
            header=self._header(stamp_s, frame_id),
            face_ids=list(dynamics.face_ids),
            pairs=pairs,
            synchrony=dynamics.synchrony,
            window=dynamics.window_s,
            stale=dynamics.stale,
        )

    def jpeg(self, image: ImageArray, quality: int, stamp_s: float, frame_id: str) -> bytes:
        """CompressedImage of an RGB picture, (H, W, 3) uint8."""
        import cv2

        _, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        header = self._header(stamp_s, frame_id)
        return self._serialized(COMPRESSED, header=header, format="jpeg", data=data.ravel())

    def _serialized(self, kind: str, **fields: Any) -> bytes:
        return bytes(self._store.serialize_cdr(self._store.types[kind](**fields), kind))

    def _header(self, stamp_s: float, frame_id: str) -> Any:
        types = self._store.types
        sec, nanosec = divmod(nanoseconds(stamp_s), 1_000_000_000)
        stamp = types["builtin_interfaces/msg/Time"](sec=sec, nanosec=nanosec)
        return types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)

    def _face(self, face: FaceAffect, edges: Sequence[int]) -> Any:
        types = self._store.types
        left, top, right, bottom = edges
        smile: Smile = face.smile
        return types[f"{PACKAGE}/msg/FaceAffect"](
            id=face.track.id,
            roi=types["sensor_msgs/msg/RegionOfInterest"](
                x_offset=left, y_offset=top, width=right - left, height=bottom - top, do_rectify=False
            ),
            position=self._point(face.track.position),
            intensity=smile.intensity,
            level=int(smile.level),
            probabilities=np.asarray(smile.probabilities, np.float32),
            observed_frames=min(smile.observed_frames, _MAX_OBSERVED_FRAMES),
            valid=smile.valid,
        )

    def _point(self, position: Position | None) -> Any:
        place = (math.nan,) * 3 if position is None else (position.x, position.y, position.z)
        return self._store.types["geometry_msgs/msg/Point"](*place)


def nanoseconds(stamp_s: float) -> int:
    """A stamp in ns that gives the same number of s again; below zero, where ROS has no stamps, 0."""
    whole = math.floor(stamp_s)
    return max(0, whole * 1_000_000_000 + round((stamp_s - whole) * 1e9))


def _clip(box: Box, width: int, height: int) -> tuple[int, int, int, int] | None:
    left, right = (min(max(round(edge), 0), width) for edge in (box.left, box.right))
    top, bottom = (min(max(round(edge), 0), height) for edge in (box.top, box.bottom))
    return None if left >= right or top >= bottom else (left, top, right, bottom)
