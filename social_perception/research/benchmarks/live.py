"""Plays a stream into the pipeline without ROS, in a process of its own; prints the figures as JSON.

A thread stands for the camera: thirty times a second it leaves a picture for the pipeline, which
takes the newest, as the nodes do.
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
from social_perception.research.benchmarks.course import Course, Depth, Flow, Step
from social_perception.research.benchmarks.ending import ended_by_signal
from social_perception.research.benchmarks.inside import InsideWatch, look_inside
from social_perception.research.benchmarks.loop import Loop
from social_perception.research.benchmarks.report import Stream, to_line
from social_perception.research.benchmarks.stream import (
    NO_ROS,
    PROGRESS_S,
    START_S,
    Pace,
    Record,
    StreamRequest,
)
from social_perception.research.benchmarks.usage import UsageWatch
from social_perception.sources.mailbox import Mailbox

_PATIENCE_S = 1.0

Shot = tuple[int, ImageArray]
"""A stamp in ns and a picture."""


class Camera(threading.Thread):
    """Leaves pictures of the loop, with their stamps in ns, in the mailbox at an even rate.

    Args:
        loop: the pictures.
        mailbox: where they are left.
        record: takes the stamps while ``measuring`` is set.
        rate_hz: pictures per second.
    """

    def __init__(
        self, loop: Loop, mailbox: Mailbox[Shot], record: Record, rate_hz: float = Loop.rate_hz
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
                self._shoot(pace.number)

    def _shoot(self, number: int) -> None:
        stamp_ns = time.time_ns()
        if self.measuring.is_set():
            self.record.sent(stamp_ns)
        self._mailbox.put((stamp_ns, self._loop[number]))
        self.newest_ns = stamp_ns

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Take no pictures in this block; those that were due meanwhile are taken at once after it."""
        with self._lock:
            yield

    def stop(self) -> None:
        self._stopping.set()
        self.join()


def play(request: StreamRequest) -> Stream:
    """Play a stream and return its figures.

    Raises:
        SocialPerceptionError: the pipeline cannot be made or a step of it failed.
    """
    loop = Loop(request.people, request.frames, coming_and_going=request.coming_and_going)
    record, mailbox = Record(), Mailbox[Shot]()
    camera = Camera(loop, mailbox, record, request.rate_hz)
    with make_pipeline(config_on(request.device), live=True) as pipeline, ended_by_signal() as stopping:
        walk = Walk(pipeline, mailbox, record)
        camera.start()
        try:
            walk.warm_up(request.warm_up_s)
            with camera.resting():
                walk.until(time.monotonic())  # what lies there is none of those measured
                record.clear()
                follower = Follower(mailbox, camera) if request.parts else None
                watch = UsageWatch()
                begun_s = time.monotonic()
                camera.measuring.set()
            for end_s in _minutes(begun_s, request.seconds):
                walk.until(end_s, watch, follower, stopping)
                if stopping.is_set():
                    break
                _tell(end_s - begun_s, record, watch)
            seconds = time.monotonic() - begun_s
            usage = watch.usage()
        finally:
            camera.stop()
        walk.until(time.monotonic())  # what was sent last
    figures = record.figures(NO_ROS, request, seconds, usage, None)
    if follower is None:
        return figures
    course = follower.course(record, request, seconds, watch)
    return replace(figures, course=course, interrupted=stopping.is_set())


class Follower:
    """Follows a stream over time: what memory is in use, what waits, whether the newest image is taken."""

    def __init__(self, mailbox: Mailbox[Shot], camera: Camera) -> None:
        self._mailbox, self._camera = mailbox, camera
        self._replaced = mailbox.replaced
        self._inside = InsideWatch()
        self._most = self._outdated = 0

    def look(self) -> None:
        """Note the memory in use; about once a second."""
        self._inside.add(time.monotonic(), look_inside())

    def newest_ns(self) -> int:
        """The stamp of the newest image that is there; to be asked before one is taken."""
        self._most = max(self._most, self._mailbox.waiting)
        return self._camera.newest_ns

    def taken(self, stamp_ns: int, newest_ns: int) -> None:
        """Note an image that was taken, and the newest one that was there before."""
        self._outdated += stamp_ns < newest_ns

    def course(self, record: Record, request: StreamRequest, seconds: float, watch: UsageWatch) -> Course:
        """How it went for so long; everything sent has been answered or replaced."""
        sent, replaced = record.sent_before(time.time_ns()), self._mailbox.replaced - self._replaced
        waiting = self._mailbox.waiting
        step = Step("pipeline", sent, record.answered, replaced, 0, waiting)
        return record.course(
            request,
            seconds,
            trends=(*watch.trends(), *self._inside.trends()),
            depths=(Depth("images that wait for the pipeline", self._most, 1),),
            flow=Flow(sent, (step,), 0, record.answered),
            outdated=self._outdated,
        )


def config_on(device: str) -> PipelineConfig:
    """The defaults, with detector and network on this device."""
    default = PipelineConfig()
    return replace(
        default,
        detection=replace(default.detection, device=device),
        smile=replace(default.smile, device=device),
    )


class Walk:
    """Takes the newest picture, again and again; ``show`` is given what was said of it."""

    def __init__(
        self,
        pipeline: Pipeline,
        mailbox: Mailbox[Shot],
        record: Record,
        show: Callable[[FrameAffect], None] | None = None,
    ) -> None:
        self._pipeline, self._mailbox, self.record, self._show = pipeline, mailbox, record, show
        self._index = 0

    def warm_up(self, seconds: float) -> None:
        """Go on for so long, and until somebody is found.

        Raises:
            SocialPerceptionError: nobody was found in START_S.
        """
        deadline_s = time.monotonic() + START_S
        self.until(time.monotonic() + seconds)
        while not self.record.people:
            self.until(time.monotonic() + _PATIENCE_S)
            if time.monotonic() > deadline_s:
                raise SocialPerceptionError("nobody was found in the pictures")

    def until(
        self,
        end_s: float,
        watch: UsageWatch | None = None,
        follower: Follower | None = None,
        stopping: threading.Event | None = None,
    ) -> None:
        """Go on to a time; a picture that lies there is always taken. Memory is noted every second."""
        noted_s = time.monotonic()
        while True:
            newest_ns = -1 if follower is None else follower.newest_ns()
            shot = self._mailbox.take(min(_PATIENCE_S, max(0.0, end_s - time.monotonic())))
            if shot is not None:
                if follower is not None:
                    follower.taken(shot[0], newest_ns)
                self._process(*shot)
            now_s = time.monotonic()
            if watch is not None and now_s - noted_s >= 1.0:
                watch.sample()
                if follower is not None:
                    follower.look()
                noted_s = now_s
            if now_s >= end_s or (stopping is not None and stopping.is_set()):
                return

    def _process(self, stamp_ns: int, image: ImageArray) -> None:
        affect = self._pipeline.process(Frame(image, stamp_ns * 1e-9, self._index))
        self._index += 1
        self.record.faces(stamp_ns, time.time_ns(), [face.track.id for face in affect.faces])
        if self._show is not None:
            self._show(affect)


def _minutes(begun_s: float, seconds: float) -> list[float]:
    """The ends of the parts between which progress is told; the last is the end."""
    parts = [begun_s + PROGRESS_S * (1 + number) for number in range(int(seconds // PROGRESS_S))]
    return [end_s for end_s in parts if end_s < begun_s + seconds] + [begun_s + seconds]


def _tell(passed_s: float, record: Record, watch: UsageWatch) -> None:
    print(f"{passed_s:.0f} s: {record.news()}, {watch.memory_mb:.0f} MB", flush=True)


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
