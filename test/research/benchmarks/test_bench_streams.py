"""Streams: the loop, the record, the usage of a process, and real processes."""

import mmap
import os
import subprocess
import sys

import numpy as np
import pytest

from social_perception.core.errors import MissingDependencyError
from social_perception.research.benchmarks import stream_processes as streams
from social_perception.research.benchmarks.image_loop import Loop
from social_perception.research.benchmarks.process_usage import UsageMonitor
from social_perception.research.benchmarks.recording import (
    NO_ROS,
    TOPICS,
    Pace,
    Record,
    StreamRequest,
    latency,
)
from social_perception.research.benchmarks.report import Stream

MS = 1_000_000


@pytest.fixture(scope="module")
def loop():
    return Loop(2, frames=4)


def test_the_loop_plays_forward_and_backward(loop):
    assert [loop.index(number) for number in range(9)] == [0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert loop[5] is loop.images[1]
    assert loop.truth(5) == loop.truth(1)
    assert loop.images[0].shape == (720, 1280, 3)


def test_people_come_and_go_one_after_the_other():
    loop = Loop(2, frames=8, coming_and_going=True)
    everybody = Loop(2, frames=8)
    for person in range(2):
        there = []
        for number in range(8):
            box = loop.truth(number)[person].box
            part = (slice(int(box.top), int(box.bottom)), slice(int(box.left), int(box.right)))
            there.append(np.array_equal(loop[number][part], everybody[number][part]))
        assert sum(there) == 4
        assert not any(there[(4 * person + step) % 8] for step in range(4))


def record_of(sent, answers, groups=()):
    record = Record()
    for stamp in sent:
        record.sent(stamp)
    for stamp, now, ids in answers:
        record.faces(stamp, now, ids)
    for stamp, now in groups:
        record.group(stamp, now, 1)
    return record.figures(TOPICS, StreamRequest(2, 1.0), 2.0, None, None)


def test_the_figures_are_those_of_the_images_sent():
    figures = record_of(
        sent=[100 * MS, 200 * MS, 300 * MS, 400 * MS],
        answers=[
            (50 * MS, 90 * MS, ["w"]),  # of the warm-up
            (100 * MS, 110 * MS, ["a"]),
            (300 * MS, 330 * MS, ["a", "b"]),
            (400 * MS, 420 * MS, ["a", "b"]),
        ],
        groups=[(100 * MS, 140 * MS), (100 * MS, 240 * MS), (400 * MS, 460 * MS)],
    )
    assert (figures.sent, figures.answered, figures.per_second, figures.dropped_share) == (4, 3, 1.5, 0.25)
    assert (figures.faces, figures.ids) == (2.0, 3)
    assert (figures.to_faces.median_ms, figures.to_faces.count) == (20.0, 3)
    # The first message with a stamp counts; the group is published repeatedly for the same image.
    assert (figures.to_group.median_ms, figures.to_group.count) == (50.0, 2)


def test_a_stream_without_results_has_no_delays():
    figures = record_of([100 * MS], [])
    assert (figures.answered, figures.per_second, figures.dropped_share) == (0, 0.0, 1.0)
    assert figures.to_faces is None
    assert figures.faces is None


def test_a_result_counts_once():
    figures = record_of([100 * MS], [(100 * MS, 110 * MS, ["a"]), (100 * MS, 190 * MS, ["a"])])
    assert (figures.answered, figures.to_faces.median_ms) == (1, 10.0)


def test_the_record_discards_the_warm_up():
    record = Record()
    record.sent(1)
    record.faces(1, 2, ["a"])
    record.clear()
    figures = record.figures(NO_ROS, StreamRequest(1, 1.0), 1.0, None, None)
    assert (figures.sent, figures.answered, figures.ids, record.newest_ns) == (0, 0, 0, -1)


def test_delays_have_quantiles():
    delays = latency(np.arange(1, 101) * MS)
    assert (delays.median_ms, delays.p95_ms, delays.p99_ms) == pytest.approx((50.5, 95.05, 99.01))


def test_the_pace_is_constant_and_a_late_image_is_due_immediately():
    pace = Pace(10.0, start_s=5.0)
    assert pace.wait_s(5.0) == 0.0
    assert pace.wait_s(5.02) == pytest.approx(0.08)
    assert pace.wait_s(7.0) == 0.0
    assert pace.number == 3


def test_the_pace_begins_anew_with_the_next_image():
    pace = Pace(10.0, start_s=5.0, number=70)
    assert [pace.wait_s(5.0), pace.wait_s(5.0)] == pytest.approx([0.0, 0.1])
    assert pace.number == 72


class FakeProcess:
    """Files as in /proc, and a clock."""

    def __init__(self, folder):
        self.folder, self.now_s = folder, 0.0
        (folder / "42").mkdir()

    def set(self, cpu_s, memory_mb):
        ticks = round(cpu_s * os.sysconf("SC_CLK_TCK"))
        fields = ["S", *["0"] * 10, str(ticks // 2), str(ticks - ticks // 2), "0"]
        (self.folder / "42" / "stat").write_text(f"42 (a (strange) name) {' '.join(fields)}\n")
        pages = round(memory_mb * 1e6 / os.sysconf("SC_PAGE_SIZE"))
        (self.folder / "42" / "statm").write_text(f"99999 {pages} {pages // 4} 0 0 0 0\n")

    def watch(self):
        return UsageMonitor(42, self.folder, lambda: self.now_s)


def test_a_process_is_monitored(tmp_path):
    process = FakeProcess(tmp_path)
    process.set(cpu_s=3.0, memory_mb=100.0)
    watch = process.watch()
    for second in range(1, 61):
        process.now_s = float(second)
        # It grows by 300 MB in the first half, and by 6 MB a minute in the second.
        process.set(3.0 + 0.5 * second, 100.0 + min(300.0, 10.0 * second) + 0.1 * max(0, second - 30))
        watch.sample()
    usage = watch.usage()
    assert usage.cores == pytest.approx(0.5, abs=0.01)
    assert (usage.memory_start_mb, usage.memory_end_mb) == pytest.approx((100.0, 403.0), abs=0.1)
    assert usage.memory_slope_mb_per_min == pytest.approx(6.0, abs=0.2)
    resident, own = watch.trends()
    assert (resident.end, own.end) == pytest.approx((403.0, 0.75 * 403.0), abs=0.1)
    assert (resident.slope_per_min, own.slope_per_min) == pytest.approx((6.0, 4.5), abs=0.2)


def test_a_short_watch_knows_no_slope(tmp_path):
    process = FakeProcess(tmp_path)
    process.set(1.0, 100.0)
    watch = process.watch()
    process.now_s = 2.0
    assert watch.usage().memory_slope_mb_per_min is None


def test_a_process_that_is_gone_is_an_error(tmp_path):
    with pytest.raises(MissingDependencyError, match="cannot be read"):
        UsageMonitor(7, tmp_path)


def test_this_process_is_monitored():
    watch = UsageMonitor()
    with mmap.mmap(-1, 50_000_000) as blob:  # not from memory that Python has reserved
        blob.write(b"x" * 50_000_000)
        usage = watch.usage()
    assert usage.memory_end_mb - usage.memory_start_mb > 40


@pytest.mark.parametrize("coming_and_going", [False, True])
def test_a_request_survives_the_command_line(coming_and_going):
    request = StreamRequest(3, 2.5, "cpu", 20, 1.5, coming_and_going, 72.5, 10)
    assert StreamRequest.parse("test", request.arguments()) == request


def short(people=2):
    return StreamRequest(people, 1.0, "cpu", frames=10, warm_up_s=0.5)


def test_without_rclpy_there_is_one_line_and_no_figures(monkeypatch):
    monkeypatch.setattr(streams.importlib.util, "find_spec", lambda name: None)
    (stream,) = streams.measure([short()], [TOPICS])
    assert stream == Stream(TOPICS, "cpu", 2, reason=streams.NO_RCLPY)
    assert "\n" not in stream.reason


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import sys; print('error: it is broken', file=sys.stderr); sys.exit(1)", "status 1: it is broken"),
        ("raise ValueError('no such thing')", "status 1: no such thing"),
        ("print('{')", "is not a stream of bench"),
        ("", "failed with status 0"),
    ],
)
def test_a_process_that_fails_gives_its_reason(tmp_path, monkeypatch, code, reason):
    (tmp_path / "broken_bench_program.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setitem(streams._PROGRAMS, NO_ROS, "broken_bench_program")
    (stream,) = streams.measure([short()], [NO_ROS])
    assert reason in stream.reason
    assert stream.per_second is None


def test_a_process_is_ended_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(streams.subprocess, "Popen", started := Popens())
    with (
        pytest.raises(KeyboardInterrupt),
        streams._process([sys.executable, "-c", "import time; time.sleep(600)"], subprocess.DEVNULL),
    ):
        raise KeyboardInterrupt
    assert started.process.poll() is not None


def test_a_stopped_stream_returns_its_figures(tmp_path, monkeypatch):
    program = """
import json, os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print('{"mode": "w", "device": "d", "people": 7}'), sys.exit()))
print("started", flush=True)
os.kill(os.getppid(), signal.SIGTERM)
while True:
    signal.pause()
"""
    (tmp_path / "ended_bench_program.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    found = streams.run_program("ended_bench_program", [], Stream, "it", answers_on_sigterm=True)
    assert found == Stream("w", "d", 7)
    (tmp_path / "ended_bench_program.py").write_text(program.replace("print('", "str('"))
    with pytest.raises(KeyboardInterrupt):
        streams.run_program("ended_bench_program", [], Stream, "it", answers_on_sigterm=True)


class Popens:
    """Starts a process and keeps it."""

    def __call__(self, *arguments, **options):
        self.process = POPEN(*arguments, **options)
        return self.process


POPEN = subprocess.Popen


def test_a_soak_uses_topics_if_they_work(monkeypatch):
    def play(mode, request):
        return Stream(mode, request.device, request.people, reason="" if mode in works else "broken")

    monkeypatch.setattr(streams, "_play", play)
    works = {TOPICS, NO_ROS}
    assert [each.mode for each in streams.measure_soak(short())] == [TOPICS]
    works = {NO_ROS}
    assert [each.mode for each in streams.measure_soak(short())] == [TOPICS, NO_ROS]


def test_topics_are_compared_with_the_pipeline_alone():
    two = [Stream(NO_ROS, "cpu", 8, 1.0, per_second=30.0), Stream(TOPICS, "cpu", 8, 1.0, per_second=24.0)]
    assert streams.topics_to_no_ros(two, 8, "cpu").value == pytest.approx(0.8)
    assert streams.topics_to_no_ros(two, 4, "cpu").value is None
