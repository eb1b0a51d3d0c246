"""The protocol of sinks, the choice of a format, and the sinks that have no file of tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from factories import affect, face, frame, group

from social_perception.core.errors import OutputError
from social_perception.core.types import Box, SmileLevel
from social_perception.sinks.json_lines import JsonLinesSink
from social_perception.sinks.registry import SINKS, formats, table_format
from social_perception.sinks.sink import FailSafeSink, Sink


class Script(Sink):
    """Keeps its calls; fails in some of them."""

    def __init__(self, *failing: str) -> None:
        self.failing = failing
        self.calls: list[str] = []

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name in self.failing:
            raise OutputError(f"{name} failed")

    def add(self, frame, affect) -> None:
        self._call("add")

    def stale(self, affect, reason) -> None:
        self._call("stale")

    def close(self) -> None:
        self._call("close")

    def abort(self) -> None:
        self._call("abort")


@pytest.mark.parametrize(
    ("failing", "calls", "failed"),
    [
        ([], ["add", "stale", "add", "close"], False),
        (["add"], ["add", "abort"], True),
        (["stale"], ["add", "stale", "abort"], True),
        (["close"], ["add", "stale", "add", "close"], True),
    ],
)
@pytest.mark.parametrize("interrupted", [False, True])
def test_a_fail_safe_sink_ends_at_the_first_failure(failing, calls, failed, interrupted, caplog) -> None:
    script = Script(*failing)
    sink = FailSafeSink(script)

    def run() -> None:
        with sink:
            sink.add(frame(), affect())
            sink.stale(affect(), "no image")
            sink.add(frame(), affect())
            if interrupted:
                raise KeyboardInterrupt

    if interrupted:
        with pytest.raises(KeyboardInterrupt):
            run()
    else:
        run()
    assert (script.calls, sink.failed) == (calls, failed)
    assert [record.getMessage() for record in caplog.records] == [
        f"{name} failed; nothing more is recorded, what was before can be read" for name in failing
    ]


@pytest.mark.parametrize(("error", "last"), [(None, "close"), (KeyboardInterrupt, "abort")])
def test_a_sink_is_completed_unless_its_run_fails(error, last) -> None:
    script = Script()
    if error is None:
        with script:
            pass
    else:
        with pytest.raises(error), script:
            raise error
    assert script.calls == [last]


@pytest.mark.parametrize(
    ("name", "people", "expected"),
    [
        ("events.csv", True, "faces"),
        ("events.csv", False, "group"),
        ("events.CSV", True, "faces"),
        ("/dev/stdout", True, "faces"),
        ("events.mcap", False, "group"),
        ("events.jsonl", True, "json"),
        ("events.jsonl", False, "json"),
    ],
)
def test_the_format_of_a_growing_file_is_that_of_its_suffix(name, people, expected) -> None:
    assert table_format(Path(name), people=people) is SINKS[expected]


def test_without_people_no_format_reports_single_people() -> None:
    assert set(formats(people=False)) == {"group", "mcap", "json", "group_parquet", "sound"}


def test_json_lines_have_the_values_of_the_messages_and_null_for_the_unknown(tmp_path) -> None:
    path = tmp_path / "results.jsonl"
    shown = face("anna", 0.7, box=Box(1.0, 2.0, 30.004, 40.0))
    with JsonLinesSink(path, in_place=True) as sink:
        sink.add(frame(), affect(shown, face("ben", None), stamp_s=0.1, index=3, group=group(2)))
        assert len(path.read_text().splitlines()) == 1, "each line is in the file at once"
        sink.add(frame(), affect(stamp_s=0.2, index=4))
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    anna, ben = first["faces"]
    assert (first["stamp_s"], first["frame"]) == (0.1, 3)
    assert (anna["id"], anna["visible"]) == ("anna", True)
    assert anna["box"] == {"left": 1.0, "top": 2.0, "width": 30.0, "height": 40.0}
    assert (anna["intensity"], anna["level"], anna["valid"]) == (0.7, SmileLevel.of_intensity(0.7), True)
    assert (ben["intensity"], ben["level"], ben["valid"]) == (None, None, False)
    assert first["group"]["face_ids"] == ["a", "b"]
    assert first["group"]["synchrony"] is None
    assert second == {"stamp_s": 0.2, "frame": 4, "faces": [], "group": None}
