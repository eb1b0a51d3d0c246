"""The images of a camera, raw or compressed, as the input of a node, and the faces tracked in them."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from sensor_msgs.msg import CompressedImage, Image

from social_perception.core.types import Frame, TrackedFaces
from social_perception.ros.convert import in_image, seconds
from social_perception.ros.support.config import DepthConfig
from social_perception.ros.support.depth_input import DepthInput
from social_perception.ros.support.images import decode, subscribe_images
from social_perception.ros.support.stage import Stage

if TYPE_CHECKING:
    from social_perception.perception.pipeline import FaceTracking


class CameraInput:
    """A camera's images and, where requested, its depth images, as the input of the tracking step.

    Args:
        node: has the settings of ImageInputConfig and DepthConfig.
    """

    def __init__(self, node: Stage) -> None:
        self._node = node
        self._depth: DepthInput | None = None
        self._index = 0

    def open(self) -> None:
        """Subscribe."""
        if self._node.parameters[DepthConfig].use_depth:
            self._depth = DepthInput(self._node)
        subscribe_images(self._node)

    def close(self) -> None:
        """Unsubscribe from depth; the node unsubscribes from its images."""
        if self._depth is not None:
            self._depth.close()
            self._depth = None

    def forget(self) -> None:
        """Drop the depth images: time has jumped back."""
        if self._depth is not None:
            self._depth.forget()

    def track(self, tracking: FaceTracking, message: Image | CompressedImage) -> TrackedFaces:
        """Track the faces of an image; those that show in it, with their positions where depth is known.

        Raises:
            ImageError: the message is damaged, or its format is not supported.
            DetectionError: the detector failed.
        """
        frame = Frame(decode(message), seconds(message.header.stamp), self._index)
        self._index += 1
        faces = in_image(tracking.process(frame))
        tracking.note_usage(time.monotonic(), time.process_time())
        self._node.health.searched(tracking.budget.interval, tracking.budget.problem)
        if self._depth is None:
            return faces
        return dataclasses.replace(faces, tracks=self._depth.locate(faces.tracks, frame, message.header))
