import os
import signal

import numpy as np
import pytest

from social_perception.cli import live
from social_perception.cli.main import main
from social_perception.core.errors import SourceTimeout
from social_perception.core.types import Frame
from social_perception.sinks.sink import Sink


def test_live_shows_and_writes_what_is_found(tmp_path, pipelines, capsys, rows, gray_images):
    gray_images(tmp_path, [10, 20, 30])
    output = tmp_path / "events.csv"
    argv = ["live", "--source", str(tmp_path), "--no-ros", "--output", str(output), "--folder-rate-hz", "100"]
    assert main(argv) == 0
    table = rows(output)
    assert table[0]["face_id"] == "anna"
    assert [row["frame"] for row in table] == [str(n) for n in range(len(table))]
    assert "anna Neutral 0.00" in capsys.readouterr().out
    assert (pipelines[0].live, pipelines[0].closed) == (True, True)


def test_live_ends_after_its_duration(pipelines):
    assert main(["live", "--source", "sample?people=1", "--no-ros", "--duration", "0.3"]) == 0


class Keeper(Sink):
    """A publisher that keeps what it receives."""

    def __init__(self):
        self.published = []
        self.closed = False

    def add(self, frame, affect):
        self.published.append(affect.index)

    def stale(self, affect, reason):
        self.published.append(reason)

    def close(self):
        self.closed = True


class Stuttering:
    """A live source: a frame, silence, a frame, the end."""

    name, live, rate_hz, frame_count = "stuttering", True, None, None
    unread = 0

    def __init__(self):
        image = np.zeros((8, 8, 3), np.uint8)
        self.left = [Frame(image, 0.0, 0), SourceTimeout("no picture"), Frame(image, 1.0, 1)]

    def __next__(self):
        if not self.left:
            raise StopIteration
        entry = self.left.pop(0)
        if isinstance(entry, Exception):
            raise entry
        return entry

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def test_live_publishes_also_when_the_source_is_silent(monkeypatch, pipelines, capsys):
    keeper = Keeper()
    monkeypatch.setattr(live, "open_publisher", lambda *_, **__: keeper)
    monkeypatch.setattr("social_perception.sources.factory.open_source", lambda *_, **__: Stuttering())
    assert main(["live", "--source", "x"]) == 0
    assert keeper.published == [0, "no picture", 1]
    assert keeper.closed
    assert "no picture; waiting" in capsys.readouterr().err


def test_live_tells_the_same_failure_once(monkeypatch, capsys, tmp_path, gray_images, fake_pipeline):
    monkeypatch.setattr(
        "social_perception.perception.pipeline.make_pipeline",
        lambda *_, **__: fake_pipeline(fails_at=range(100)),
    )
    gray_images(tmp_path, [10] * 4)
    assert main(["live", "--source", str(tmp_path), "--no-ros", "--folder-rate-hz", "50"]) == 0
    assert capsys.readouterr().err.count("the detector is tired") == 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 0)])
def test_live_ends_cleanly_on_a_signal(monkeypatch, pipelines, tmp_path, number, status, rows, fake_pipeline):
    class Interrupting(fake_pipeline):
        def process(self, frame):
            if frame.index == 2:
                os.kill(os.getpid(), number)
            return super().process(frame)

    monkeypatch.setattr(
        "social_perception.perception.pipeline.make_pipeline", lambda *_, **__: Interrupting()
    )
    output = tmp_path / "events.csv"
    argv = ["live", "--source", "sample?people=1", "--no-ros", "--output", str(output), "--duration", "60"]
    assert main(argv) == status
    assert rows(output)


def test_live_ends_with_status_1_after_unreadable_images(pipelines, tmp_path, gray_images, rows, capsys):
    folder, table = tmp_path / "in", tmp_path / "faces.csv"
    folder.mkdir()
    gray_images(folder, [10] * 3)
    (folder / "1.png").write_text("words")
    argv = ["live", "--source", str(folder), "--no-ros", "--output", str(table), "--reproducible", "true"]
    assert main(argv) == 1
    assert [row["frame"] for row in rows(table)] == ["0", "1"]
    assert len(pipelines[0].usages) == 2
    assert "1 of 3 images were skipped: 1.png is not an image that can be read" in capsys.readouterr().err
