"""Records results as ROS 2 messages in an mcap file or a rosbag2 folder; no ROS is needed.

Stamps are those of the frames. A program that is killed leaves all but the last second; what it
leaves has no index, which rosbag2 folders want: see docs/bags.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from social_perception import __version__
from social_perception.core.errors import OutputError
from social_perception.core.types import FrameAffect, GroupDynamics, ImageArray
from social_perception.ros.convert import nanoseconds_of
from social_perception.sinks.interfaces import COMPRESSED, DYNAMICS, FACES, GROUP, Interfaces
from social_perception.sinks.mcap_writer import Channel, McapWriter

FRAME_ID = "camera_color_optical_frame"
"""Frame id of what has none of its own, as the nodes' image_publisher names it."""

SUFFIX = ".mcap"
GROUP_TOPIC = "/group_affect"
TOPICS = {"/face_affect": FACES, GROUP_TOPIC: GROUP, "/group_dynamics": DYNAMICS}
IMAGE_TOPIC = "/image/compressed"
JPEG_QUALITY = 90

_MOST_PENDING_S = 1.0
_MOST_PENDING_BYTES = 1 << 20

# Version 8 of rosbag2's metadata, in which a quality of service is a text of numbers, is understood
# from Humble on; 9 and its words only from Jazzy on.
_METADATA_VERSION = 8
_FOREVER = "{sec: 9223372036, nsec: 854775807}"
_QOS = (
    "- {history: 1, depth: 10, reliability: 1, durability: 2, "
    f"deadline: {_FOREVER}, lifespan: {_FOREVER}, liveliness: 1, "
    f"liveliness_lease_duration: {_FOREVER}, avoid_ros_namespace_conventions: false}}"
)


class Recorder:
    """Takes what is said of each frame; use it as a context manager.

    Args:
        path: ``FILE.mcap``, or a folder, which becomes a rosbag2 recording; neither may be there yet.
        images: whether the frames are recorded, too, as JPEG: everybody in them can be seen.
        people: whether single people are recorded; false: the group alone.

    Raises:
        OutputError: it cannot be written, now or with a later frame; what came before stays readable.
        MissingDependencyError: rosbags is not installed.
    """

    def __init__(self, path: Path, *, images: bool = False, people: bool = True) -> None:
        self.path = path
        self._interfaces = Interfaces()
        self._is_folder = path.suffix.lower() != SUFFIX
        told = TOPICS if people else {GROUP_TOPIC: GROUP}
        self._topics = {**told, **({IMAGE_TOPIC: COMPRESSED} if images else {})}
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

    def add(self, affect: FrameAffect, image: ImageArray | None) -> None:
        """Record a frame's faces, group and, where asked for, picture.

        Args:
            affect: what was found.
            image: (H, W, 3) uint8, RGB; None: there was no frame, and only the group is recorded.
        """
        if image is not None:
            self.add_image(image, affect.stamp_s)
        self.add_results(affect, is_of_frame=image is not None)

    def add_results(self, affect: FrameAffect, *, is_of_frame: bool) -> None:
        """Record what was found, without the picture, which may come later; of no frame only the group."""
        stamp_s, time_ns = affect.stamp_s, nanoseconds_of(affect.stamp_s)
        if is_of_frame and FACES in self._channels:
            self._writer.write(self._channels[FACES], time_ns, self._interfaces.faces(affect, FRAME_ID))
        if affect.group is not None:
            group = self._interfaces.group(affect.group, stamp_s, FRAME_ID)
            self._writer.write(self._channels[GROUP], time_ns, group)
        self._flush_in_time(stamp_s, waiting=not is_of_frame)

    def add_image(self, image: ImageArray, stamp_s: float) -> None:
        """Record a frame's picture, (H, W, 3) uint8, RGB, where pictures are asked for."""
        if COMPRESSED in self._channels:
            picture = self._interfaces.jpeg(image, JPEG_QUALITY, stamp_s, FRAME_ID)
            self._writer.write(self._channels[COMPRESSED], nanoseconds_of(stamp_s), picture)

    def add_dynamics(self, dynamics: GroupDynamics) -> None:
        """Record who smiles with whom."""
        stamp_s = dynamics.stamp_s
        self._writer.write(
            self._channels[DYNAMICS],
            nanoseconds_of(stamp_s),
            self._interfaces.dynamics(dynamics, stamp_s, FRAME_ID),
        )

    def _flush_in_time(self, stamp_s: float, *, waiting: bool) -> None:
        if self._chunk_begun_s is None:
            self._chunk_begun_s = stamp_s
        # Stamps may go back: a bag that is played again.
        old = abs(stamp_s - self._chunk_begun_s) >= _MOST_PENDING_S
        if old or waiting or self._writer.pending_bytes >= _MOST_PENDING_BYTES:
            self._chunk_begun_s = None
            self._writer.flush()

    def close(self) -> None:
        """Complete the recording."""
        self._writer.flush()
        information = self._information()
        self._writer.close("rosbag2", {"serialized_metadata": _yaml(information)})
        if self._is_folder:
            text = _yaml({"rosbag2_bagfile_information": information})
            try:
                (self.path / "metadata.yaml").write_text(text, encoding="utf-8")
            except OSError as error:
                raise OutputError(f"{self.path} cannot be written: {error.strerror or error}") from error

    def _information(self) -> dict[str, Any]:
        """What rosbag2 calls a bag's metadata."""
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

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, *unused: object) -> None:
        if kind is None or not issubclass(kind, OutputError):
            self.close()
        else:
            self._writer.abort()


def _yaml(value: Any) -> str:
    # The same numbers stand twice; an alias for them is not understood everywhere.
    class Dumper(yaml.SafeDumper):  # type: ignore[misc]  # PyYAML has no types
        def ignore_aliases(self, data: Any) -> bool:
            return True

    return str(yaml.dump(value, Dumper=Dumper, sort_keys=False))
