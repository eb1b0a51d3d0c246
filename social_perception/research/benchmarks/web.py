"""Measures the pipeline without ROS with browsers connected to the live page, in a separate process.

The loads (no browsers, many browsers, many browsers of which some never read) alternate in one run, so that
other load on the machine affects all of them equally.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from social_perception.core.config import DEVICES, WebConfig
from social_perception.core.errors import SocialPerceptionError
from social_perception.perception.pipeline import make_pipeline
from social_perception.research.benchmarks.image_loop import FRAMES, Loop
from social_perception.research.benchmarks.recording import NO_ROS, START_S, WARM_UP_S, Record, StreamRequest
from social_perception.research.benchmarks.report import WebLoad, WebRun, to_json
from social_perception.research.benchmarks.stream_processes import run_program
from social_perception.research.benchmarks.stream_without_ros import (
    Camera,
    PipelineRunner,
    StampedImage,
    config_on,
)
from social_perception.research.benchmarks.web_clients import Clients
from social_perception.sources.mailbox import Mailbox
from social_perception.views.web.server import Dashboard

_SETTLE_S = 1.0
_STEP_S = 0.1


@dataclass(frozen=True, slots=True)
class WebRequest:
    """The parameters of the measurement, passed as arguments to the process.

    Attributes:
        people: number of people in the images.
        clients: number of browsers, except in the first load.
        not_reading: number of browsers that never read, in the last load.
        rounds: number of rounds over the loads.
        turn_s: duration of each load per round.
        frames: images of the loop.
        warm_up_s: duration of the warm-up.
        device: the setting ``device`` of detector and network.
    """

    people: int = 8
    clients: int = 100
    not_reading: int = 10
    rounds: int = 4
    turn_s: float = 8.0
    frames: int = FRAMES
    warm_up_s: float = WARM_UP_S
    device: str = "auto"

    def arguments(self) -> list[str]:
        """Return the command line for :meth:`parse`."""
        values = dataclasses.asdict(self)
        return [text for name, value in values.items() for text in (_flag(name), str(value))]

    @classmethod
    def parse(cls, arguments: Sequence[str] | None) -> WebRequest:
        """Parse the command line of the process; exits if it is invalid."""
        parser = argparse.ArgumentParser(
            prog="benchmarks.web", description="Part of social-perception bench."
        )
        for item in dataclasses.fields(cls):
            choices = DEVICES if item.name == "device" else None
            parser.add_argument(
                _flag(item.name), type=type(item.default), default=item.default, choices=choices
            )
        return cls(**vars(parser.parse_args(arguments)))

    def loads(self) -> tuple[tuple[int, int], ...]:
        """Return for each load the number of clients and of those that do not read."""
        return (0, 0), (self.clients, 0), (self.clients, self.not_reading)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def measure_web(request: WebRequest) -> WebRun:
    """Measure in a separate process; if it fails, the result holds the reason."""
    answer = run_program(
        "social_perception.research.benchmarks.web", request.arguments(), WebRun, "live page"
    )
    return WebRun(request.device, request.people, reason=answer) if isinstance(answer, str) else answer


@dataclass(slots=True)
class _LoadTotals:
    """The measurements with one load so far."""

    clients: int
    not_reading: int
    record: Record = field(default_factory=Record)
    seconds: float = 0.0
    process_s: float = 0.0
    server_s: float = 0.0
    clients_s: float = 0.0
    rates: list[float] = field(default_factory=list)

    def load(self, request: WebRequest, alone_per_second: float | None) -> WebLoad:
        """Return the figures; ``alone_per_second`` is the rate without clients."""
        stream = StreamRequest(request.people, self.seconds, request.device)
        figures = self.record.figures(NO_ROS, stream, self.seconds, None, None)
        per_second = figures.per_second or 0.0
        return WebLoad(
            clients=self.clients,
            not_reading=self.not_reading,
            seconds=self.seconds,
            sent=figures.sent,
            answered=figures.answered,
            per_second=per_second,
            relative=per_second / alone_per_second if alone_per_second else None,
            to_faces=figures.to_faces,
            cores=self.process_s / self.seconds,
            server_cores=self.server_s / self.seconds,
            client_cores=self.clients_s / self.seconds if self.clients else None,
            states_per_second=statistics.median(self.rates) if self.rates else None,
            slowest_per_second=min(self.rates, default=None),
        )


def play(request: WebRequest) -> WebRun:
    """Play the loop with alternating loads.

    Raises:
        SocialPerceptionError: the pipeline or the page cannot be created, or the browsers do not connect.
    """
    loop, mailbox = Loop(request.people, request.frames), Mailbox[StampedImage]()
    all_totals = [_LoadTotals(*load) for load in request.loads()]
    config = WebConfig(port=0, max_clients=max(1, request.clients))
    with (
        make_pipeline(config_on(request.device), live=True) as pipeline,
        Dashboard(config, "the loop") as dashboard,
    ):
        camera = Camera(loop, mailbox, Record())
        runner = PipelineRunner(pipeline, mailbox, Record(), dashboard.show)
        camera.start()
        try:
            runner.warm_up(request.warm_up_s)
            for number in range(request.rounds):
                for totals in all_totals:
                    _take_turn(totals, request.turn_s, runner, camera, dashboard)
                print(f"round {number + 1} of {request.rounds} done", flush=True)
        finally:
            camera.stop()
    alone = all_totals[0].load(request, None)
    loads = [totals.load(request, alone.per_second) for totals in all_totals]
    return WebRun(request.device, request.people, tuple(loads))


def _take_turn(
    totals: _LoadTotals, seconds: float, runner: PipelineRunner, camera: Camera, dashboard: Dashboard
) -> None:
    with Clients(dashboard.url, totals.clients, totals.not_reading) as clients:
        _await_clients(totals.clients, runner, dashboard)
        runner.until(time.monotonic() + _SETTLE_S)
        runner.record = camera.record = totals.record
        clients.begin()
        begun = (time.monotonic(), time.process_time(), dashboard.cpu_s())
        camera.measuring.set()
        runner.until(begun[0] + seconds)
        camera.measuring.clear()
        passed = (time.monotonic() - begun[0], time.process_time() - begun[1], dashboard.cpu_s() - begun[2])
        counts = clients.end()
        runner.until(time.monotonic() + _STEP_S)  # the images sent last
    totals.seconds += passed[0]
    totals.process_s += passed[1]
    totals.server_s += passed[2]
    totals.clients_s += counts.cpu_s
    totals.rates += [states / counts.seconds for states in counts.states]
    runner.record, camera.record = Record(), Record()


def _await_clients(count: int, runner: PipelineRunner, dashboard: Dashboard) -> None:
    """Run until all clients are connected, and those of the previous turn are disconnected."""
    deadline_s = time.monotonic() + START_S
    while dashboard.clients != count:
        runner.until(time.monotonic() + _STEP_S)
        if time.monotonic() > deadline_s:
            raise SocialPerceptionError(f"{dashboard.clients} of {count} browsers are connected")


def main(args: Sequence[str] | None = None) -> int:
    request = WebRequest.parse(args)
    try:
        print(" ".join(to_json(play(request)).split()), flush=True)
    except SocialPerceptionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
