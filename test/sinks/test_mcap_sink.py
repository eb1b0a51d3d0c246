"""What a recording holds, for readers that know nothing of this package."""

import math
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace

import factories
import numpy as np
import pytest
import yaml
from factories import face, group

from social_perception.core.errors import MissingDependencyError, OutputError
from social_perception.core.sound import SoundEvent
from social_perception.core.types import (
    Box,
    GroupDynamics,
    PairDynamics,
    Position,
    SmileLevel,
)
from social_perception.ros.convert import nanoseconds_of
from social_perception.sinks.interfaces import interface_folder
from social_perception.sinks.mcap import McapSink

highlevel = pytest.importorskip("rosbags.highlevel")

PICTURE = np.full((48, 64, 3), (200, 100, 50), np.uint8)
FRAME = factories.frame(image=PICTURE)


def affect(index, stamp_s=None):
    faces = (
        face("anna", 0.3, box=Box(10.4, 5.6, 20.0, 21.0), position=Position(0.1, -0.2, 1.5)),
        face("ben", None, box=Box(-8.0, 30.0, 20.0, 40.0), visible=False),
        face("gone", None, box=Box(-50.0, 0.0, 20.0, 20.0), visible=False),
    )
    ids = tuple(each.track.id for each in faces)
    values = {"intensity": 0.3, "level": SmileLevel.LOW, "trend": -0.01, "face_ids": ids}
    return factories.affect(
        *faces, stamp_s=100.25 + index / 10 if stamp_s is None else stamp_s, index=index, size=(64, 48),
        group=group(3, valid_faces=1, **values),
    )  # fmt: skip


def read(path):
    """(topic, time in ns, message) of each message, by a reader with no idea of our messages."""
    with highlevel.AnyReader([path]) as reader:
        return [
            (c.topic, time_ns, reader.deserialize(data, c.msgtype)) for c, time_ns, data in reader.messages()
        ]


@pytest.fixture(params=["results.mcap", "results"])
def place(request, tmp_path):
    return tmp_path / request.param


def test_faces_and_group_of_each_frame_are_recorded(place):
    with McapSink(place) as sink:
        for index in range(30):
            sink.add(FRAME, affect(index))
    found = read(place)
    assert [topic for topic, *_ in found] == ["/face_affect", "/group_affect"] * 30
    assert [time_ns for _, time_ns, _ in found[::2]] == [nanoseconds_of(100.25 + n / 10) for n in range(30)]
    _, time_ns, faces = found[0]
    stamp = faces.header.stamp
    assert (stamp.sec * 10**9 + stamp.nanosec, faces.image_width, faces.image_height) == (time_ns, 64, 48)
    anna, ben = faces.faces
    roi = anna.roi
    assert (roi.x_offset, roi.y_offset, roi.width, roi.height) == (10, 6, 20, 21)
    assert (ben.roi.x_offset, ben.roi.y_offset, ben.roi.width, ben.roi.height) == (0, 30, 12, 18)
    assert (anna.level, anna.observed_frames, anna.valid) == (1, 9, True)
    assert (ben.level, ben.valid, math.isnan(ben.intensity), math.isnan(ben.position.z)) == (
        255,
        False,
        True,
        True,
    )
    group = found[1][2]
    assert (group.group_size, group.face_ids, group.stale) == (3, ["anna", "ben", "gone"], False)
    assert math.isnan(group.synchrony)


def test_images_are_recorded_only_when_requested(tmp_path):
    for images, topics in ((False, {"/face_affect", "/group_affect"}),
                           (True, {"/face_affect", "/group_affect", "/image/compressed"})):  # fmt: skip
        path = tmp_path / f"{images}.mcap"
        with McapSink(path, images=images) as sink:
            sink.add(FRAME, affect(0))
        found = {topic: message for topic, _, message in read(path)}
        assert set(found) == topics
        # Not even the shape of a picture.
        assert (b"\xff\xd8\xff" in path.read_bytes()) is images
    import cv2

    picture = cv2.imdecode(found["/image/compressed"].data, cv2.IMREAD_COLOR_RGB)
    assert found["/image/compressed"].format == "jpeg"
    assert np.abs(picture.astype(int) - PICTURE).max() < 6


@pytest.mark.parametrize("sound", [False, True])
def test_sound_events_are_recorded_where_sound_is_requested(tmp_path, sound):
    path = tmp_path / "results.mcap"
    bands = (-20.0, -30.0) * 4
    events = (SoundEvent(100.2, 0.5, math.nan, -20.0), SoundEvent(100.25, 0.75, 0.25, -30.0, bands))
    with McapSink(path, sound=sound) as sink:
        sink.add(FRAME, replace(affect(0), sound_events=events))
        sink.add(FRAME, affect(1))
    found = [
        (message.speech, tuple(message.bands), time_ns)
        for topic, time_ns, message in read(path)
        if topic == "/sound_events"
    ]
    assert found == ([(0.5, (), 100_200_000_000), (0.75, bands, 100_250_000_000)] if sound else [])


def test_silence_records_the_group_alone(tmp_path):
    path = tmp_path / "results.mcap"
    with McapSink(path) as sink:
        sink.stale(None, "no frame yet")
        sink.stale(affect(0), "no image")
    assert [topic for topic, *_ in read(path)] == ["/group_affect"]


def test_dynamics_are_recorded(tmp_path):
    path = tmp_path / "results.mcap"
    pair = PairDynamics("anna", "ben", 0.75, -0.5, 0.25)
    due = iter([None, GroupDynamics(3.5, ("anna", "ben"), (pair,), 0.25, 30.0, False, ())])
    with McapSink(path, dynamics=lambda _: next(due)) as sink:
        for index in range(2):
            sink.add(FRAME, affect(index))
    ((topic, time_ns, message),) = [each for each in read(path) if each[0] == "/group_dynamics"]
    assert (topic, time_ns, message.pairs[0].lag) == ("/group_dynamics", 3_500_000_000, -0.5)


def test_a_folder_is_what_rosbag2_makes(tmp_path):
    with McapSink(tmp_path / "results") as sink:
        for index in range(5):
            sink.add(FRAME, affect(index))
    assert sorted(os.listdir(tmp_path / "results")) == ["metadata.yaml", "results.mcap"]
    metadata = yaml.safe_load((tmp_path / "results" / "metadata.yaml").read_text())[
        "rosbag2_bagfile_information"
    ]
    assert metadata["relative_file_paths"] == ["results.mcap"]
    assert metadata["message_count"] == 10
    assert metadata["starting_time"]["nanoseconds_since_epoch"] == 100_250_000_000
    assert metadata["duration"]["nanoseconds"] == 400_000_000
    qos = yaml.safe_load(metadata["topics_with_message_count"][0]["topic_metadata"]["offered_qos_profiles"])
    assert (qos[0]["reliability"], qos[0]["durability"], qos[0]["depth"]) == (1, 2, 10)
    with pytest.raises(OutputError, match="results cannot be made: File exists"):
        McapSink(tmp_path / "results")


STAMPS_S = [0.0, 1 / 3, 2_147_483_000.1, *np.random.default_rng(1).uniform(1.0e9, 2.1e9, 200)]


@pytest.mark.parametrize("stamp_s", STAMPS_S)
def test_a_stamp_survives_its_way_through_a_header(stamp_s):
    sec, nanosec = divmod(nanoseconds_of(stamp_s), 10**9)
    assert sec + nanosec * 1e-9 == pytest.approx(stamp_s, abs=1e-9)
    if stamp_s > 2**23:  # where ns are finer than a float
        assert sec + nanosec * 1e-9 == stamp_s


KILLED = """
    import os, signal, sys
    sys.path[:0] = {folders!r}
    from test_mcap_sink import FRAME, affect
    from pathlib import Path
    from social_perception.sinks.mcap import McapSink
    sink = McapSink(Path({path!r}))
    for index in range(105):
        sink.add(FRAME, affect(index))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_program_leaves_all_but_the_last_second(tmp_path):
    from social_perception.sources.mcap_scan import scan_mcap

    path = tmp_path / "results.mcap"
    folders = [os.path.dirname(__file__), os.path.dirname(factories.__file__)]
    code = textwrap.dedent(KILLED.format(folders=folders, path=str(path)))
    ended = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    found = [(message.topic, message.time_ns) for message in scan_mcap(path)]
    faces = [time_ns for topic, time_ns in found if topic == "/face_affect"]
    # Ten frames a second: a chunk ends with the first frame that is a second after its first.
    assert faces == [nanoseconds_of(100.25 + n / 10) for n in range(99)]


def test_definitions_are_found_where_colcon_and_pip_put_them(tmp_path):
    package = tmp_path / "lib" / "python3.10" / "site-packages" / "social_perception"
    package.mkdir(parents=True)
    with pytest.raises(MissingDependencyError, match=r"message definitions .* are missing"):
        interface_folder([package])
    installed = tmp_path / "share" / "social_perception" / "msg"
    installed.mkdir(parents=True)
    (installed / "FaceAffectArray.msg").write_text("")
    assert interface_folder([package]) == installed
    assert (interface_folder() / "GroupAffect.msg").is_file()
