from __future__ import annotations

import math

import pytest
from sensor_msgs.msg import CameraInfo, RegionOfInterest

from social_perception.core.camera import Intrinsics
from social_perception.core.errors import CalibrationError
from social_perception.ros.support.calibration import intrinsics_of


def camera_info(k=(500.0, 0.0, 310.0, 0.0, 520.0, 230.0), **about) -> CameraInfo:
    return CameraInfo(k=[*k, 0.0, 0.0, 1.0], **{"width": 640, "height": 480, **about})


@pytest.mark.parametrize(
    ("info", "size", "expected"),
    [
        (camera_info(), (640, 480), Intrinsics(500.0, 520.0, 310.0, 230.0)),
        (camera_info(), (1280, 240), Intrinsics(1000.0, 260.0, 620.0, 115.0)),
        (camera_info(binning_x=2, binning_y=2), (320, 240), Intrinsics(250.0, 260.0, 155.0, 115.0)),
        (
            camera_info(roi=RegionOfInterest(x_offset=100, y_offset=30, width=400, height=300)),
            (400, 300),
            Intrinsics(500.0, 520.0, 210.0, 200.0),
        ),
        (camera_info(width=0, height=0), (640, 480), Intrinsics(500.0, 520.0, 310.0, 230.0)),
    ],
)
def test_k_is_that_of_the_image(info, size, expected) -> None:
    assert intrinsics_of(info, *size) == expected


def test_of_a_rectified_image_p_counts() -> None:
    p = [400.0, 0.0, 300.0, -20.0, 0.0, 410.0, 220.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    info = camera_info(p=p)
    assert intrinsics_of(info, 320, 240, rectified=True) == Intrinsics(200.0, 205.0, 150.0, 110.0)
    with pytest.raises(CalibrationError, match=r"P of camera_info is invalid \(fx must be positive"):
        intrinsics_of(camera_info(), 640, 480, rectified=True)


@pytest.mark.parametrize(
    ("k", "problem"),
    [
        ((0.0,) * 6, "fx must be positive, got 0"),
        ((500.0, 0.0, 310.0, 0.0, -1.0, 230.0), "fy must be positive, got -1"),
        ((500.0, 0.0, math.nan, 0.0, 520.0, 230.0), "cx must be finite, got nan"),
    ],
)
def test_an_unusable_k_is_refused_by_name(k, problem) -> None:
    with pytest.raises(CalibrationError, match=problem):
        intrinsics_of(camera_info(k), 640, 480)
