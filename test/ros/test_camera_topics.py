"""Topics of a camera, derived from that of its images."""

from __future__ import annotations

import pytest

from social_perception.ros.support.camera_topics import CAMERA, topics_for


@pytest.mark.parametrize(
    ("images", "camera_info", "depth"),
    [
        (CAMERA, "/camera/camera/color/camera_info", "/camera/camera/aligned_depth_to_color/image_raw"),
        ("/eye/color/image_raw", "/eye/color/camera_info", "/eye/aligned_depth_to_color/image_raw"),
        ("/usb_cam/image_raw", "/usb_cam/camera_info", "depth"),
        ("image", "camera_info", "depth"),
        ("it's'/quoted", "it's'/camera_info", "depth"),
    ],
)
def test_topics_of_the_camera(images, camera_info, depth):
    assert topics_for(images) == {"camera_info": camera_info, "depth": depth}
