"""Node face_tracker: camera images in, followed faces out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from social_perception.core.config import DetectionConfig, PipelineConfig, TrackingConfig
from social_perception.core.types import Frame, TrackedFaces
from social_perception.ros.convert import in_image, seconds
from social_perception.ros.support.camera_input import subscribe_images
from social_perception.ros.support.config import DepthConfig, ImageInputConfig, TrackedFacesConfig
from social_perception.ros.support.crop_exchange import CropExchange
from social_perception.ros.support.depth_input import DepthInput
from social_perception.ros.support.images import decode
from social_perception.ros.support.messages import MESSAGES, TrackedFaceArray
from social_perception.ros.support.qos import RESULT_QOS
from social_perception.ros.support.resources import DeviceInfo
from social_perception.ros.support.runner import run
from social_perception.ros.support.stage import Stage

if TYPE_CHECKING:
    from social_perception.perception.pipeline import FaceTracking


def _make_tracking(config: PipelineConfig) -> FaceTracking:
    # Imported when the node is configured: this brings in torch.
    from social_perception.perception.pipeline import make_tracking

    return make_tracking(config, live=True)


class FaceTrackerNode(Stage):
    """Follows faces through the images of a camera.

    Args:
        make: builds the tracking; tests give a fake.
        exchange: where a smile_intensity in the same process takes the crops; None: there is none.
        node_options: passed on to rclpy.
    """

    task = "images to tracked faces"

    def __init__(
        self,
        make: Callable[[PipelineConfig], FaceTracking] = _make_tracking,
        exchange: CropExchange | None = None,
        **node_options: Any,
    ) -> None:
        self._make = make
        self._exchange = exchange if exchange is not None else CropExchange()
        self._told_of_crops = False
        self._tracking: FaceTracking | None = None
        self._depth: DepthInput | None = None
        self._index = 0
        kinds = (DetectionConfig, TrackingConfig, ImageInputConfig, DepthConfig, TrackedFacesConfig)
        super().__init__("face_tracker", kinds, **node_options)
        self.reconfigure()

    def load(self) -> None:
        self._applied = self._config
        self._tracking = self._make(self._config)
        self._publisher = self.create_lifecycle_publisher(TrackedFaceArray, "tracked_faces", RESULT_QOS)
        self._topic = self.resolve_topic_name("tracked_faces")
        self._tell_of_crops()

    def open(self) -> None:
        if self.parameters[DepthConfig].use_depth:
            self._depth = DepthInput(self)
        subscribe_images(self)

    def close(self) -> None:
        if self._depth is not None:
            self._depth.close()
            self._depth = None

    def unload(self) -> None:
        if self._tracking is not None:
            self._tracking.close()
            self._tracking = None
            self.destroy_lifecycle_publisher(self._publisher)

    def reconfigure(self) -> None:
        self._config = PipelineConfig(self.parameters[DetectionConfig], self.parameters[TrackingConfig])
        if self._tracking is not None:
            self._tell_of_crops()

    def _tell_of_crops(self) -> None:
        """Say in the log that faces can be seen on a topic, each time when that begins."""
        published = self.parameters[TrackedFacesConfig].publish_crops
        if published and not self._told_of_crops:
            self.get_logger().warning(
                f"face pictures are published on {self._topic} because publish_crops is true"
            )
        self._told_of_crops = published

    def restart(self) -> None:
        self._tracking.reset()
        if self._depth is not None:
            self._depth.forget()

    def device_info(self) -> DeviceInfo:
        # Detectors of dlib run on the CPU and have one arithmetic.
        detector = getattr(getattr(self._tracking, "detection", None), "detector", None)
        return DeviceInfo.of(detector)

    def process(self, message: Image | CompressedImage) -> int:
        if self._config is not self._applied:
            self._applied = self._config
            self._tracking.configure(self._applied)
        frame = Frame(decode(message), seconds(message.header.stamp), self._index)
        self._index += 1
        faces = in_image(self._tracking.process(frame))
        if self._depth is not None:
            located = self._depth.locate(faces.tracks, frame, message.header)
            faces = dataclasses.replace(faces, tracks=located)
        self._publish(message.header, faces)
        self.note_published(message.header.stamp)
        return len(faces.tracks)

    def _publish(self, header: Header, faces: TrackedFaces) -> None:
        published = self.parameters[TrackedFacesConfig].publish_crops
        tracked = MESSAGES.tracked_faces(header, faces, crops=published)
        if self._exchange.is_open(self._topic):
            self._exchange.put(self._topic, tracked, faces.crops)
        self._publisher.publish(tracked)


def main(args: Sequence[str] | None = None) -> int:
    return run([FaceTrackerNode], args)


if __name__ == "__main__":
    raise SystemExit(main())
