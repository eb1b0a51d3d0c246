"""A signal that is declared and registered in one place appears in every output."""

from __future__ import annotations

import csv
import importlib
import json
import re
import shutil
import sys

import numpy as np
import pytest
from factories import frame

from social_perception.core import signals
from social_perception.core.config import PipelineConfig
from social_perception.core.errors import MessageError
from social_perception.core.signals import Subject
from social_perception.core.timelines import read_group, read_timelines
from social_perception.core.types import Box, Frame, Track, TrackedFaces
from social_perception.perception import estimators
from social_perception.perception.pipeline import Pipeline, make_aggregation, make_estimation
from social_perception.ros.convert import faces_of, group_of
from social_perception.sinks import interfaces
from social_perception.sinks.mcap import McapSink
from social_perception.sinks.parquet import write_parquet
from social_perception.sinks.tables import FaceTable, GroupTable
from social_perception.views.report.page import write_report
from social_perception.views.terminal import live_line
from social_perception.views.web.snapshot import fields_shown, state_text

FRAMES = 4
EXTRA = {
    "FaceAffect": "\n# Opening of the mouth in mm. Unknown: NaN.\nfloat32 yawn\n",
    "GroupAffect": "\n# Yawns, and tiredness in %. Unknown: NaN.\nuint32 yawns\nfloat32 tiredness\n",
}


@pytest.fixture(scope="module")
def dummy():
    registered = dict(estimators.FACE_ESTIMATORS), dict(estimators.GROUP_ESTIMATORS)
    module = importlib.import_module("test.signals.dummy")
    yield module
    for known, before in zip((estimators.FACE_ESTIMATORS, estimators.GROUP_ESTIMATORS), registered):
        known.clear()
        known.update(before)
    signals.unregister(module.Yawn)
    signals.unregister(module.Tiredness)
    del sys.modules["test.signals.dummy"]


class TwoFaces:
    """In place of detection and tracking."""

    def process(self, frame: Frame) -> TrackedFaces:
        tracks = tuple(Track(name, Box(10.0 + 50 * n, 10.0, 40.0, 40.0), 0.9) for n, name in enumerate("ab"))
        return TrackedFaces(frame.stamp_s, frame.index, 120, 90, tracks, np.zeros((2, 96, 96, 3), np.uint8))

    def close(self) -> None:
        """Nothing runs."""


@pytest.fixture(scope="module")
def affects(dummy):
    config = PipelineConfig()
    with Pipeline(TwoFaces(), make_estimation(config), make_aggregation(config)) as pipeline:
        image = np.zeros((90, 120, 3), np.uint8)
        return [pipeline.process(Frame(image, index / 10, index)) for index in range(FRAMES)]


@pytest.fixture(scope="module")
def tables(affects, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    with FaceTable(folder / "faces.csv") as faces, GroupTable(folder / "group.csv") as group:
        for affect in affects:
            faces.add(frame(), affect)
            group.add(frame(), affect)
    return folder


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_tables_have_a_column_for_each_value(tables) -> None:
    faces, group = rows_of(tables / "faces.csv"), rows_of(tables / "group.csv")
    assert list(faces[0])[-2:] == ["part_rest", "yawn"]
    assert list(group[0])[-2:] == ["yawns", "tiredness"]
    assert [row["yawn"] for row in faces] == ["", "", "12.3457", "12.3457"] * 2
    assert [(row["yawns"], row["tiredness"]) for row in group] == [("0", ""), ("2", "50.0")] * 2


def test_parquet_has_types_units_and_nulls(tables) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for name in ("faces", "group"):
        write_parquet(tables / f"{name}.csv", tables / f"{name}.parquet", {})
    faces, group = (parquet.read_table(tables / f"{name}.parquet") for name in ("faces", "group"))
    assert faces.column("yawn").to_pylist()[:3] == [None, None, 12.3457]
    assert faces.schema.field("yawn").metadata == {b"unit": b"mm"}
    assert str(group.schema.field("yawns").type) == "int32"
    assert not group.schema.field("yawns").nullable
    assert group.column("tiredness").to_pylist() == [None, 50.0, None, 50.0]


def test_the_web_page_is_sent_values_labels_and_units(affects) -> None:
    unknown, known = (json.loads(state_text(affect, 30.0, "")) for affect in affects[:2])
    assert [face["yawn"] for face in unknown["faces"] + known["faces"]] == [None, None, 12.3457, 12.3457]
    assert (unknown["group"]["tiredness"], known["group"]["tiredness"], known["group"]["yawns"]) == (
        None,
        50,
        2,
    )
    yawn = {"key": "yawn", "label": "yawn", "unit": "mm", "display": ".1f"}
    tiredness = {"key": "tiredness", "label": "tiredness", "unit": "%", "display": ".0f"}
    assert yawn in fields_shown()["face"]
    assert tiredness in fields_shown()["group"]


def test_the_terminal_shows_it(affects) -> None:
    assert "yawn -" in live_line(affects[0])
    assert "yawn 12.3 mm" in live_line(affects[1])
    assert "tiredness 50 %" in live_line(affects[1])


def test_the_report_has_a_column_and_a_tile(tables, tmp_path) -> None:
    path = tmp_path / "report.html"
    faces, group = read_timelines(tables / "faces.csv"), read_group(tables / "group.csv")
    write_report(path, faces, group, video="party.mp4")
    page = path.read_text(encoding="utf-8")
    assert re.findall(r'<td role="cell" data-label="Yawn"[^>]*>([^<]*)</td>', page) == ["12.3 mm"] * 2
    assert re.search(r"<dt>Mean tiredness</dt><dd>50 %</dd>", page)


def test_the_recorded_topics_carry_it(affects, dummy, tmp_path, monkeypatch) -> None:
    highlevel = pytest.importorskip("rosbags.highlevel")
    folder = tmp_path / "msg"
    shutil.copytree(interfaces.interface_folder(), folder)
    for name, lines in EXTRA.items():
        with (folder / f"{name}.msg").open("a", encoding="utf-8") as file:
            file.write(lines)
    monkeypatch.setattr(interfaces, "interface_folder", lambda: folder)
    with McapSink(tmp_path / "results.mcap") as sink:
        for affect in affects:
            sink.add(frame(), affect)
    with highlevel.AnyReader([tmp_path / "results.mcap"]) as reader:
        sent = [(c.topic, reader.deserialize(data, c.msgtype)) for c, _, data in reader.messages()]
    faces = [faces_of(message) for topic, message in sent if topic == "/face_affect"]
    groups = [group_of(message) for topic, message in sent if topic == "/group_affect"]
    assert [face[dummy.Yawn].yawn for face in faces[1]] == pytest.approx([12.34567] * 2)
    assert np.isnan([face[dummy.Yawn].yawn for face in faces[0]]).all()
    assert groups[1][dummy.Tiredness] == dummy.Tiredness(2, 50.0)
    assert np.isnan(groups[0][dummy.Tiredness].tiredness)
    message = next(message for topic, message in sent if topic == "/face_affect" and message.faces)
    message.faces[0].yawn = 101.0
    with pytest.raises(MessageError, match=r"yawn of face 'a' must be in \[0, 100\], got 101"):
        faces_of(message)


def test_a_second_signal_of_the_same_column_is_refused(dummy) -> None:
    from dataclasses import dataclass

    with pytest.raises(ValueError, match="columns of Again: 'yawn' belongs to Yawn"):

        @signals.signal(Subject.FACE)
        @dataclass(frozen=True)
        class Again:
            yawn: float = signals.value("again")
