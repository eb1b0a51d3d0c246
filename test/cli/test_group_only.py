"""--group-only: the scene alone is reported, and what processes single people is not even imported."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys

import pytest
from PIL import Image

from social_perception.cli.main import main
from social_perception.core.types import SceneAffect
from social_perception.perception.scene.pipeline import ScenePipeline

COLUMNS = ["stamp_s", "frame", "p_negative", "p_neutral", "p_positive", "valence", "with_sound"]


class FakeEstimator:
    """The valence is the brightness of the image's first pixel."""

    def process(self, image, sound):
        valence = float(image[0, 0, 0]) / 255.0
        return SceneAffect((0.25, 0.25, 0.5), valence, sound is not None)

    def reset(self):
        """There is no state."""


@pytest.fixture
def scene(monkeypatch):
    monkeypatch.setattr(
        "social_perception.perception.scene.pipeline.make_scene_pipeline",
        lambda config: ScenePipeline(FakeEstimator(), config),
    )


@pytest.fixture
def folder(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for number in range(9):
        Image.new("RGB", (32, 24), (20 * number,) * 3).save(images / f"{number}.png")
    return images


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_live_writes_a_row_of_the_scene_per_image_that_is_due(scene, folder, tmp_path, capsys) -> None:
    output = tmp_path / "scene.csv"
    argv = ["live", "--source", str(folder), "--folder-rate-hz", "20", "--reproducible", "--no-ros"]
    assert main([*argv, "--group-only", "--scene-rate-hz", "5", "--output", str(output)]) == 0
    rows = rows_of(output)
    assert list(rows[0]) == COLUMNS
    assert [(row["frame"], float(row["valence"])) for row in rows] == [
        ("0", 0.0), ("4", pytest.approx(80 / 255, abs=1e-4)), ("8", pytest.approx(160 / 255, abs=1e-4)),
    ]  # fmt: skip
    printed = capsys.readouterr().out
    assert "negative 25 %  neutral 25 %  positive 50 %  valence +0.00  with sound no" in printed
    assert "group" not in printed


def test_annotate_writes_the_scene_only(scene, tmp_path, write_video) -> None:
    video, output = write_video(tmp_path / "talk.mp4", frames=8), tmp_path / "out"
    argv = ["annotate", str(video), "--output", str(output), "--group-only", "--json", "--mcap"]
    assert main([*argv, "--scene-rate-hz", "30"]) == 0
    written = {path.name for path in (output / "talk").iterdir()}
    assert written == {
        "annotation.json", "report.html", "results.jsonl", "results.mcap", "scene.csv", "timeline.png",
    }  # fmt: skip
    assert len(rows_of(output / "talk" / "scene.csv")) == 8
    line = json.loads((output / "talk" / "results.jsonl").read_text().splitlines()[0])
    assert set(line) == {"stamp_s", "frame", "scene"}
    assert set(line["scene"]) == {"probabilities", "valence", "with_sound"}
    report = (output / "talk" / "report.html").read_text()
    assert "8" in report
    assert "<img" not in report
    assert b"/scene_affect" in (output / "talk" / "results.mcap").read_bytes()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["live", "--anonymous"], "--group-only processes no single person: remove --anonymous"),
        (["live", "--explain"], "--group-only processes no single person: remove --explain"),
        (["live", "--web", "0", "--web-picture"], "--group-only excludes images: remove --web-picture"),
        (["annotate", "x.mp4", "--output", "o", "--thumbnails"], "excludes images: remove --thumbnails"),
        (["annotate", "x.mp4", "--output", "o", "--blur-faces"], "excludes images: remove --blur-faces"),
    ],
)
def test_what_shows_people_is_refused(argv, message, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*argv, "--group-only"]) != 0
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


PROGRAM = """
import sys
from pathlib import Path
from social_perception.cli.main import main

def imported():
    parts = ("detection", "tracking", "smile")
    roots = tuple(f"social_perception.perception.{part}" for part in parts)
    return sorted(name for name in sys.modules if name.startswith(roots))

video, output, with_ros = sys.argv[1:]
assert main(["annotate", video, "--output", output, "--group-only", "--runtime", "onnxruntime"]) == 0
print("annotate", imported())
live = ["live", "--source", video, "--no-ros", "--web", "0", "--output", f"{output}/live.csv"]
assert main([*live, "--record", f"{output}/live.mcap", "--group-only", "--runtime", "onnxruntime"]) == 0
print("live", imported())
if with_ros == "True":
    import rclpy
    from rclpy.lifecycle import TransitionCallbackReturn
    from rclpy.parameter import Parameter
    from sensor_msgs.msg import Image
    from social_perception.ros.nodes.scene_affect import SceneAffectNode
    rclpy.init()
    given = {"autostart": False, "runtime": "onnxruntime"}
    node = SceneAffectNode(parameter_overrides=[Parameter(name, value=each) for name, each in given.items()])
    assert node.trigger_configure() == node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    node.process(Image(width=16, height=8, encoding="rgb8", step=48, data=bytes(16 * 8 * 3)))
    print("node", imported())
    node.destroy_node()
    rclpy.shutdown()
"""


def test_nothing_that_processes_single_people_is_imported(tmp_path, write_video) -> None:
    video = write_video(tmp_path / "talk.mp4", frames=4)
    try:
        import rclpy  # noqa: F401
    except ImportError:
        with_ros = False
    else:
        with_ros = True
    argv = [sys.executable, "-c", PROGRAM, str(video), str(tmp_path / "out"), str(with_ros)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    stages = dict(
        line.split(" ", 1)
        for line in done.stdout.splitlines()
        if line.startswith(("annotate ", "live ", "node "))
    )
    assert stages == dict.fromkeys(["annotate", "live", *(["node"] if with_ros else [])], "[]")


def test_the_real_estimator_gives_probabilities(folder, tmp_path) -> None:
    pytest.importorskip("onnxruntime")
    output = tmp_path / "scene.csv"
    argv = ["live", "--source", str(folder), "--reproducible", "--no-ros", "--runtime", "onnxruntime"]
    assert main([*argv, "--group-only", "--output", str(output)]) == 0
    for row in rows_of(output):
        parts = [float(row[name]) for name in COLUMNS[2:5]]
        assert math.isclose(sum(parts), 1.0, abs_tol=1e-3)
        assert float(row["valence"]) == pytest.approx(parts[2] - parts[0], abs=1e-3)
