"""The pipeline without ROS while browsers follow the live page, in a process of its own.

Without browsers, with many, and with many of whom some never read take turns in one run, so that
whatever else the machine does meets them alike.
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
from social_perception.research.benchmarks.live import Camera, Shot, Walk, config_on
from social_perception.research.benchmarks.loop import FRAMES, Loop
from social_perception.research.benchmarks.report import WebLoad, WebRun, to_json
from social_perception.research.benchmarks.stream import NO_ROS, START_S, WARM_UP_S, Record, StreamRequest
from social_perception.research.benchmarks.streams import play_program
from social_perception.research.benchmarks.web_clients import Clients
from social_perception.sources.mailbox import Mailbox
from social_perception.views.web.server import Dashboard

_SETTLING_S = 1.0
_STEP_S = 0.1


@dataclass(frozen=True, slots=True)
class WebRequest:
    """What is to be measured; handed to the process that does it as arguments.

    Attributes:
        people: in the pictures.
        clients: browsers, where there are any.
        not_reading: of these that never read, in the last of the loads.
        rounds: how often each load has its turn.
        turn_s: for how long.
        frames: pictures of the loop.
        warm_up_s: for how long images are sent before that.
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
        """The command line that :meth:`parse` reads."""
        values = dataclasses.asdict(self)
        return [text for name, value in values.items() for text in (_flag(name), str(value))]

    @classmethod
    def parse(cls, arguments: Sequence[str] | None) -> WebRequest:
        """Read the command line of the process; ends it if that is wrong."""
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
        """Clients, and those of them that do not read."""
        return (0, 0), (self.clients, 0), (self.clients, self.not_reading)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def measure_web(request: WebRequest) -> WebRun:
    """Measure in a process of its own; one that fails gives its reason instead of figures."""
    answer = play_program(
        "social_perception.research.benchmarks.web", request.arguments(), WebRun, "live page"
    )
    return WebRun(request.device, request.people, reason=answer) if isinstance(answer, str) else answer


@dataclass(slots=True)
class _Account:
    """What was measured with one load so far."""

    clients: int
    not_reading: int
    record: Record = field(default_factory=Record)
    seconds: float = 0.0
    process_s: float = 0.0
    server_s: float = 0.0
    clients_s: float = 0.0
    rates: list[float] = field(default_factory=list)

    def load(self, request: WebRequest, alone_per_second: float | None) -> WebLoad:
        """The figures; alone_per_second is the rate without clients."""
        stream = StreamRequest(request.people, self.seconds, request.device)
        found = self.record.figures(NO_ROS, stream, self.seconds, None, None)
        per_second = found.per_second or 0.0
        return WebLoad(
            clients=self.clients,
            not_reading=self.not_reading,
            seconds=self.seconds,
            sent=found.sent,
            answered=found.answered,
            per_second=per_second,
            relative=per_second / alone_per_second if alone_per_second else None,
            to_faces=found.to_faces,
            cores=self.process_s / self.seconds,
            server_cores=self.server_s / self.seconds,
            client_cores=self.clients_s / self.seconds if self.clients else None,
            states_per_second=statistics.median(self.rates) if self.rates else None,
            slowest_per_second=min(self.rates, default=None),
        )


def play(request: WebRequest) -> WebRun:
    """Play the loop with each load in turns.

    Raises:
        SocialPerceptionError: the pipeline or the page cannot be made, or the browsers do not come.
    """
    loop, mailbox = Loop(request.people, request.frames), Mailbox[Shot]()
    accounts = [_Account(*load) for load in request.loads()]
    config = WebConfig(port=0, max_clients=max(1, request.clients))
    with (
        make_pipeline(config_on(request.device), live=True) as pipeline,
        Dashboard(config, "the loop") as dashboard,
    ):
        camera = Camera(loop, mailbox, Record())
        walk = Walk(pipeline, mailbox, Record(), dashboard.show)
        camera.start()
        try:
            walk.warm_up(request.warm_up_s)
            for number in range(request.rounds):
                for account in accounts:
                    _take_turn(account, request.turn_s, walk, camera, dashboard)
                print(f"round {number + 1} of {request.rounds} done", flush=True)
        finally:
            camera.stop()
    alone = accounts[0].load(request, None)
    loads = [account.load(request, alone.per_second) for account in accounts]
    return WebRun(request.device, request.people, tuple(loads))


def _take_turn(account: _Account, seconds: float, walk: Walk, camera: Camera, dashboard: Dashboard) -> None:
    with Clients(dashboard.url, account.clients, account.not_reading) as clients:
        _await_clients(account.clients, walk, dashboard)
        walk.until(time.monotonic() + _SETTLING_S)
        walk.record = camera.record = account.record
        clients.begin()
        begun = (time.monotonic(), time.process_time(), dashboard.cpu_s())
        camera.measuring.set()
        walk.until(begun[0] + seconds)
        camera.measuring.clear()
        passed = (time.monotonic() - begun[0], time.process_time() - begun[1], dashboard.cpu_s() - begun[2])
        counts = clients.end()
        walk.until(time.monotonic() + _STEP_S)  # what was sent last
    account.seconds += passed[0]
    account.process_s += passed[1]
    account.server_s += passed[2]
    account.clients_s += counts.cpu_s
    account.rates += [states / counts.seconds for states in counts.states]
    walk.record, camera.record = Record(), Record()


def _await_clients(count: int, walk: Walk, dashboard: Dashboard) -> None:
    """Go on until all are connected, and those of the turn before are gone."""
    deadline_s = time.monotonic() + START_S
    while dashboard.clients != count:
        walk.until(time.monotonic() + _STEP_S)
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
