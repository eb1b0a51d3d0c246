"""How a node subscribes the camera's images, raw or compressed, as its parameters say."""

from __future__ import annotations

from sensor_msgs.msg import CompressedImage, Image

from social_perception.ros.support.config import ImageInputConfig
from social_perception.ros.support.qos import image_qos
from social_perception.ros.support.stage import Stage


def subscribe_images(node: Stage, depth: int = 1) -> None:
    """Make the camera's images the input of a node, which works on them in a thread.

    Args:
        node: has the settings of ImageInputConfig.
        depth: images that the middleware keeps for the node; 1: the newest.
    """
    config = node.parameters[ImageInputConfig]
    compressed = config.image_transport == "compressed"
    kind, topic = (CompressedImage, "image/compressed") if compressed else (Image, "image")
    node.subscribe(
        kind,
        topic,
        image_qos(reliable=config.reliability == "reliable", depth=depth),
        reliable_qos=image_qos(reliable=True, depth=depth) if config.reliability == "auto" else None,
        noun="images",
        origin="the camera",
        parameter="reliability",
        in_worker=True,
    )
