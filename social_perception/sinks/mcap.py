"""Records results as ROS 2 messages in an mcap file or a rosbag2 folder; no ROS is needed.

Stamps are those of the frames. A program that is killed leaves all but the last second, without an index,
which rosbag2 folders need: see docs/bags.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from social_perception import __version__
from social_perception.core.errors import OutputError
from social_perception.core.types import Frame, FrameAffect
from social_perception.ros.convert import nanoseconds_of
from social_perception.sinks.interfaces import COMPRESSED, DYNAMICS, FACES, GROUP, SCENE, SOUND, Interfaces
from social_perception.sinks.mcap_writer import Channel, McapWriter
from social_perception.sinks.sink import Dynamics, FaceHider, Sink, output_error

FRAME_ID = "camera_color_optical_frame"
"""The frame id of the image_publisher node."""

SUFFIX = ".mcap"
GROUP_TOPIC = "/group_affect"
TOPICS = {"/face_affect": FACES, GROUP_TOPIC: GROUP, "/group_dynamics": DYNAMICS}
SCENE_TOPIC = "/scene_affect"
SOUND_TOPIC = "/sound_events"
IMAGE_TOPIC = "/image/compressed"
JPEG_QUALITY = 90

_MOST_PENDING_S = 1.0
_MOST_PENDING_BYTES = 1 << 20

# Humble reads version 8 of rosbag2's metadata, in which a quality of service has numbers; version 9, which
# names them, is read from Jazzy on.
_METADATA_VERSION = 8
_FOREVER = "{sec: 9223372036, nsec: 854775807}"
_QOS = (
    "- {history: 1, depth: 10, reliability: 1, durability: 2, "
    f"deadline: {_FOREVER}, lifespan: {_FOREVER}, liveliness: 1, "
    f"liveliness_lease_duration: {_FOREVER}, avoid_ros_namespace_conventions: false}}"
)


class McapSink(Sink):
    """Records what is reported of each frame, as the ROS 2 nodes would publish it.

    Args:
        path: ``FILE.mcap``, or a folder, which becomes a rosbag2 recording; neither may exist yet.
        images: whether the frames are recorded, too, as JPEG: everybody in them can be seen.
        people: whether single people are recorded; false: the group alone.
        scene: whether the scene is recorded, and neither people nor a group.
        sound: whether sound events are recorded.
        dynamics: returns the group's dynamics where they are due; None: they are not recorded.
        hider: hides the faces in recorded images, which then come later than the results of their frames.

    Raises:
        OutputError: it cannot be written, now or with a later frame; what came before stays readable.
        MissingDependencyError: rosbags is not installed.
    """

    def __init__(
        self,
        path: Path,
        *,
        images: bool = False,
        people: bool = True,
        scene: bool = False,
        sound: bool = False,
        dynamics: Dynamics | None = None,
        hider: FaceHider | None = None,
    ) -> None:
        self.path = path
        self._interfaces = Interfaces()
        self._is_folder = path.suffix.lower() != SUFFIX
        self._dynamics = dynamics if people else None
        self._hider = hider if images else None
        recorded = {SCENE_TOPIC: SCENE} if scene else TOPICS if people else {GROUP_TOPIC: GROUP}
        recorded = {**recorded, **({SOUND_TOPIC: SOUND} if sound else {})}
        self._topics = {**recorded, **({IMAGE_TOPIC: COMPRESSED} if images else {})}
        self._channels = {kind: number for number, kind in enumerate(self._topics.values())}
        self._chunk_begun_s: float | None = None
        self._writer = McapWriter(
            self._file(), [self._channel(*each) for each in self._topics.items()],
            f"social_perception {__version__}",
        )  # fmt: skip

    def _file(self) -> Path:
        if not self._is_folder:
            return self.path
        try:
            self.path.mkdir(parents=True)
        except OSError as error:
            raise OutputError(f"{self.path} cannot be made: {error.strerror or error}") from error
        return self.path / f"{self.path.name}{SUFFIX}"

    def _channel(self, topic: str, kind: str) -> Channel:
        metadata = {"offered_qos_profiles": _QOS, "topic_type_hash": self._interfaces.type_hash(kind)}
        return Channel(topic, kind, self._interfaces.definition(kind), metadata)

    def add(self, frame: Frame, affect: FrameAffect) -> None:
        if COMPRESSED in self._channels:
            for each, _ in [(frame, affect)] if self._hider is None else self._hider.add(frame, affect):
                self._write_image(each)
        if FACES in self._channels:
            self._write(FACES, affect.stamp_s, self._interfaces.faces(affect, FRAME_ID))
        for event in (affect.sound_events or ()) if SOUND in self._channels else ():
            self._write(SOUND, event.stamp_s, self._interfaces.sound_event(event))
        self._add_group(affect, waiting=False)
        dynamics = None if self._dynamics is None or affect.scene is not None else self._dynamics(affect)
        if dynamics is not None:
            stamp_s = dynamics.stamp_s
            self._write(DYNAMICS, stamp_s, self._interfaces.dynamics(dynamics, stamp_s, FRAME_ID))

    def stale(self, affect: FrameAffect | None, reason: str) -> None:
        """Record the group, or the scene, alone."""
        if affect is not None:
            self._add_group(affect, waiting=True)

    def _add_group(self, affect: FrameAffect, *, waiting: bool) -> None:
        if affect.scene is not None:
            self._write(SCENE, affect.stamp_s, self._interfaces.scene(affect.scene, affect.stamp_s, FRAME_ID))
        if affect.group is not None:
            self._write(GROUP, affect.stamp_s, self._interfaces.group(affect.group, affect.stamp_s, FRAME_ID))
        self._flush_in_time(affect.stamp_s, waiting=waiting)

    def _write_image(self, frame: Frame) -> None:
        stamp_s = frame.stamp_s
        self._write(COMPRESSED, stamp_s, self._interfaces.jpeg(frame.image, JPEG_QUALITY, stamp_s, FRAME_ID))

    def _write(self, kind: str, stamp_s: float, message: bytes) -> None:
        self._writer.write(self._channels[kind], nanoseconds_of(stamp_s), message)

    def _flush_in_time(self, stamp_s: float, *, waiting: bool) -> None:
        if self._chunk_begun_s is None:
            self._chunk_begun_s = stamp_s
        # Stamps may go back: a bag that is played again.
        old = abs(stamp_s - self._chunk_begun_s) >= _MOST_PENDING_S
        if old or waiting or self._writer.pending_bytes >= _MOST_PENDING_BYTES:
            self._chunk_begun_s = None
            self._writer.flush()

    def close(self) -> None:
        for each, _ in () if self._hider is None else self._hider.finish():
            self._write_image(each)
        self._writer.flush()
        information = self._information()
        self._writer.close("rosbag2", {"serialized_metadata": _yaml(information)})
        if self._is_folder:
            text = _yaml({"rosbag2_bagfile_information": information})
            try:
                (self.path / "metadata.yaml").write_text(text, encoding="utf-8")
            except OSError as error:
                raise output_error(self.path, error) from error

    def _information(self) -> dict[str, Any]:
        """The metadata of a rosbag2 bag."""
        writer = self._writer
        counts = dict(zip(self._topics, writer.counts))
        total = sum(counts.values())
        extent = {
            "starting_time": {"nanoseconds_since_epoch": writer.first_ns if total else 0},
            "duration": {"nanoseconds": writer.last_ns - writer.first_ns if total else 0},
            "message_count": total,
        }
        return {
            "version": _METADATA_VERSION,
            "storage_identifier": "mcap",
            "relative_file_paths": [writer.path.name],
            **extent,
            "topics_with_message_count": [
                {"topic_metadata": self._topic(topic, kind), "message_count": counts[topic]}
                for topic, kind in self._topics.items()
            ],
            "compression_format": "",
            "compression_mode": "",
            "files": [{"path": writer.path.name, **extent}],
            "custom_data": None,
            "ros_distro": "",
        }

    def _topic(self, topic: str, kind: str) -> dict[str, str]:
        return {
            "name": topic,
            "type": kind,
            "serialization_format": "cdr",
            "offered_qos_profiles": _QOS,
            "type_description_hash": self._interfaces.type_hash(kind),
        }

    def abort(self) -> None:
        """Leave the recording without an index."""
        self._writer.abort()

    def __exit__(self, kind: type[BaseException] | None, *rest: Any) -> None:
        # A run that is interrupted leaves a complete recording, too.
        if kind is None or not issubclass(kind, OutputError):
            self.close()
        else:
            self.abort()


def _yaml(value: Any) -> str:
    # PyYAML writes equal objects as aliases, which rosbag2 does not read everywhere.
    class Dumper(yaml.SafeDumper):  # type: ignore[misc]  # PyYAML has no types
        def ignore_aliases(self, data: Any) -> bool:
            return True

    return str(yaml.dump(value, Dumper=Dumper, sort_keys=False))
