"""Topics beside a camera's images."""

from __future__ import annotations

import pytest

from social_perception.ros.support.camera_topics import CAMERA, beside


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
def test_topics_beside_the_images(images, camera_info, depth):
    assert beside(images) == {"camera_info": camera_info, "depth": depth}
