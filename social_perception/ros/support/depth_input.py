"""Where the faces are, from depth images and camera_info that come beside the images.

Nothing ever waits for depth: the newest few depth images are kept, and the one nearest in time to an
image is looked up when the image's faces are known. Where there is none, it is too old or it cannot be
used, the faces have no position, and all else goes on.
"""

from __future__ import annotations

import dataclasses
import math
import threading
from collections import deque
from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from social_perception.core.camera import Intrinsics
from social_perception.core.errors import CalibrationError, ImageError, SocialPerceptionError
from social_perception.core.types import Frame, Position, Track
from social_perception.perception.tracking.depth import DepthImage, face_positions
from social_perception.ros.convert import nanoseconds
from social_perception.ros.support.calibration import intrinsics_of
from social_perception.ros.support.config import DepthConfig, ImageInputConfig
from social_perception.ros.support.qos import image_qos
from social_perception.ros.support.stage import Stage
from social_perception.ros.support.topic_input import TopicInput
from social_perception.sources.raw_images import Layout, check_layout

_KEPT = 10
"""Depth images: a third of a second at 30 Hz, the time that a slow machine needs for an image."""
_FOLLOW_PERIOD_S = 0.5
_UNITS = {"16UC1": ("u2", 0.001), "mono16": ("u2", 0.001), "32FC1": ("f4", 1.0)}
"""Type of the numbers and their unit in m (REP 118)."""


class DepthInput:
    """Subscribes ``depth`` and ``camera_info``, and gives faces their position.

    Args:
        stage: the node; its settings are read as they are now.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._lock = threading.Lock()
        self._images: deque[Image] = deque(maxlen=_KEPT)
        self._info: CameraInfo | None = None
        self._reported = ""
        reliability = stage.parameters[ImageInputConfig].reliability
        self._input = TopicInput(
            stage,
            Image,
            "depth",
            image_qos(reliable=reliability == "reliable"),
            self._take,
            reliable_qos=image_qos(reliable=True) if reliability == "auto" else None,
            noun="depth images",
            origin="the camera",
            parameter="reliability",
        )
        stage.listen(CameraInfo, "camera_info", image_qos(reliable=False), self._take_info)
        stage.every(_FOLLOW_PERIOD_S, self._follow_publishers)

    def close(self) -> None:
        """Unsubscribe."""
        self._input.close()

    def forget(self) -> None:
        """Drop the depth images: time has jumped back."""
        with self._lock:
            self._images.clear()

    def locate(self, tracks: Sequence[Track], frame: Frame, header: Header) -> tuple[Track, ...]:
        """The tracks, with the positions of those that are visible where their depth is known.

        Why depth that comes cannot be used is reported, once for each reason.

        Args:
            tracks: of the frame.
            frame: the colour image.
            header: of its message.
        """
        visible = [track for track in tracks if track.visible]
        message = self._nearest(header.stamp)
        if message is None or not visible:
            return tuple(tracks)
        try:
            positions = face_positions(
                depth_image(message, header),
                [track.box for track in visible],
                (frame.width, frame.height),
                self._camera(frame),
            )
        except SocialPerceptionError as error:
            self._report(str(error))
            return tuple(tracks)
        found = {track.id: position for track, position in zip(visible, positions) if _is_somewhere(position)}
        return tuple(dataclasses.replace(track, position=found.get(track.id)) for track in tracks)

    def _follow_publishers(self) -> None:
        # That depth is silent is no fault: many cameras have none.
        self._input.check(math.inf)

    def _take(self, message: Image) -> None:
        with self._lock:
            self._images.append(message)

    def _take_info(self, message: CameraInfo) -> None:
        self._info = message

    def _nearest(self, stamp: Time) -> Image | None:
        with self._lock:
            ages = [(abs(nanoseconds(each.header.stamp) - nanoseconds(stamp)), each) for each in self._images]
        age, image = min(ages, key=lambda pair: pair[0], default=(0, None))
        return image if age <= self._stage.parameters[DepthConfig].max_depth_age_s * 1e9 else None

    def _camera(self, frame: Frame) -> Intrinsics:
        if self._info is None:
            topic = self._stage.resolve_topic_name("camera_info")
            raise CalibrationError(f"depth images come, but no camera_info on {topic}")
        rectified = self._stage.parameters[DepthConfig].rectified
        return intrinsics_of(self._info, frame.width, frame.height, rectified=rectified)

    def _report(self, problem: str) -> None:
        text = f"the faces have no position: {problem}"
        self._stage.health.warned(text)
        if problem != self._reported:
            self._reported = problem
            self._stage.get_logger().warning(text)


def _is_somewhere(position: Position | None) -> bool:
    # A focal length next to zero is positive, and puts everybody at infinity.
    return position is not None and all(map(math.isfinite, (position.x, position.y, position.z)))


def depth_image(message: Image, header: Header) -> DepthImage:
    """The depth of a message; not copied, whatever its step and byte order.

    Args:
        message: 16UC1 in mm or 32FC1 in m; compressedDepth is not understood.
        header: of the colour image, in whose frame the depth must be.

    Raises:
        ImageError: the encoding is another one, or size, step and data do not fit together.
        CalibrationError: the depth is in another frame.
    """
    frames = message.header.frame_id, header.frame_id
    if all(frames) and frames[0] != frames[1]:
        raise CalibrationError(
            f"depth images are in the frame {frames[0]}, colour images in {frames[1]}: take depth that is "
            "aligned with colour (RealSense: align_depth.enable:=true)"
        )
    if message.encoding not in _UNITS:
        known = ", ".join(_UNITS)
        raise ImageError(f"depth encoding {message.encoding!r} is not supported; supported are {known}")
    kind, unit_m = _UNITS[message.encoding]
    dtype = np.dtype(kind).newbyteorder(">" if message.is_bigendian else "<")
    height, width, step = message.height, message.width, message.step
    check_layout(message, Layout(height, width * dtype.itemsize, step))
    values = np.ndarray((height, width), dtype, message.data, strides=(step, dtype.itemsize))
    return DepthImage(values, unit_m)
