"""Disks that are full, and readers that go away: one line, a status, and what was written before is whole.

A limit on the size of files stands for a full disk: the operating system itself refuses the write, in
the middle of a row or a chunk, as a full one does.
"""

from __future__ import annotations

import csv
import json
import os
import pty
import resource
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import cv2
import numpy as np
import pytest

from social_perception.cli.main import main
from social_perception.core.errors import OutputError
from social_perception.core.types import Box, Face, Frame, FrameAffect, ImageArray
from social_perception.sinks.mcap_writer import McapWriter
from social_perception.sinks.tables import BOX_COLUMNS, BoxTable, FaceTable, face_columns
from social_perception.sources.bag import BagSource
from social_perception.views import terminal

REASON = "File too large"


@contextmanager
def full_disk(most: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes meanwhile: not longer, for pytest's own output may be a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class Playing:
    """A live source that delivers pictures, one after the other."""

    name, live, rate_hz, frame_count, unread = "playing", True, None, None, 0

    def __init__(self, images) -> None:
        self.frames = iter([Frame(image, index / 30, index) for index, image in enumerate(images)])

    def __next__(self) -> Frame:
        return next(self.frames)

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def live(monkeypatch, people, pipeline):
    """Runs ``live`` with the real pipeline on the drawn people; its status."""
    processed = []

    class Watched:
        note_usage = staticmethod(pipeline.note_usage)

        def __enter__(self):
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def process(self, frame: Frame) -> FrameAffect:
            processed.append(pipeline.process(frame))
            return processed[-1]

    monkeypatch.setattr("social_perception.perception.pipeline.make_pipeline", lambda *_, **__: Watched())

    def run(*arguments: str, images: tuple[ImageArray, ...] = people) -> int:
        monkeypatch.setattr("social_perception.sources.factory.open_source", lambda *_, **__: Playing(images))
        processed.clear()
        return main(["live", "--source", "x", "--no-ros", *arguments])

    run.processed = processed
    return run


def whole_rows(path, columns):
    """The rows of a table, each with all its cells."""
    text = path.read_text()
    assert text.endswith("\n")
    header, *rows = csv.reader(text.splitlines())
    assert tuple(header) == tuple(columns)
    assert all(len(row) == len(columns) for row in rows)
    return rows


def errors(capsys):
    return [line for line in capsys.readouterr().err.splitlines() if "error" in line]


def test_a_full_disk_ends_the_table_and_the_run_goes_on(live, people, tmp_path, capsys) -> None:
    path = tmp_path / "events.csv"
    with full_disk(2000):
        status = live("--output", str(path))
    assert status == 1
    assert len(live.processed) == len(people)
    rows = whole_rows(path, face_columns())
    # As many rows as there was room for: the next two, of one frame, did not fit.
    assert 2000 - 2 * 120 < path.stat().st_size <= 2000
    assert [row[2] for row in rows] == ["a", "b"] * (len(rows) // 2)
    (error,) = errors(capsys)
    assert error == (
        f"social-perception: error: {path} cannot be written: {REASON}; nothing more is recorded, "
        "what was before can be read"
    )


def test_a_full_disk_ends_the_recording_and_what_it_holds_is_a_source(live, people, tmp_path, capsys) -> None:
    path = tmp_path / "results.mcap"
    quarter = tuple(np.ascontiguousarray(image[::2, ::2]) for image in people)
    with full_disk(1_000_000):
        status = live("--record", str(path), "--record-images", images=3 * quarter)
    assert status == 1
    assert len(live.processed) == 3 * len(people)
    (error,) = errors(capsys)
    assert f"{path} cannot be written: {REASON}; nothing more is recorded" in error
    with BagSource(path) as source:
        frames = list(source)
    # Chunks of a second: at most one of them is lost.
    assert 30 <= len(frames) < 3 * len(people)
    assert [frame.index for frame in frames] == list(range(len(frames)))


def test_a_recording_that_cannot_even_be_cut_back_is_one_error(tmp_path, monkeypatch) -> None:
    writer = McapWriter(tmp_path / "results.mcap", [], "test")
    monkeypatch.setattr(os, "ftruncate", lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    writer._file.close()
    writer._file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115 (the writer closes it)
    with pytest.raises(OutputError, match="No space left on device"):
        writer.close("rosbag2", {})
    assert writer._file.closed


def test_a_table_that_finds_no_room_for_its_first_line_is_one_error(tmp_path) -> None:
    with full_disk(10), pytest.raises(OutputError, match=REASON):
        FaceTable(tmp_path / "events.csv")
    assert (tmp_path / "events.csv.part").read_bytes() == b""


def write_pictures(folder, people) -> None:
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), cv2.cvtColor(people[number], cv2.COLOR_RGB2BGR))


@pytest.mark.parametrize("command", ["score", "detect"])
def test_a_full_disk_ends_a_command_with_one_line(command, people, tmp_path, capsys) -> None:
    write_pictures(tmp_path, people)
    path = tmp_path / "table.csv"
    path.write_text("of yesterday\n")
    with full_disk(70):
        status = main([command, str(tmp_path), "--output", str(path), "--min-face-px", "80"])
    assert status == 1
    assert errors(capsys) == [f"social-perception: error: {path} cannot be written: {REASON}"]
    assert path.read_text() == "of yesterday\n"


def test_what_is_no_file_is_written_in_place_and_never_replaced(tmp_path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with BoxTable(pipe) as table:
        table.add("a.png", [Face(Box(1, 2, 3, 4), 0.5)])
    assert os.read(reader, 1000).decode() == ",".join(BOX_COLUMNS) + "\na.png,1,2,3,4,0.5\n"
    os.close(reader)
    assert pipe.is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]


def test_figures_are_written_to_what_is_no_file_in_place(tmp_path) -> None:
    from social_perception.research.benchmarks.report import write_text

    link = tmp_path / "null"
    link.symlink_to("/dev/null")
    write_text(link, "{}")
    assert link.is_symlink()
    with pytest.raises(OutputError, match="No space left on device"):
        write_text(tmp_path.__class__("/dev/full"), "{}")


def test_a_full_disk_leaves_the_figures_of_an_earlier_benchmark(tmp_path) -> None:
    from social_perception.research.benchmarks.report import write_text

    path = tmp_path / "figures.json"
    write_text(path, json.dumps({"run": 1}))
    with full_disk(5), pytest.raises(OutputError, match=f"figures.json cannot be written: {REASON}"):
        write_text(path, json.dumps({"run": 2}))
    assert json.loads(path.read_text()) == {"run": 1}


@pytest.fixture
def shown(monkeypatch, pipeline, people):
    """What the terminal is given: the affect of a frame; shown as often as asked."""
    monkeypatch.setattr(terminal, "_LINE_PERIOD_S", 0.0)
    monkeypatch.setattr(terminal, "_REFRESH_S", 0.0)
    return pipeline.process(Frame(people[0], 0.0, 0))


def filled(writer: int) -> int:
    """Write until a pipe takes no more; how many bytes it took."""
    os.set_blocking(writer, False)
    total = 0
    with suppress(BlockingIOError):
        while True:
            total += os.write(writer, b"x" * 100)
    os.set_blocking(writer, True)
    return total


def test_a_pipe_that_nobody_empties_does_not_hold_up_the_run(shown, monkeypatch) -> None:
    reader, writer = os.pipe()
    waiting = filled(writer)
    with os.fdopen(reader, "rb", buffering=0) as outside, os.fdopen(writer, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        with terminal.live_display() as show:
            for _ in range(100):
                show(shown, "sample")
            while waiting:
                waiting -= len(outside.read(waiting))
            show(shown, "sample")
        assert outside.read(1000).decode() == terminal.live_line(shown) + "\n"
        monkeypatch.undo()


def test_a_terminal_that_is_stopped_does_not_hold_up_the_run(shown, monkeypatch) -> None:
    outside, inside = pty.openpty()
    with os.fdopen(outside, "rb", buffering=0) as screen, os.fdopen(inside, "w") as stdout:
        os.set_blocking(outside, False)
        monkeypatch.setattr(sys, "stdout", stdout)
        monkeypatch.setenv("TERM", "xterm")
        try:
            with terminal.live_display() as show:
                termios.tcflow(inside, termios.TCOOFF)  # Ctrl-S
                for number in range(200):
                    show(shown, f"frame {number}")
                termios.tcflow(inside, termios.TCOON)  # Ctrl-Q
                seen = b""
                while b"and on" not in seen:
                    show(shown, "and on")
                    seen += screen.read(100_000) or b""
            assert b"frame" not in seen
        finally:
            monkeypatch.undo()
            os.set_blocking(inside, False)  # nobody reads what is left


def test_a_terminal_that_can_only_write_on_is_shown_lines(shown, monkeypatch) -> None:
    outside, inside = pty.openpty()
    with os.fdopen(outside, "rb", buffering=0) as screen, os.fdopen(inside, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        monkeypatch.setenv("TERM", "dumb")
        with terminal.live_display() as show:
            show(shown, "sample")
        assert screen.read(1000).decode().strip() == terminal.live_line(shown)
        monkeypatch.undo()


def test_a_log_on_a_full_disk_ends_nothing_but_itself(tmp_path) -> None:
    code = (
        "import sys; from social_perception.views import terminal; terminal._LINE_PERIOD_S = 0.0\n"
        "with terminal.live_display() as show:\n"
        "    for _ in range(3): show(None, '')\n"
        "print('done', file=sys.stderr)"
    )
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr.splitlines()) == (
        0,
        ["standard output cannot be written: No space left on device; nothing more is shown", "done"],
    )


def test_a_reader_that_goes_away_ends_live_without_complaint(tmp_path, people) -> None:
    """The real program on a real pipe, whose reader takes one line."""
    write_pictures(tmp_path, people)
    table = tmp_path / "events.csv"
    program = f"{sys.executable} -m social_perception.cli live --source sample?people=1 --no-ros"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{program} --duration 60 --output {table} | head -n 1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1
    whole_rows(table, face_columns())
