"""Names of a camera's topics, derived from the topic of its images as drivers name them."""

from __future__ import annotations

CAMERA = "/camera/camera/color/image_raw"
"""Default topic of the camera's images: that of a RealSense."""

_COLOR, _ALIGNED_DEPTH = "color/image_raw", "aligned_depth_to_color/image_raw"


def camera_info_of(image_topic: str) -> str:
    """The topic ``camera_info`` in the namespace of the images."""
    return "/".join([*image_topic.split("/")[:-1], "camera_info"])


def aligned_depth_of(image_topic: str) -> str:
    """The topic of the depth images that are aligned with a RealSense's colour images.

    For other cameras it is ``depth``, in the node's namespace.
    """
    if not image_topic.endswith(_COLOR):
        return "depth"
    return image_topic.removesuffix(_COLOR) + _ALIGNED_DEPTH


def topics_for(image_topic: str) -> dict[str, str]:
    """The topics of the inputs ``camera_info`` and ``depth`` for these images."""
    return {"camera_info": camera_info_of(image_topic), "depth": aligned_depth_of(image_topic)}
