"""Who annotates the videos of a corpus: this process, one after the other, or several worker processes.

Each worker has its own process, because a broken video can take the process with it that decodes it:
that one video has failed then, and another worker goes on. Workers are programs of their own, never
forks: a fork of a process that runs torch can hang.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Protocol

from social_perception.cli.annotation import Progress
from social_perception.cli.result_folder import Job, Outcome
from social_perception.core.errors import DetectionError, SocialPerceptionError, SourceError

_logger = logging.getLogger(__name__)

PROGRESS_S = 0.25
"""Workers tell how far they are at most this often."""

_GRACE_S = 5.0

_WORKER_BYTES = 1 << 30
"""Memory set aside for a worker, which takes 0.5 GB for a video of 1280x720 and 0.7 for 1920x1080."""

Annotate = Callable[[Job, Progress], Outcome]
MakeAnnotate = Callable[[], AbstractContextManager[Annotate]]
"""Makes what annotates; it is pickled and called in each worker."""


class Listener(Protocol):
    """Is told how a run goes."""

    def started(self, job: Job) -> None: ...

    def progressed(self, job: Job, frames: int, total: int | None) -> None: ...

    def finished(self, job: Job, outcome: Outcome) -> None: ...

    def failed(self, job: Job, error: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Failure:
    """A video that could not be annotated; the others can."""

    error: str


def attempt(annotate: Annotate, job: Job, progress: Progress) -> Outcome | Failure:
    """Annotate a video; one that cannot be is reported, because the others are still wanted.

    Raises:
        SocialPerceptionError: what would hinder the others, too.
    """
    try:
        return annotate(job, progress)
    except (SourceError, DetectionError) as error:
        return Failure(" ".join(str(error).split()))
    except SocialPerceptionError:
        raise
    except Exception as error:  # a video that nobody thought of must not end a night's run
        _logger.info("%s failed", job.video, exc_info=True)
        return Failure(f"{job.video}: {type(error).__name__}: {' '.join(str(error).split())}")


def run_serially(jobs: Sequence[Job], make: MakeAnnotate, listener: Listener) -> None:
    """Annotate the videos in this process, one after the other.

    Raises:
        SocialPerceptionError: what would hinder every video.
    """
    with make() as annotate:
        for job in jobs:
            listener.started(job)
            tell(listener, job, attempt(annotate, job, partial(listener.progressed, job)))


def tell(listener: Listener, job: Job, result: Outcome | Failure) -> None:
    """Tell the listener what came of a video."""
    if isinstance(result, Failure):
        listener.failed(job, result.error)
    else:
        listener.finished(job, result)


@dataclass(frozen=True, slots=True)
class Progressed:
    """How far a worker is in its video."""

    frames: int
    total: int | None


@dataclass(frozen=True, slots=True)
class LogLine:
    """What a worker logged."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Hindrance:
    """An error that every video would meet with."""

    error: str


@dataclass(slots=True, eq=False)
class _Worker:
    """A worker process seen from its parent; job is what it is at."""

    process: subprocess.Popen[bytes]
    connection: Connection
    job: Job | None = None


def workers_that_pay(videos: int, cores: int, free_bytes: int | None) -> int:
    """How many videos at a time are the fastest: one per core, as far as the memory goes.

    One thread for each of two videos does the same with half the processor time that two threads for one
    after the other take, which wait for each other at every layer.

    Args:
        videos: that are to be done.
        cores: that this process may use.
        free_bytes: of memory; None: not known.
    """
    room = cores if free_bytes is None else free_bytes // _WORKER_BYTES
    return max(1, min(videos, cores, room))


def free_memory() -> int | None:
    """The memory in bytes that new processes can have; None where the system does not say (not Linux)."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            fields = dict(line.split(":") for line in file)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


def run_in_processes(jobs: Sequence[Job], make: MakeAnnotate, listener: Listener, workers: int) -> None:
    """Annotate the videos in so many processes; each takes the next video when it is done with one.

    Raises:
        SocialPerceptionError: what would hinder every video; those begun are given up.
    """
    waiting = deque(jobs)
    crew: list[_Worker] = []
    try:
        while waiting or any(worker.job for worker in crew):
            while waiting and len(crew) < workers:
                crew.append(_hire(make))
            for worker in crew:
                if worker.job is None and waiting:
                    _assign(worker, waiting.popleft(), listener)
            for worker in _heard(crew):
                if not _listen(worker, listener):
                    crew.remove(worker)
                    _bury(worker, listener)
        _dismiss(crew)
    except BaseException:
        _dismiss(crew, at_once=True)
        raise


def _hire(make: MakeAnnotate) -> _Worker:
    here, there = multiprocessing.Pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "social_perception.cli.worker", str(there.fileno())],
        pass_fds=(there.fileno(),),
        stdin=subprocess.DEVNULL,
        # Ctrl-C reaches all processes of a terminal; these leave it to their parent.
        start_new_session=True,
    )
    there.close()
    # What is to be made may come from where only this process looks.
    for message in (sys.path, _logger.getEffectiveLevel(), make):
        with suppress(OSError):  # it has died: that is heard in a moment
            here.send(message)
    return _Worker(process, here)


def _assign(worker: _Worker, job: Job, listener: Listener) -> None:
    worker.job = job
    listener.started(job)
    with suppress(OSError):  # it has died: that is heard in a moment
        worker.connection.send(job)


def _heard(crew: Sequence[_Worker]) -> list[_Worker]:
    """Wait for the workers that say something or have died."""
    speaking = {worker.connection: worker for worker in crew}
    return [speaking[connection] for connection in wait(list(speaking))]  # type: ignore[index]


def _listen(worker: _Worker, listener: Listener) -> bool:
    """Take one message of a worker; whether it lives."""
    try:
        message = worker.connection.recv()
    except (EOFError, OSError):
        return False
    if isinstance(message, LogLine):
        _logger.log(message.level, "%s", message.text)
    elif isinstance(message, Hindrance):
        raise SocialPerceptionError(message.error)
    elif isinstance(message, Progressed):
        assert worker.job is not None
        listener.progressed(worker.job, message.frames, message.total)
    else:
        job, worker.job = worker.job, None
        assert job is not None
        tell(listener, job, message)
    return True


def _bury(worker: _Worker, listener: Listener) -> None:
    worker.connection.close()
    status = _waited_for(worker, _GRACE_S)
    if worker.job is not None:
        listener.failed(worker.job, f"{worker.job.video}: {_cause_of_death(status)}")


def _waited_for(worker: _Worker, patience_s: float) -> int:
    """The exit status of a worker that is about to end; one that does not is killed."""
    try:
        return worker.process.wait(max(0.0, patience_s))
    except subprocess.TimeoutExpired:
        worker.process.kill()
        return worker.process.wait()


def _cause_of_death(status: int) -> str:
    if status == -signal.SIGKILL:
        return "its worker was killed (SIGKILL), as the system does when memory runs out; try fewer --jobs"
    if status < 0:
        return f"its worker died of signal {signal.Signals(-status).name}"
    return f"its worker ended with status {status}"


def _dismiss(crew: Sequence[_Worker], *, at_once: bool = False) -> None:
    """End all workers; those at work close their files first."""
    for worker in crew:
        if at_once:
            worker.process.terminate()
        else:
            worker.connection.close()  # which a worker without a job takes for the end
    until_s = time.monotonic() + _GRACE_S
    for worker in crew:
        _waited_for(worker, until_s - time.monotonic())
        if at_once:
            _say_last_words(worker)


def _say_last_words(worker: _Worker) -> None:
    with suppress(EOFError, OSError):
        while worker.connection.poll():
            message = worker.connection.recv()
            if isinstance(message, LogLine):
                _logger.log(message.level, "%s", message.text)
    worker.connection.close()


def work(connection: Connection) -> None:
    """What a worker process does: annotate the videos that come through the connection, till it ends."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    send = _Sender(connection)
    # A parent that is gone closes the connection: then this process ends, too.
    with suppress(EOFError, OSError, KeyboardInterrupt):
        sys.path[:] = connection.recv()
        forward_log(send, connection.recv())
        make: MakeAnnotate = connection.recv()
        try:
            with make() as annotate:
                while True:
                    job = connection.recv()
                    send(attempt(annotate, job, throttled(lambda *count: send(Progressed(*count)))))
        except SocialPerceptionError as error:
            send(Hindrance(str(error)))


class _Sender:
    """Sends whole messages, from whatever thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def __call__(self, message: object) -> None:
        with self._lock:
            self._connection.send(message)


def throttled(progress: Progress) -> Progress:
    """Progress that is told a few times a second."""
    told_s = -PROGRESS_S

    def tell_sometimes(frames: int, total: int | None) -> None:
        nonlocal told_s
        if time.monotonic() - told_s >= PROGRESS_S:
            told_s = time.monotonic()
            progress(frames, total)

    return tell_sometimes


def forward_log(send: Callable[[LogLine], None], level: int) -> None:
    """Send what this process logs to its parent, which alone writes to the terminal."""
    logger = logging.getLogger("social_perception")
    logger.handlers[:] = [_Forwarding(send)]
    logger.setLevel(level)
    logger.propagate = False


class _Forwarding(logging.Handler):
    def __init__(self, send: Callable[[LogLine], None]) -> None:
        super().__init__()
        self._forward = send

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):  # nobody listens any more
            self._forward(LogLine(record.levelno, self.format(record)))
