"""Annotates a corpus on a Ray cluster: an actor per worker, each with the networks loaded once.

The videos and the output folder must have the same paths on all machines of the cluster (a shared file
system), and the package must be installed on each. Without a cluster (``RAY_ADDRESS`` is not set) Ray is
started on this machine, for this machine alone, and ended afterwards.
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
    Hindrance,
    Listener,
    LogLine,
    MakeAnnotate,
    attempt,
    forward_log,
    tell,
)
from social_perception.cli.result_folder import Job, Outcome
from social_perception.core.errors import MissingDependencyError, SocialPerceptionError

_logger = logging.getLogger(__name__)

# Only paths and figures travel between the processes. Ray takes no less.
_OBJECT_STORE_BYTES = 80 << 20
# Ray's word for a Ray of one machine, which then listens to this machine alone: on Linux, too.
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

    A video whose actor died is tried once more, on another one.

    Args:
        jobs: the videos.
        make: makes what annotates; ``threads`` is given to it.
        listener: is told how it goes.
        workers: videos at a time; None: as many as the cluster has cores for.
        cores_each: for each of them; None: 2.

    Raises:
        MissingDependencyError: ray is not installed.
        SocialPerceptionError: the cluster cannot be reached, or what would hinder every video.
    """
    cores_each = cores_each or _CORES_EACH
    with _cluster(workers, cores_each) as ray:
        room = int(ray.cluster_resources().get("CPU", 1)) // cores_each
        workers = min(workers or max(1, room), len(jobs))
        _Run(ray, jobs, partial(make, threads=cores_each), listener, workers, cores_each).go()


@contextmanager
def _cluster(workers: int | None, cores_each: int) -> Iterator[Any]:
    """Ray, connected; a cluster that was started here ends with it."""
    address = os.environ.get("RAY_ADDRESS")
    # Ray would report its use to its makers.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address is None:
        os.environ[_OTHER_MACHINES] = "0"
        # Else any user of this machine could let it run code; Ray asks by itself in its newest versions only.
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
            # Ray's workers give way to all other programs, which a busy machine has always some of.
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


class Crew:
    """The content of an actor: annotates in one thread and is asked in another how far it is."""

    def __init__(self, path: Sequence[str], make: bytes, log_level: int) -> None:
        # What is to be made may come from where only the driver looks; hence it is pickled twice.
        sys.path += [place for place in path if place not in sys.path]
        self._make: MakeAnnotate = pickle.loads(make)
        self._stack = ExitStack()
        self._annotate: Annotate | None = None
        self._count: tuple[int, int | None] = (0, None)
        self._lines: deque[LogLine] = deque(maxlen=100)
        forward_log(self._lines.append, log_level)

    def annotate(self, job: Job) -> Outcome | Failure | Hindrance:
        self._count = (0, None)
        try:
            if self._annotate is None:
                self._annotate = self._stack.enter_context(self._make())
            return attempt(self._annotate, job, self._note)
        except SocialPerceptionError as error:
            return Hindrance(str(error))

    def _note(self, frames: int, total: int | None) -> None:
        self._count = (frames, total)

    def news(self) -> tuple[tuple[int, int | None], list[LogLine]]:
        """How many frames of how many are done, and what was logged since the last time."""
        return self._count, [self._lines.popleft() for _ in range(len(self._lines))]


@dataclass(slots=True, eq=False)
class _Actor:
    """An actor seen from the driver; it takes videos from its first sign of life on."""

    handle: Any
    job: Job | None = None
    asked_s: float = 0.0


class _Run:
    """One run: hands out the videos and hears the answers."""

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
        self._kind = ray.remote(num_cpus=cores_each, max_concurrency=2)(Crew)
        self._waiting = deque(jobs)
        self._tries: Counter[Job] = Counter()
        self._actors: list[_Actor] = []
        # Answers that are awaited: of an actor, and whether it is that of a video.
        self._awaited: dict[Any, tuple[_Actor, bool]] = {}

    def go(self) -> None:
        while self._waiting or any(actor.job for actor in self._actors):
            while self._waiting and len(self._actors) < self._workers:
                self._hire()
            ready, _ = self._ray.wait(list(self._awaited), timeout=PROGRESS_S)
            for answer in ready:
                self._hear(answer)
            self._ask()

    def _hire(self) -> None:
        actor = _Actor(self._kind.remote(sys.path, pickle.dumps(self._make), _logger.getEffectiveLevel()))
        self._actors.append(actor)
        self._await(actor, actor.handle.news.remote(), of_video=False)

    def _await(self, actor: _Actor, answer: Any, *, of_video: bool) -> None:
        self._awaited[answer] = (actor, of_video)

    def _ask(self) -> None:
        """Ask those at work how far they are."""
        asked = {id(actor) for actor, of_video in self._awaited.values() if not of_video}
        for actor in self._actors:
            if actor.job and id(actor) not in asked and time.monotonic() - actor.asked_s >= PROGRESS_S:
                actor.asked_s = time.monotonic()
                self._await(actor, actor.handle.news.remote(), of_video=False)

    def _hear(self, answer: Any) -> None:
        if answer not in self._awaited:
            return  # of an actor that has died in the meantime
        actor, of_video = self._awaited.pop(answer)
        try:
            said = self._ray.get(answer)
        except self._ray.exceptions.RayActorError as error:
            self._bury(actor, error)
            return
        if of_video:
            self._take(actor, said)
        else:
            self._take_news(actor, *said)
        if actor.job is None and self._waiting:
            self._assign(actor)

    def _assign(self, actor: _Actor) -> None:
        actor.job = self._waiting.popleft()
        if not self._tries[actor.job]:
            self._listener.started(actor.job)
        self._tries[actor.job] += 1
        self._await(actor, actor.handle.annotate.remote(actor.job), of_video=True)

    def _take(self, actor: _Actor, said: Outcome | Failure | Hindrance) -> None:
        if isinstance(said, Hindrance):
            raise SocialPerceptionError(said.error)
        job, actor.job = actor.job, None
        assert job is not None
        # What was logged on the way comes before the result.
        self._take_news(actor, *self._ray.get(actor.handle.news.remote()))
        tell(self._listener, job, said)

    def _take_news(self, actor: _Actor, count: tuple[int, int | None], lines: Sequence[LogLine]) -> None:
        for line in lines:
            _logger.log(line.level, "%s", line.text)
        if actor.job is not None and count[0]:
            self._listener.progressed(actor.job, *count)

    def _bury(self, actor: _Actor, error: Exception) -> None:
        self._actors.remove(actor)
        self._awaited = {answer: its for answer, its in self._awaited.items() if its[0] is not actor}
        job = actor.job
        if job is None:
            # It could not even begin: neither would another.
            raise SocialPerceptionError(f"a ray actor died: {_first_line(error)}") from error
        if self._tries[job] < _TRIES:
            _logger.warning("%s: its ray actor died; it is tried once more", job.video)
            self._waiting.appendleft(job)
        else:
            self._listener.failed(
                job, f"{job.video}: its ray actor died {_TRIES} times: {_first_line(error)}"
            )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
