"""A scene as a bag, as a robot would have recorded it."""

from __future__ import annotations

from pathlib import Path

from rclpy.serialization import serialize_message
from rclpy.time import Time

from social_perception.core.errors import MissingDependencyError
from social_perception.ros.nodes.image_publisher import FRAME_ID
from social_perception.ros.support.images import encode, image_header
from social_perception.ros.tools.robot_check.scene import Scene

_FIRST_STAMP_S = 1_700_000_000
_MAX_BYTES = 100_000_000


def write_bag(folder: Path, scene: Scene, topic: str, rate_hz: float) -> int:
    """Write the scene's first pictures, stamped years ago; return how many.

    Raises:
        MissingDependencyError: rosbags is not installed.
    """
    try:
        from rosbags.rosbag2 import Writer
        from rosbags.typesys import Stores, get_typestore
    except ImportError as error:
        raise MissingDependencyError("bags need rosbags: pip install rosbags") from error
    count = max(1, min(len(scene.images), _MAX_BYTES // scene.images[0].nbytes))
    with Writer(folder, version=8) as writer:
        kind = "sensor_msgs/msg/Image"
        connection = writer.add_connection(topic, kind, typestore=get_typestore(Stores.ROS2_HUMBLE))
        for index in range(count):
            stamp_ns = _FIRST_STAMP_S * 10**9 + round(index * 1e9 / rate_hz)
            header = image_header(Time(nanoseconds=stamp_ns).to_msg(), FRAME_ID)
            message = encode(scene.images[index], header)
            writer.write(connection, stamp_ns, serialize_message(message))
    return count
