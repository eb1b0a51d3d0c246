"""The nodes in one process, as in social_perception_all, with periodic snapshots of queues and memory.

Part of ``social-perception bench``: several times a second, a line of JSON on stdout has the numbers of
messages that each node has received, processed, dropped, lost and waiting, and the memory in use. The process
ends with the reader of its stdout.
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
class Snapshot:
    """The state of the nodes at a time.

    Attributes:
        time_ns: by the clock that stamps the images.
        steps: counts of the nodes, in pipeline order.
        memory: the memory in use.
    """

    time_ns: int
    steps: tuple[Step, ...]
    memory: MemoryInUse


class SnapshotWriter(threading.Thread):
    """Writes snapshots of nodes periodically.

    Args:
        stages: the nodes, in pipeline order.
        output: file for a line per snapshot.
    """

    def __init__(self, stages: Sequence[Stage], output: TextIO) -> None:
        super().__init__(name="snapshots", daemon=True)
        self._stages, self._output = stages, output
        self._stopping = threading.Event()

    def run(self) -> None:
        try:
            while not self._stopping.wait(PERIOD_S):
                print(to_line(snapshot_of(self._stages)), file=self._output, flush=True)
        except BrokenPipeError:
            # There is no reader any more: the benchmark has ended.
            os.kill(os.getpid(), signal.SIGTERM)

    def stop(self) -> None:
        self._stopping.set()
        self.join()


def snapshot_of(stages: Sequence[Stage]) -> Snapshot:
    """Read the counts of the last node first, so that no message seems received before it was sent."""
    steps = [_step(stage) for stage in reversed(stages)]
    return Snapshot(time.time_ns(), tuple(reversed(steps)), memory_in_use())


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
            by_name = {node.get_name(): node for node in program.nodes if isinstance(node, Stage)}
            stages = [by_name[name] for name in ("face_tracker", "smile_intensity", "group_affect")]
            writer = SnapshotWriter(stages, sys.stdout)
            writer.start()
            try:
                program.ended.wait()
            finally:
                writer.stop()

    return exit_status(work)


if __name__ == "__main__":
    raise SystemExit(main())
