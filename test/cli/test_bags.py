"""Bags in the commands: read by live and annotate, and recorded by them."""

import json

import av
import numpy as np
import pytest
from pympi.Elan import Eaf

from social_perception.cli import live
from social_perception.cli.main import main

rosbag2 = pytest.importorskip("rosbags.rosbag2")
highlevel = pytest.importorskip("rosbags.highlevel")
typesys = pytest.importorskip("rosbags.typesys")

STORE = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
START_S = 1_700_000_000


def write_bag(path, topics=("/image",), frames=24):
    """Ten pictures a second, each brighter than the one before, stamped with a time of day."""
    types = STORE.types
    with rosbag2.Writer(path, version=9) as writer:
        for topic in topics:
            connection = writer.add_connection(topic, "sensor_msgs/msg/Image", typestore=STORE)
            for number in range(frames):
                stamp = types["builtin_interfaces/msg/Time"](
                    sec=START_S + number // 10, nanosec=number % 10 * 100_000_000
                )
                header = types["std_msgs/msg/Header"](stamp=stamp, frame_id="camera")
                message = types["sensor_msgs/msg/Image"](
                    header=header, height=48, width=64, encoding="mono8", is_bigendian=0, step=64,
                    data=np.full(48 * 64, 5 * number, np.uint8),
                )  # fmt: skip
                data = STORE.serialize_cdr(message, "sensor_msgs/msg/Image")
                writer.write(connection, (START_S * 10 + number) * 100_000_000, data)
    return path


def recorded(path):
    """(topic, stamp in s, message) of each message."""
    with highlevel.AnyReader([path]) as reader:
        return [
            (each.topic, time_ns * 1e-9, reader.deserialize(data, each.msgtype))
            for each, time_ns, data in reader.messages()
        ]


def test_annotate_takes_a_bag_as_a_video_that_begins_at_0(tmp_path, pipelines, rows, capsys):
    # A name with dots, of which none begins an ending.
    bag = write_bag(tmp_path / "rosbag2_2026.11.21")
    output = tmp_path / "out"
    assert main(["annotate", str(bag), "--output", str(output), "--mcap"]) == 0
    folder = output / "rosbag2_2026.11.21"
    assert {path.name for path in folder.iterdir()} == {
        "faces.csv", "faces.parquet", "group.csv", "group.parquet", "rosbag2_2026.11.21.eaf", "annotated.mp4",
        "timeline.png", "report.html", "results.mcap", "annotation.json",
    }  # fmt: skip
    for name in ("faces.csv", "group.csv"):
        found = [float(row["stamp_s"]) for row in rows(folder / name)]
        assert found == pytest.approx([n / 10 for n in range(24)], abs=2e-6)
    assert json.loads((folder / "annotation.json").read_text())["results"]["start_s"] == START_S
    with av.open(str(folder / "annotated.mp4")) as container:
        times = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
    assert times == pytest.approx([n / 10 for n in range(24)], abs=1e-3)
    eaf = Eaf(str(folder / "rosbag2_2026.11.21.eaf"))
    (media,) = eaf.media_descriptors
    assert media["RELATIVE_MEDIA_URL"] == "./annotated.mp4"
    assert media["MEDIA_URL"] == (folder / "annotated.mp4").as_uri()
    assert eaf.get_annotation_data_for_tier("face anna")[0][:2] == (0, 400)
    faces = [(stamp_s, message) for topic, stamp_s, message in recorded(folder / "results.mcap")
             if topic == "/face_affect"]  # fmt: skip
    # What is for ROS keeps the time of day.
    assert [stamp_s for stamp_s, _ in faces] == pytest.approx([START_S + n / 10 for n in range(24)])
    assert [each.faces[0].intensity for _, each in faces] == pytest.approx(
        [n / 20 for n in range(21)] + [1] * 3
    )
    capsys.readouterr()
    assert main(["annotate", str(bag), "--output", str(output), "--mcap"]) == 0
    assert len(pipelines) == 1  # done already
    assert main(["annotate", str(bag), "--output", str(output)]) == 0
    assert len(pipelines) == 2
    assert not (folder / "results.mcap").exists()


def test_annotate_finds_bags_in_folders(tmp_path, pipelines, write_video):
    corpus = tmp_path / "corpus"
    (corpus / "day").mkdir(parents=True)
    write_bag(corpus / "day" / "one.two", frames=3)
    single = write_bag(tmp_path / "three", frames=3) / "three.db3"
    single.rename(corpus / "day" / "three.db3")
    write_video(corpus / "talk.mp4", frames=3)
    output = corpus / "out"
    argv = [
        "annotate",
        str(corpus),
        "--output",
        str(output),
        "--no-video",
        "--no-plot",
        "--mcap",
        "--jobs",
        "1",
    ]
    names = {"day/one.two", "day/three", "talk"}
    assert main(argv) == 0
    assert {str(path.parent.relative_to(output)) for path in output.rglob("faces.csv")} == names
    # The results, which lie in the folder, are not taken for bags.
    other = tmp_path / "other"
    argv[argv.index(str(output))] = str(other)
    assert main(argv) == 0
    assert {str(path.parent.relative_to(other)) for path in other.rglob("faces.csv")} == names


def test_a_topic_is_chosen_by_an_option(tmp_path, pipelines, rows):
    bag = write_bag(tmp_path / "bag", topics=("/one", "/two"), frames=3)
    for topic, status in (("/two", 0), ("/three", 1)):
        argv = ["annotate", str(bag), "--output", str(tmp_path / topic[1:]), "--topic", topic, "--no-video"]
        assert main(argv) == status
        argv = ["live", "--source", str(bag), "--topic", topic, "--no-ros", "--reproducible"]
        assert main(argv) == status


def test_live_reads_every_picture_of_a_bag_where_results_shall_be_reproducible(tmp_path, pipelines, rows):
    bag = write_bag(tmp_path / "bag")
    output = tmp_path / "events.csv"
    argv = ["live", "--source", str(bag), "--no-ros", "--reproducible", "--output", str(output)]
    assert main(argv) == 0
    # What is live keeps the bag's own times.
    assert [float(row["stamp_s"]) for row in rows(output)] == pytest.approx(
        [START_S + n / 10 for n in range(24)]
    )
    assert pipelines[0].config.detection.reproducible


def test_live_records_what_it_publishes(tmp_path, pipelines):
    bag = write_bag(tmp_path / "bag")
    path = tmp_path / "results.mcap"
    argv = ["live", "--source", str(bag), "--no-ros", "--reproducible", "--record", str(path)]
    assert main(argv) == 0
    found = recorded(path)
    count = {name: sum(topic == name for topic, *_ in found) for name in {topic for topic, *_ in found}}
    assert count == {"/face_affect": 24, "/group_affect": 24, "/group_dynamics": 3}
    dynamics = [message for topic, _, message in found if topic == "/group_dynamics"]
    assert [(each.face_ids, each.stale) for each in dynamics] == [(["anna"], False)] * 3
    assert main(argv) == 1  # nothing is written over


def test_pictures_are_recorded_only_by_their_own_option(tmp_path, pipelines, capsys):
    bag = write_bag(tmp_path / "bag", frames=3)
    argv = ["live", "--source", str(bag), "--no-ros", "--reproducible", "--record-images"]
    assert main(argv) == 1
    assert "--record-images needs --record" in capsys.readouterr().err
    assert main([*argv, "--record", str(tmp_path / "results")]) == 0
    assert "will show everybody" in capsys.readouterr().err
    assert [topic for topic, *_ in recorded(tmp_path / "results")].count("/image/compressed") == 3
    # A recording with pictures is a source itself.
    assert main(["live", "--source", str(tmp_path / "results"), "--no-ros", "--reproducible"]) == 0


def test_silence_is_recorded_as_a_stale_group(tmp_path, pipelines, monkeypatch):
    from social_perception.core.errors import SourceTimeout
    from social_perception.core.types import Frame

    image = np.zeros((8, 8, 3), np.uint8)
    entries = iter([Frame(image, 10.0, 0), SourceTimeout("no picture"), Frame(image, 20.0, 1)])

    class Source:
        unread = 0
        name, live, rate_hz, frame_count = "stuttering", True, None, None

        def __next__(self):
            entry = next(entries)
            if isinstance(entry, Exception):
                raise entry
            return entry

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr("social_perception.sources.factory.open_source", lambda *_, **__: Source())
    path = tmp_path / "results.mcap"
    assert live.run(parsed(["--source", "x", "--no-ros", "--record", str(path)])) == 0
    topics = [topic for topic, *_ in recorded(path)]
    assert (topics.count("/face_affect"), topics.count("/group_affect")) == (2, 3)


def parsed(argv):
    import argparse

    parser = argparse.ArgumentParser()
    live.configure(parser)
    return parser.parse_args(argv)
