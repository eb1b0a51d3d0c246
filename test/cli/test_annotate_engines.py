"""The engines that annotate a corpus: one process, several processes, or Ray."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

from social_perception.cli.engines import default_workers, free_memory, run_in_processes, run_serially
from social_perception.cli.result_folder import Job
from social_perception.core.errors import SocialPerceptionError


@pytest.fixture
def fakes(monkeypatch):
    """The module that the workers run: they find it because they get this process's path."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import fake_workers

    return fake_workers


@pytest.fixture
def make(fakes, tmp_path):
    (tmp_path / "log").touch()
    return partial(fakes.FakeAnnotator, str(tmp_path / "log"))


def jobs(tmp_path, *stems):
    return [Job(n, tmp_path / f"{stem}.mp4", tmp_path / stem) for n, stem in enumerate(stems)]


def log(tmp_path):
    return [line.split() for line in (tmp_path / "log").read_text().splitlines()]


def on_ray(work, make, listener):
    from social_perception.cli.ray_engine import run_on_ray

    run_on_ray(work, make, listener, 2, 1)


def in_processes(work, make, listener):
    run_in_processes(work, make, listener, 2)


def has_ray():
    # Not by importing it: it reads its settings when it is.
    return find_spec("ray") is not None


needs_ray = pytest.mark.skipif(not has_ray(), reason="ray is optional and not installed")
slow_start = pytest.mark.timeout(400)  # Ray takes half a minute to start on a busy machine
engines = pytest.mark.parametrize(
    "engine",
    [run_serially, in_processes, pytest.param(on_ray, marks=[needs_ray, pytest.mark.slow, slow_start])],
)


@pytest.mark.parametrize(
    ("videos", "cores", "free_gib", "workers"),
    [(1, 8, 16, 1), (9, 8, 16, 8), (9, 8, 3, 3), (9, 8, 0, 1), (9, 4, None, 4), (3, 8, 16, 3)],
)
def test_as_many_workers_as_cores_videos_and_memory_allow(videos, cores, free_gib, workers):
    free = None if free_gib is None else free_gib << 30
    assert default_workers(videos, cores, free) == workers


def test_the_free_memory_is_known_on_linux():
    assert (free_memory() is not None) == sys.platform.startswith("linux")


@engines
def test_broken_videos_among_good_ones_do_not_stop_them(engine, tmp_path, fakes, make):
    listener = fakes.Recorder()
    engine(jobs(tmp_path, "good1", "broken", "bug", "good2", "good3"), make, listener)
    assert listener.results == {
        "good1": fakes.OUTCOME,
        "broken": f"{tmp_path}/broken.mp4 is broken",
        "bug": f"{tmp_path}/bug.mp4: ValueError: unforeseen",
        "good2": fakes.OUTCOME,
        "good3": fakes.OUTCOME,
    }
    for stem in listener.results:
        assert listener.order.index(("started", stem)) == min(
            n for n, (_, other) in enumerate(listener.order) if other == stem
        )


@engines
def test_an_error_that_every_video_would_meet_stops_the_run(engine, tmp_path, fakes, make):
    listener = fakes.Recorder()
    with pytest.raises(SocialPerceptionError, match="no space left"):
        engine(jobs(tmp_path, "full", "endless", "good"), make, listener)
    assert not listener.results


def test_each_worker_is_made_once_and_does_many_videos(tmp_path, fakes, make):
    listener = fakes.Recorder()
    run_in_processes(jobs(tmp_path, *(f"good{n}" for n in range(12))), make, listener, 2)
    assert len(listener.results) == 12
    assert sum(line[0] == "made" for line in log(tmp_path)) == 2
    workers = {line[-1] for line in log(tmp_path)}
    assert str(os.getpid()) not in workers
    assert all(is_gone(int(pid)) for pid in workers)
    assert ("progressed", "good0") in listener.order


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_killed_worker_costs_its_video_only(tmp_path, fakes, make):
    listener = fakes.Recorder()
    run_in_processes(jobs(tmp_path, "killed1", "good1", "killed2", "good2"), make, listener, 1)
    assert listener.results["good1"] == listener.results["good2"] == fakes.OUTCOME
    for stem in ("killed1", "killed2"):
        assert listener.results[stem].startswith(f"{tmp_path}/{stem}.mp4: its worker was killed (SIGKILL)")
    assert sum(line[0] == "made" for line in log(tmp_path)) == 3


def test_a_worker_that_ends_early_is_reported_with_its_status(tmp_path, fakes, make):
    listener = fakes.Recorder()
    run_in_processes(jobs(tmp_path, "once"), make, listener, 2)
    assert listener.results == {"once": f"{tmp_path}/once.mp4: its worker ended with status 3"}


def test_an_interrupt_ends_all_workers_which_close_their_files(tmp_path, fakes, make):
    busy = set()

    def interrupt(job):
        busy.add(job.video.stem)
        if len(busy) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_in_processes(jobs(tmp_path, "endless1", "endless2", "good"), make, fakes.Recorder(interrupt), 2)
    lines = log(tmp_path)
    assert {line[1] for line in lines if line[0] == "closed"} == {"endless1", "endless2"}
    assert all(is_gone(int(line[-1])) for line in lines)
    assert ["begun", "good"] not in [line[:2] for line in lines]


def test_workers_end_with_a_parent_that_was_killed(tmp_path, fakes, make):
    """Its connections are closed then: a busy worker notices when it reports its progress."""
    program = (
        "import sys, os, signal\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import fake_workers\n"
        "from functools import partial\n"
        "from pathlib import Path\n"
        "from social_perception.cli.result_folder import Job\n"
        "from social_perception.cli.engines import run_in_processes\n"
        "jobs = [Job(n, Path(f'endless{n}.mp4'), Path(f'endless{n}')) for n in range(2)]\n"
        "busy = set()\n"
        "def on_progress(job):\n"
        "    busy.add(job)\n"
        "    if len(busy) == 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"make = partial(fake_workers.FakeAnnotator, {str(tmp_path / 'log')!r})\n"
        "run_in_processes(jobs, make, fake_workers.Recorder(on_progress), 2)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    workers = {int(line[-1]) for line in log(tmp_path)}
    assert len(workers) == 2
    # They are not this process's children: wait until they are gone, or the test's time is up.
    while not all(is_gone(pid) for pid in workers):
        time.sleep(0.02)
    assert {line[1] for line in log(tmp_path) if line[0] == "closed"} == {"endless0", "endless1"}


@pytest.mark.slow
@slow_start
@needs_ray
def test_a_video_whose_actor_died_is_tried_once_more(tmp_path, fakes, make):
    listener = fakes.Recorder()
    on_ray(jobs(tmp_path, "once", "killed", "good"), make, listener)
    assert listener.results["once"] == listener.results["good"] == fakes.OUTCOME
    assert listener.results["killed"].startswith(f"{tmp_path}/killed.mp4: its ray actor died 2 times")
    assert sum(line[:2] == ["begun", "killed"] for line in log(tmp_path)) == 2
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


@pytest.mark.slow
@slow_start
@needs_ray
def test_a_ray_of_this_machine_listens_to_it_alone_and_reports_to_nobody(tmp_path):
    program = (
        "import grpc, os\n"
        "from social_perception.cli.ray_engine import _cluster\n"
        "with _cluster(1, 1) as ray:\n"
        "    print(ray.util.get_node_ip_address(), os.environ['RAY_USAGE_STATS_ENABLED'])\n"
        "    channel = grpc.insecure_channel(ray.get_runtime_context().gcs_address)\n"
        "    ask = channel.unary_unary('/ray.rpc.NodeInfoGcsService/GetAllNodeInfo')\n"
        "    for token in ('', 'wrong', os.environ['RAY_AUTH_TOKEN']):\n"
        "        try:\n"
        "            ask(b'', metadata=[('authorization', f'Bearer {token}')], timeout=60)\n"
        "            print('answered')\n"
        "        except grpc.RpcError as error:\n"
        "            print(error.code().name)\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, check=True
    )
    where, reports, *answers = done.stdout.decode().split()
    assert (where, reports) == ("127.0.0.1", "0")
    # Other users of this machine do not know the token.
    assert answers == ["UNAUTHENTICATED", "UNAUTHENTICATED", "answered"]
