"""A corpus: which videos there are, where their results go, what is done already, and the summary."""

import csv
import dataclasses
import errno
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

from social_perception.cli import annotation
from social_perception.cli.corpus import plan
from social_perception.cli.main import main
from social_perception.core.errors import ConfigurationError, ImageError, OutputError, SourceError
from social_perception.sinks.registry import SINKS
from social_perception.sinks.sink import Sink


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def places(videos, output):
    return {str(job.video): job.folder.relative_to(output).as_posix() for job in plan(videos, output)}


def test_results_of_a_folder_lie_as_its_videos_lie(tmp_path):
    folder = touch(tmp_path / "in", "talk.mp4", "b/talk.MOV", "b/c/-ä x.mkv", "b/notes.txt", "b/.hidden.mp4")
    assert places([folder], tmp_path / "out") == {
        f"{folder}/talk.mp4": "talk",
        f"{folder}/b/talk.MOV": "b/talk",
        f"{folder}/b/c/-ä x.mkv": "b/c/-ä x",
    }


def test_videos_that_differ_in_their_endings_keep_them(tmp_path):
    folder = touch(tmp_path / "in", "talk.mp4", "talk.mov", "other.mp4")
    found = {
        f"{folder}/talk.mp4": "talk.mp4",
        f"{folder}/talk.mov": "talk.mov",
        f"{folder}/other.mp4": "other",
    }
    assert places([folder], tmp_path / "out") == found


def test_an_animated_image_is_a_video_and_a_still_one_is_not(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    shades = [Image.new("L", (8, 6), shade) for shade in (0, 255)]
    shades[0].save(folder / "moving.gif", save_all=True, append_images=shades[1:])
    shades[0].save(folder / "still.gif")
    shades[0].save(folder / "still.png")
    assert places([folder], tmp_path / "out") == {f"{folder}/moving.gif": "moving"}


def test_several_folders_keep_their_names(tmp_path):
    one, two = (touch(tmp_path / name, "talk.mp4") for name in ("one", "two"))
    file = touch(tmp_path, "talk.mp4") / "talk.mp4"
    assert places([one, two, file], tmp_path / "out") == {
        f"{one}/talk.mp4": "one/talk", f"{two}/talk.mp4": "two/talk", str(file): "talk",
    }  # fmt: skip


def test_results_are_no_videos_of_the_corpus(tmp_path):
    folder = touch(tmp_path / "in", "talk.mp4", "out/talk/annotated.mp4", "annotated.mp4")
    earlier = touch(folder, "before/talk/annotated.mp4", "before/talk/annotation.json")
    found = {f"{folder}/talk.mp4": "talk", f"{folder}/annotated.mp4": "annotated"}
    assert places([earlier], folder / "out") == found


def test_results_may_lie_beside_the_videos(tmp_path):
    folder = touch(tmp_path, "talk.mp4", "talk/annotated.mp4", "talk/annotation.json")
    assert places([folder], folder) == {f"{folder}/talk.mp4": "talk"}


def test_two_files_for_one_place_are_refused():
    with pytest.raises(
        ConfigurationError, match=r"a/talk.mp4, b/talk.mov would all be written to talk: give"
    ):
        plan([Path("a/talk.mp4"), Path("b/talk.mov")], Path("out"))


def test_a_folder_without_videos_is_an_error(tmp_path):
    with pytest.raises(SourceError, match=r"in has no videos \(.*\.mp4"):
        plan([touch(tmp_path / "in", "notes.txt")], tmp_path / "out")


@pytest.fixture
def corpus(tmp_path, write_video):
    """A folder with two videos and one that is broken."""
    folder = tmp_path / "in"
    (folder / "b").mkdir(parents=True)
    write_video(folder / "one.mp4", frames=5)
    write_video(folder / "b" / "two.mp4", frames=3)
    (folder / "b" / "zero.mp4").write_bytes(b"")
    return folder


def annotate(corpus, *more):
    output = corpus.parent / "out"
    argv = ["annotate", str(corpus), "--output", str(output), "--no-video", "--no-plot", "--jobs", "1", *more]
    return main(argv)


def statuses(corpus):
    with (corpus.parent / "out" / "corpus.csv").open(newline="") as file:
        return {Path(row["video"]).stem: row for row in csv.DictReader(file)}


def test_a_second_run_does_only_what_is_left(corpus, pipelines, capsys):
    assert annotate(corpus) == 1
    first = statuses(corpus)
    assert {stem: row["status"] for stem, row in first.items()} == {
        "one": "done", "two": "done", "zero": "failed",
    }  # fmt: skip
    assert [first["one"][name] for name in ("frames", "faces", "duration_s")] == ["5", "1", "0.500"]
    assert float(first["one"]["mean_intensity"]) == pytest.approx(0.1)  # 0, 1, 2, 3, 4 / 20
    assert first["zero"]["error"].endswith("zero.mp4 is not a video that can be read: it is empty")
    assert "2 done, 0 skipped, 1 failed -> " in capsys.readouterr().out
    assert (len(pipelines), pipelines[0].restarts) == (1, 2)
    assert annotate(corpus) == 1
    again = statuses(corpus)
    assert {stem: row["status"] for stem, row in again.items()} == {
        "one": "skipped", "two": "skipped", "zero": "failed",
    }  # fmt: skip
    assert [again["one"][name] for name in ("frames", "mean_intensity")] == [
        "5",
        first["one"]["mean_intensity"],
    ]
    said = capsys.readouterr().out
    assert "one.mp4: already done -> " in said
    assert "0 done, 2 skipped, 1 failed -> " in said
    assert len(pipelines) == 1


def change_a_video(corpus):
    shutil.copy(corpus / "b" / "two.mp4", corpus / "one.mp4")


def copy_a_video(corpus):
    """The same content, written later."""
    content = (corpus / "one.mp4").read_bytes()
    (corpus / "one.mp4").write_bytes(content)
    os.utime(corpus / "one.mp4", (1e9, 1e9))


def flip_a_byte(corpus):
    """The same size, another content and time."""
    content = bytearray((corpus / "one.mp4").read_bytes())
    content[-1] ^= 1
    (corpus / "one.mp4").write_bytes(content)
    os.utime(corpus / "one.mp4", (1e9, 1e9))


def remove_an_output(corpus):
    (corpus.parent / "out" / "one" / "group.csv").unlink()


def damage_a_manifest(corpus):
    (corpus.parent / "out" / "one" / "annotation.json").write_text("{")


def another_version(corpus):
    path = corpus.parent / "out" / "one" / "annotation.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": "0.0.1"}))


def another_network(corpus):
    path = corpus.parent / "out" / "one" / "annotation.json"
    fields = json.loads(path.read_text())
    path.write_text(json.dumps({**fields, "networks": {**fields["networks"], "smile": "0"}}))


@pytest.mark.parametrize(
    ("change", "more", "done"),
    [
        (lambda _: None, [], []),
        (lambda _: None, ["--force"], ["one", "two"]),
        (lambda _: None, ["--window-s", "7"], ["one", "two"]),
        (lambda _: None, ["--shortest-annotation", "0.1"], ["one", "two"]),
        (change_a_video, [], ["one"]),
        (copy_a_video, [], []),
        (flip_a_byte, [], ["one"]),
        (remove_an_output, [], ["one"]),
        (damage_a_manifest, [], ["one"]),
        (another_version, [], ["one"]),
        (another_network, [], ["one"]),
    ],
    ids=[
        "nothing",
        "force",
        "setting",
        "requested",
        "video",
        "copy",
        "byte",
        "output",
        "manifest",
        "version",
        "network",
    ],
)
def test_what_would_be_otherwise_is_done_again(corpus, pipelines, change, more, done):
    annotate(corpus)
    change(corpus)
    annotate(corpus, *more)
    assert [stem for stem, row in statuses(corpus).items() if row["status"] == "done"] == done


def test_an_interrupted_video_begins_anew(corpus, pipelines, capsys, rows):
    part = corpus.parent / "out" / ".one.part"
    part.mkdir(parents=True)
    (part / "faces.csv").write_text("half a ")
    assert annotate(corpus) == 1
    assert "one.mp4 was interrupted earlier and is annotated again from its start" in capsys.readouterr().err
    assert not part.exists()
    assert len(rows(corpus.parent / "out" / "one" / "faces.csv")) == 5


def test_an_interrupted_run_says_what_is_open(corpus, monkeypatch, capsys, fake_pipeline):
    class Interrupted(fake_pipeline):
        def process(self, frame):
            if frame.index == 3:
                raise KeyboardInterrupt
            return super().process(frame)

    monkeypatch.setattr("social_perception.perception.pipeline.make_pipeline", lambda *_, **__: Interrupted())
    assert annotate(corpus) == 130
    assert "0 done, 0 skipped, 0 failed, 3 left -> " in capsys.readouterr().out
    found = {stem: row["status"] for stem, row in statuses(corpus).items()}
    assert found == {"one": "open", "two": "open", "zero": "open"}
    assert not (corpus.parent / "out" / "one").exists()


def test_without_pyarrow_the_rest_is_written(corpus, pipelines, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    annotation._warn_once.cache_clear()
    annotate(corpus)
    assert {path.name for path in (corpus.parent / "out" / "one").iterdir()} == {
        "annotation.json", "faces.csv", "group.csv", "one.eaf", "report.html",
    }  # fmt: skip
    assert capsys.readouterr().err.count("Parquet files need pyarrow") == 1


def test_an_ended_video_names_people_alike_in_every_run(corpus, monkeypatch, fake_pipeline):
    names = []

    class Naming(fake_pipeline):
        def restart(self, new_id=None):
            names.append((new_id(), new_id()))

    monkeypatch.setattr("social_perception.perception.pipeline.make_pipeline", lambda *_, **__: Naming())
    annotate(corpus)
    annotate(corpus, "--force")
    assert names[:2] == names[2:]
    assert len({name for pair in names for name in pair}) == 4


def test_what_ended_a_run_is_reported_and_not_what_became_of_its_summary(corpus, monkeypatch, capsys):
    def full(*_, **__):
        raise OutputError("the disk is full") from OSError(errno.ENOSPC, "")

    monkeypatch.setattr("social_perception.perception.pipeline.make_pipeline", full)
    (corpus.parent / "out" / ".corpus.csv.part").mkdir(parents=True)
    assert annotate(corpus) == 1
    assert capsys.readouterr().err == "social-perception: error: the disk is full\n"


class Failing(Sink):
    """A sink that fails in one of its methods, for one video."""

    def __init__(self, path, where, error):
        self.path, self.where, self.error = path, where, error
        if "one" in path.parts[-2]:
            path.write_text("half")
            self.fail("open")

    def fail(self, where):
        if where == self.where and "one" in self.path.parts[-2]:
            raise self.error

    def add(self, frame, affect):
        self.fail("add")

    def close(self):
        self.fail("close")
        self.path.write_text("whole")

    def abort(self):
        """Nothing is open."""


@pytest.mark.parametrize("where", ["open", "add", "close"])
def test_an_output_that_fails_costs_this_file_of_this_video_only(
    corpus, pipelines, monkeypatch, capsys, where
):
    (corpus / "b" / "zero.mp4").unlink()
    error = OutputError("results.jsonl cannot be written: odd") if where != "add" else ValueError("odd")
    failing = dataclasses.replace(SINKS["json"], make=lambda path, run: Failing(path, where, error))
    monkeypatch.setitem(SINKS, "json", failing)
    assert annotate(corpus, "--json") == 1
    out = capsys.readouterr()
    assert out.err.count("odd; the other results are made") == 1
    assert "1 done, 0 skipped, 0 failed, 1 incomplete -> " in out.out
    found = statuses(corpus)
    assert {stem: row["status"] for stem, row in found.items()} == {"one": "incomplete", "two": "done"}
    assert "odd" in found["one"]["error"]
    results = {
        stem: {path.name for path in (corpus.parent / "out" / stem).iterdir()} for stem in ("one", "b/two")
    }
    assert results["b/two"] - results["one"] == {"results.jsonl", "annotation.json", "two.eaf"}
    # It is not done: the next run makes it again.
    failing = dataclasses.replace(failing, make=lambda path, run: Failing(path, "nowhere", error))
    monkeypatch.setitem(SINKS, "json", failing)
    assert annotate(corpus, "--json") == 0
    assert {stem: row["status"] for stem, row in statuses(corpus).items()} == {
        "one": "done",
        "two": "skipped",
    }


@pytest.mark.parametrize("view", ["plots.plot_timeline", "report.page.write_report"])
def test_a_plot_or_report_that_fails_costs_nothing_else(corpus, pipelines, monkeypatch, capsys, view):
    def fail(*_, **__):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(f"social_perception.views.{view}", fail)
    argv = ["annotate", str(corpus / "one.mp4"), "--output", str(corpus.parent / "out"), "--no-video"]
    assert main(argv) == 1
    name = "report.html" if "report" in view else "timeline.png"
    assert f"{name} cannot be written: Input/output error; the other results" in capsys.readouterr().err
    names = {path.name for path in (corpus.parent / "out" / "one").iterdir()}
    assert name not in names
    assert {"faces.csv", "group.csv", "one.eaf"} < names
    assert len(names & {"report.html", "timeline.png"}) == 1


@pytest.mark.parametrize("error", [OutputError("its folder cannot be made"), ImageError("odd image")])
def test_what_concerns_one_video_does_not_stop_the_others(corpus, pipelines, monkeypatch, error):
    real = annotation.begin

    def begin(job):
        if job.stem == "one":
            raise error
        real(job)

    monkeypatch.setattr(annotation, "begin", begin)
    assert annotate(corpus) == 1
    found = {stem: row["status"] for stem, row in statuses(corpus).items()}
    assert found == {"one": "failed", "two": "done", "zero": "failed"}
