"""Annotates a corpus on a Ray cluster: an actor per worker, each of which loads the networks once.

The videos and the output folder must have the same paths on all machines of the cluster (a shared file
system), and the package must be installed on each. Without a cluster (``RAY_ADDRESS`` is not set) Ray is
started on this machine, for this machine alone, and shut down afterwards.
"""

from __future__ import annotations

import logging
import os
import pickle
import secrets
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from social_perception.cli.engines import (
    PROGRESS_S,
    Annotate,
    Failure,
    FatalError,
    Listener,
    LogLine,
    MakeAnnotate,
    attempt,
    report_result,
)
from social_perception.cli.result_folder import Job, Outcome
from social_perception.cli.worker import forward_log
from social_perception.core.errors import MissingDependencyError, SocialPerceptionError

_logger = logging.getLogger(__name__)

# Only paths and figures are passed between the processes; Ray accepts no smaller store.
_OBJECT_STORE_BYTES = 80 << 20
# Set to 0, Ray listens to this machine alone, on Linux, too.
_OTHER_MACHINES = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
_CORES_EACH = 2
_TRIES = 2


def run_on_ray(
    jobs: Sequence[Job],
    make: Callable[..., AbstractContextManager[Annotate]],
    listener: Listener,
    workers: int | None,
    cores_each: int | None,
) -> None:
    """Annotate the videos on the cluster of RAY_ADDRESS, or on a Ray of this machine.

    A video whose actor died is annotated once more, on another one.

    Args:
        jobs: the videos.
        make: makes an annotator; ``threads`` is passed to it.
        listener: receives the progress.
        workers: videos at a time; None: as many as the cluster has cores for.
        cores_each: for each of them; None: 2.

    Raises:
        MissingDependencyError: ray is not installed.
        SocialPerceptionError: the cluster cannot be reached, or an error that every video would meet.
    """
    cores_each = cores_each or _CORES_EACH
    with _cluster(workers, cores_each) as ray:
        fitting = int(ray.cluster_resources().get("CPU", 1)) // cores_each
        workers = min(workers or max(1, fitting), len(jobs))
        _Run(ray, jobs, partial(make, threads=cores_each), listener, workers, cores_each).run()


@contextmanager
def _cluster(workers: int | None, cores_each: int) -> Iterator[Any]:
    """Ray, connected; a cluster that was started here is shut down with it."""
    address = os.environ.get("RAY_ADDRESS")
    # Ray would send usage statistics to its developers.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address is None:
        os.environ[_OTHER_MACHINES] = "0"
        # Else any user of this machine could run code on it; only new versions of Ray require a token.
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        import ray
    except ImportError as error:
        raise MissingDependencyError("--engine ray needs ray: pip install ray") from error
    settings: dict[str, Any] = {"address": address, "log_to_driver": False}
    if address is None:
        cores = workers * cores_each if workers else max(cores_each, len(os.sched_getaffinity(0)))
        settings.update(
            address="local",
            num_cpus=cores,
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            # By default the workers yield to all other programs of a busy machine.
            _system_config={"worker_niceness": 0},
        )
    terminated = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(logging_level=logging.ERROR, **settings)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise SocialPerceptionError(f"ray: {' '.join(str(error).split())}") from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, terminated)  # Ray has set its own
    try:
        yield ray
    finally:
        ray.shutdown()


class AnnotationActor:
    """An actor: annotates in one thread and reports its progress in another."""

    def __init__(self, path: Sequence[str], make: bytes, log_level: int) -> None:
        # The annotator may come from a folder that only the driver searches; hence it is pickled twice.
        sys.path += [place for place in path if place not in sys.path]
        self._make: MakeAnnotate = pickle.loads(make)
        self._stack = ExitStack()
        self._annotate: Annotate | None = None
        self._count: tuple[int, int | None] = (0, None)
        self._lines: deque[LogLine] = deque(maxlen=100)
        forward_log(self._lines.append, log_level)

    def annotate(self, job: Job) -> Outcome | Failure | FatalError:
        self._count = (0, None)
        try:
            if self._annotate is None:
                self._annotate = self._stack.enter_context(self._make())
            return attempt(self._annotate, job, self._note)
        except SocialPerceptionError as error:
            return FatalError(str(error))

    def _note(self, frames: int, total: int | None) -> None:
        self._count = (frames, total)

    def status(self) -> tuple[tuple[int, int | None], list[LogLine]]:
        """The frames done, the number of all, and what was logged since the last call."""
        return self._count, [self._lines.popleft() for _ in range(len(self._lines))]


@dataclass(slots=True, eq=False)
class _Actor:
    """An actor as the driver sees it; it gets its first video after its first status."""

    handle: Any
    job: Job | None = None
    requested_s: float = 0.0


class _Run:
    """One run: assigns the videos and receives the results."""

    def __init__(
        self,
        ray: Any,
        jobs: Sequence[Job],
        make: MakeAnnotate,
        listener: Listener,
        workers: int,
        cores_each: int,
    ) -> None:
        self._ray = ray
        self._make = make
        self._listener = listener
        self._workers = workers
        self._kind = ray.remote(num_cpus=cores_each, max_concurrency=2)(AnnotationActor)
        self._waiting = deque(jobs)
        self._tries: Counter[Job] = Counter()
        self._actors: list[_Actor] = []
        # Pending results: of which actor, and whether it is that of a video.
        self._pending: dict[Any, tuple[_Actor, bool]] = {}

    def run(self) -> None:
        while self._waiting or any(actor.job for actor in self._actors):
            while self._waiting and len(self._actors) < self._workers:
                self._start_actor()
            ready, _ = self._ray.wait(list(self._pending), timeout=PROGRESS_S)
            for result in ready:
                self._receive(result)
            self._request_status()

    def _start_actor(self) -> None:
        actor = _Actor(self._kind.remote(sys.path, pickle.dumps(self._make), _logger.getEffectiveLevel()))
        self._actors.append(actor)
        self._await(actor, actor.handle.status.remote(), of_video=False)

    def _await(self, actor: _Actor, answer: Any, *, of_video: bool) -> None:
        self._pending[answer] = (actor, of_video)

    def _request_status(self) -> None:
        """Request the progress of the busy actors."""
        requested = {id(actor) for actor, of_video in self._pending.values() if not of_video}
        for actor in self._actors:
            now_s = time.monotonic()
            if actor.job and id(actor) not in requested and now_s - actor.requested_s >= PROGRESS_S:
                actor.requested_s = now_s
                self._await(actor, actor.handle.status.remote(), of_video=False)

    def _receive(self, result: Any) -> None:
        if result not in self._pending:
            return  # of an actor that has died in the meantime
        actor, of_video = self._pending.pop(result)
        try:
            value = self._ray.get(result)
        except self._ray.exceptions.RayActorError as error:
            self._remove_dead(actor, error)
            return
        if of_video:
            self._finish(actor, value)
        else:
            self._report_status(actor, *value)
        if actor.job is None and self._waiting:
            self._assign(actor)

    def _assign(self, actor: _Actor) -> None:
        actor.job = self._waiting.popleft()
        if not self._tries[actor.job]:
            self._listener.started(actor.job)
        self._tries[actor.job] += 1
        self._await(actor, actor.handle.annotate.remote(actor.job), of_video=True)

    def _finish(self, actor: _Actor, result: Outcome | Failure | FatalError) -> None:
        if isinstance(result, FatalError):
            raise SocialPerceptionError(result.error)
        job, actor.job = actor.job, None
        assert job is not None
        # What was logged meanwhile comes before the result.
        self._report_status(actor, *self._ray.get(actor.handle.status.remote()))
        report_result(self._listener, job, result)

    def _report_status(self, actor: _Actor, count: tuple[int, int | None], lines: Sequence[LogLine]) -> None:
        for line in lines:
            _logger.log(line.level, "%s", line.text)
        if actor.job is not None and count[0]:
            self._listener.progressed(actor.job, *count)

    def _remove_dead(self, actor: _Actor, error: Exception) -> None:
        self._actors.remove(actor)
        self._pending = {answer: its for answer, its in self._pending.items() if its[0] is not actor}
        job = actor.job
        if job is None:
            # It could not even start: neither would another.
            raise SocialPerceptionError(f"a ray actor died: {_first_line(error)}") from error
        if self._tries[job] < _TRIES:
            _logger.warning("%s: its ray actor died; it is annotated once more", job.video)
            self._waiting.appendleft(job)
        else:
            self._listener.failed(
                job, f"{job.video}: its ray actor died {_TRIES} times: {_first_line(error)}"
            )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
