"""The scene of the check: the first images of a recording, with depth, for the camera and as a bag."""

from __future__ import annotations

import dataclasses
import itertools
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from rclpy.serialization import serialize_message
from rclpy.time import Time

from social_perception.core.config import PipelineConfig
from social_perception.core.errors import MissingDependencyError, SourceError
from social_perception.core.types import Box, ImageArray
from social_perception.ros.nodes.image_publisher import FRAME_ID
from social_perception.ros.support.images import encode, image_header
from social_perception.sources.factory import open_source

WALL_M = 1.5
FACE_M = 1.0
_MAX_BYTES = 300_000_000
_BAG_FIRST_STAMP_S = 1_700_000_000
_BAG_MAX_BYTES = 100_000_000
_IMAGES, _BOXES = "images.npy", "boxes.npy"


@dataclass(frozen=True, slots=True)
class Scene:
    """Images and the faces in them.

    Attributes:
        images: (N, height, width, 3) uint8, RGB; N is at least 1.
        boxes: of the visible faces, one tuple per image.
    """

    images: ImageArray
    boxes: tuple[tuple[Box, ...], ...]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        return self.images.shape[2], self.images.shape[1]

    @property
    def people(self) -> int:
        """Maximum number of faces in one image."""
        return max(map(len, self.boxes))

    def depth_mm(self, index: int) -> npt.NDArray[np.uint16]:
        """Depth of an image in mm, (height, width) uint16: a wall with the faces in front of it."""
        width, height = self.size
        depth = np.full((height, width), round(1000 * WALL_M), np.uint16)
        for box in self.boxes[index]:
            left, top = max(0, round(box.left)), max(0, round(box.top))
            depth[top : round(box.bottom), left : round(box.right)] = round(1000 * FACE_M)
        return depth

    def back_and_forth(self, count: int) -> int:
        """Index of the next image after this many: forwards, then backwards, so that faces do not jump."""
        last = len(self.images) - 1
        position = count % max(1, 2 * last)
        return min(position, 2 * last - position) if last else 0

    def save(self, folder: Path) -> None:
        np.save(folder / _IMAGES, self.images)
        rows = [
            (index, box.left, box.top, box.width, box.height)
            for index, boxes in enumerate(self.boxes)
            for box in boxes
        ]
        np.save(folder / _BOXES, np.array(rows, np.float64).reshape(-1, 5))


def load_scene(folder: Path) -> Scene:
    """Load a saved scene; its images stay on disk."""
    images = np.load(folder / _IMAGES, mmap_mode="r")
    boxes: list[list[Box]] = [[] for _ in images]
    for index, *box in np.load(folder / _BOXES).tolist():
        boxes[int(index)].append(Box(*box))
    return Scene(images, tuple(map(tuple, boxes)))


def record_scene(spec: str, frames: int, width: int) -> Scene:
    """Read the first images of a source, scaled to a width in px, and detect the faces with the library.

    Raises:
        SourceError: the source cannot be opened, is live, or shows no face.
    """
    # Imported here, because it imports torch.
    from social_perception.perception.pipeline import make_tracking

    images: list[ImageArray] = []
    boxes: list[tuple[Box, ...]] = []
    with open_source(spec) as source, closing(make_tracking(PipelineConfig(), live=False)) as tracking:
        if source.live:
            raise SourceError(f"{source.name} is live; the check needs a recording")
        for frame in itertools.islice(source, frames):
            image = cv2.resize(frame.image, (width, round(frame.height * width / frame.width)))
            if (len(images) + 1) * image.nbytes > _MAX_BYTES:
                break
            tracks = tracking.process(dataclasses.replace(frame, image=image)).tracks
            images.append(image)
            boxes.append(tuple(track.box for track in tracks if track.visible))
    if not any(boxes):
        raise SourceError(f"{spec} shows no face in its first {len(images)} images")
    return Scene(np.stack(images), tuple(boxes))


def write_bag(folder: Path, scene: Scene, topic: str, rate_hz: float) -> int:
    """Write the first images of a scene to a bag with stamps of the past; return their number.

    Raises:
        MissingDependencyError: rosbags is not installed.
    """
    try:
        from rosbags.rosbag2 import Writer
        from rosbags.typesys import Stores, get_typestore
    except ImportError as error:
        raise MissingDependencyError("bags need rosbags: pip install rosbags") from error
    count = max(1, min(len(scene.images), _BAG_MAX_BYTES // scene.images[0].nbytes))
    with Writer(folder, version=8) as writer:
        kind = "sensor_msgs/msg/Image"
        connection = writer.add_connection(topic, kind, typestore=get_typestore(Stores.ROS2_HUMBLE))
        for index in range(count):
            stamp_ns = _BAG_FIRST_STAMP_S * 10**9 + round(index * 1e9 / rate_hz)
            header = image_header(Time(nanoseconds=stamp_ns).to_msg(), FRAME_ID)
            message = encode(scene.images[index], header)
            writer.write(connection, stamp_ns, serialize_message(message))
    return count
