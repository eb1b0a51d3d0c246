"""A file format that is registered in one line is written by annotate and live."""

from __future__ import annotations

import importlib
import json
import sys

import pytest

from social_perception.cli.main import main
from social_perception.sinks.registry import SINKS

LINES = "".join(f"{n} |\n" for n in range(3))


@pytest.fixture
def tally():
    """The format of dummy_format.py, registered."""
    before = dict(SINKS)
    importlib.import_module("test.cli.dummy_format")
    yield
    SINKS.clear()
    SINKS.update(before)
    del sys.modules["test.cli.dummy_format"]


def test_annotate_has_an_option_and_a_file_for_it(tally, tmp_path, pipelines, write_video, capsys) -> None:
    video = write_video(tmp_path / "talk.mp4", frames=3)
    argv = ["annotate", str(video), "--output", str(tmp_path / "out"), "--no-video", "--no-plot"]
    assert main([*argv, "--tally"]) == 0
    path = tmp_path / "out" / "talk" / "faces.tally"
    assert path.read_text() == LINES + "end\n"
    manifest = json.loads(path.with_name("annotation.json").read_text())
    assert "faces.tally" in manifest["outputs"]
    assert "tally" in manifest["settings"]["output"]["sinks"]
    assert main(["annotate", "--help"]) == 0
    assert "--tally" in capsys.readouterr().out
    # Without the option the results are others, and the file of the earlier run is none of them.
    assert main(argv) == 0
    assert not path.exists()


def test_live_writes_it_by_its_suffix(tally, tmp_path, pipelines, gray_images) -> None:
    gray_images(tmp_path, [10, 20, 30])
    path = tmp_path / "events.tally"
    argv = ["live", "--source", str(tmp_path), "--no-ros", "--reproducible", "--output", str(path)]
    assert main(argv) == 0
    assert path.read_text() == LINES + "end\n"


def test_annotate_writes_json_lines_where_requested(tmp_path, pipelines, write_video) -> None:
    video = write_video(tmp_path / "talk.mp4", frames=3)
    argv = ["annotate", str(video), "--output", str(tmp_path / "out"), "--no-video", "--no-plot", "--json"]
    for flags, people in (([], ["anna"]), (["--anonymous"], [])):
        assert main([*argv, *flags]) == 0
        text = (tmp_path / "out" / "talk" / "results.jsonl").read_text()
        frames = [json.loads(line) for line in text.splitlines()]
        assert [each["frame"] for each in frames] == [0, 1, 2]
        assert [face["id"] for face in frames[0]["faces"]] == people
