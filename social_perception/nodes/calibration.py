"""Between sensor_msgs/CameraInfo and the core's pinhole camera."""

from __future__ import annotations

from sensor_msgs.msg import CameraInfo

from social_perception.core.camera import Intrinsics
from social_perception.core.errors import CalibrationError


def intrinsics_of(info: CameraInfo, width_px: int, height_px: int) -> Intrinsics:
    """The camera of a raw image of this size; distortion is left out.

    K is that of the whole sensor; a region of interest, binning and a later scaling of the image
    are taken into account.

    Raises:
        CalibrationError: K is zero (a camera that was never calibrated) or otherwise unusable.
    """
    roi = info.roi
    if roi.width and roi.height:
        left, top, width, height = roi.x_offset, roi.y_offset, roi.width, roi.height
    else:
        left, top, width, height = 0, 0, info.width or width_px, info.height or height_px
    x_scale, y_scale = width_px / width, height_px / height
    fx, _, cx, _, fy, cy = (float(each) for each in info.k[:6])
    try:
        return Intrinsics(fx * x_scale, fy * y_scale, (cx - left) * x_scale, (cy - top) * y_scale)
    except ValueError as error:
        raise CalibrationError(f"K of camera_info cannot be used ({error}): calibrate the camera") from error
