"""The detection schedule: search every n-th frame, in the background or synchronously.

A camera must not wait for the detector, so :class:`BackgroundDetection` runs it in a thread and returns each
result, however late, with the index of its frame. Recorded video has no real-time constraint, so
:class:`InlineDetection` searches synchronously, with reproducible results.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import cv2
import numpy as np

from social_perception.core.types import NOBODY, Face, Frame, ImageArray, KnownBoxes, Scope
from social_perception.perception.detection.search_split import SearchPart

_logger = logging.getLogger(__name__)

MAX_SLOWDOWN = 6.0
"""Factor of the longest interval between detections; beyond it, faces that enter would be found too late."""

MAX_SKIPPED = 3
"""Searches skipped in a row while no face is tracked and nothing moves; one that was missed is found then."""

CHANGED_LEVELS = 4
"""Change of a part of the image, in gray levels of 256, that is no noise of the camera."""

USAGE_PERIOD_S = 2.0
"""Time over which the processor time is measured: several searches at the longest interval at 30 Hz."""

NEAR_BUDGET = 0.9
"""Share of the budget from which the interval is not shortened again, so that it does not alternate."""

NICENESS = 2
"""Added to the niceness of the detection thread; a higher value would starve it on a busy machine."""


class Detector(Protocol):
    """Detects the faces of one image.

    Attributes:
        threshold: minimum score of a face; may be changed between two images.
    """

    threshold: float

    def detect(self, image: ImageArray) -> tuple[Face, ...]:
        """Return the faces of an RGB image (H, W, 3) uint8, sorted by decreasing confidence; may be empty.

        Raises:
            DetectionError: the detector failed on this image.
        """


@runtime_checkable
class PartwiseDetector(Detector, Protocol):
    """A detector that can split a search over several frames."""

    def parts(self, width: int, height: int) -> tuple[SearchPart, ...]:
        """Return the parts of a search of images of this size; empty if the search is not split."""

    def detect_part(
        self, image: ImageArray, part: SearchPart, known: KnownBoxes = NOBODY
    ) -> tuple[Face, ...]:
        """Return the faces of one part, as :meth:`detect` does.

        ``known`` are the tracked faces in this image, which may be confirmed faster.
        """


@dataclass(frozen=True, slots=True)
class Detection:
    """The faces detected in a frame; ``scope``: the faces that were searched for, None: all."""

    frame_index: int
    faces: tuple[Face, ...]
    scope: Scope | None = None


class DetectionSchedule(Protocol):
    """Decides which frames are searched and returns the detections.

    Attributes:
        detector: the face detector.
        interval: frames from one detection to the next; may be changed between two frames. If the search is
            split, frames from one search for near faces to the next.
    """

    detector: Detector
    interval: int

    @property
    def searched_index(self) -> int | None:
        """Index of the frame whose detection is pending; None: none is."""

    def update(self, frame: Frame, known: KnownBoxes = NOBODY) -> tuple[Detection, ...]:
        """Process a frame; return the detections that have become available, oldest first.

        Args:
            frame: the next frame.
            known: the tracked faces in it.

        Raises:
            DetectionError: the detector failed on this or an earlier frame.
        """

    def restart(self) -> None:
        """Restart: search the next frame completely and discard pending detections."""

    def close(self) -> None:
        """Wait for a running detection and release the detector's thread."""


class _SearchPlan:
    """Selects the frames to search, and the part of the search.

    A detector that splits its search starts with all parts in immediate succession. After that, the first
    part, for near faces, runs every ``interval`` frames, and one of the others halfway in between. Most
    searches of an empty room are skipped until something moves.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._size: tuple[int, int] | None = None
        self._last_index = -1
        self._next_index = 0
        self._step = 0
        self._parts: tuple[SearchPart, ...] = ()
        self._skipped = 0
        self._searched: ImageArray | None = None

    def next_search(self, frame: Frame, interval: int, known: KnownBoxes) -> _Search | None:
        """Return the search that is due in this frame, if any."""
        if (frame.width, frame.height) != self._size or frame.index < self._last_index:
            self._start(frame)
        if frame.index < self._next_index:
            return None
        if self._parts != self._parts_of(frame):  # the detector fell back to the CPU
            self._start(frame)
        step, count = self._step, len(self._parts)
        now = None if known.boxes else _thumbnail(frame.image)
        if step >= max(count, 1) and self._is_skipped(now):
            self._next_index = frame.index + (interval if count == 0 else max(1, interval // 2))
            return None
        self._searched, self._skipped = now, 0
        self._step, self._last_index = step + 1, frame.index
        if count == 0:
            self._next_index = frame.index + interval
            return _Search(self._detector, frame, None)
        part = step if step < count else _part_index(step - count, count)
        if step + 1 >= count:
            halfway = interval // 2
            self._next_index = frame.index + max(1, halfway if part == 0 else interval - halfway)
        return _Search(self._detector, frame, self._parts[part])

    def _is_skipped(self, now: ImageArray | None) -> bool:
        """Return whether nobody is tracked and the image equals the last searched one, except for noise."""
        if now is None or self._searched is None or self._skipped == MAX_SKIPPED:
            return False
        self._skipped += 1
        return int(cv2.absdiff(self._searched, now).max()) < CHANGED_LEVELS

    def _start(self, frame: Frame) -> None:
        self._size = (frame.width, frame.height)
        self._skipped, self._searched = 0, None
        self._next_index, self._step, self._parts = frame.index, 0, self._parts_of(frame)

    def _parts_of(self, frame: Frame) -> tuple[SearchPart, ...]:
        if not isinstance(self._detector, PartwiseDetector):
            return ()
        return self._detector.parts(frame.width, frame.height)


def _thumbnail(image: ImageArray) -> ImageArray:
    """Return the means of 32 x 32 parts of the image, of every fourth pixel in both directions."""
    return cv2.resize(np.ascontiguousarray(image[::4, ::4]), (32, 32), interpolation=cv2.INTER_AREA)


def _part_index(step: int, count: int) -> int:
    """Return the sequence 0, 1, 0, 2, 0, 3 ... up to count - 1."""
    return 0 if step % 2 == 0 else 1 + step // 2 % (count - 1)


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    detector: Detector
    frame: Frame
    part: SearchPart | None

    def run(self, known: KnownBoxes) -> Detection:
        if self.part is None or not isinstance(self.detector, PartwiseDetector):
            return Detection(self.frame.index, self.detector.detect(self.frame.image))
        faces = self.detector.detect_part(self.frame.image, self.part, known)
        scope = self.part.scope
        if self.part.due_only:
            scope = dataclasses.replace(scope, skipped=frozenset(known.boxes[known.due :]))
        return Detection(self.frame.index, faces, scope)


class InlineDetection:
    """Searches every n-th frame synchronously."""

    searched_index = None

    def __init__(self, detector: Detector, interval: int) -> None:
        self.detector = detector
        self.interval = interval
        self._plan = _SearchPlan(detector)

    def update(self, frame: Frame, known: KnownBoxes = NOBODY) -> tuple[Detection, ...]:
        detections = []
        while (search := self._plan.next_search(frame, self.interval, known)) is not None:
            detections.append(search.run(known))
        return tuple(detections)

    def restart(self) -> None:
        self._plan = _SearchPlan(self.detector)

    def close(self) -> None:
        """Do nothing: no search runs between calls."""


class BackgroundDetection:
    """Searches every n-th frame in a thread, one frame at a time and always the newest."""

    def __init__(self, detector: Detector, interval: int) -> None:
        self.detector = detector
        self.interval = interval
        self._plan = _SearchPlan(detector)
        self._running: Future[Detection] | None = None
        self._searched_index = -1
        self._outdated = False
        self._executor = ThreadPoolExecutor(1, "face-detection", initializer=lower_priority)
        self._closed = threading.Event()

    def update(self, frame: Frame, known: KnownBoxes = NOBODY) -> tuple[Detection, ...]:
        ready = self._collect()
        if self._running is None and not self._closed.is_set():
            search = self._plan.next_search(frame, self.interval, known)
            if search is not None:
                self._searched_index = frame.index
                self._running = self._executor.submit(search.run, known)
        return ready

    @property
    def searched_index(self) -> int | None:
        return None if self._running is None else self._searched_index

    def _collect(self) -> tuple[Detection, ...]:
        if self._running is None or not self._running.done():
            return ()
        finished, self._running = self._running, None
        outdated, self._outdated = self._outdated, False
        return () if outdated else (finished.result(),)

    def restart(self) -> None:
        self._plan = _SearchPlan(self.detector)
        self._outdated = self._running is not None

    def close(self) -> None:
        self._closed.set()
        self._executor.shutdown(wait=True, cancel_futures=True)


class SearchBudget:
    """Lengthens the interval between detections while the process exceeds its processor budget.

    If a search takes c and all else b, the usage is u = b + c / slowdown. Each period multiplies the slowdown
    by u / budget, which converges to c / (budget - b) without oscillation.

    Attributes:
        cores: the budget; 0: none. May be changed between two frames, as may the next one.
        shortest: frames from one detection to the next while the budget is kept.
        problem: what the budget has slowed; empty: nothing.
    """

    def __init__(self, shortest: int, cores: float = 0.0) -> None:
        self.shortest = shortest
        self.cores = cores
        self.problem = ""
        self._slowdown = 1.0
        self._start: tuple[float, float] | None = None

    @property
    def interval(self) -> int:
        """Frames from one detection to the next."""
        return round(self.shortest * self._slowdown)

    def note(self, now_s: float, cpu_s: float) -> None:
        """Take the processor time that the process has used until now; to be called with every frame.

        Args:
            now_s: by a clock that never jumps.
            cpu_s: processor time of all threads of the process.
        """
        start_s, start_cpu_s = self._start or (now_s, cpu_s)
        if self._start is None or now_s - start_s >= USAGE_PERIOD_S:
            self._start = now_s, cpu_s
        if now_s - start_s >= USAGE_PERIOD_S:
            self._adapt((cpu_s - start_cpu_s) / (now_s - start_s))

    def _adapt(self, used_cores: float) -> None:
        if self.cores == 0.0:
            self._slowdown, self.problem = 1.0, ""
            return
        share = used_cores / self.cores
        if not NEAR_BUDGET <= share <= 1.0:
            self._slowdown = min(max(1.0, self._slowdown * share), MAX_SLOWDOWN)
        before, self.problem = self.problem, ""
        if self.interval > self.shortest:
            self.problem = (
                f"faces are searched every {self.interval} instead of {self.shortest} frames: "
                f"the process uses {used_cores:.2f} cores, cpu_budget is {self.cores:g}"
            )
            if not before:
                _logger.warning("%s", self.problem)


def lower_priority() -> None:
    """Lower the priority of this thread and of its torch threads.

    It gets a higher niceness (on Linux, where threads have their own) and half of torch's threads: with as
    many threads as cores, each layer of the network would wait for the thread whose core is busy with
    tracking.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)
    torch = sys.modules.get("torch")
    if torch is None:
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // 2))
    # The call affects this thread and all threads started later; restore the value for the latter.
    other = threading.Thread(target=torch.set_num_threads, args=(threads,))
    other.start()
    other.join()
