"""When to look for faces: every n-th frame, in the background or in line.

A camera must not wait for the detector, so :class:`BackgroundDetection` runs it in a thread and
hands over each result with the index of the frame it belongs to, however late. Recorded video has
no clock to keep, so :class:`InlineDetection` gives the same answer on every run.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from social_perception.core.types import Face, Frame, ImageArray, Scope
from social_perception.perception.detection.background import give_way
from social_perception.perception.detection.parts import SearchPart


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


@runtime_checkable
class PartwiseDetector(Detector, Protocol):
    """A detector that can share out a search over several frames."""

    def parts(self, width: int, height: int) -> tuple[SearchPart, ...]:
        """The parts of a whole search of images of this size; none if they are best searched at once."""

    def detect_part(self, image: ImageArray, part: SearchPart) -> tuple[Face, ...]:
        """Like detect, for one part."""


@dataclass(frozen=True, slots=True)
class Detection:
    """The faces found in the frame of the given index, and which faces were looked for; None: all."""

    frame_index: int
    faces: tuple[Face, ...]
    scope: Scope | None = None


class DetectionSchedule(Protocol):
    """Decides which frames are searched and hands over what was found.

    Attributes:
        detector: looks for the faces.
        interval: frames from one detection to the next; may be changed between two frames. Where
            the search is shared out, those from one search for near faces to the next.
    """

    detector: Detector
    interval: int

    def update(self, frame: Frame) -> tuple[Detection, ...]:
        """Take notice of a frame; return the detections that became ready, oldest first.

        Raises:
            DetectionError: the detector failed on this or an earlier frame.
        """

    def restart(self) -> None:
        """Begin anew: the next frame is searched for everything, and no earlier one is heard of again."""

    def close(self) -> None:
        """Wait for a running detection and release the detector's thread."""


class _Turns:
    """Says which frames are searched, and for what.

    A detector that shares out its search begins with all parts, one directly after the other. From
    then on the first part, for near faces, has its turn every ``interval`` frames, and one of the
    others halfway between.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._size: tuple[int, int] | None = None
        self._last_index = -1
        self._next_index = 0
        self._step = 0
        self._parts: tuple[SearchPart, ...] = ()

    def take(self, frame: Frame, interval: int) -> _Search | None:
        """The search that is due in this frame, if one is."""
        if (frame.width, frame.height) != self._size or frame.index < self._last_index:
            self._begin(frame)
        if frame.index < self._next_index:
            return None
        if self._parts != self._parts_of(frame):  # the detector has left a GPU that failed
            self._begin(frame)
        step, count = self._step, len(self._parts)
        self._step, self._last_index = step + 1, frame.index
        if count == 0:
            self._next_index = frame.index + interval
            return _Search(self._detector, frame, None)
        turn = step if step < count else _turn(step - count, count)
        if step + 1 >= count:
            halfway = interval // 2
            self._next_index = frame.index + max(1, halfway if turn == 0 else interval - halfway)
        return _Search(self._detector, frame, self._parts[turn])

    def _begin(self, frame: Frame) -> None:
        self._size = (frame.width, frame.height)
        self._next_index, self._step, self._parts = frame.index, 0, self._parts_of(frame)

    def _parts_of(self, frame: Frame) -> tuple[SearchPart, ...]:
        if not isinstance(self._detector, PartwiseDetector):
            return ()
        return self._detector.parts(frame.width, frame.height)


def _turn(step: int, count: int) -> int:
    """0, 1, 0, 2, 0, 3 and so on, up to count - 1."""
    return 0 if step % 2 == 0 else 1 + step // 2 % (count - 1)


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    detector: Detector
    frame: Frame
    part: SearchPart | None

    def run(self) -> Detection:
        if self.part is None or not isinstance(self.detector, PartwiseDetector):
            return Detection(self.frame.index, self.detector.detect(self.frame.image))
        faces = self.detector.detect_part(self.frame.image, self.part)
        return Detection(self.frame.index, faces, self.part.scope)


class InlineDetection:
    """Searches every n-th frame at once; the caller waits."""

    def __init__(self, detector: Detector, interval: int) -> None:
        self.detector = detector
        self.interval = interval
        self._turns = _Turns(detector)

    def update(self, frame: Frame) -> tuple[Detection, ...]:
        found = []
        while (search := self._turns.take(frame, self.interval)) is not None:
            found.append(search.run())
        return tuple(found)

    def restart(self) -> None:
        self._turns = _Turns(self.detector)

    def close(self) -> None:
        """Nothing runs between calls."""


class BackgroundDetection:
    """Searches every n-th frame in a thread, one at a time and always the newest; nobody waits."""

    def __init__(self, detector: Detector, interval: int) -> None:
        self.detector = detector
        self.interval = interval
        self._turns = _Turns(detector)
        self._running: Future[Detection] | None = None
        self._outdated = False
        self._executor = ThreadPoolExecutor(1, "face-detection", initializer=give_way)
        self._closed = threading.Event()

    def update(self, frame: Frame) -> tuple[Detection, ...]:
        ready = self._collect()
        if self._running is None and not self._closed.is_set():
            search = self._turns.take(frame, self.interval)
            self._running = self._executor.submit(search.run) if search is not None else None
        return ready

    def _collect(self) -> tuple[Detection, ...]:
        if self._running is None or not self._running.done():
            return ()
        finished, self._running = self._running, None
        outdated, self._outdated = self._outdated, False
        return () if outdated else (finished.result(),)

    def restart(self) -> None:
        self._turns = _Turns(self.detector)
        self._outdated = self._running is not None

    def close(self) -> None:
        self._closed.set()
        self._executor.shutdown(wait=True, cancel_futures=True)
