import csv
import math

import av
import numpy as np
import pytest
from factories import affect, face, frame, group, smile
from pympi.Elan import Eaf

from social_perception.core.errors import OutputError
from social_perception.core.timelines import Timeline, read_group, read_timelines
from social_perception.core.types import (
    Box,
    Face,
    Smile,
    SmileLevel,
)
from social_perception.sinks.elan import LevelRun, level_runs, write_elan
from social_perception.sinks.tables import (
    BOX_COLUMNS,
    SCORE_COLUMNS,
    BoxTable,
    FaceTable,
    GroupTable,
    ScoreTable,
    face_columns,
    group_columns,
)
from social_perception.sinks.video import VideoWriter
from social_perception.views.overlay import draw_overlay
from social_perception.views.plots import plot_timeline
from social_perception.views.terminal import live_line, live_table

NAN = math.nan


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_columns_are_those_that_scripts_depend_on():
    smiles = "intensity,level,p_neutral,p_low,p_medium,p_high"
    further = "speaking,laughing,part_eyes,part_cheeks,part_mouth,part_rest"
    assert ",".join(face_columns()) == f"stamp_s,frame,face_id,x,y,width,height,{smiles},{further}"
    assert ",".join(SCORE_COLUMNS) == f"name,found,x,y,width,height,{smiles}"
    assert ",".join(BOX_COLUMNS) == "image,left,top,width,height,confidence"
    assert ",".join(group_columns()) == (
        "stamp_s,frame,group_size,valid_faces,intensity,mean_intensity,dispersion,smiling_fraction,level,"
        "trend,synchrony,window_s,face_ids,stale,level_dbfs,speech,laughter,speaking_count"
    )


def test_a_face_table_has_a_row_per_visible_face(tmp_path):
    path = tmp_path / "faces.csv"
    with FaceTable(path) as table:
        seen = (face("a", 0.7), face("b", 0.9, valid=False), face("c", 0.9, visible=False))
        table.add(frame(), affect(*seen, stamp_s=0.3, index=3))
    first, second = rows(path)
    assert list(first.values()) == [
        "0.300000", "3", "a", "100.0", "200.0", "80.0", "90.0", "0.7", "2", "0.1", "0.2", "0.3", "0.4",
        *[""] * 6,
    ]  # fmt: skip
    assert second["face_id"] == "b"
    assert [second[name] for name in face_columns()[7:]] == [""] * 12


def test_a_group_table_has_a_row_per_frame_and_empty_cells_for_the_unknown(tmp_path):
    path = tmp_path / "group.csv"
    with GroupTable(path) as table:
        table.add(frame(), affect(face("a", 0.7), group=group()))
        table.add(frame(), affect(stamp_s=0.1, index=1, group=group(0)))
    first, second = rows(path)
    assert list(first.values()) == [
        "0.000000", "0", "2", "2", "0.5", "0.45", "0.1", "0.5", "2", "0.01", "", "2.5", "a;b", "0", "",
        "", "", "",
    ]  # fmt: skip
    assert (second["group_size"], second["intensity"], second["level"], second["face_ids"]) == (
        "0",
        "",
        "",
        "",
    )


def test_score_and_box_tables(tmp_path):
    found = Face(Box(1.0, 2.0, 30.0, 40.0), 1.25)
    with ScoreTable(tmp_path / "scores.csv") as scores, BoxTable(tmp_path / "boxes.csv") as boxes:
        scores.add("one.jpg", found, smile(0.2))
        scores.add("none.jpg", None, Smile.unknown())
        boxes.add("one.jpg", [found, found])
        boxes.add("none.jpg", [])
    one, none = rows(tmp_path / "scores.csv")
    assert list(one.values())[:8] == ["one.jpg", "1", "1.0", "2.0", "30.0", "40.0", "0.2", "1"]
    assert list(none.values()) == ["none.jpg", "0", *[""] * 10]
    assert [list(row.values()) for row in rows(tmp_path / "boxes.csv")] == [
        ["one.jpg", "1.0", "2.0", "30.0", "40.0", "1.25"]
    ] * 2


def test_a_cut_off_table_keeps_its_rows_and_the_earlier_table(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text("earlier")
    with pytest.raises(KeyboardInterrupt):
        write_until_interrupted(path)
    assert path.read_text() == "earlier"
    assert len(rows(tmp_path / "boxes.csv.part")) == 1


def write_until_interrupted(path):
    with BoxTable(path) as table:
        table.add("one.jpg", [Face(Box(1, 2, 3, 4), 0.5)])
        raise KeyboardInterrupt


def test_a_table_can_be_read_while_it_grows(tmp_path):
    with FaceTable(tmp_path / "faces.csv", in_place=True) as table:
        table.add(frame(), affect(face("a", 0.5)))
        assert len(rows(tmp_path / "faces.csv")) == 1


def test_a_table_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(OutputError, match=r"faces\.csv cannot be written: No such file"):
        FaceTable(tmp_path / "missing" / "faces.csv")


def timeline(levels, start=0, rate_hz=10.0):
    """A face's timeline of one level per frame; None is a frame without the face."""
    seen = [(start + n, level) for n, level in enumerate(levels) if level is not None]
    frames = np.array([frame for frame, _ in seen], np.int64)
    values = np.array([level for _, level in seen], np.uint8)
    intensities = np.where(values == 255, NAN, values / 3.0)
    return Timeline("a", frames / rate_hz, frames, intensities, values)


CLOCK = timeline([0] * 40)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([], []),
        ([0, 0, 0], [(0.0, 0.3, 0)]),
        ([0, 0, 2, 2, 2], [(0.0, 0.2, 0), (0.2, 0.5, 2)]),
        ([1, 1, None, None, 1, 1], [(0.0, 0.2, 1), (0.4, 0.6, 1)]),
        ([255, 255, 3, 3], [(0.2, 0.4, 3)]),
        ([3, 3, 255, 3, 3], [(0.0, 0.2, 3), (0.3, 0.5, 3)]),
        ([0, 0, 0, 1, 0, 0], [(0.0, 0.6, 0)]),
        ([0, 0, 0, 1, 2, 2], [(0.0, 0.4, 0), (0.4, 0.6, 2)]),
        ([None, 2, None], []),
        ([2] * 40, [(0.0, 4.0, 2)]),
    ],
    ids=["nothing", "one", "two", "gap", "warm-up", "unknown", "flicker", "between", "blip", "to-the-end"],
)
def test_equal_levels_become_runs(levels, expected):
    runs = level_runs(timeline(levels), CLOCK, shortest_s=0.15)
    assert len(runs) == len(expected)
    for run, values in zip(runs, expected):
        assert (run.start_s, run.end_s, int(run.level)) == pytest.approx(values)


def test_a_run_of_exactly_the_shortest_length_stays():
    assert level_runs(timeline([0, 1, 0]), CLOCK, shortest_s=0.1) == tuple(
        LevelRun(pytest.approx(n / 10), pytest.approx((n + 1) / 10), SmileLevel(n % 2)) for n in range(3)
    )


def test_an_elan_file_read_back_equals_the_table(tmp_path):
    levels = {"a": [0.0] * 12 + [1.0] * 10, "b": [0.4] * 8 + [0.7] * 14}
    with FaceTable(tmp_path / "faces.csv") as faces, GroupTable(tmp_path / "group.csv") as groups:
        for index in range(22):
            people = (face(name, levels[name][index]) for name in levels)
            seen = affect(*people, stamp_s=index / 10, index=index, group=group())
            faces.add(frame(), seen)
            groups.add(frame(), seen)
    clock = read_group(tmp_path / "group.csv")
    video = tmp_path / "clips" / "meeting one.mp4"
    write_elan(tmp_path / "meeting.eaf", read_timelines(tmp_path / "faces.csv"), clock, video)
    eaf = Eaf(str(tmp_path / "meeting.eaf"))
    assert set(eaf.get_tier_names()) == {"face a", "face b"}
    table = rows(tmp_path / "faces.csv")
    for name in levels:
        labels = {}
        for start, end, label in eaf.get_annotation_data_for_tier(f"face {name}"):
            labels.update(dict.fromkeys(range(start, end, 100), label))
        expected = {
            round(1000 * float(row["stamp_s"])): SmileLevel(int(row["level"])).label
            for row in table
            if row["face_id"] == name
        }
        assert labels == expected
    media = eaf.media_descriptors[0]
    assert media["MEDIA_URL"] == video.as_uri()
    assert media["RELATIVE_MEDIA_URL"] == "./clips/meeting one.mp4"
    assert media["MIME_TYPE"] == "video/mp4"
    entries = eaf.get_cv_entries("smile intensity")
    assert [values[0][0] for values, _ in entries.values()] == ["Neutral", "Low", "Medium", "High"]
    assert {eaf.get_parameters_for_tier(f"face {name}")["LINGUISTIC_TYPE_REF"] for name in levels} == {
        "smile intensity"
    }


@pytest.mark.parametrize("people", [0, 1, 20])
def test_a_plot_is_drawn_for_any_number_of_people(tmp_path, people):
    path = tmp_path / "timeline.png"
    plot_timeline(path, [timeline([0, 1, None, 3])] * people, CLOCK if people else None, "meeting.mp4")
    assert path.read_bytes().startswith(b"\x89PNG")


def picture(width=640, height=480):
    return np.full((height, width, 3), 90, np.uint8)


@pytest.mark.parametrize("group_affect", [None, group(stale=True), group(0), group()])
def test_every_state_of_the_group_can_be_shown(group_affect):
    shown = affect(face("a", 0.5), face("b", NAN, valid=False), group=group_affect)
    draw_overlay(picture(), shown)
    assert live_table(shown).row_count == 2
    assert "a Medium 0.50, b (Unknown) -" in live_line(shown)


def test_a_video_keeps_the_frames_times_and_takes_odd_sizes(tmp_path):
    path = tmp_path / "annotated.mp4"
    stamps = [0.0, 0.04, 0.2, 0.24]
    with VideoWriter(path, 25.0) as writer:
        for number, stamp_s in enumerate(stamps):
            size = (65, 49) if number < 3 else (33, 25)
            writer.add(np.full((size[1], size[0], 3), 40 * number, np.uint8), stamp_s)
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    assert [float(frame.pts * frame.time_base) for frame in frames] == pytest.approx(stamps, abs=1e-3)
    assert (frames[0].width, frames[0].height) == (64, 48)
    assert [round(frame.to_ndarray(format="rgb24").mean()) for frame in frames] == pytest.approx(
        [0, 40, 80, 120], abs=4
    )


def test_a_video_without_h264_is_mpeg4(tmp_path, monkeypatch):
    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"libx264"})
    with VideoWriter(tmp_path / "annotated.mp4", 29.97) as writer:
        for number in range(5):
            writer.add(picture(64, 48), number / 29.97)
    with av.open(str(tmp_path / "annotated.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"
        assert len(list(container.decode(video=0))) == 5


def test_a_video_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        VideoWriter(tmp_path / "missing" / "annotated.mp4", 25.0)
