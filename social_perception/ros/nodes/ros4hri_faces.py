"""Node ros4hri_faces: publishes the faces that another ROS4HRI (REP-155) node detects as tracked_faces.

smile_intensity and group_affect process them like those of face_tracker. docs/ros4hri.md lists the
differences to face_tracker's crops.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from social_perception.core.errors import ImageError
from social_perception.core.types import CROP_SIZE_PX, Box, ImageArray, Track, TrackedFaces
from social_perception.perception.smile.crop import crop_faces
from social_perception.ros.convert import check_count, nanoseconds, seconds
from social_perception.ros.support.config import (
    HumansConfig,
    ImageInputConfig,
    NodeConfig,
    Ros4HriFacesConfig,
)
from social_perception.ros.support.images import decode
from social_perception.ros.support.messages import MESSAGES, TrackedFaceArray
from social_perception.ros.support.qos import RESULT_QOS, image_qos, subscribe
from social_perception.ros.support.ros4hri_messages import (
    IdsList,
    NormalizedRegionOfInterest2D,
    require_hri_msgs,
    roi_of,
)
from social_perception.ros.support.ros4hri_values import NormalizedRoi, is_topic_name, without_padding
from social_perception.ros.support.runner import run
from social_perception.ros.support.stage import Stage
from social_perception.ros.support.topic_input import TopicInput
from social_perception.sources.face_groups import FaceGroup, FaceGroups, GroupedFace

_DEPTH = 10
_POLL_PERIOD_S = 0.05
_IMAGE_CHECK_S = 0.5
_MISSES_BEFORE_ERROR = 10
"""Incomplete images in a row before they are reported."""

HriFace = GroupedFace[NormalizedRoi, Image]
HriGroup = FaceGroup[NormalizedRoi, Image]


class FaceInputs:
    """The subscriptions to the topics of the current faces.

    Args:
        node: owner of the subscriptions.
        base: prefix of the topic names, without the face's id.
        qos: of the subscriptions.
        topics: name, type and callback of each topic of a face; the callback gets the face's id and a
            message.
    """

    def __init__(
        self,
        node: Node,
        base: str,
        qos: QoSProfile,
        topics: Sequence[tuple[str, type, Callable[[str, Any], None]]],
    ) -> None:
        self._node, self._base, self._qos, self._topics = node, base, qos, topics
        self._subscriptions: dict[str, list[Any]] = {}

    def follow(self, ids: Iterable[str]) -> None:
        """Subscribe to the topics of these faces, and unsubscribe from those of all others."""
        current = set(ids)
        for gone in self._subscriptions.keys() - current:
            for subscription in self._subscriptions.pop(gone):
                self._node.destroy_subscription(subscription)
        for new in current - self._subscriptions.keys():
            self._subscriptions[new] = [
                self._subscribe(kind, f"{self._base}/{new}/{topic}", functools.partial(callback, new))
                for topic, kind, callback in self._topics
            ]

    def _subscribe(self, kind: type, topic: str, callback: Callable[[Any], None]) -> Any:
        def warn(policy: str) -> None:
            self._node.get_logger().warning(
                f"a publisher on {topic} is incompatible in its {policy}; set the parameter faces_reliability"
            )

        def receive(message: Any, number: int | None) -> None:
            callback(message)

        return subscribe(
            self._node,
            kind,
            topic,
            self._qos,
            receive,
            on_incompatible=warn,
            on_lost=lambda count: None,
        )


class Ros4HriFacesNode(Stage):
    """Converts the faces of another ROS4HRI node to tracked faces with crops.

    Raises:
        MissingDependencyError: hri_msgs is not installed.
    """

    task = "faces of ROS4HRI to tracked faces"

    def __init__(self, **node_options: Any) -> None:
        require_hri_msgs()
        self._publisher: Any = None
        self._faces: FaceInputs | None = None
        self._image_input: TopicInput | None = None
        super().__init__(
            "ros4hri_faces", (HumansConfig, Ros4HriFacesConfig, ImageInputConfig), **node_options
        )

    def load(self) -> None:
        self._publisher = self.create_lifecycle_publisher(TrackedFaceArray, "tracked_faces", RESULT_QOS)
        self.get_logger().warning(
            f"face images are published on {self.resolve_topic_name('tracked_faces')}, because "
            "smile_intensity is in another process"
        )

    def open(self) -> None:
        config = self.parameters[Ros4HriFacesConfig]
        self._from_image = config.crops == "image"
        self._size = (config.assumed_width_px, config.assumed_height_px)
        self._images: dict[int, Image | CompressedImage] = {}
        self._index, self._missed, self._confident = 0, 0, False
        self._groups = FaceGroups[NormalizedRoi, Image](
            config.wait_s, with_images=not self._from_image, ready=self._has_image
        )
        self._subscribe_faces(config)
        if self._from_image:
            self._subscribe_images()
        else:
            self.listen(CameraInfo, "camera_info", image_qos(reliable=False), self._on_camera_info)
        self.every(_POLL_PERIOD_S, self._tick)
        self._image_check_s = 0.0

    def close(self) -> None:
        if self._faces is not None:
            self._faces.follow(())
            self._faces = None
        if self._image_input is not None:
            self._image_input.close()
            self._image_input = None
        self._images = {}

    def unload(self) -> None:
        if self._publisher is not None:
            self.destroy_lifecycle_publisher(self._publisher)
            self._publisher = None

    def restart(self) -> None:
        self._groups.clear()
        self._images.clear()

    def process(self, message: IdsList) -> int:
        check_count(message.ids)
        ids = [each for each in message.ids if is_topic_name(each)]
        assert self._faces is not None
        self._faces.follow(ids)
        self._groups.add_ids(message.header, nanoseconds(message.header.stamp), ids, time.monotonic())
        self._publish_ready()
        if len(ids) < len(message.ids):
            (first, *_) = set(message.ids) - set(ids)
            raise ImageError(f"face {first!r} is dropped: its id is invalid in a topic name")
        return len(ids)

    # Input.

    def _subscribe_faces(self, config: Ros4HriFacesConfig) -> None:
        base = f"{self.parameters[HumansConfig].humans}/faces"
        reliable = config.faces_reliability == "reliable"
        policy = QoSReliabilityPolicy.RELIABLE if reliable else QoSReliabilityPolicy.BEST_EFFORT
        qos = QoSProfile(history=QoSHistoryPolicy.KEEP_LAST, depth=_DEPTH, reliability=policy)
        topics = [("roi", NormalizedRegionOfInterest2D, self._on_roi)]
        if not self._from_image:
            topics.append(("cropped", Image, self._on_cropped))
        self._faces = FaceInputs(self, base, qos, topics)
        noun, origin = "lists of faces", "the node that detects them"
        self.subscribe(IdsList, f"{base}/tracked", qos, noun=noun, origin=origin, in_worker=False)

    def _subscribe_images(self) -> None:
        config = self.parameters[ImageInputConfig]
        compressed = config.image_transport == "compressed"
        kind, topic = (CompressedImage, "image/compressed") if compressed else (Image, "image")
        self._image_input = TopicInput(
            self,
            kind,
            topic,
            image_qos(reliable=config.reliability == "reliable"),
            self._on_image,
            reliable_qos=image_qos(reliable=True) if config.reliability == "auto" else None,
            noun="images",
            origin="the camera",
            parameter="reliability",
        )

    def _on_roi(self, face_id: str, message: NormalizedRegionOfInterest2D) -> None:
        def work() -> None:
            stamp_ns = nanoseconds(message.header.stamp)
            self._groups.add_roi(message.header, stamp_ns, face_id, roi_of(message), time.monotonic())
            self._confident = self._confident or message.c > 0.0
            self._publish_ready()

        self.guarded(work)

    def _on_cropped(self, face_id: str, message: Image) -> None:
        def work() -> None:
            stamp_ns = nanoseconds(message.header.stamp)
            self._groups.add_image(message.header, stamp_ns, face_id, message, time.monotonic())
            self._publish_ready()

        self.guarded(work)

    def _on_image(self, message: Image | CompressedImage) -> None:
        self._images[nanoseconds(message.header.stamp)] = message
        while len(self._images) > self.parameters[Ros4HriFacesConfig].kept_images:
            del self._images[min(self._images)]
        self.guarded(self._publish_ready)

    def _on_camera_info(self, info: CameraInfo) -> None:
        if info.width > 0 and info.height > 0:
            self._size = (info.width, info.height)

    def _has_image(self, stamp_ns: int) -> bool:
        return not self._from_image or stamp_ns in self._images

    def _tick(self) -> None:
        self.guarded(self._publish_ready)
        now_s = time.monotonic()
        if self._image_input is not None and now_s - self._image_check_s > _IMAGE_CHECK_S:
            self._image_check_s = now_s
            silence = self._image_input.check(self.parameters[NodeConfig].silent_after_s)
            if silence:
                self.health.failed(silence)

    # Output.

    def _publish_ready(self) -> None:
        for group in self._groups.take(time.monotonic()):
            publish = self._publish_from_image if self._from_image else self._publish_from_cropped
            self.guarded(functools.partial(publish, group))

    def _publish_from_image(self, group: HriGroup) -> None:
        message = self._images.get(group.stamp_ns)
        for stamp_ns in [each for each in self._images if each <= group.stamp_ns]:
            del self._images[stamp_ns]
        if message is None:
            if not group.faces:
                self._publish(group, _blank(*self._size), (), None)
                return
            self._report_missing(
                "no image has the stamp of the faces: check the topic image, increase kept_images, or set "
                "crops to cropped"
            )
            return
        self._missed = 0
        image = decode(message)
        self._size = (image.shape[1], image.shape[0])
        tracks = self._tracks(group.faces)
        crops = crop_faces(image, [track.box for track in tracks], self._margin())
        self._publish(group, image, tracks, crops)

    def _publish_from_cropped(self, group: HriGroup) -> None:
        tracks, faces = self._tracks(group.faces), {face.id: face for face in group.faces}
        crops = np.zeros((len(tracks), CROP_SIZE_PX, CROP_SIZE_PX, 3), np.uint8)
        for crop, track in zip(crops, tracks):
            cropped = faces[track.id].image
            if cropped is not None:
                crop[:] = _crop_of(decode(cropped), track.box.width / track.box.height, self._margin())
        self._publish(group, _blank(*self._size), tracks, crops)
        without_image = [face.id for face in group.faces if face.seen and face.image is None]
        if not without_image:
            self._missed = 0
            return
        self._report_missing(f"no message on cropped of face {without_image[0]}: set crops to image")

    def _report_missing(self, text: str) -> None:
        """Report data that is missing repeatedly; a new face misses some at first."""
        self._missed += 1
        if self._missed >= _MISSES_BEFORE_ERROR:
            raise ImageError(text)

    def _tracks(self, faces: Sequence[HriFace]) -> tuple[Track, ...]:
        return tuple(self._track(face) for face in faces)

    def _track(self, face: HriFace) -> Track:
        # A detector that does not set confidences leaves them all at 0: its faces are visible nevertheless.
        confidence = face.roi.confidence if self._confident else 1.0
        has_crop = self._from_image or face.image is not None
        seen = face.seen and has_crop and confidence > 0.0
        return Track(face.id, face.roi.box(*self._size), confidence if seen else 0.0, visible=seen)

    def _publish(
        self, group: HriGroup, image: ImageArray, tracks: Sequence[Track], crops: ImageArray | None
    ) -> None:
        header: Header = group.header
        height, width = image.shape[:2]
        known = np.zeros((len(tracks), CROP_SIZE_PX, CROP_SIZE_PX, 3), np.uint8) if crops is None else crops
        faces = TrackedFaces(seconds(header.stamp), self._index, width, height, tuple(tracks), known)
        self._index += 1
        self._publisher.publish(MESSAGES.tracked_faces(header, faces, crops=crops is not None))
        self.note_published(header.stamp)

    def _margin(self) -> float:
        return self.parameters[Ros4HriFacesConfig].crop_margin


def _blank(width: int, height: int) -> ImageArray:
    """A black image of this size that takes no memory, for when only the size is known."""
    return np.broadcast_to(np.uint8(0), (height, width, 3))


def _crop_of(cropped: ImageArray, aspect: float, margin: float) -> ImageArray:
    """The network's crop from a face's image, whose edge is repeated where it does not reach far enough."""
    face = np.ascontiguousarray(without_padding(cropped, aspect))
    return crop_faces(face, [Box(0.0, 0.0, face.shape[1], face.shape[0])], margin)[0]


def main(args: Sequence[str] | None = None) -> int:
    return run([Ros4HriFacesNode], args)


if __name__ == "__main__":
    raise SystemExit(main())
