"""Shows how a run goes: a line per video at work that grows, and one for good when it is done."""

from __future__ import annotations

import sys
from typing import Any

from social_perception.cli.annotation import Job, Outcome
from social_perception.cli.corpus import Ledger


class Display:
    """The Listener that tells people; it keeps the ledger, too."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._bars: dict[Job, Any] = {}

    def started(self, job: Job) -> None:
        from tqdm import tqdm

        taken = {abs(bar.pos) for bar in self._bars.values()}
        place = next(n for n in range(len(taken) + 1) if n not in taken)
        # None: no bar where nobody sees it.
        self._bars[job] = tqdm(desc=job.video.stem, unit="frame", disable=None, position=place, leave=False)

    def progressed(self, job: Job, frames: int, total: int | None) -> None:
        bar = self._bars[job]
        bar.total = total if total is None else max(total, frames)
        bar.update(frames - bar.n)

    def finished(self, job: Job, outcome: Outcome) -> None:
        self._ledger.enter(job, "done", outcome)
        self._end(job)
        rate = outcome.frames / outcome.seconds
        counts = f"frames {outcome.frames}, faces {outcome.faces}, {rate:.1f} fps"
        self._say(f"{job.video}: {counts} -> {job.folder}")

    def skipped(self, job: Job, outcome: Outcome) -> None:
        """A video that an earlier run has done."""
        self._ledger.enter(job, "skipped", outcome)
        self._say(f"{job.video}: already done -> {job.folder}")

    def failed(self, job: Job, error: str) -> None:
        self._ledger.enter(job, "failed", error=error)
        self._end(job)
        self._say(f"social-perception: error: {error}", file=sys.stderr)

    def _end(self, job: Job) -> None:
        bar = self._bars.pop(job, None)
        if bar is not None:
            bar.close()

    def close(self) -> None:
        """Take the lines of what is still at work away."""
        for job in list(self._bars):
            self._end(job)

    def _say(self, line: str, file: Any = None) -> None:
        from tqdm import tqdm

        tqdm.write(line, file=file or sys.stdout)
        (file or sys.stdout).flush()
