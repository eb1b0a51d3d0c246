"""Annotates the videos of a corpus in this process, one after the other, or in several worker processes.

Each worker has its own process, because a broken video can crash the process that decodes it: then only
this video has failed, and another worker continues. Workers are programs of their own, never forks: a fork
of a process that runs torch can hang.
"""

from __future__ import annotations

import errno
import logging
import multiprocessing
import signal
import subprocess
import sys
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
from social_perception.core.errors import (
    ConfigurationError,
    MissingDependencyError,
    ModelError,
    OutputError,
    SocialPerceptionError,
)

_logger = logging.getLogger(__name__)

PROGRESS_S = 0.25
"""Shortest time between two reports of a worker's progress."""

_GRACE_S = 5.0

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})

_WORKER_BYTES = 1 << 30
"""Memory reserved for a worker, which needs 0.5 GB for a video of 1280x720 and 0.7 for 1920x1080."""

Annotate = Callable[[Job, Progress], Outcome]
MakeAnnotate = Callable[[], AbstractContextManager[Annotate]]
"""Makes an annotator; it is pickled and called in each worker."""


class Listener(Protocol):
    """Receives the progress of a run."""

    def started(self, job: Job) -> None: ...

    def progressed(self, job: Job, frames: int, total: int | None) -> None: ...

    def finished(self, job: Job, outcome: Outcome) -> None: ...

    def failed(self, job: Job, error: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Failure:
    """A video that could not be annotated; the others can."""

    error: str


def attempt(annotate: Annotate, job: Job, progress: Progress) -> Outcome | Failure:
    """Annotate a video; one that fails is returned as a failure, so that the others are annotated.

    Raises:
        SocialPerceptionError: an error that the others would meet, too.
    """
    try:
        return annotate(job, progress)
    except (ConfigurationError, ModelError, MissingDependencyError):
        raise
    except SocialPerceptionError as error:
        if isinstance(error, OutputError) and _is_full(error.__cause__):
            raise
        return Failure(" ".join(str(error).split()))
    except Exception as error:  # an unforeseen video must not end a nightly run
        _logger.info("%s failed", job.video, exc_info=True)
        return Failure(f"{job.video}: {type(error).__name__}: {' '.join(str(error).split())}")


def _is_full(cause: BaseException | None) -> bool:
    """Whether an output failed because the disk has no space left or cannot be written at all."""
    return isinstance(cause, OSError) and cause.errno in _FULL


def run_serially(jobs: Sequence[Job], make: MakeAnnotate, listener: Listener) -> None:
    """Annotate the videos in this process, one after the other.

    Raises:
        SocialPerceptionError: an error that every video would meet.
    """
    with make() as annotate:
        for job in jobs:
            listener.started(job)
            report_result(listener, job, attempt(annotate, job, partial(listener.progressed, job)))


def report_result(listener: Listener, job: Job, result: Outcome | Failure) -> None:
    """Report the result of a video to the listener."""
    if isinstance(result, Failure):
        listener.failed(job, result.error)
    else:
        listener.finished(job, result)


@dataclass(frozen=True, slots=True)
class Progressed:
    """Progress of a worker in its video."""

    frames: int
    total: int | None


@dataclass(frozen=True, slots=True)
class LogLine:
    """A record in the log of a worker."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class FatalError:
    """An error that every video would meet."""

    error: str


@dataclass(slots=True, eq=False)
class _Worker:
    """A worker process as its parent sees it; job is the video that it annotates."""

    process: subprocess.Popen[bytes]
    connection: Connection
    job: Job | None = None


def default_workers(videos: int, cores: int, free_bytes: int | None) -> int:
    """The number of videos at a time that is the fastest: one per core, limited by the memory.

    Two videos at a time with one thread each need half the processor time of one after the other with two
    threads, which wait for each other at every layer.

    Args:
        videos: number of videos.
        cores: number of cores that this process may use.
        free_bytes: of memory; None: unknown.
    """
    fitting = cores if free_bytes is None else free_bytes // _WORKER_BYTES
    return max(1, min(videos, cores, fitting))


def free_memory() -> int | None:
    """The memory in bytes that new processes can use; None where it is unknown (not on Linux)."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            fields = dict(line.split(":") for line in file)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


def run_in_processes(jobs: Sequence[Job], make: MakeAnnotate, listener: Listener, count: int) -> None:
    """Annotate the videos in several processes; each starts with the next video when it has finished one.

    Raises:
        SocialPerceptionError: an error that every video would meet; unfinished videos are abandoned.
    """
    waiting = deque(jobs)
    workers: list[_Worker] = []
    try:
        while waiting or any(worker.job for worker in workers):
            while waiting and len(workers) < count:
                workers.append(_start_worker(make))
            for worker in workers:
                if worker.job is None and waiting:
                    _assign(worker, waiting.popleft(), listener)
            for worker in _wait_for_messages(workers):
                if not _receive(worker, listener):
                    workers.remove(worker)
                    _remove_dead(worker, listener)
        _stop(workers)
    except BaseException:
        _stop(workers, at_once=True)
        raise


def _start_worker(make: MakeAnnotate) -> _Worker:
    here, there = multiprocessing.Pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "social_perception.cli.worker", str(there.fileno())],
        pass_fds=(there.fileno(),),
        stdin=subprocess.DEVNULL,
        # Ctrl-C reaches all processes of a terminal; workers leave it to their parent.
        start_new_session=True,
    )
    there.close()
    # The annotator may come from a folder that only this process searches.
    for message in (sys.path, _logger.getEffectiveLevel(), make):
        with suppress(OSError):  # it has died, which _receive notices
            here.send(message)
    return _Worker(process, here)


def _assign(worker: _Worker, job: Job, listener: Listener) -> None:
    worker.job = job
    listener.started(job)
    with suppress(OSError):  # it has died, which _receive notices
        worker.connection.send(job)


def _wait_for_messages(workers: Sequence[_Worker]) -> list[_Worker]:
    """Wait for workers that have sent a message or died."""
    by_connection = {worker.connection: worker for worker in workers}
    return [by_connection[connection] for connection in wait(list(by_connection))]  # type: ignore[index]


def _receive(worker: _Worker, listener: Listener) -> bool:
    """Handle one message of a worker; return whether it lives."""
    try:
        message = worker.connection.recv()
    except (EOFError, OSError):
        return False
    if isinstance(message, LogLine):
        _logger.log(message.level, "%s", message.text)
    elif isinstance(message, FatalError):
        raise SocialPerceptionError(message.error)
    elif isinstance(message, Progressed):
        assert worker.job is not None
        listener.progressed(worker.job, message.frames, message.total)
    else:
        job, worker.job = worker.job, None
        assert job is not None
        report_result(listener, job, message)
    return True


def _remove_dead(worker: _Worker, listener: Listener) -> None:
    worker.connection.close()
    status = _exit_status(worker, _GRACE_S)
    if worker.job is not None:
        listener.failed(worker.job, f"{worker.job.video}: {_cause_of_death(status)}")


def _exit_status(worker: _Worker, timeout_s: float) -> int:
    """Wait for a worker that is about to end and return its exit status; one that does not end is killed."""
    try:
        return worker.process.wait(max(0.0, timeout_s))
    except subprocess.TimeoutExpired:
        worker.process.kill()
        return worker.process.wait()


def _cause_of_death(status: int) -> str:
    if status == -signal.SIGKILL:
        return "its worker was killed (SIGKILL), as the system does when memory runs out; try fewer --jobs"
    if status < 0:
        return f"its worker died of signal {signal.Signals(-status).name}"
    return f"its worker ended with status {status}"


def _stop(workers: Sequence[_Worker], *, at_once: bool = False) -> None:
    """End all workers; busy ones close their files first."""
    for worker in workers:
        if at_once:
            worker.process.terminate()
        else:
            worker.connection.close()  # a worker without a job ends then
    until_s = time.monotonic() + _GRACE_S
    for worker in workers:
        _exit_status(worker, until_s - time.monotonic())
        if at_once:
            _log_rest(worker)


def _log_rest(worker: _Worker) -> None:
    """Log what a stopped worker sent at last."""
    with suppress(EOFError, OSError):
        while worker.connection.poll():
            message = worker.connection.recv()
            if isinstance(message, LogLine):
                _logger.log(message.level, "%s", message.text)
    worker.connection.close()
