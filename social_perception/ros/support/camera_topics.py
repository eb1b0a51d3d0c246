"""Names of topics that drivers derive from the topic of their images, or of their sound."""

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


def audio_of(audio_topic: str) -> str:
    """The topic of the sound; without one, as for the microphone, ``audio`` in the node's namespace."""
    return audio_topic or "audio"


def audio_info_of(audio_topic: str) -> str:
    """The topic ``audio_info`` in the namespace of the sound."""
    return "/".join([*audio_topic.split("/")[:-1], "audio_info"])


def topics_for(image_topic: str) -> dict[str, str]:
    """The topics of the inputs ``camera_info`` and ``depth`` for these images."""
    return {"camera_info": camera_info_of(image_topic), "depth": aligned_depth_of(image_topic)}
