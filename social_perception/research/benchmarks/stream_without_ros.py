"""Plays a stream into the pipeline without ROS, in a separate process, and prints the figures as JSON.

A thread simulates the camera: at camera rate it puts an image into a mailbox, from which the pipeline takes
the newest, as the nodes do.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from social_perception.core.config import PipelineConfig
from social_perception.core.errors import SocialPerceptionError
from social_perception.core.types import Frame, FrameAffect, ImageArray
from social_perception.perception.pipeline import Pipeline, make_pipeline
from social_perception.research.benchmarks.ending import stop_on_signal
from social_perception.research.benchmarks.image_loop import Loop
from social_perception.research.benchmarks.process_usage import MemoryMonitor, UsageMonitor, memory_in_use
from social_perception.research.benchmarks.recording import (
    NO_ROS,
    PROGRESS_S,
    START_S,
    Pace,
    Record,
    StreamRequest,
)
from social_perception.research.benchmarks.report import Stream, to_line
from social_perception.research.benchmarks.stability import Flow, QueueDepth, Stability, Step
from social_perception.sources.mailbox import Mailbox

_TIMEOUT_S = 1.0

StampedImage = tuple[int, ImageArray]
"""Stamp in ns and image."""


class Camera(threading.Thread):
    """Puts the images of a loop, with their stamps in ns, into a mailbox at a constant rate.

    Args:
        loop: the images.
        mailbox: receives the images.
        record: records the stamps while ``measuring`` is set.
        rate_hz: images per second.
    """

    def __init__(
        self, loop: Loop, mailbox: Mailbox[StampedImage], record: Record, rate_hz: float = Loop.rate_hz
    ) -> None:
        super().__init__(name="camera", daemon=True)
        self._loop, self._mailbox, self.record, self._rate_hz = loop, mailbox, record, rate_hz
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self.measuring = threading.Event()
        self.newest_ns = -1

    def run(self) -> None:
        pace = Pace(self._rate_hz, time.monotonic())
        while not self._stopping.wait(pace.wait_s(time.monotonic())):
            with self._lock:
                self._capture(pace.number)

    def _capture(self, number: int) -> None:
        stamp_ns = time.time_ns()
        if self.measuring.is_set():
            self.record.sent(stamp_ns)
        self._mailbox.put((stamp_ns, self._loop[number]))
        self.newest_ns = stamp_ns

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Capture no images within this context; overdue images are captured immediately after it."""
        with self._lock:
            yield

    def stop(self) -> None:
        self._stopping.set()
        self.join()


def play(request: StreamRequest) -> Stream:
    """Play a stream and return its figures.

    Raises:
        SocialPerceptionError: the pipeline cannot be created, or one of its steps failed.
    """
    loop = Loop(request.people, request.frames, coming_and_going=request.coming_and_going)
    record, mailbox = Record(), Mailbox[StampedImage]()
    camera = Camera(loop, mailbox, record, request.rate_hz)
    with make_pipeline(config_on(request.device), live=True) as pipeline, stop_on_signal() as stopping:
        runner = PipelineRunner(pipeline, mailbox, record)
        camera.start()
        try:
            runner.warm_up(request.warm_up_s)
            with camera.paused():
                runner.until(time.monotonic())  # images from the warm-up
                record.clear()
                monitor = StabilityMonitor(mailbox, camera) if request.parts else None
                watch = UsageMonitor()
                start_s = time.monotonic()
                camera.measuring.set()
            for end_s in _progress_times(start_s, request.seconds):
                runner.until(end_s, watch, monitor, stopping)
                if stopping.is_set():
                    break
                _print_progress(end_s - start_s, record, watch)
            seconds = time.monotonic() - start_s
            usage = watch.usage()
        finally:
            camera.stop()
        runner.until(time.monotonic())  # the images sent last
    stream = record.figures(NO_ROS, request, seconds, usage, None)
    if monitor is None:
        return stream
    stability = monitor.stability(record, request, seconds, watch)
    return replace(stream, stability=stability, interrupted=stopping.is_set())


class StabilityMonitor:
    """Monitors a stream: memory in use, waiting images, and whether the newest image is processed."""

    def __init__(self, mailbox: Mailbox[StampedImage], camera: Camera) -> None:
        self._mailbox, self._camera = mailbox, camera
        self._replaced = mailbox.replaced
        self._memory = MemoryMonitor()
        self._max_waiting = self._outdated = 0

    def sample(self) -> None:
        """Record the memory in use; call it about once per second."""
        self._memory.add(time.monotonic(), memory_in_use())

    def newest_ns(self) -> int:
        """Return the stamp of the newest available image; call it before taking one."""
        self._max_waiting = max(self._max_waiting, self._mailbox.waiting)
        return self._camera.newest_ns

    def add_taken(self, stamp_ns: int, newest_ns: int) -> None:
        """Record an image that was taken, and the newest image that was available before."""
        self._outdated += stamp_ns < newest_ns

    def stability(
        self, record: Record, request: StreamRequest, seconds: float, watch: UsageMonitor
    ) -> Stability:
        """Return the stability of a stream of this duration, after all images were processed or dropped."""
        sent, replaced = record.sent_before(time.time_ns()), self._mailbox.replaced - self._replaced
        waiting = self._mailbox.waiting
        step = Step("pipeline", sent, record.answered, replaced, 0, waiting)
        return record.stability(
            request,
            seconds,
            trends=(*watch.trends(), *self._memory.trends()),
            depths=(QueueDepth("images waiting for the pipeline", self._max_waiting, 1),),
            flow=Flow(sent, (step,), 0, record.answered),
            outdated=self._outdated,
        )


def config_on(device: str) -> PipelineConfig:
    """Return the default settings with detector and network on this device."""
    default = PipelineConfig()
    return replace(
        default,
        detection=replace(default.detection, device=device),
        smile=replace(default.smile, device=device),
    )


class PipelineRunner:
    """Processes the newest image repeatedly; ``show`` receives the results."""

    def __init__(
        self,
        pipeline: Pipeline,
        mailbox: Mailbox[StampedImage],
        record: Record,
        show: Callable[[FrameAffect], None] | None = None,
    ) -> None:
        self._pipeline, self._mailbox, self.record, self._show = pipeline, mailbox, record, show
        self._index = 0

    def warm_up(self, seconds: float) -> None:
        """Run for this time and until a face is detected.

        Raises:
            SocialPerceptionError: no face was detected within START_S.
        """
        deadline_s = time.monotonic() + START_S
        self.until(time.monotonic() + seconds)
        while not self.record.people:
            self.until(time.monotonic() + _TIMEOUT_S)
            if time.monotonic() > deadline_s:
                raise SocialPerceptionError("no face was detected in the images")

    def until(
        self,
        end_s: float,
        watch: UsageMonitor | None = None,
        monitor: StabilityMonitor | None = None,
        stopping: threading.Event | None = None,
    ) -> None:
        """Run until a time; an available image is always processed. Memory is recorded every second."""
        sampled_s = time.monotonic()
        while True:
            newest_ns = -1 if monitor is None else monitor.newest_ns()
            stamped = self._mailbox.take(min(_TIMEOUT_S, max(0.0, end_s - time.monotonic())))
            if stamped is not None:
                if monitor is not None:
                    monitor.add_taken(stamped[0], newest_ns)
                self._process(*stamped)
            now_s = time.monotonic()
            if watch is not None and now_s - sampled_s >= 1.0:
                watch.sample()
                if monitor is not None:
                    monitor.sample()
                sampled_s = now_s
            if now_s >= end_s or (stopping is not None and stopping.is_set()):
                return

    def _process(self, stamp_ns: int, image: ImageArray) -> None:
        affect = self._pipeline.process(Frame(image, stamp_ns * 1e-9, self._index))
        self._index += 1
        self.record.faces(stamp_ns, time.time_ns(), [face.track.id for face in affect.faces])
        if self._show is not None:
            self._show(affect)


def _progress_times(start_s: float, seconds: float) -> list[float]:
    """Return the times at which progress is printed; the last is the end."""
    parts = [start_s + PROGRESS_S * (1 + number) for number in range(int(seconds // PROGRESS_S))]
    return [end_s for end_s in parts if end_s < start_s + seconds] + [start_s + seconds]


def _print_progress(passed_s: float, record: Record, watch: UsageMonitor) -> None:
    print(f"{passed_s:.0f} s: {record.progress()}, {watch.memory_mb:.0f} MB", flush=True)


def main(args: Sequence[str] | None = None) -> int:
    request = StreamRequest.parse("benchmarks.live", args)
    try:
        print(to_line(play(request)), flush=True)
    except SocialPerceptionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
