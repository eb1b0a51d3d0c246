"""A camera on this machine, through OpenCV."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2

from social_perception.core.config import SourceConfig
from social_perception.core.errors import SourceError, SourceTimeout
from social_perception.core.types import Frame, ImageArray
from social_perception.sources.mailbox import Mailbox
from social_perception.sources.source import Source

_READS_BEFORE_GIVING_UP = 10


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Turn OpenCV's warnings off: a missing camera is an answer here, not an event."""
    logging = getattr(getattr(cv2, "utils", None), "logging", None)
    if logging is None:  # OpenCV before 4.5.5
        yield
        return
    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(level)


class CameraSource(Source):
    """Delivers the camera's newest image, stamped with the time at which it arrived."""

    live = True
    frame_count: int | None = None

    def __init__(self, index: int, config: SourceConfig) -> None:
        """Open the camera without waiting for an image.

        Raises:
            SourceError: there is no such camera, or it cannot be opened.
        """
        self.name = f"camera {index}"
        self._timeout_s = config.timeout_s
        self._capture = _open(index, config)
        rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.rate_hz: float | None = rate if 0.0 < rate < 1000.0 else config.fps
        self._newest: Mailbox[tuple[ImageArray, float]] = Mailbox()
        self._index = 0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._receive, name="camera", daemon=True)
        self._thread.start()

    def _receive(self) -> None:
        failures = 0
        while not self._closed.is_set() and failures < _READS_BEFORE_GIVING_UP:
            # A camera that was unplugged fails at once: the pause keeps this from spinning.
            delivered, image = self._capture.read()
            if delivered and image is not None:
                failures = 0
                self._newest.put((cv2.cvtColor(image, cv2.COLOR_BGR2RGB), time.time()))
            else:
                failures += 1
                self._closed.wait(0.05)
        self._newest.fail(SourceError(f"{self.name} stopped delivering images"))

    def __next__(self) -> Frame:
        if self._closed.is_set():
            raise StopIteration
        taken = self._newest.take(self._timeout_s)
        if taken is None:
            raise SourceTimeout(f"{self.name} has delivered no image for {self._timeout_s:g} s")
        image, stamp_s = taken
        frame = Frame(image, stamp_s, self._index)
        self._index += 1
        return frame

    def close(self) -> None:
        self._closed.set()
        self._thread.join(timeout=2.0)
        # A driver that hangs in read() would crash on release: leave it to the end of the process.
        if not self._thread.is_alive():
            self._capture.release()


def _open(index: int, config: SourceConfig) -> cv2.VideoCapture:
    device = Path(f"/dev/video{index}")
    on_linux = sys.platform.startswith("linux")
    if on_linux and not device.exists():
        raise SourceError(f"no camera {index}: {device} does not exist")
    with _quiet_opencv():
        capture = cv2.VideoCapture(index, cv2.CAP_V4L2 if on_linux else cv2.CAP_ANY)
        if not capture.isOpened():
            raise SourceError(f"no camera {index}: it cannot be opened (in use, or no permission)")
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, config.width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, config.height)
        capture.set(cv2.CAP_PROP_FPS, config.fps)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture


def camera_works(index: int, config: SourceConfig) -> bool:
    """Whether the camera opens and really delivers an image; logs nothing."""
    with _quiet_opencv():
        try:
            with CameraSource(index, config) as camera:
                next(camera)
        except (SourceError, StopIteration):
            return False
    return True
