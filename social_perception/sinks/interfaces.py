"""The package's messages without ROS: their definitions, and CDR messages from core types, by rosbags.

A message equals the one that the nodes would publish, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import social_perception
from social_perception.core.errors import MissingDependencyError
from social_perception.core.sound import SoundEvent
from social_perception.core.types import FrameAffect, GroupAffect, GroupDynamics, ImageArray, Scene
from social_perception.ros.convert import PACKAGE, Messages

FACES, GROUP, DYNAMICS, SCENE, SOUND, COMPRESSED = (
    f"{PACKAGE}/msg/FaceAffectArray",
    f"{PACKAGE}/msg/GroupAffect",
    f"{PACKAGE}/msg/GroupDynamics",
    f"{PACKAGE}/msg/SceneAffect",
    f"{PACKAGE}/msg/SoundEvent",
    "sensor_msgs/msg/CompressedImage",
)


def interface_folder(places: Iterable[str | Path] = ()) -> Path:
    """The folder with the .msg files.

    colcon and pip both install them to ``PREFIX/share/social_perception/msg``, where PREFIX is above the
    Python package; in the source tree they are beside it.

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
        "install the package again"
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
        self._messages = Messages(self._store.types.__getitem__)

    def definition(self, kind: str) -> str:
        """The definition of a message with those that it needs, in the form ``ros2msg``."""
        return str(self._store.generate_msgdef(kind, ros_version=2)[0])

    def type_hash(self, kind: str) -> str:
        """The hash by which ROS 2 (from Iron on) tells whether two definitions are the same."""
        return str(self._store.hash_rihs01(kind))

    def faces(self, affect: FrameAffect, frame_id: str) -> bytes:
        """FaceAffectArray of a frame: the faces that show at least half a pixel in it."""
        header = self._messages.header(affect.stamp_s, frame_id)
        return self._serialized(FACES, self._messages.face_affects(header, affect))

    def group(self, group: GroupAffect, stamp_s: float, frame_id: str) -> bytes:
        """GroupAffect; the stamp is that of the newest image in it."""
        header = self._messages.header(stamp_s, frame_id)
        return self._serialized(GROUP, self._messages.group_affect(header, group))

    def dynamics(self, dynamics: GroupDynamics, stamp_s: float, frame_id: str) -> bytes:
        """GroupDynamics; the stamp is that of the newest image in it."""
        header = self._messages.header(stamp_s, frame_id)
        return self._serialized(DYNAMICS, self._messages.group_dynamics(header, dynamics))

    def scene(self, scene: Scene, stamp_s: float, frame_id: str) -> bytes:
        """SceneAffect; the stamp is that of the newest image in it."""
        header = self._messages.header(stamp_s, frame_id)
        return self._serialized(SCENE, self._messages.scene_affect(header, scene))

    def sound_event(self, event: SoundEvent) -> bytes:
        """SoundEvent."""
        return self._serialized(
            SOUND, self._messages.sound_event(self._messages.header(event.stamp_s, ""), event)
        )

    def jpeg(self, image: ImageArray, quality: int, stamp_s: float, frame_id: str) -> bytes:
        """CompressedImage of an RGB image, (H, W, 3) uint8."""
        import cv2

        _, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        kind = self._store.types[COMPRESSED]
        header = self._messages.header(stamp_s, frame_id)
        return self._serialized(COMPRESSED, kind(header=header, format="jpeg", data=data.ravel()))

    def _serialized(self, kind: str, message: Any) -> bytes:
        return bytes(self._store.serialize_cdr(message, kind))
