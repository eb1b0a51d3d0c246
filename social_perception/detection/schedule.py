"""When to look for faces: every n-th frame, in the background or in line.

A camera must not wait for the detector, so :class:`BackgroundDetection` runs it in a thread and
hands over each result with the index of the frame it belongs to, however late. Recorded video has
no clock to keep, so :class:`InlineDetection` gives the same answer on every run.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from social_perception.core.types import Face, Frame, ImageArray


class Detector(Protocol):
    """Finds the faces of one image.

    Attributes:
        threshold: score above which a face counts; may be changed between two images.
    """

    threshold: float

    def detect(self, image: ImageArray) -> tuple[Face, ...]:
        """Return the faces of an RGB image of shape (H, W, 3), surest first; none is a legal answer.

        Raises:
            DetectionError: the detector failed on this image.
        """


@dataclass(frozen=True, slots=True)
class Detection:
    """The faces found in the frame of the given index."""

    frame_index: int
    faces: tuple[Face, ...]


class DetectionSchedule(Protocol):
    """Decides which frames are searched and hands over what was found.

    Attributes:
        detector: looks for the faces.
        interval: frames from one detection to the next; may be changed between two frames.
    """

    detector: Detector
    interval: int

    def update(self, frame: Frame) -> tuple[Detection, ...]:
        """Take notice of a frame; return the detections that became ready, oldest first.

        Raises:
            DetectionError: the detector failed on this or an earlier frame.
        """

    def close(self) -> None:
        """Wait for a running detection and release the detector's thread."""


class InlineDetection:
    """Searches every n-th frame at once; the caller waits."""

    def __init__(self, detector: Detector, interval: int) -> None:
        self.detector = detector
        self.interval = interval
        self._next_index = 0

    def update(self, frame: Frame) -> tuple[Detection, ...]:
        if frame.index < self._next_index:
            return ()
        self._next_index = frame.index + self.interval
        return (Detection(frame.index, self.detector.detect(frame.image)),)

    def close(self) -> None:
        """Nothing runs between calls."""


class BackgroundDetection:
    """Searches every n-th frame in a thread, one at a time and always the newest; nobody waits."""

    def __init__(self, detector: Detector, interval: int) -> None:
        self.detector = detector
        self.interval = interval
        self._next_index = 0
        self._running: Future[Detection] | None = None
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="face-detection")
        self._closed = threading.Event()

    def update(self, frame: Frame) -> tuple[Detection, ...]:
        ready = self._collect()
        if self._running is None and frame.index >= self._next_index and not self._closed.is_set():
            self._next_index = frame.index + self.interval
            self._running = self._executor.submit(self._search, frame)
        return ready

    def _collect(self) -> tuple[Detection, ...]:
        if self._running is None or not self._running.done():
            return ()
        finished, self._running = self._running, None
        return (finished.result(),)

    def _search(self, frame: Frame) -> Detection:
        return Detection(frame.index, self.detector.detect(frame.image))

    def close(self) -> None:
        self._closed.set()
        self._executor.shutdown(wait=True, cancel_futures=True)
