"""--anonymous leaves nothing of single people in what commands say and write, and refuses what would."""

from __future__ import annotations

import csv
import dataclasses
import json
import logging

import numpy as np
import pytest
from factories import affect_of, face, group
from PIL import Image

from social_perception.cli import live
from social_perception.cli.main import main
from social_perception.core.types import Box
from social_perception.sinks.sink import Sink

NAMES = ("anna", "berta")
GROUP = group(2, mean_intensity=0.4, synchrony=0.2, face_ids=NAMES)


class Couple:
    """A pipeline that sees two people, the second of them until frame 2 only."""

    def note_usage(self, now_s, cpu_s):
        pass

    def process(self, frame):
        names = NAMES if frame.index < 3 else NAMES[:1]
        faces = (face(name, 0.4, box=Box(4, 4, 8, 8)) for name in names)
        group = dataclasses.replace(
            GROUP, stamp_s=frame.stamp_s, group_size=len(names), valid_faces=len(names), face_ids=names
        )
        return affect_of(frame, *faces, group=group)

    def restart(self, new_id=None):
        pass

    def close(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.fixture
def couple(monkeypatch):
    monkeypatch.setattr("social_perception.perception.pipeline.make_pipeline", lambda *_, **__: Couple())


@pytest.fixture
def folder(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for number in range(6):
        Image.new("RGB", (32, 24), (40 * number,) * 3).save(images / f"{number}.png")
    return images


def run_live(folder, *flags):
    argv = ["live", "--source", str(folder), "--folder-rate-hz", "20", "--reproducible", *flags]
    assert main(argv) == 0


def texts_of(folder):
    """All that was written, and by its name."""
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("flags", "least"), [([], 2), (["--min-group-size", "1"], 1), (["--min-group-size", "3"], 3)]
)
def test_live_writes_rows_of_the_group_only(flags, least, couple, folder, tmp_path, capsys) -> None:
    output = tmp_path / "out.csv"
    run_live(folder, "--no-ros", "--anonymous", "--output", str(output), *flags)
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert "face_id" not in rows[0]
    assert [row["group_size"] for row in rows] == ["2"] * 3 + ["1"] * 3
    for row in rows:
        assert row["face_ids"] == ""
        assert (row["intensity"] != "") is (int(row["valid_faces"]) >= least)
    said = "".join(capsys.readouterr()) + output.read_text()
    assert not any(name in said for name in NAMES)
    assert "no faces" not in said, "there are people, of whom nothing is reported"


def test_live_records_the_group_only(couple, folder, tmp_path) -> None:
    rosbag2 = pytest.importorskip("rosbags.highlevel")
    bag = tmp_path / "bag"
    run_live(folder, "--no-ros", "--anonymous", "--record", str(bag))
    with rosbag2.AnyReader([bag]) as reader:
        assert set(reader.topics) == {"/group_affect"}
        messages = [reader.deserialize(data, each.msgtype) for each, _, data in reader.messages()]
    assert len(messages) == 6
    assert all(not message.face_ids for message in messages)
    assert [bool(np.isnan(message.intensity)) for message in messages] == [False] * 3 + [True] * 3
    assert not any(name.encode() in data for data in texts_of(bag).values() for name in NAMES)


def test_live_hands_the_group_alone_to_ros_and_the_page(couple, folder, monkeypatch) -> None:
    published, shown, asked = [], [], []

    class Keeper(Sink):
        topics, url, public_url = ("group_affect",), "http://here", "http://here"
        wants_image = has_new_token = True

        def add(self, frame, affect):
            published.append(affect)

        def show(self, affect, image=None):
            shown.append(affect)

        def close(self):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(live, "open_publisher", lambda _, **given: asked.append(given) or Keeper())
    monkeypatch.setattr(
        "social_perception.views.web.server.Dashboard",
        lambda config, name, **given: asked.append(given) or Keeper(),
    )
    run_live(folder, "--anonymous", "--web", "0")
    assert [each["people"] for each in asked] == [False, False]
    assert len(published) == len(shown) == 6
    assert all(affect.faces == () and affect.group.face_ids == () for affect in published + shown)


@pytest.mark.parametrize(
    ("argv", "flag"),
    [
        (["live", "--record-images", "--record", "x.mcap"], "--record-images"),
        (["live", "--web", "0", "--web-picture"], "--web-picture"),
        (["live", "--blur-faces"], "--blur-faces"),
        (["annotate", "x.mp4", "--output", "out", "--thumbnails"], "--thumbnails"),
        (["annotate", "x.mp4", "--output", "out", "--blur-faces"], "--blur-faces"),
    ],
)
def test_pictures_and_anonymity_exclude_each_other(argv, flag, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*argv, "--anonymous"]) != 0
    assert f"--anonymous excludes images: remove {flag}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_group_size_without_anonymity_is_refused(capsys) -> None:
    assert main(["live", "--source", "sample", "--min-group-size", "3"]) != 0
    assert "--min-group-size needs --anonymous" in capsys.readouterr().err


def test_annotate_writes_the_group_only(couple, tmp_path, write_video, caplog) -> None:
    caplog.set_level(logging.INFO)
    video, output = write_video(tmp_path / "talk.mp4", frames=8), tmp_path / "out"
    assert main(["annotate", str(video), "--output", str(output), "--mcap"]) == 0
    assert "faces.csv" in texts_of(output), "an earlier run wrote about people"
    (output / "talk" / "talk.eaf").unlink()
    assert main(["annotate", str(video), "--output", str(output), "--mcap", "--anonymous"]) == 0
    written = texts_of(output)
    assert set(written) == {"annotation.json", "group.csv", "group.parquet", "results.mcap", "timeline.png"}
    assert not any(name.encode() in data for data in written.values() for name in NAMES)
    results = json.loads(written["annotation.json"])["results"]
    assert results["faces"] == 2, "how many there were is reported"
    assert results["mean_intensity"] == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("flags", "reported"),
    [
        ([], "the videos' images are kept in annotated.mp4, with everybody in them (--blur-faces)"),
        (
            ["--blur-faces", "--thumbnails"],
            "annotated.mp4 and the report, with the faces that are found hidden",
        ),
        (["--no-video"], ""),
        (["--anonymous"], ""),
    ],
)
def test_annotate_says_in_one_line_that_it_keeps_pictures(
    flags, reported, couple, tmp_path, write_video, capsys
) -> None:
    video = write_video(tmp_path / "talk.mp4", frames=3)
    assert main(["annotate", str(video), "--output", str(tmp_path / "out"), "--no-plot", *flags]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "images are kept" in line]
    assert len(lines) == bool(reported)
    assert all(reported in line for line in lines)


def noisy_video(path, frames=12):
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 64, 48, "yuv420p", 8_000_000
        noise = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def roughness(image, area):
    return float(np.abs(np.diff(image[area].astype(int), axis=1)).mean())


FACE, REST = np.s_[5:11, 5:11], np.s_[28:44, 36:60]


class Late(Couple):
    """Finds nobody before frame 6."""

    def process(self, frame):
        affect = super().process(frame)
        return affect if frame.index >= 6 else dataclasses.replace(affect, faces=())


@pytest.mark.parametrize("flags", [[], ["--blur-faces"]])
def test_annotate_hides_faces_in_its_video_also_before_they_are_found(flags, monkeypatch, tmp_path) -> None:
    from social_perception.sources.video import VideoSource

    monkeypatch.setattr("social_perception.perception.pipeline.make_pipeline", lambda *_, **__: Late())
    monkeypatch.setattr("social_perception.views.overlay.draw_overlay", lambda image, *_, **__: image)
    video = noisy_video(tmp_path / "talk.mp4")
    argv = ["annotate", str(video), "--output", str(tmp_path / "out"), "--no-plot", "--no-report", *flags]
    assert main(argv) == 0
    with VideoSource(tmp_path / "out" / "talk" / "annotated.mp4") as source:
        images = [frame.image for frame in source]
    assert len(images) == 12
    for image in images:
        assert roughness(image, REST) > 15
        assert (roughness(image, FACE) < 10) is bool(flags)


@pytest.mark.parametrize("flags", [[], ["--blur-faces"]])
def test_live_hides_faces_in_recorded_pictures(flags, couple, tmp_path) -> None:
    import cv2

    rosbag2 = pytest.importorskip("rosbags.highlevel")
    bag = tmp_path / "bag"
    source = noisy_video(tmp_path / "talk.mp4")
    argv = ["live", "--source", str(source), "--no-ros", "--reproducible", "--record", str(bag)]
    assert main([*argv, "--record-images", *flags]) == 0
    with rosbag2.AnyReader([bag]) as reader:
        counts = {topic: info.msgcount for topic, info in reader.topics.items()}
        pictures = [
            cv2.imdecode(reader.deserialize(data, each.msgtype).data, cv2.IMREAD_COLOR)
            for each, _, data in reader.messages()
            if each.topic == "/image/compressed"
        ]
    assert counts["/face_affect"] == counts["/image/compressed"] == 12
    assert all((roughness(picture, FACE) < 10) is bool(flags) for picture in pictures)
    assert all(roughness(picture, REST) > 15 for picture in pictures)
