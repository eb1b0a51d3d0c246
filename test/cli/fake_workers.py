"""An annotator of worker processes in tests: the name of a video decides its result."""

import errno
import os
import signal
import time
from pathlib import Path

from social_perception.cli.result_folder import Outcome
from social_perception.core.errors import OutputError, SourceError

FRAMES = 6
OUTCOME = Outcome(FRAMES, 1, 0.2, 0.5, 1.0)


class FakeAnnotator:
    """Writes a line into ``log`` for each of its calls."""

    def __init__(self, log, threads=0):
        self.log = Path(log)
        self.threads = threads

    def note(self, *words):
        with self.log.open("a") as file:
            file.write(" ".join(map(str, (*words, os.getpid()))) + "\n")

    def __call__(self, job, progress):
        self.note("begun", job.video.stem)
        getattr(self, job.video.stem.rstrip("0123456789"))(job, progress)
        self.note("done", job.video.stem)
        return OUTCOME

    def good(self, job, progress):
        for frame in range(1, FRAMES + 1):
            progress(frame, FRAMES)

    def broken(self, job, progress):
        raise SourceError(f"{job.video} is\nbroken")

    def bug(self, job, progress):
        raise ValueError("unforeseen")

    def full(self, job, progress):
        raise OutputError("no space left") from OSError(errno.ENOSPC, "no space left")

    def killed(self, job, progress):
        os.kill(os.getpid(), signal.SIGKILL)

    def once(self, job, progress):
        """Dies the first time."""
        if self.log.read_text().count("begun once") == 1:
            os._exit(3)

    def endless(self, job, progress):
        try:
            while True:
                progress(1, 2)
                time.sleep(0.01)
        finally:
            self.note("closed", job.video.stem)

    def __enter__(self):
        self.note("made")
        return self

    def __exit__(self, *_):
        pass


class Recorder:
    """A listener that keeps the results; ``on_progress`` is called with each progress."""

    def __init__(self, on_progress=None):
        self.results = {}
        self.order = []
        self.on_progress = on_progress

    def started(self, job):
        self.order.append(("started", job.video.stem))

    def progressed(self, job, frames, total):
        self.order.append(("progressed", job.video.stem))
        if self.on_progress:
            self.on_progress(job)

    def finished(self, job, outcome):
        self.order.append(("finished", job.video.stem))
        self.results[job.video.stem] = outcome

    def failed(self, job, error):
        self.order.append(("failed", job.video.stem))
        self.results[job.video.stem] = error
