import argparse
import csv
import json
import os
import re
import signal
import subprocess
import sys
import threading

import av
import numpy as np
import pytest
from PIL import Image
from pympi.Elan import Eaf

from social_perception import __version__
from social_perception.cli import live
from social_perception.cli.main import main
from social_perception.cli.options import add_pipeline_settings, pipeline_settings
from social_perception.core.config import PipelineConfig, settings_of
from social_perception.core.errors import DetectionError, ModelError, SourceTimeout
from social_perception.core.types import (
    Box,
    Face,
    FaceAffect,
    Frame,
    FrameAffect,
    GroupAffect,
    Smile,
    SmileLevel,
    Track,
)

UNKNOWN_GROUP = GroupAffect(
    0.0, 0, 0, *[float("nan")] * 4, SmileLevel.UNKNOWN, *[float("nan")] * 2, 0.0, (), False
)


def smile(intensity):
    return Smile(intensity, SmileLevel.of_intensity(intensity), (0.25,) * 4, 9, True)


class FakeAggregator:
    def current(self, silence_s):
        return UNKNOWN_GROUP


class FakePipeline:
    """Finds one face in every frame; its smile grows with the frame's index."""

    aggregator = FakeAggregator()

    def __init__(self, fails_at=()):
        self.fails_at = fails_at
        self.closed = False

    def process(self, frame):
        if frame.index in self.fails_at:
            raise DetectionError("the detector is tired")
        track = Track("anna", Box(10, 10, 20, 20), 0.9)
        face = FaceAffect(track, smile(min(1.0, frame.index / 20)))
        return FrameAffect(frame.stamp_s, frame.index, frame.width, frame.height, (face,), UNKNOWN_GROUP)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closed = True


class FakeDetector:
    """Finds a face in every picture that is not dark, and a larger one in a bright one."""

    def detect(self, image):
        if image.mean() < 30:
            return ()
        small = Face(Box(2, 2, 10, 10), 0.9)
        return (small, Face(Box(1, 1, 14, 14), 0.5)) if image.mean() > 200 else (small,)


class FakeScorer:
    """The brighter the crop, the more it smiles; remembers how many came at once."""

    def __init__(self):
        self.batches = []

    def score_still(self, crops):
        self.batches.append(len(crops))
        return tuple(smile(float(crop.mean() / 255)) for crop in crops)


@pytest.fixture
def pipelines(monkeypatch):
    """The pipelines that commands made."""
    made = []

    def make(config, *, live):
        made.append(FakePipeline())
        made[-1].config, made[-1].live = config, live
        return made[-1]

    monkeypatch.setattr("social_perception.pipeline.make_pipeline", make)
    return made


@pytest.fixture
def scorer(monkeypatch):
    fake = FakeScorer()
    monkeypatch.setattr("social_perception.detection.factory.make_detector", lambda *_, **__: FakeDetector())
    monkeypatch.setattr("social_perception.smile.factory.make_scorer", lambda _: fake)
    monkeypatch.setattr(
        "social_perception.detection.still.detect_in_still", lambda detector, image: detector.detect(image)
    )
    return fake


def write_video(path, frames=24, size=(64, 48)):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(frames):
            pixels = np.full((size[1], size[0], 3), 5 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def gray_images(folder, values):
    for number, value in enumerate(values):
        Image.new("RGB", (16, 16), (value,) * 3).save(folder / f"{number}.png")
    return folder


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_version_is_told(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"social-perception {__version__}\n"


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["dance"],
        ["annotate", "a.mp4"],
        ["live", "--duration", "0"],
        ["live", "--backend", "magic"],
        ["live", "--min-face-px", "7"],
        ["live", "--min-face-px", "many"],
        ["send", "sample"],
    ],
)
def test_wrong_usage_is_status_2(argv, capsys):
    assert main(argv) == 2
    assert "usage: social-perception" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", ["live", "annotate", "score", "detect", "train", "evaluate", "doctor", "send"]
)
def test_every_command_has_help(command, capsys):
    assert main([command, "--help"]) == 0
    assert "usage: social-perception" in capsys.readouterr().out


def test_help_loads_no_heavy_package():
    code = (
        "import sys; from social_perception.cli.main import main; main(['annotate', '--help']); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'cv2', 'av', 'matplotlib', 'rclpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


def test_every_setting_has_a_flag_and_the_defaults_are_the_configurations():
    parser = argparse.ArgumentParser()
    add_pipeline_settings(parser)
    assert pipeline_settings(parser.parse_args([])) == PipelineConfig()
    changed = pipeline_settings(
        parser.parse_args(["--device", "cpu", "--window-s", "9", "--max-gap-s", "1.5"])
    )
    assert (changed.detection.device, changed.smile.device) == ("cpu", "cpu")
    assert (changed.group.window_s, changed.smile.max_gap_s) == (9.0, 1.5)
    flags = set(parser._option_string_actions)
    for config in (PipelineConfig().detection, PipelineConfig().tracking, PipelineConfig().smile):
        assert {"--" + item.name.replace("_", "-") for item in settings_of(config)} <= flags


BAD_FILES = {
    "missing.mp4": None,
    "empty.mp4": b"",
    "text.mp4": b"Minutes of the meeting\n" * 100,
    "image.mp4": b"\xff\xd8\xff\xe0nonsense",
}


@pytest.mark.parametrize("name", BAD_FILES)
@pytest.mark.parametrize("command", ["annotate", "live", "send"])
def test_a_bad_video_is_one_clear_line_and_status_1(tmp_path, command, name, pipelines, capsys):
    path = tmp_path / name
    if BAD_FILES[name] is not None:
        path.write_bytes(BAD_FILES[name])
    argv = {
        "annotate": ["annotate", str(path), "--output", str(tmp_path / "out")],
        "live": ["live", "--source", str(path), "--no-ros"],
        "send": ["send", str(path), "tcp://127.0.0.1:9", "--wait", "0"],
    }
    assert main(argv[command]) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(errors) == 1
    assert errors[0].startswith("social-perception: error: ")
    assert name in errors[0]


@pytest.mark.parametrize("command", ["score", "detect"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "missing does not exist"),
        ("empty", "empty has no image files"),
        ("broken", "none of the 2 images in .*broken can be read"),
        ("words.png", "words.png is not an image that can be read"),
    ],
)
def test_a_bad_folder_is_one_clear_line_and_status_1(tmp_path, command, name, message, scorer, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    for path in ("broken/1.png", "broken/2.jpg", "words.png"):
        (tmp_path / path).write_text("words")
    assert main([command, str(tmp_path / name), "--output", str(tmp_path / "table.csv")]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("social-perception: error: ")
    assert re.search(message, last)
    assert not (tmp_path / "table.csv").exists()


def test_verbose_shows_where_an_error_came_from(tmp_path, capsys):
    for argv in (["--verbose", "score"], ["score", "--verbose"]):
        assert main([*argv, str(tmp_path / "missing"), "--output", "x.csv"]) == 1
        assert "Traceback" in capsys.readouterr().err


def test_annotate_writes_everything(tmp_path, pipelines, capsys):
    video = write_video(tmp_path / "meeting.mp4")
    assert main(["annotate", str(video), "--output", str(tmp_path / "out"), "--window-s", "7"]) == 0
    folder = tmp_path / "out" / "meeting"
    names = {"faces.csv", "group.csv", "meeting.eaf", "annotated.mp4", "timeline.png"}
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


def test_annotate_again_replaces_its_own_files_only(tmp_path, pipelines):
    video = write_video(tmp_path / "meeting.mp4", frames=5)
    folder = tmp_path / "out" / "meeting"
    argv = ["annotate", str(video), "--output", str(tmp_path / "out")]
    assert main(argv) == 0
    (folder / "notes.txt").write_text("mine")
    (folder / "meeting.eaf").write_text("corrected by hand")
    assert main([*argv, "--no-video", "--no-plot"]) == 0
    assert {path.name for path in folder.iterdir()} == {
        "faces.csv", "group.csv", "meeting.eaf", "meeting.eaf.bak", "notes.txt",
    }  # fmt: skip
    assert (folder / "meeting.eaf.bak").read_text() == "corrected by hand"


def test_a_broken_video_among_good_ones_does_not_stop_them(tmp_path, pipelines, capsys):
    (tmp_path / "broken.mp4").write_text("words")
    good = write_video(tmp_path / "good.mp4", frames=3)
    output = tmp_path / "out"
    argv = ["annotate", str(tmp_path / "broken.mp4"), str(good), "--output", str(output), "--no-video"]
    assert main(argv) == 1
    assert os.listdir(output) == ["good"]
    assert "broken.mp4 is not a video that can be read" in capsys.readouterr().err


def test_two_videos_of_one_name_are_refused(tmp_path, pipelines, capsys):
    argv = ["annotate", "a/talk.mp4", "b/talk.mov", "--output", str(tmp_path / "out")]
    assert main(argv) == 1
    assert "a/talk.mp4, b/talk.mov would all be written to talk" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file_is_an_error(tmp_path, pipelines, capsys):
    video = write_video(tmp_path / "meeting.mp4", frames=3)
    (tmp_path / "out").write_text("a file")
    assert main(["annotate", str(video), "--output", str(tmp_path / "out")]) == 1
    assert "out/.meeting.part cannot be made: " in capsys.readouterr().err


def test_frames_that_fail_are_left_out_and_counted(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        "social_perception.pipeline.make_pipeline", lambda *_, **__: FakePipeline(fails_at={1, 3})
    )
    video = write_video(tmp_path / "meeting.mp4", frames=5)
    assert main(["annotate", str(video), "--output", str(tmp_path / "out"), "--no-video", "--no-plot"]) == 0
    assert [row["frame"] for row in rows(tmp_path / "out" / "meeting" / "group.csv")] == ["0", "2", "4"]
    assert "2 frames failed and were left out: the detector is tired" in capsys.readouterr().err


def test_an_interrupted_run_keeps_what_it_wrote(tmp_path, monkeypatch, capsys):
    class Interrupted(FakePipeline):
        def process(self, frame):
            if frame.index == 3:
                raise KeyboardInterrupt
            return super().process(frame)

    monkeypatch.setattr("social_perception.pipeline.make_pipeline", lambda *_, **__: Interrupted())
    video = write_video(tmp_path / "meeting.mp4", frames=8)
    assert main(["annotate", str(video), "--output", str(tmp_path / "out"), "--no-video"]) == 130
    assert len(rows(tmp_path / "out" / ".meeting.part" / "faces.csv")) == 3
    assert not (tmp_path / "out" / "meeting").exists()
    assert "was not completed" in capsys.readouterr().err


def test_a_missing_model_stops_annotate_at_once(tmp_path, monkeypatch, capsys):
    def make(*_, **__):
        raise ModelError("no smile network")

    monkeypatch.setattr("social_perception.pipeline.make_pipeline", make)
    videos = [str(write_video(tmp_path / f"{name}.mp4", frames=2)) for name in "ab"]
    assert main(["annotate", *videos, "--output", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == "social-perception: error: no smile network\n"


def test_score_takes_the_largest_face_of_each_image(tmp_path, scorer, capsys):
    folder = gray_images(tmp_path, [100, 0, 250])
    (folder / "3.png").write_text("words")
    assert main(["score", str(folder), "--output", str(tmp_path / "scores.csv")]) == 0
    table = rows(tmp_path / "scores.csv")
    assert [row["name"] for row in table] == ["0.png", "1.png", "2.png", "3.png"]
    assert [row["found"] for row in table] == ["1", "0", "1", "0"]
    assert [row["width"] for row in table] == ["10", "", "14", ""]
    assert [row["intensity"] for row in table] == [str(round(100 / 255, 4)), "", str(round(250 / 255, 4)), ""]
    captured = capsys.readouterr()
    assert "2 of 4 images have a face" in captured.out
    assert "3.png is not an image that can be read; skipped" in captured.err


def test_score_scores_in_batches(tmp_path, scorer):
    gray_images(tmp_path, [100, 0] * 40)
    assert main(["score", str(tmp_path), "--output", str(tmp_path / "scores.csv")]) == 0
    assert scorer.batches == [32, 8]
    assert [row["found"] for row in rows(tmp_path / "scores.csv")] == ["1", "0"] * 40


@pytest.mark.parametrize("mode", ["L", "I;16", "RGBA", "P"])
def test_score_takes_a_single_image_of_any_kind(tmp_path, scorer, mode):
    image = Image.fromarray(np.full((16, 16), 30_000, np.uint16)) if mode == "I;16" else None
    (image or Image.new("RGB", (16, 16), (120, 120, 120)).convert(mode)).save(tmp_path / "one.png")
    assert main(["score", str(tmp_path / "one.png"), "--output", str(tmp_path / "scores.csv")]) == 0
    assert rows(tmp_path / "scores.csv")[0]["found"] == "1"


def test_a_picture_of_one_pixel_has_no_face(tmp_path):
    Image.new("RGB", (1, 1)).save(tmp_path / "one.png")
    output = tmp_path / "boxes.csv"
    assert main(["detect", str(tmp_path), "--output", str(output), "--backend", "mmod-torch"]) == 0
    assert rows(output) == []


def test_detect_writes_a_row_per_face(tmp_path, scorer, capsys):
    gray_images(tmp_path, [250, 0, 100])
    assert main(["detect", str(tmp_path), "--output", str(tmp_path / "boxes.csv")]) == 0
    table = rows(tmp_path / "boxes.csv")
    assert [row["image"] for row in table] == ["0.png", "0.png", "2.png"]
    assert list(table[0].values()) == ["0.png", "2", "2", "10", "10", "0.9"]
    assert "3 faces in 3 images, 1 of them without a face" in capsys.readouterr().out


def test_live_shows_and_writes_what_is_found(tmp_path, pipelines, capsys):
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


def test_live_without_a_web_page_says_so(capsys):
    assert main(["live", "--web", "8000"]) == 1
    assert "the web page is not part of this version" in capsys.readouterr().err


class Recorder:
    """A publisher that keeps what it is given."""

    topics = ("face_affect",)

    def __init__(self):
        self.published = []
        self.closed = False

    def publish(self, affect, frame):
        self.published.append((affect.index, frame is not None))

    def close(self):
        self.closed = True


class Stuttering:
    """A live source: a frame, silence, a frame, the end."""

    name, live, rate_hz, frame_count = "stuttering", True, None, None

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
    recorder = Recorder()
    monkeypatch.setattr(live, "_ros_publisher", lambda **_: recorder)
    monkeypatch.setattr("social_perception.sources.factory.open_source", lambda *_: Stuttering())
    assert main(["live", "--source", "x"]) == 0
    assert recorder.published == [(0, True), (0, False), (1, True)]
    assert recorder.closed
    assert "no picture; waiting" in capsys.readouterr().err


def test_live_tells_the_same_failure_once(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(
        "social_perception.pipeline.make_pipeline", lambda *_, **__: FakePipeline(fails_at=range(100))
    )
    gray_images(tmp_path, [10] * 4)
    assert main(["live", "--source", str(tmp_path), "--no-ros", "--folder-rate-hz", "50"]) == 0
    assert capsys.readouterr().err.count("the detector is tired") == 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 0)])
def test_live_ends_cleanly_on_a_signal(monkeypatch, pipelines, tmp_path, number, status):
    class Interrupting(FakePipeline):
        def process(self, frame):
            if frame.index == 2:
                os.kill(os.getpid(), number)
            return super().process(frame)

    monkeypatch.setattr("social_perception.pipeline.make_pipeline", lambda *_, **__: Interrupting())
    output = tmp_path / "events.csv"
    argv = ["live", "--source", "sample?people=1", "--no-ros", "--output", str(output), "--duration", "60"]
    assert main(argv) == status
    assert rows(output)


def test_send_reaches_live(tmp_path, pipelines):
    from social_perception.core.config import SourceConfig
    from social_perception.sources.tcp import TcpSource
    from social_perception.sources.tcp_protocol import parse_address

    video = write_video(tmp_path / "meeting.mp4", frames=6)
    with TcpSource(parse_address("tcp://127.0.0.1:0"), SourceConfig(timeout_s=20.0)) as source:
        argv = ["send", str(video), str(source.address), "--rate", "30", "--loop", "--duration", "0.5"]
        status = []
        sender = threading.Thread(target=lambda: status.append(main(argv)))
        sender.start()
        frames = [next(source)]
        while frames[-1].stamp_s < 0.35:
            frames.append(next(source))
        sender.join(20.0)
    assert status == [0]
    stamps = [frame.stamp_s for frame in frames]
    assert stamps == sorted(stamps)
    assert np.allclose(np.array(stamps) * 30, np.round(np.array(stamps) * 30))


def test_send_without_a_receiver_is_an_error(capsys):
    argv = ["send", "sample?people=1", "tcp://127.0.0.1:9", "--wait", "0"]
    assert main(argv) == 1
    assert "nobody listens on tcp://127.0.0.1:9" in capsys.readouterr().err


def test_train_and_evaluate_pass_on_what_was_given(monkeypatch, tmp_path):
    called = []
    for room in ("training", "evaluation"):
        module = type(sys)(f"social_perception.{room}.run")
        module.main = lambda *args, **kwargs: called.append((args, kwargs))
        monkeypatch.setitem(sys.modules, f"social_perception.{room}.run", module)
    assert main(["train", "small.yaml", "--resume", "auto"]) == 0
    assert main(["evaluate", "--model", "a.safetensors", "--no-clips"]) == 0
    (train_args, train_named), (evaluate_args, evaluate_named) = called
    assert (str(train_args[0]), train_named) == ("small.yaml", {"resume": "auto"})
    assert (evaluate_args, evaluate_named["clips"]) == (("a.safetensors",), False)


@pytest.mark.parametrize(("command", "room"), [("train", "training"), ("evaluate", "evaluation")])
def test_a_missing_extra_is_named(command, room, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, f"social_perception.{room}.run", raising=False)
    for name in ("lightning", "pandas", "sklearn", "scipy.stats"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in [
        each
        for each in sys.modules
        if each.startswith(("social_perception.training", "social_perception.evaluation"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    assert main([command, *(["small.yaml"] if command == "train" else [])]) == 1
    assert "pip install 'social_perception[train]'" in capsys.readouterr().err


def fake_doctor(monkeypatch, test_frame):
    from social_perception.cli import doctor

    monkeypatch.setattr(doctor, "_camera", lambda: doctor.Check("camera", "missing", "none", "connect one"))
    monkeypatch.setattr(doctor, "_test_frame", lambda: test_frame)
    return doctor


def test_the_doctor_says_what_is_there_and_what_is_not(monkeypatch, capsys):
    doctor = fake_doctor(monkeypatch, None)
    monkeypatch.setattr(doctor, "_test_frame", lambda: doctor.Check("test frame", "ok", "5 ms", needed=True))
    monkeypatch.setitem(sys.modules, "skimage", None)
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    checks = {check["name"]: check for check in report["checks"]}
    assert report["works"]
    assert checks["numpy"]["detail"].startswith(np.__version__)
    assert (checks["skimage"]["status"], checks["skimage"]["needed"]) == ("missing", False)
    assert checks["skimage"]["remedy"] == "pip install scikit-image (rosdep: python3-skimage)"


def test_the_doctor_fails_when_the_core_does(monkeypatch, capsys):
    doctor = fake_doctor(monkeypatch, None)
    failed = doctor.Check("test frame", "failed", "no face was found", needed=True)
    monkeypatch.setattr(doctor, "_test_frame", lambda: failed)
    assert main(["doctor"]) == 1
    output = capsys.readouterr().out
    assert "!!  test frame" in output
    assert "The core does not work" in output


def test_a_closed_pipe_is_no_error(tmp_path):
    code = "from social_perception.cli.main import main; import sys; sys.exit(main(['annotate', '--help']))"
    command = f'{sys.executable} -c "{code}" | head -n 1'
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_annotate_follows_a_real_smile(tmp_path, shared):
    from scipy.stats import spearmanr

    from social_perception.smile.weights import shipped_path

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
