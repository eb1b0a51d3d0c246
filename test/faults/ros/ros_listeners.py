"""A program that subscribes as a robot's other nodes do; it is stopped, or started in numbers, by the tests.

ros_listeners.py NAMESPACE COUNT TOPIC...
"""

from __future__ import annotations

import sys

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from social_perception.msg import FaceAffectArray, GroupAffect, TrackedFaceArray

KINDS = {
    "eye/image": Image,
    "tracked_faces": TrackedFaceArray,
    "face_affect": FaceAffectArray,
    "group_affect": GroupAffect,
}


def main(namespace: str, count: int, topics: list[str]) -> None:
    rclpy.init()
    executor = SingleThreadedExecutor()
    for number in range(count):
        node = rclpy.create_node(f"listener_{number}", namespace=namespace)
        for topic in topics:
            # Reliable, with the depth that ros2 topic echo has.
            node.create_subscription(KINDS[topic], topic, lambda message: None, QoSProfile(depth=10))
        executor.add_node(node)
    print("ready", flush=True)
    executor.spin()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
