"""Plays a stream into the pipeline without ROS, in a process of its own; prints the figures as JSON.

A thread stands for the camera: thirty times a second it leaves a picture for the pipeline, which
takes the newest, as the nodes do.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from social_perception.benchmarks.loop import Loop
from social_perception.benchmarks.report import Stream, to_json
from social_perception.benchmarks.stream import (
    NO_ROS,
    PROGRESS_S,
    START_S,
    Pace,
    Record,
    StreamRequest,
)
from social_perception.benchmarks.usage import UsageWatch
from social_perception.core.config import PipelineConfig
from social_perception.core.errors import SocialPerceptionError
from social_perception.core.types import Frame, FrameAffect, ImageArray
from social_perception.pipeline import Pipeline, make_pipeline
from social_perception.sources.mailbox import Mailbox

_PATIENCE_S = 1.0

Shot = tuple[int, ImageArray]
"""A stamp in ns and a picture."""


class Camera(threading.Thread):
    """Leaves a picture of the loop, with its stamp in ns, in the mailbox at every 1/30 s."""

    def __init__(self, loop: Loop, mailbox: Mailbox[Shot], record: Record) -> None:
        super().__init__(name="camera", daemon=True)
        self._loop, self._mailbox, self.record = loop, mailbox, record
        self._stopping = threading.Event()
        self.measuring = threading.Event()

    def run(self) -> None:
        pace = Pace(self._loop.rate_hz, time.monotonic())
        while not self._stopping.wait(pace.wait_s(time.monotonic())):
            stamp_ns = time.time_ns()
            if self.measuring.is_set():
                self.record.sent(stamp_ns)
            self._mailbox.put((stamp_ns, self._loop[pace.number]))

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
    camera = Camera(loop, mailbox, record)
    with make_pipeline(config_on(request.device), live=True) as pipeline:
        walk = Walk(pipeline, mailbox, record)
        camera.start()
        try:
            walk.warm_up(request.warm_up_s)
            record.clear()
            watch = UsageWatch()
            begun_s = time.monotonic()
            camera.measuring.set()
            for end_s in _minutes(begun_s, request.seconds):
                walk.until(end_s, watch)
                _tell(end_s - begun_s, record, watch)
            camera.measuring.clear()
            seconds = time.monotonic() - begun_s
            usage = watch.usage()
        finally:
            camera.stop()
        walk.until(time.monotonic())  # what was sent last
    return record.figures(NO_ROS, request, seconds, usage, None)


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

    def until(self, end_s: float, watch: UsageWatch | None = None) -> None:
        """Go on to a time; a picture that lies there is always taken. Memory is noted every second."""
        noted_s = time.monotonic()
        while True:
            shot = self._mailbox.take(min(_PATIENCE_S, max(0.0, end_s - time.monotonic())))
            if shot is not None:
                self._process(*shot)
            now_s = time.monotonic()
            if watch is not None and now_s - noted_s >= 1.0:
                watch.sample()
                noted_s = now_s
            if now_s >= end_s:
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
    print(f"{passed_s:.0f} s: {record.answered} images answered, {watch.memory_mb:.0f} MB", flush=True)


def main(args: Sequence[str] | None = None) -> int:
    request = StreamRequest.parse("benchmarks.live", args)
    try:
        print(" ".join(to_json(play(request)).split()), flush=True)
    except SocialPerceptionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
