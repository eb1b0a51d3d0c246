import os
import threading

import av
import pytest
from pympi.Elan import Eaf

from social_perception.cli.annotation import _FRAMES_AHEAD, _processed
from social_perception.cli.main import main
from social_perception.core.errors import ModelError
from social_perception.research.training.elan_tiers import find_video, read_tiers
from social_perception.sources.video import VideoSource


def test_annotate_writes_everything(tmp_path, pipelines, capsys, rows, write_video):
    video = write_video(tmp_path / "meeting.mp4")
    assert main(["annotate", str(video), "--output", str(tmp_path / "out"), "--window-s", "7"]) == 0
    folder = tmp_path / "out" / "meeting"
    names = {"faces.csv", "faces.parquet", "group.csv", "group.parquet", "meeting.eaf", "annotated.mp4",
             "timeline.png", "report.html", "annotation.json"}  # fmt: skip
    assert {path.name for path in folder.iterdir()} == names
    assert os.listdir(tmp_path / "out") == ["meeting"]
    assert "frames 24, faces 1" in capsys.readouterr().out
    pipeline = pipelines[0]
    assert (pipeline.live, pipeline.closed, pipeline.config.group.window_s) == (False, True, 7.0)
    table = rows(folder / "faces.csv")
    assert [row["frame"] for row in table] == [str(n) for n in range(24)]
    assert [float(row["stamp_s"]) for row in table] == pytest.approx([n / 10 for n in range(24)], abs=1e-3)
    labels = [
        label for *_, label in Eaf(str(folder / "meeting.eaf")).get_annotation_data_for_tier("face anna")
    ]
    assert labels == ["Neutral", "Low", "Medium", "High"]
    with av.open(str(folder / "annotated.mp4")) as container:
        assert len(list(container.decode(video=0))) == 24


def test_annotate_again_replaces_its_own_files_only(tmp_path, pipelines, write_video):
    video = write_video(tmp_path / "meeting.mp4", frames=5)
    folder = tmp_path / "out" / "meeting"
    argv = ["annotate", str(video), "--output", str(tmp_path / "out")]
    assert main(argv) == 0
    (folder / "notes.txt").write_text("mine")
    (folder / "meeting.eaf").write_text("corrected by hand")
    assert main([*argv, "--no-video", "--no-plot", "--no-report"]) == 0
    assert {path.name for path in folder.iterdir()} == {
        "annotation.json", "faces.csv", "faces.parquet", "group.csv", "group.parquet", "meeting.eaf",
        "meeting.eaf.bak", "notes.txt",
    }  # fmt: skip
    assert (folder / "meeting.eaf.bak").read_text() == "corrected by hand"


def test_a_broken_video_among_good_ones_does_not_stop_them(tmp_path, pipelines, capsys, write_video):
    (tmp_path / "broken.mp4").write_text("words")
    good = write_video(tmp_path / "good.mp4", frames=3)
    output = tmp_path / "out"
    argv = ["annotate", str(tmp_path / "broken.mp4"), str(good), "--output", str(output), "--no-video"]
    assert main([*argv, "--jobs", "1"]) == 1
    assert sorted(os.listdir(output)) == ["corpus.csv", "good"]
    assert "broken.mp4 is not a video that can be read" in capsys.readouterr().err


def test_two_videos_of_one_name_are_refused(tmp_path, pipelines, capsys):
    argv = ["annotate", "a/talk.mp4", "b/talk.mov", "--output", str(tmp_path / "out")]
    assert main(argv) == 1
    assert "a/talk.mp4, b/talk.mov would all be written to talk" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file_is_an_error(tmp_path, pipelines, capsys, write_video):
    video = write_video(tmp_path / "meeting.mp4", frames=3)
    (tmp_path / "out").write_text("a file")
    assert main(["annotate", str(video), "--output", str(tmp_path / "out")]) == 1
    assert "out/.meeting.part cannot be made: " in capsys.readouterr().err


def test_frames_that_fail_are_dropped_and_counted(
    tmp_path, monkeypatch, capsys, rows, write_video, fake_pipeline
):
    monkeypatch.setattr(
        "social_perception.perception.pipeline.make_pipeline", lambda *_, **__: fake_pipeline(fails_at={1, 3})
    )
    video = write_video(tmp_path / "meeting.mp4", frames=5)
    assert main(["annotate", str(video), "--output", str(tmp_path / "out"), "--no-video", "--no-plot"]) == 0
    assert [row["frame"] for row in rows(tmp_path / "out" / "meeting" / "group.csv")] == ["0", "2", "4"]
    assert "2 frames failed and were dropped: the detector is tired" in capsys.readouterr().err


@pytest.fixture
def halved_pipeline(fake_pipeline):
    """A pipeline of two halves; the first frame's second half ends when the second frame's first has."""

    class Halved(fake_pipeline):
        def __init__(self):
            super().__init__(fails_at={2})
            self.tracked = 0
            self.is_ahead = threading.Event()

        @property
        def halves(self):
            return self.track, self.estimate

        def track(self, frame):
            self.tracked += 1
            if frame.index:
                self.is_ahead.set()
            return super().process(frame)

        def estimate(self, affect):
            assert self.is_ahead.wait(60)
            return affect

    return Halved()


def test_the_next_frame_is_tracked_while_one_is_estimated(
    tmp_path, monkeypatch, rows, write_video, halved_pipeline
):
    monkeypatch.setattr(
        "social_perception.perception.pipeline.make_pipeline", lambda *_, **__: halved_pipeline
    )
    video = write_video(tmp_path / "meeting.mp4", frames=30)
    assert main(["annotate", str(video), "--output", str(tmp_path / "out"), "--no-plot"]) == 0
    frames = [int(row["frame"]) for row in rows(tmp_path / "out" / "meeting" / "faces.csv")]
    assert frames == [0, 1, *range(3, 30)]


def test_few_frames_are_decoded_and_tracked_ahead_and_none_after_the_end(
    tmp_path, write_video, halved_pipeline
):
    with VideoSource(write_video(tmp_path / "meeting.mp4", frames=25)) as source:
        before = set(threading.enumerate())
        frames = _processed(source, halved_pipeline, lambda *_: None)
        assert next(frames)[0].index == 0
        frames.close()
        assert halved_pipeline.tracked <= 1 + 2 * _FRAMES_AHEAD
        assert set(threading.enumerate()) <= before


def test_an_interrupted_run_keeps_what_it_wrote(
    tmp_path, monkeypatch, capsys, rows, write_video, fake_pipeline
):
    class Interrupted(fake_pipeline):
        def process(self, frame):
            if frame.index == 3:
                raise KeyboardInterrupt
            return super().process(frame)

    monkeypatch.setattr("social_perception.perception.pipeline.make_pipeline", lambda *_, **__: Interrupted())
    video = write_video(tmp_path / "meeting.mp4", frames=8)
    assert main(["annotate", str(video), "--output", str(tmp_path / "out"), "--no-video"]) == 130
    assert len(rows(tmp_path / "out" / ".meeting.part" / "faces.csv")) == 3
    assert not (tmp_path / "out" / "meeting").exists()
    assert "was not completed" in capsys.readouterr().err


def test_a_missing_model_stops_annotate_at_once(tmp_path, monkeypatch, capsys, write_video):
    def make(*_, **__):
        raise ModelError("no smile network")

    monkeypatch.setattr("social_perception.perception.pipeline.make_pipeline", make)
    videos = [str(write_video(tmp_path / f"{name}.mp4", frames=2)) for name in "ab"]
    assert main(["annotate", *videos, "--output", str(tmp_path / "out"), "--jobs", "1"]) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert errors == ["social-perception: error: no smile network"]


def test_annotate_follows_a_real_smile(tmp_path, shared, rows):
    from scipy.stats import spearmanr

    from social_perception.perception.smile.weights import shipped_path

    if not shipped_path().is_file():
        pytest.skip("the network is not there yet")
    clip = shared / "clips" / "single_face.mp4"
    argv = [
        "annotate",
        str(clip),
        "--output",
        str(tmp_path),
        "--no-video",
        "--no-plot",
        "--min-face-px",
        "80",
    ]
    assert main(argv) == 0
    found = {int(row["frame"]): row for row in rows(tmp_path / "single_face" / "faces.csv")}
    assert len({row["face_id"] for row in found.values()}) == 1
    rated = [
        row for row in rows(shared / "clips" / "clip_levels.csv") if row["clip"].startswith("single_face")
    ]
    levels, intensities = [], []
    for row in rated:
        rating = [float(row[name]) for name in row if name.startswith("rater") and row[name]]
        seen = found.get(int(row["frame"]))
        if rating and seen and seen["intensity"]:
            levels.append(sum(rating) / len(rating))
            intensities.append(float(seen["intensity"]))
    assert len(levels) >= 5
    assert spearmanr(levels, intensities).statistic > 0.6


@pytest.mark.parametrize("name", ["13:28:35", "a$b_c$\\frac", "100%d?", os.fsdecode(b"na\xefve")])
def test_files_and_folders_of_any_name_are_annotated_once(tmp_path, pipelines, capsys, write_video, name):
    video = write_video(tmp_path / "plain.mp4", frames=3).rename(tmp_path / f"{name}.mp4")
    argv = ["annotate", str(video), "--output", str(tmp_path / f"out {name}"), "--jobs", "1"]
    assert main(argv) == 0
    folder = tmp_path / f"out {name}" / name
    assert {"annotated.mp4", "faces.parquet", "timeline.png", f"{name}.eaf"} <= set(os.listdir(folder))
    assert find_video(folder / f"{name}.eaf").samefile(video)
    assert main(argv) == 0
    assert "already done" in capsys.readouterr().out


def test_a_table_holds_names_that_are_not_unicode(tmp_path, scorer, gray_images, rows):
    gray_images(tmp_path, [100])
    (tmp_path / "0.png").rename(tmp_path / os.fsdecode(b"na\xefve.png"))
    assert main(["score", str(tmp_path), "--output", str(tmp_path / "scores.csv")]) == 0
    assert [row["name"] for row in rows(tmp_path / "scores.csv")] == ["na\\udcefve.png"]


@pytest.mark.parametrize("place", ["meeting.eaf", "out/meeting/meeting.eaf"])
def test_the_time_origin_of_an_earlier_elan_file_is_kept(tmp_path, pipelines, write_video, place):
    video = write_video(tmp_path / "meeting.mp4")
    argv = [
        "annotate",
        str(video),
        "--output",
        str(tmp_path / "out"),
        "--no-video",
        "--no-plot",
        "--no-report",
    ]
    assert main(argv) == 0
    written = tmp_path / "out" / "meeting" / "meeting.eaf"
    without = Eaf(str(written)).get_annotation_data_for_tier("face anna")
    eaf = Eaf(author="somebody")
    eaf.add_linked_file(video.as_uri(), mimetype="video/mp4", time_origin=500)
    eaf.to_file(str(tmp_path / place))
    assert main([*argv, "--force"]) == 0
    eaf = Eaf(str(written))
    assert [link["TIME_ORIGIN"] for link in eaf.get_linked_files()] == ["500"]
    shifted = [(max(0, start - 500), end - 500, word) for start, end, word in without if end > 500]
    assert eaf.get_annotation_data_for_tier("face anna") == shifted
    (tier,) = read_tiers(written)
    assert tier.end_s == pytest.approx([end / 1000 for _, end, _ in without if end > 500])
