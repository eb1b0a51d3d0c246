"""The nodes in one process, as social_perception_all runs them, with somebody who looks what waits in it.

Part of ``social-perception bench``: a line of JSON on stdout, several times a second, says of each node
how many messages it has taken, done, dropped and missed, what waits for it, and what memory is in use.
The process ends with whoever reads that.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from social_perception.research.benchmarks.process_usage import MemoryInUse, memory_in_use
from social_perception.research.benchmarks.report import to_line
from social_perception.research.benchmarks.stability import Step
from social_perception.ros.nodes.affect_markers import AffectMarkersNode
from social_perception.ros.nodes.social_perception_all import pipeline
from social_perception.ros.support.runner import exit_status, running
from social_perception.ros.support.stage import Stage

PERIOD_S = 0.2


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at a time in ns.

    Attributes:
        time_ns: of the clock that stamps the images.
        steps: the nodes, in pipeline order.
        inside: the memory in use.
    """

    time_ns: int
    steps: tuple[Step, ...]
    inside: MemoryInUse


class Watcher(threading.Thread):
    """Looks at nodes and says what it sees.

    Args:
        stages: in pipeline order.
        output: takes a line per look.
    """

    def __init__(self, stages: Sequence[Stage], output: TextIO) -> None:
        super().__init__(name="watcher", daemon=True)
        self._stages, self._output = stages, output
        self._stopping = threading.Event()

    def run(self) -> None:
        try:
            while not self._stopping.wait(PERIOD_S):
                print(to_line(look_at(self._stages)), file=self._output, flush=True)
        except BrokenPipeError:
            # Nobody reads any more: whoever started the nodes has ended.
            os.kill(os.getpid(), signal.SIGTERM)

    def stop(self) -> None:
        self._stopping.set()
        self.join()


def look_at(stages: Sequence[Stage]) -> Look:
    """Look at all nodes, the last one first, so that nothing seems to have arrived before it was sent."""
    steps = [_step(stage) for stage in reversed(stages)]
    return Look(time.time_ns(), tuple(reversed(steps)), memory_in_use())


def _step(stage: Stage) -> Step:
    worker, source, totals = stage.worker, stage.input, stage.health.totals
    return Step(
        stage.get_name(),
        totals.received,
        totals.processed,
        stage.dropped,
        0 if source is None else source.lost,
        0 if worker is None else worker.waiting,
    )


def main(args: Sequence[str] | None = None) -> int:
    def work() -> None:
        with running([AffectMarkersNode, *pipeline()], args) as program:
            by_name = {node.get_name(): node for node in program.nodes}
            watcher = Watcher(
                [by_name[name] for name in ("face_tracker", "smile_intensity", "group_affect")], sys.stdout
            )
            watcher.start()
            try:
                program.ended.wait()
            finally:
                watcher.stop()

    return exit_status(work)


if __name__ == "__main__":
    raise SystemExit(main())
