"""Somebody on the network of secured nodes, who tries what a planner may and may not do; says how it goes.

Run by test_secured_network.py: secured_peer.py NAMESPACE IMAGE_TOPIC NODE [--ros-args --enclave NAME]
"""

from __future__ import annotations

import json
import sys
import time

import rclpy
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import Image
from social_perception.msg import FaceAffectArray, GroupAffect

FORGED = 4242
"""People in a group that there is not."""


def main() -> None:
    namespace, image_topic, name = remove_ros_args(sys.argv)[1:]
    rclpy.init(args=sys.argv)
    node = rclpy.create_node(name, namespace=namespace)
    received = {"group": 0, "people": 0, "forged": 0, "images": 0}
    refused = []

    def on_group(message: GroupAffect) -> None:
        received["forged" if message.group_size == FORGED else "group"] += 1

    def on_faces(message: FaceAffectArray) -> None:
        received["people"] += len(message.faces)

    def on_image(message: Image) -> None:
        received["images"] += 1

    def attempt(what, make):
        try:
            return make()
        except Exception as error:
            refused.append(f"{what}: {error}")
            return None

    attempt("read group_affect", lambda: node.create_subscription(GroupAffect, "group_affect", on_group, 10))
    attempt(
        "read face_affect", lambda: node.create_subscription(FaceAffectArray, "face_affect", on_faces, 10)
    )
    attempt("read images", lambda: node.create_subscription(Image, image_topic, on_image, 1))
    forger = attempt("write group_affect", lambda: node.create_publisher(GroupAffect, "group_affect", 10))
    printed_s = 0.0
    while True:
        rclpy.spin_once(node, timeout_sec=0.05)
        if forger is not None:
            forger.publish(GroupAffect(group_size=FORGED))
        if time.monotonic() - printed_s > 0.2:
            printed_s = time.monotonic()
            others = [each for each in node.get_node_names() if each != name]
            print(json.dumps({**received, "refused": refused, "others": others}), flush=True)


if __name__ == "__main__":
    main()
