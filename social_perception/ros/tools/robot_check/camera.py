"""The camera of the check, with colour, depth and calibration: a separate program that can be killed.

Its transport is the middleware's default, as a camera driver's.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from social_perception.ros.convert import blob
from social_perception.ros.nodes.image_publisher import FRAME_ID
from social_perception.ros.support.images import encode, image_header
from social_perception.ros.support.qos import NEWEST_RESULT_QOS
from social_perception.ros.support.rclpy_errors import own_arguments
from social_perception.ros.support.runner import run
from social_perception.ros.tools.robot_check.scene import Scene, load_scene

COLOR, INFO, DEPTH = "color/image_raw", "color/camera_info", "aligned_depth_to_color/image_raw"
"""Relative names of the topics, as those of a RealSense."""

_FOCAL_LENGTH = 0.72
"""As a fraction of the width, as of the colour camera of a RealSense D435."""


class Camera(Node):
    """Publishes a scene repeatedly.

    Args:
        scene: the images and depths.
        rate_hz: images per second.
        node_options: passed on to rclpy.
    """

    def __init__(self, scene: Scene, rate_hz: float, **node_options: Any) -> None:
        super().__init__("camera", **node_options)
        self._scene, self._turn = scene, 0
        self._color = self.create_publisher(Image, COLOR, NEWEST_RESULT_QOS)
        self._depth = self.create_publisher(Image, DEPTH, NEWEST_RESULT_QOS)
        self._info = self.create_publisher(CameraInfo, INFO, NEWEST_RESULT_QOS)
        self.create_timer(1.0 / rate_hz, self._publish)

    def _publish(self) -> None:
        index = self._scene.back_and_forth(self._turn)
        self._turn += 1
        header = image_header(self.get_clock().now().to_msg(), FRAME_ID)
        # Depth first: an image uses only depth that was received before it.
        self._depth.publish(depth_message(self._scene, index, header))
        self._info.publish(info_message(self._scene.size, header))
        self._color.publish(encode(self._scene.images[index], header))


def depth_message(scene: Scene, index: int, header: Header) -> Image:
    width, height = scene.size
    message = Image(header=header, height=height, width=width, encoding="16UC1", step=2 * width)
    message.data = blob(scene.depth_mm(index).view(np.uint8))
    message.is_bigendian = int(sys.byteorder == "big")
    return message


def info_message(size: tuple[int, int], header: Header) -> CameraInfo:
    width, height = size
    focal_px, center_x, center_y = _FOCAL_LENGTH * width, (width - 1) / 2, (height - 1) / 2
    message = CameraInfo(header=header, width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5)
    message.k = [focal_px, 0.0, center_x, 0.0, focal_px, center_y, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [focal_px, 0.0, center_x, 0.0, 0.0, focal_px, center_y, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def main(args: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="camera", description=__doc__)
    parser.add_argument("scene", type=Path, help="folder of a saved scene")
    parser.add_argument("--rate", type=float, default=15.0, help="images per second")
    options = parser.parse_args(own_arguments(args))
    return run([lambda: Camera(load_scene(options.scene), options.rate)], args)


if __name__ == "__main__":
    raise SystemExit(main())
