import dataclasses
import json

import pytest

from social_perception.cli import bench
from social_perception.cli.main import main
from social_perception.research.benchmarks import run as benchmarks
from social_perception.research.benchmarks.criteria import FAILED, INCONCLUSIVE, PASSED, Criterion
from social_perception.research.benchmarks.markdown import BEGIN, END
from social_perception.research.benchmarks.report import VERSION, Machine, Report, Stream, to_json
from social_perception.research.benchmarks.run import PARTS

REPORT = Report(VERSION, Machine("Some CPU", 2, 1, (), None, 8.0, 0.0, ()), True, 1.0)
CHECKED = Stream("topics", "cpu", 8, criteria=(Criterion("something holds", "it does", PASSED),))
BROKEN = dataclasses.replace(CHECKED, criteria=(*CHECKED.criteria, Criterion("another", "does not", FAILED)))


@pytest.fixture
def runs(monkeypatch):
    """What would have been measured."""
    asked = []

    def run(parts, *, quick, peer_models):
        asked.append((tuple(parts), quick, *map(str, peer_models.values())))
        return REPORT

    def soak(seconds):
        asked.append(seconds)
        return dataclasses.replace(REPORT, soak=(CHECKED,))

    def overload(seconds):
        asked.append(seconds)
        return dataclasses.replace(REPORT, overload=(CHECKED,))

    monkeypatch.setattr(benchmarks, "run", run)
    monkeypatch.setattr(benchmarks, "soak", soak)
    monkeypatch.setattr(benchmarks, "overload", overload)
    return asked


@pytest.mark.parametrize(
    ("argv", "asked"),
    [
        ([], (bench.PARTS, False)),
        (["--quick"], (bench.PARTS, True)),
        (["--only", "growth, scoring"], (("scoring", "growth"), False)),
        (["--only", "peers", "--peer-model", "a.task"], (("peers",), False, "a.task")),
        (["--soak", "90"], 90.0),
        (["--overload", "45"], 45.0),
        (["--overload"], bench.OVERLOAD_S),
    ],
)
def test_it_measures_what_is_asked(argv, asked, runs, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.task").touch()
    assert main(["bench", *argv]) == 0
    assert runs == [asked]
    assert "Some CPU" in capsys.readouterr().out


def test_the_parts_are_those_that_can_be_measured():
    assert bench.PARTS == PARTS


@pytest.mark.parametrize(
    "argv",
    [
        ["--only", "dancing"],
        ["--only", ""],
        ["--soak", "0"],
        ["--soak", "long"],
        ["--soak", "9", "--only", "scoring"],
        ["--soak", "9", "--overload"],
        ["--overload", "0"],
        ["--from", "x.json", "--soak", "9"],
        ["--sideways"],
    ],
)
def test_wrong_usage_is_one_error_and_status_2(argv, runs, capsys):
    assert main(["bench", *argv]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    assert len(errors) == 1
    assert not runs


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--json", "file/bench.json"], "file/bench.json cannot be written: "),
        (["--figure", "file/bench.png"], "file/bench.png cannot be written: "),
        (["--json", "folder"], "folder cannot be written: it is a folder"),
        (["--markdown", "missing.md"], "missing.md cannot be read: "),
        (["--markdown", "file"], "file has no lines "),
        (["--from", "missing.json"], "missing.json cannot be read: "),
        (["--from", "file"], "file is not a report of bench: "),
        (["--from", "file", "--quick"], "--quick goes with neither --soak nor --overload nor --from"),
        (["--overload", "--quick"], "--quick goes with neither --soak nor --overload nor --from"),
        (["--soak", "9", "--markdown", "file"], "file has no lines <!-- soak: begin -->"),
        (["--peer-model", "file"], "file is not a model of a peer: it must end in "),
        (["--peer-model", "missing.task"], "missing.task cannot be read: "),
        (["--peer-model", "a.task", "--only", "web"], "--peer-model goes with the part peers only"),
        (["--peer-model", "a.task", "--soak", "9"], "--peer-model goes with the part peers only"),
        (["--overload", "--markdown", "file"], "file has no lines <!-- overload: begin -->"),
    ],
)
def test_invalid_options_are_one_line_before_the_work(argv, message, runs, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("words")
    (tmp_path / "folder").mkdir()
    assert main(["bench", *argv]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"social-perception: error: {message}")
    assert not runs


def test_an_earlier_run_is_shown_and_written_without_measuring(runs, capsys, tmp_path):
    page, picture = tmp_path / "page.md", tmp_path / "new" / "bench.png"
    (tmp_path / "bench.json").write_text(to_json(REPORT))
    page.write_text(f"{BEGIN}\n{END}\n")
    argv = ["--from", str(tmp_path / "bench.json"), "--markdown", str(page), "--figure", str(picture)]
    assert main(["bench", *argv]) == 0
    assert not runs
    assert "Some CPU" in capsys.readouterr().out
    assert "Some CPU" in page.read_text()
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_trial_leaves_nothing_behind(runs, tmp_path, monkeypatch):
    def interrupted(parts, *, quick, peer_models):
        raise KeyboardInterrupt

    monkeypatch.setattr(benchmarks, "run", interrupted)
    assert main(["bench", "--json", str(tmp_path / "bench.json")]) == 130
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_quick_run_measures_every_part(tmp_path, capsys):
    path = tmp_path / "bench.json"
    assert main(["bench", "--quick", "--json", str(path)]) == 0
    found = json.loads(path.read_text())
    assert found["quick"] is True
    assert [each["what"] for each in found["scoring"] if each["device"] == "cpu"] == ["1 face", "2 faces"]
    for comparison in [*found["scoring"], *found["detector"], *found["peers"]]:
        sides = {side["name"]: side for side in comparison["sides"]}
        assert all((side["seconds"] is None) == bool(side["reason"]) for side in sides.values())
        for ratio in comparison["ratios"]:
            slow, fast = sides[ratio["slow"]]["per_second"], sides[ratio["fast"]]["per_second"]
            expected = None if slow is None or fast is None else pytest.approx(fast / slow)
            assert ratio["value"] == expected
    assert [[side["faces"] for side in each["sides"]] for each in found["backends"]] == [
        [0, 0],
        [0, 0],
        [1, 1],
    ]
    assert {each["mode"] for each in found["pipeline"]} == {"topics", "no ROS"}
    for stream in found["pipeline"]:
        assert (stream["per_second"] is None) == bool(stream["reason"])
    assert next(each for each in found["pipeline"] if each["mode"] == "no ROS")["per_second"] > 0
    assert len([each for each in found["growth"] if each["device"] == "cpu"]) == 5
    assert all(limit["matrix_product"] > 0 for limit in found["limits"])
    assert "### Arithmetic efficiency" in capsys.readouterr().out


def test_a_soak_is_reported_with_its_slope(monkeypatch, capsys):
    asked = []

    def play(request):
        asked.append(request)
        return (Stream("topics", request.device, request.people, reason="dropped"), CHECKED)

    monkeypatch.setattr(benchmarks, "measure_soak", play)
    assert main(["bench", "--soak", "12"]) == 0
    (request,) = asked
    assert (request.seconds, request.coming_and_going, request.parts) == (12.0, True, benchmarks.SOAK_PARTS)
    assert "MB per min" in capsys.readouterr().out


def test_an_overload_is_played_in_both_ways(monkeypatch, capsys):
    asked = []

    def play(request, mode):
        asked.append((request.seconds, request.parts, mode))
        return dataclasses.replace(CHECKED, mode=mode)

    monkeypatch.setattr(benchmarks, "measure_overload", play)
    assert main(["bench", "--overload", "7"]) == 0
    assert asked == [(7.0, benchmarks.OVERLOAD_PARTS, "topics"), (7.0, benchmarks.OVERLOAD_PARTS, "no ROS")]
    assert "### Overload" in capsys.readouterr().out


def test_an_overload_that_is_interrupted_keeps_what_it_has(monkeypatch, tmp_path):
    def play(request, mode):
        if mode == "no ROS":
            raise KeyboardInterrupt
        return CHECKED

    monkeypatch.setattr(benchmarks, "measure_overload", play)
    path = tmp_path / "overload.json"
    assert main(["bench", "--overload", "--json", str(path)]) == 130
    first, second = json.loads(path.read_text())["overload"]
    assert first["criteria"]
    assert (second["reason"], second["interrupted"]) == ("interrupted", True)


OPEN_ONE = dataclasses.replace(CHECKED, criteria=(Criterion("memory", "too short", INCONCLUSIVE),))


@pytest.mark.parametrize("what", ["soak", "overload"])
@pytest.mark.parametrize(
    ("found", "status"),
    [
        ([CHECKED], 0),
        ([OPEN_ONE], 0),
        ([CHECKED, BROKEN], 1),
        ([dataclasses.replace(CHECKED, interrupted=True)], 130),
        ([dataclasses.replace(BROKEN, interrupted=True)], 1),
        ([Stream("topics", "cpu", 8, reason="dropped")], 1),
        ([Stream("topics", "cpu", 8, reason="dropped"), CHECKED], 0),
    ],
)
def test_a_broken_promise_is_the_exit_status(what, found, status, monkeypatch, tmp_path):
    report = dataclasses.replace(REPORT, **{what: tuple(found)})
    monkeypatch.setattr(benchmarks, what, lambda seconds: report)
    path, page = tmp_path / "found.json", tmp_path / "page.md"
    page.write_text(f"<!-- {what}: begin -->\n<!-- {what}: end -->\nafter\n")
    argv = ["bench", f"--{what}", "9", "--json", str(path), "--markdown", str(page)]
    assert main(argv) == status
    assert json.loads(path.read_text())[what]
    assert "Some CPU" in page.read_text()
    # To look at it once more is no failure.
    assert main(["bench", "--from", str(path), "--markdown", str(page)]) == 0
