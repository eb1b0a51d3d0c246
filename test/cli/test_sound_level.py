"""The level of a video's sound in the results of annotate and live."""

import csv
import json
import math
import re
from dataclasses import replace

import pytest

from social_perception.cli.main import main
from social_perception.core.sound import SoundEvent
from social_perception.core.types import FrameAffect, SoundLevel
from social_perception.perception.pipeline import make_aggregation
from social_perception.views.web.snapshot import state_text
from test.sources.talking import beep, write_talking_video
from test.sources.test_video import write_video

BEEP_S = 2.0
FULL_SCALE_SINE_DBFS = -3.01


@pytest.fixture
def hearing(pipelines, monkeypatch):
    """Pipelines with the real aggregation after the fake faces; the affects that they returned."""
    from social_perception.perception import pipeline as module

    made, affects = module.make_pipeline, []

    def make(config, *, live):
        fake = made(config, live=live)
        aggregation, find = make_aggregation(config), fake.process

        def process(frame):
            affect = find(frame)
            size = (affect.width, affect.height)
            with_sound = FrameAffect(affect.stamp_s, affect.index, *size, affect.faces, sound=frame.sound)
            events = (SoundEvent(frame.stamp_s, 0.75, math.nan, -20.0),) if config.hearing.sound else None
            affects.append(aggregation.process(replace(with_sound, sound_events=events)))
            return affects[-1]

        fake.process = process
        return fake

    monkeypatch.setattr(module, "make_pipeline", make)
    return affects


def annotate(video, output, *options):
    assert main(["annotate", str(video), "--output", str(output), "--no-video", "--no-plot", *options]) == 0
    return output / video.stem


def levels_of(folder):
    with (folder / "group.csv").open(newline="", encoding="utf-8") as file:
        return [float(row["level_dbfs"] or "nan") for row in csv.DictReader(file)]


def test_the_level_of_each_frame_is_in_all_results(tmp_path, hearing):
    video = write_talking_video(tmp_path / "talk.mkv", beep(BEEP_S), codec="pcm_s16le")
    folder = annotate(video, tmp_path / "out", "--mcap")
    levels = levels_of(folder)
    assert len(levels) == 100
    assert math.isnan(levels[0]), "before the first frame there is no sound"
    # The frame at 2.04 s has the sound since 2.0 s.
    assert levels[51:53] == pytest.approx([FULL_SCALE_SINE_DBFS] * 2, abs=0.1)
    assert max(*levels[1:50], *levels[54:]) < -60.0

    parquet = pytest.importorskip("pyarrow.parquet").read_table(folder / "group.parquet")
    assert parquet.schema.field("level_dbfs").metadata == {b"unit": b"dBFS"}
    assert parquet.column("level_dbfs").to_pylist()[1:] == pytest.approx(levels[1:])
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert re.search(r"<dt>Mean sound level</dt><dd>-\d+ dBFS</dd>", page)
    assert json.loads(state_text(hearing[51], 25.0, ""))["group"]["sound_level"] == pytest.approx(-3, abs=0.1)

    reader = pytest.importorskip("rosbags.highlevel").AnyReader([folder / "results.mcap"])
    with reader:
        groups = [
            reader.deserialize(data, topic.msgtype)
            for topic, _, data in reader.messages()
            if topic.topic == "/group_affect"
        ]
    assert [group.sound_level for group in groups] == pytest.approx(levels, abs=0.01, nan_ok=True)


def test_live_measures_the_sound_of_a_video_in_step_with_its_frames(tmp_path, hearing):
    video = write_talking_video(tmp_path / "talk.mkv", beep(0.2, seconds=1), seconds=1, codec="pcm_s16le")
    assert main(["live", "--source", str(video), "--no-ros"]) == 0
    levels = {round(affect.stamp_s, 2): affect.group[SoundLevel].level_dbfs for affect in hearing}
    # Frames may be dropped to keep the pace; their sound is then in the next one.
    assert max(level for stamp_s, level in levels.items() if stamp_s > 0.2) > -20.0
    assert all(level < -60.0 for stamp_s, level in levels.items() if 0 < stamp_s <= 0.2)


@pytest.mark.parametrize("options", [(), ("--sound-level", "false")], ids=["no-sound", "disabled"])
def test_without_sound_the_column_is_empty(tmp_path, hearing, options, write_video):
    path = tmp_path / "talk.mp4"
    video = write_talking_video(path, beep(BEEP_S)) if options else write_video(path)
    folder = annotate(video, tmp_path / "out", *options)
    assert all(map(math.isnan, levels_of(folder)))
    assert "sound level" not in (folder / "report.html").read_text(encoding="utf-8")
    assert not any(affect.group.signals for affect in hearing)


def test_a_video_without_sound_is_named_where_sound_is_requested(tmp_path, hearing, caplog):
    video = write_video(tmp_path / "silent.mp4", [1, 2, 3])
    folder = annotate(video, tmp_path / "out", "--sound")
    assert f"{video} has no sound: speech and laughter stay unknown" in caplog.messages
    assert (folder / "faces.csv").exists()
    annotate(video, tmp_path / "out")
    assert len(caplog.messages) == 1


def test_speech_and_laughter_are_a_table_of_its_own_only_on_request(tmp_path, hearing):
    video = write_talking_video(tmp_path / "talk.mkv", beep(BEEP_S), codec="pcm_s16le", start_s=3.0)
    folder = annotate(video, tmp_path / "out")
    assert not (folder / "sound.csv").exists()
    annotate(video, tmp_path / "out", "--sound")
    rows = (folder / "sound.csv").read_text().splitlines()
    assert rows[:3] == ["stamp_s,speech,laughter", "0.000,0.75,", "0.040,0.75,"]
    assert len(rows) == 101
    annotate(video, tmp_path / "out")
    assert not (folder / "sound.csv").exists(), "it belongs to the run before"
