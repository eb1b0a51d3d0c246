"""The topics that lie beside a camera's images, as drivers name them."""

from __future__ import annotations

CAMERA = "/camera/camera/color/image_raw"
"""Topic of the camera's images, unless asked for otherwise: that of a RealSense."""

_COLOR, _ALIGNED_DEPTH = "color/image_raw", "aligned_depth_to_color/image_raw"


def camera_info_of(image_topic: str) -> str:
    """The topic ``camera_info`` beside the images."""
    return "/".join([*image_topic.split("/")[:-1], "camera_info"])


def aligned_depth_of(image_topic: str) -> str:
    """The topic of the depth aligned with a RealSense's colour images.

    Beside other images it is ``depth``, in the node's namespace.
    """
    if not image_topic.endswith(_COLOR):
        return "depth"
    return image_topic.removesuffix(_COLOR) + _ALIGNED_DEPTH


def beside(image_topic: str) -> dict[str, str]:
    """What the nodes' inputs ``camera_info`` and ``depth`` are called beside these images."""
    return {"camera_info": camera_info_of(image_topic), "depth": aligned_depth_of(image_topic)}
