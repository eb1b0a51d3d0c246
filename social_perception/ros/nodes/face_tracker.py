"""Node face_tracker: camera images in, tracked faces out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from social_perception.core.config import DetectionConfig, PipelineConfig, TrackingConfig
from social_perception.core.types import TrackedFaces
from social_perception.ros.support.camera_input import CameraInput
from social_perception.ros.support.config import DepthConfig, ImageInputConfig, TrackedFacesConfig
from social_perception.ros.support.messages import MESSAGES, TrackedFaceArray
from social_perception.ros.support.resources import DeviceInfo
from social_perception.ros.support.runner import run
from social_perception.ros.support.step_node import StepNode

if TYPE_CHECKING:
    from social_perception.perception.pipeline import FaceTracking


def _make_tracking(config: PipelineConfig) -> FaceTracking:
    # Imported when the node is configured: this brings in torch.
    from social_perception.perception.pipeline import make_tracking

    return make_tracking(config, live=True)


class FaceTrackerNode(StepNode["FaceTracking"]):
    """Tracks faces through the images of a camera.

    Args:
        make: builds the tracking step; tests give a fake.
        node_options: passed on to :class:`StepNode` and rclpy.
    """

    task = "images to tracked faces"

    def __init__(
        self, make: Callable[[PipelineConfig], FaceTracking] = _make_tracking, **node_options: Any
    ) -> None:
        self._camera = CameraInput(self)
        self._publishes_crops = False
        kinds = (DetectionConfig, TrackingConfig, ImageInputConfig, DepthConfig, TrackedFacesConfig)
        super().__init__("face_tracker", kinds, make, **node_options)

    def load(self) -> None:
        super().load()
        self._output = self.make_result_publisher(TrackedFaceArray, "tracked_faces", self._message)
        self._report_crops()

    def open(self) -> None:
        super().open()
        self._camera.open()

    def close(self) -> None:
        super().close()
        self._camera.close()

    def reconfigure(self) -> None:
        super().reconfigure()
        if self._step is not None:
            self._report_crops()

    def restart(self) -> None:
        super().restart()
        self._camera.forget()

    def device_info(self) -> DeviceInfo:
        # Detectors of dlib run on the CPU and have one arithmetic.
        return DeviceInfo.of(getattr(getattr(self._step, "detection", None), "detector", None))

    def process(self, message: Image | CompressedImage) -> int:
        self.apply_parameters()
        faces = self._camera.track(self.step, message)
        self._output.publish(message.header, faces)
        return len(faces.tracks)

    def _message(self, header: Header, faces: TrackedFaces) -> TrackedFaceArray:
        crops = self.parameters[TrackedFacesConfig].publish_crops
        return MESSAGES.tracked_faces(header, faces, crops=crops)

    def _report_crops(self) -> None:
        """Log that faces can be seen on a topic, each time when that begins."""
        published = self.parameters[TrackedFacesConfig].publish_crops
        if published and not self._publishes_crops:
            self.get_logger().warning(
                f"face images are published on {self._output.topic} because publish_crops is true"
            )
        self._publishes_crops = published


def main(args: Sequence[str] | None = None) -> int:
    return run([FaceTrackerNode], args)


if __name__ == "__main__":
    raise SystemExit(main())
