"""Conversion of sensor_msgs/CameraInfo to the core's pinhole camera."""

from __future__ import annotations

from sensor_msgs.msg import CameraInfo

from social_perception.core.camera import Intrinsics
from social_perception.core.errors import CalibrationError


def intrinsics_of(info: CameraInfo, width_px: int, height_px: int, *, rectified: bool = False) -> Intrinsics:
    """The intrinsics for an image of this size; the distortion of a raw image is ignored.

    K is that of the whole sensor: a region of interest, binning and a later scaling of the image are
    taken into account.

    Args:
        info: of the camera.
        width_px: of the image.
        height_px: of the image.
        rectified: whether the image is rectified, so that P is used instead of K.

    Raises:
        CalibrationError: K is zero (the camera was never calibrated) or otherwise invalid.
    """
    roi = info.roi
    if roi.width and roi.height:
        left, top, width, height = roi.x_offset, roi.y_offset, roi.width, roi.height
    else:
        left, top, width, height = 0, 0, info.width or width_px, info.height or height_px
    x_scale, y_scale = width_px / width, height_px / height
    name, numbers = ("P", [*info.p[:3], *info.p[4:7]]) if rectified else ("K", info.k[:6])
    fx, _, cx, _, fy, cy = (float(each) for each in numbers)
    try:
        return Intrinsics(fx * x_scale, fy * y_scale, (cx - left) * x_scale, (cy - top) * y_scale)
    except ValueError as error:
        problem = f"{name} of camera_info is invalid ({error}): calibrate the camera"
        raise CalibrationError(problem) from error
