"""The report of a video: its figures, its curves and what it makes of odd input."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import factories
import numpy as np
import pytest

from social_perception.core.config import ReportConfig
from social_perception.core.errors import ConfigurationError, OutputError
from social_perception.core.timelines import Timeline, read_boxes, read_group, read_timelines
from social_perception.core.types import (
    Box,
    Frame,
    Smile,
    SmileLevel,
)
from social_perception.sinks.tables import FaceTable, GroupTable
from social_perception.views.report import Thumbnail, make_thumbnails, write_report
from social_perception.views.report.charts import Axis, columns_for, curve, presence, steps
from social_perception.views.report.measures import (
    Clock,
    laughs,
    mean_over_time,
    person,
    shared_moments,
    shares,
    stretches,
    summary,
)
from social_perception.views.report.page import clock_time, span, tick_time

NAN = math.nan
SETTINGS = ReportConfig()
OF_LEVEL = {0: 0.0, 1: 1 / 3, 2: 2 / 3, 3: 1.0}


def face(name, levels, first=0, rate_hz=10.0):
    """A face with one level per frame from ``first`` on; None: not seen, 255: seen and unknown."""
    seen = [(first + n, level) for n, level in enumerate(levels) if level is not None]
    frames = np.array([frame for frame, _ in seen], np.int64)
    values = np.array([level for _, level in seen], np.uint8)
    intensities = np.array([OF_LEVEL.get(level, NAN) for _, level in seen])
    return Timeline(name, frames / rate_hz, frames, intensities, values)


def group_of(levels, rate_hz=10.0, stamps_s=None, sizes=None, synchronies=None):
    """A group with one level per frame; its other numbers are unknown."""
    base = face("group", levels, rate_hz=rate_hz)
    count = len(base.frames)
    unknown = np.full(count, NAN)
    counts = np.array(sizes if sizes is not None else [2] * count, np.int64)
    stamps_s = base.stamps_s if stamps_s is None else np.array(stamps_s, float)
    synchronies = unknown if synchronies is None else np.array(synchronies, float)
    values = {"group_size": counts, "valid_faces": counts, "mean_intensity": base.intensities}
    values |= {"dispersion": unknown, "synchrony": synchronies}
    return Timeline("group", stamps_s, base.frames, base.intensities, base.levels, values)


def report(tmp_path, faces, group, **options):
    path = tmp_path / "report.html"
    write_report(path, faces, group, **{"video": "party.mp4", **options})
    return path.read_text(encoding="utf-8")


def paths_of(html, kind):
    return re.findall(rf'<path class="{kind}"[^>]* d="([^"]*)"', html)


# --- the figures


@pytest.mark.parametrize(
    ("frames", "stamps_s", "lengths_s"),
    [
        ([], [], []),
        ([7], [0.3], [0.04]),
        ([0, 1, 2], [0.0, 0.1, 0.2], [0.1, 0.1, 0.1]),
        ([0, 1, 2, 3], [0.0, 0.1, 0.4, 0.5], [0.1, 0.3, 0.1, 0.1]),
        ([0, 1, 5, 6], [0.0, 0.1, 0.5, 0.6], [0.1, 0.1, 0.1, 0.1]),
        ([0, 1, 2], [0.0, 0.2, 0.1], [0.2, 0.0, 0.1]),
    ],
    ids=["none", "one", "even", "uneven", "missing-frames", "backwards"],
)
def test_a_frame_stands_until_the_next(frames, stamps_s, lengths_s):
    values = np.zeros(len(frames))
    line = Timeline(
        "a", np.array(stamps_s, float), np.array(frames, np.int64), values, values.astype(np.uint8)
    )
    assert Clock.of([line], None).lengths_s == pytest.approx(lengths_s)
    assert Clock.of([], line).lengths_s == pytest.approx(lengths_s)


@pytest.mark.parametrize(
    ("holds", "pause_s", "shortest_s", "expected"),
    [
        ("..........", 0.3, 0.0, []),
        ("..####....", 0.0, 0.0, [(0.2, 0.6)]),
        ("##########", 0.0, 0.0, [(0.0, 1.0)]),
        ("##..##....", 0.2, 0.0, [(0.0, 0.6)]),
        ("##...##...", 0.2, 0.0, [(0.0, 0.2), (0.5, 0.7)]),
        ("#####.....", 0.0, 0.5, [(0.0, 0.5)]),
        ("####......", 0.0, 0.5, []),
        ("##.##.....", 0.1, 0.5, [(0.0, 0.5)]),
        ("#...####.#", 0.0, 0.2, [(0.4, 0.8)]),
    ],
)
def test_pauses_are_bridged_and_what_stays_short_is_dropped(holds, pause_s, shortest_s, expected):
    starts_s = np.arange(10) / 10
    found = stretches(
        np.array([sign == "#" for sign in holds]), starts_s, starts_s + 0.1, pause_s, shortest_s
    )
    assert [(each.start_s, each.end_s) for each in found] == [pytest.approx(span) for span in expected]
    for each in found:
        assert holds[each.first] == holds[each.last] == "#"


def test_shares_are_of_time_and_not_of_frames():
    # Nine frames at Neutral in 0.9 s, then one at High that stands for 2.1 s, then one of 0.1 s.
    stamps_s = [*(n / 10 for n in range(10)), 3.0]
    group = group_of([0] * 9 + [3, 0], stamps_s=stamps_s, synchronies=[0.0] * 9 + [1.0, NAN])
    someone = Timeline("a", group.stamps_s, group.frames, group.intensities, group.levels)
    clock = Clock.of([someone], group)
    found = person(someone, clock, SETTINGS)
    assert found.seen_s == pytest.approx(3.1)
    assert found.level_shares == pytest.approx((1.0 / 3.1, 0, 0, 2.1 / 3.1, 0))
    assert found.mean == pytest.approx(2.1 / 3.1)
    assert (found.maximum, found.maximum_at_s) == (1.0, pytest.approx(0.9))
    whole = summary([someone], group, clock, SETTINGS)
    assert whole.duration_s == pytest.approx(3.1)
    assert whole.smiling_share == pytest.approx(2.1 / 3.1)
    assert whole.intensity == pytest.approx(2.1 / 3.1)
    assert whole.synchrony == pytest.approx(2.1 / 3.0)


def test_without_a_group_table_people_at_once_are_counted_from_the_faces():
    faces = [face("a", [0] * 9), face("b", [0] * 3, first=2), face("c", [0] * 3, first=4)]
    assert summary(faces, None, Clock.of(faces, None), SETTINGS).most_at_once == 3


def test_the_unknown_counts_as_time_but_not_in_means():
    group = group_of([255] * 5 + [2] * 5, sizes=[0] * 5 + [3] * 5)
    whole = summary([], group, Clock.of([], group), SETTINGS)
    assert (whole.smiling_share, whole.most_at_once) == (1.0, 3)
    assert whole.intensity == pytest.approx(2 / 3)
    assert whole.level_shares == pytest.approx((0, 0, 0.5, 0, 0.5))


def test_a_person_is_described_by_hand_counted_figures():
    clock = Clock.of([], group_of([0] * 40))
    # 0.5 s at Medium, 0.1 s pause, 0.1 s: one smile of 0.7 s; a blip of 0.2 s is none; away for 0.5 s.
    levels = [255, 0, 2, 2, 2, 2, 2, 1, 3, 0, 0, 0, 0, 2, 2, 0, 0, 0, None, None, None, None, None, 1]
    found = person(face("a", levels, first=10), clock, SETTINGS)
    assert (found.first_s, found.last_s) == (pytest.approx(1.0), pytest.approx(3.4))
    assert found.seen_s == pytest.approx(1.9)
    assert [(each.start_s, each.end_s) for each in found.smiles] == [(pytest.approx(1.2), pytest.approx(1.9))]
    assert found.level_shares == pytest.approx(tuple(n / 19 for n in (8, 2, 7, 1, 1)))
    assert found.mean == pytest.approx((2 / 3 + 7 * 2 / 3 + 1) / 18)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ({"a": [2] * 10}, []),
        ({"a": [2] * 10, "b": [2] * 10}, [(0.0, 1.0, ("a", "b"), 2, 2)]),
        ({"a": [2] * 10, "b": [1] * 10}, []),
        ({"a": [2] * 10, "b": [3] * 10, "c": [0] * 10, "d": [0] * 10}, [(0.0, 1.0, ("a", "b"), 2, 4)]),
        ({"a": [2] * 10, "b": [3] * 10, "c": [0] * 10, "d": [0] * 10, "e": [1] * 10}, []),
        ({"a": [2] * 10, "b": [3] * 10, "c": [255] * 10, "d": [255] * 10, "e": [255] * 10},
         [(0.0, 1.0, ("a", "b"), 2, 2)]),
        ({"a": [2] * 10, "b": [None] * 3 + [2] * 4 + [None] * 3}, []),
        ({"a": [2] * 10, "b": [0] * 3 + [2] * 5 + [0] * 2}, [(0.3, 0.8, ("a", "b"), 2, 2)]),
        ({"a": [2] * 10, "b": [2] * 3 + [0] * 3 + [2] * 4}, [(0.0, 1.0, ("a", "b"), 2, 2)]),
        ({"a": [2] * 14, "b": [2] * 5 + [0] * 4 + [2] * 5},
         [(0.0, 0.5, ("a", "b"), 2, 2), (0.9, 1.4, ("a", "b"), 2, 2)]),
        ({"a": [2] * 10, "b": [2] * 10, "c": [None] * 6 + [3] * 4}, [(0.0, 1.0, ("a", "b", "c"), 3, 3)]),
    ],
    ids=[
        "alone", "both", "one-low", "half-of-four", "two-of-five", "unknown-do-not-count", "too-short",
        "just-long-enough", "pause-bridged", "pause-too-long", "third-joins",
    ],
)  # fmt: skip
def test_smiling_is_shared_by_two_and_half_of_those_in_view(levels, expected):
    faces = [face(name, row) for name, row in levels.items()]
    clock = Clock.of([], group_of([0] * 20))
    found = shared_moments(faces, clock)
    assert [(m.start_s, m.end_s, m.names, m.smiling, m.known) for m in found] == [
        (pytest.approx(start_s), pytest.approx(end_s), *rest) for start_s, end_s, *rest in expected
    ]


def test_the_peak_is_where_many_smile_much_and_never_in_a_bridged_pause():
    # In frames 4 and 5 most smile and most do not; the strongest frame of the others is number 7.
    faces = [face("a", [2, 2, 2, 2, 3, 3, 2, 3, 2, 2]), face("b", [2] * 10), face("c", [2, 2], first=4)]
    faces += [face(name, [0, 0], first=4) for name in "wxyz"]
    (moment,) = shared_moments(faces, Clock.of(faces, None))
    assert (moment.peak_frame, moment.peak_s) == (7, pytest.approx(0.7))
    assert moment.intensity == pytest.approx((1 + 2 / 3) / 2)


def test_settings_say_what_a_shared_smile_is():
    faces = [face(name, [level] * 10) for name, level in (("a", 1), ("b", 1), ("c", 1), ("d", 0))]
    clock = Clock.of(faces, None)
    assert not shared_moments(faces, clock)
    low = ReportConfig(smiling_level=1)
    assert [moment.smiling for moment in shared_moments(faces, clock, low)] == [3]
    assert not shared_moments(faces, clock, ReportConfig(smiling_level=1, shared_fraction=0.8))
    assert not shared_moments(faces, clock, ReportConfig(smiling_level=1, shared_people=4))
    assert not shared_moments(faces, clock, ReportConfig(smiling_level=1, min_smile_s=1.1))
    with pytest.raises(ConfigurationError, match="shared_people must be in"):
        ReportConfig(shared_people=1)


def test_nothing_has_no_mean_and_no_shares():
    assert math.isnan(mean_over_time(np.array([NAN, NAN]), np.ones(2)))
    assert math.isnan(mean_over_time(np.zeros(0), np.zeros(0)))
    assert shares((0.0, 0.0)) == (0.0, 0.0)


# --- the curves


def highest_drawn(path):
    return max(1000 - int(y) for y in re.findall(r"[ML]\d+ (\d+)", path)) / 1000


def test_a_smile_of_one_frame_in_three_hours_is_drawn():
    frames = np.arange(3 * 3600 * 30)
    values = np.full(len(frames), 0.1)
    values[200_001] = 0.95
    clock = Clock(frames, frames / 30.0, np.full(len(frames), 1 / 30))
    drawn = curve(frames, values, clock, Axis(0.0, clock.end_s), 500)
    assert highest_drawn(drawn.high) == pytest.approx(0.95)
    assert highest_drawn(drawn.low) == pytest.approx(0.1)
    assert len(re.findall("[ML]", drawn.mean)) == 500
    assert len(drawn.mean + drawn.low + drawn.high) < 16_000


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ([], 0),
        ([NAN, NAN], 0),
        ([0.5], 1),
        ([0.5, 0.6, 0.7], 1),
        ([0.5, NAN, 0.7], 2),
        ([NAN, 0.5, NAN, NAN, 0.7, 0.7, NAN, 0.1], 3),
    ],
)
def test_a_curve_is_broken_where_nothing_is_known(values, parts):
    clock = Clock.of([], group_of([0] * 10))
    drawn = curve(np.arange(len(values)), np.array(values, float), clock, Axis(0.0, 1.0), 500)
    assert drawn.mean.count("M") == drawn.low.count("M") == drawn.low.count("Z") == parts
    assert drawn.high == "", "nothing had to be thinned"


@pytest.mark.parametrize(
    ("frames", "place", "edges"), [(10, 4, (400, 500)), (1, 0, (0, 1000)), (10_000, 5000, (499, 501))]
)
def test_a_single_known_frame_is_as_wide_as_a_frame_and_never_invisible(frames, place, edges):
    clock = Clock.of([], group_of([0] * frames))
    drawn = curve(np.array([place]), np.array([0.5]), clock, Axis(0.0, clock.end_s), 500)
    first, last = edges
    assert drawn.mean == f"M{first} 500L{last} 500"
    assert drawn.low == f"M{first} 1000L{first} 500L{last} 500L{last} 1000Z"


def test_points_lie_where_the_frames_are():
    clock = Clock.of([], group_of([0] * 4))
    drawn = curve(np.arange(4), np.array([0.0, 0.25, 1.0, 0.5]), clock, Axis(0.0, 0.4), 500)
    assert drawn.mean == "M125 1000L375 750L625 0L875 500"
    assert drawn.low == "M125 1000L125 1000L375 750L625 0L875 500L875 1000Z"


def test_equal_sizes_in_a_row_are_one_step():
    clock = Clock.of([], group_of([0] * 10))
    sizes = np.array([0, 0, 1, 1, 2, 2, 2, 2, 0, 0])
    assert steps(sizes, clock, Axis(0.0, 1.0), 2) == (
        "M0 1000H0V1000H200V500H400V0H800V1000H1000V1000Z"
    )  # fmt: skip
    assert steps(np.zeros(0, np.int64), clock, Axis(0.0, 1.0), 0) == ""


def test_somebody_who_comes_for_one_frame_of_three_hours_is_seen():
    frames = np.arange(3 * 3600 * 30)
    clock = Clock(frames, frames / 30.0, np.full(len(frames), 1 / 30))
    sizes = np.zeros(len(frames), np.int64)
    sizes[100_000] = 4
    axis = Axis(0.0, clock.end_s)
    assert "V0H" in steps(sizes, clock, axis, 4)
    assert presence(np.array([100_000]), clock, axis, 500) == "M309 0H310V1000H309Z"


@pytest.mark.parametrize(
    ("start_s", "end_s", "expected"),
    [
        (0.0, 0.0, [0.0]),
        (0.0, 0.04, [0.0, 0.01, 0.02, 0.03, 0.04]),
        (0.0, 7.3, [0, 1, 2, 3, 4, 5, 6, 7]),
        (0.5, 3.9, [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5]),
        (0.0, 95.0, [0, 15, 30, 45, 60, 75, 90]),
        (0.0, 10800.0, [0, 1800, 3600, 5400, 7200, 9000, 10800]),
        (0.0, 400_000.0, [n * 50_000 for n in range(9)]),
    ],
)
def test_the_axis_has_few_round_ticks(start_s, end_s, expected):
    assert Axis(start_s, end_s).ticks_s() == pytest.approx(expected)


def test_hundreds_of_people_get_fewer_points_each():
    assert (columns_for(0), columns_for(20), columns_for(300), columns_for(10**6)) == (500, 500, 200, 100)


@pytest.mark.parametrize(
    ("format_", "seconds", "expected"),
    [
        (clock_time, 0.04, "0:00.0"),
        (clock_time, 59.96, "1:00.0"),
        (clock_time, 3725.2, "1:02:05"),
        (clock_time, NAN, "-"),
        (tick_time, 0.25, "0.25 s"),
        (tick_time, 90, "1:30"),
        (tick_time, 7200, "2:00:00"),
        (span, 0.5, "0.5 s"),
        (span, 95, "1 min 35 s"),
        (span, 10800, "3 h 00 min"),
    ],
)
def test_times_as_text(format_, seconds, expected):
    assert format_(seconds) == expected


# --- the page


def write_tables(folder, rows):
    """The tables of a video in which each face has one level per frame, None where it is away."""
    count = max(len(levels) for levels in rows.values())
    with FaceTable(folder / "faces.csv") as faces, GroupTable(folder / "group.csv") as groups:
        for index in range(count):
            seen = tuple(
                factories.face(
                    name, OF_LEVEL.get(levels[index]), box=Box(40.0 + 60 * place, 50.0, 40.0, 50.0)
                )
                for place, (name, levels) in enumerate(rows.items())
                if index < len(levels) and levels[index] is not None
            )
            known = [each[Smile].intensity for each in seen if each[Smile].valid]
            mean = float(np.mean(known)) if known else NAN
            affect = factories.group(
                len(seen), stamp_s=index / 10, valid_faces=len(known), intensity=mean, mean_intensity=mean,
                dispersion=0.125, level=SmileLevel.of_intensity(mean), synchrony=NAN if index < 5 else 0.25,
                face_ids=tuple(each.track.id for each in seen),
            )  # fmt: skip
            whole = factories.affect(*seen, stamp_s=index / 10, index=index, size=(320, 240), group=affect)
            faces.add(factories.frame(), whole)
            groups.add(factories.frame(), whole)
    return read_timelines(folder / "faces.csv"), read_group(folder / "group.csv")


PARTY = {"anna": [255] * 3 + [0] * 10 + [3] * 12, "ben": [None] * 5 + [1] * 10 + [2] * 10, "cleo": [0] * 25}


def test_the_group_table_read_back_has_all_its_numbers(tmp_path):
    _, group = write_tables(tmp_path, PARTY)
    assert group.values["group_size"].tolist() == [2] * 5 + [3] * 20
    assert group.values["valid_faces"].tolist() == [1] * 3 + [2] * 2 + [3] * 20
    assert group.values["dispersion"] == pytest.approx([0.125] * 25)
    assert group.values["synchrony"] == pytest.approx([NAN] * 5 + [0.25] * 20, nan_ok=True)
    assert group.values["trend"] == pytest.approx([0.01] * 25)


def test_the_report_and_the_tables_say_the_same(tmp_path):
    html = report(tmp_path, *write_tables(tmp_path, PARTY))
    lines = (tmp_path / "faces.csv").read_text().splitlines()
    columns = lines[0].split(",")
    rows = [dict(zip(columns, line.split(","))) for line in lines[1:]]
    for name in PARTY:
        own = [row for row in rows if row["face_id"] == name]
        cells = re.search(rf'scope="row"[^>]*>{name}</th>(.*?)</tr>', html, re.DOTALL).group(1)
        shown = dict(re.findall(r'data-label="([^"]+)" data-sort="([^"]+)"', cells))
        known = [float(row["intensity"]) for row in own if row["intensity"]]
        assert float(shown["Mean"]) == pytest.approx(np.mean(known))
        assert f'data-label="Mean" data-sort="{shown["Mean"]}">{np.mean(known):.2f}<' in cells
        assert float(shown["Maximum"]) == pytest.approx(max(known))
        assert float(shown["Time seen"]) == pytest.approx(len(own) / 10)
        assert float(shown["First seen"]) == pytest.approx(float(own[0]["stamp_s"]))
        for number, level in enumerate(["Neutral", "Low", "Medium", "High"]):
            share = sum(row["level"] == str(number) for row in own) / len(own)
            assert float(shown[level]) == pytest.approx(share)


def test_the_key_figures_are_on_the_page(tmp_path):
    html = report(tmp_path, *write_tables(tmp_path, PARTY))
    tiles = dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)</dd><dd class", html))
    # The group is at Medium for the last second of 2.5 s: (1 + 2/3 + 0) / 3 = 0.56.
    assert tiles == {
        "People seen": "3",
        "Most at once": "3",
        "Mean group intensity": f"{(3 * 0 + 2 * 0 + 8 / 9 + 2 * 4 / 9 + 10 * 5 / 9) / 25:.2f}",
        "Group smiling": "40 %",
        "Moments of shared smiling": "1",
        "Mean synchrony": "+0.25",
    }
    assert "1 moment of shared smiling, 1.0 s in all, the first at 0:01.5." in html
    assert "Peak at 0:01.5: 2 of 3 smile, 0.83 on average" in html


def with_voices(timeline, **values):
    known = {name: np.array(each, float) for name, each in values.items()}
    return replace(timeline, values={**timeline.values, **known})


def test_speech_and_laughter_have_their_lanes_and_moments(tmp_path):
    quiet, loud = [0.1] * 20, [0.1] * 10 + [0.9] * 5 + [0.1] * 5
    group = with_voices(group_of([0] * 20), speech=[0.9] * 8 + [0.1] * 12, laughter=loud)
    faces = [
        with_voices(face("anna", [0] * 20), speaking=quiet, laughing=quiet),
        with_voices(face("ben", [0] * 20), speaking=[0.9] * 8 + [0.1] * 12, laughing=loud),
    ]
    html = report(tmp_path, faces, group)
    assert paths_of(html, "speech") == ["M0 0H400V1000H0Z", "M0 900H400V1000H0Z"]
    assert paths_of(html, "laughter") == ["M500 0H750V1000H500Z", "M500 760H750V860H500Z"]
    (moment,) = re.findall(r'<li><a href="#time" data-at="1.0">0:01.0</a> ([^<]*)</li>', html)
    assert moment == "for 0.5 s: ben"


@pytest.mark.parametrize("laughter", [None, [NAN] * 20])
def test_without_sound_the_report_says_nothing_of_laughter(tmp_path, laughter):
    group = group_of([0] * 20)
    html = report(
        tmp_path,
        [face("anna", [0] * 20)],
        group if laughter is None else with_voices(group, laughter=laughter),
    )
    assert "aughter" not in re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)


def test_laughter_of_nobody_in_view_has_no_names():
    group = with_voices(group_of([0] * 20), laughter=[0.9] * 20)
    (moment,) = laughs([face("anna", [0] * 20)], group, Clock.of((), group))
    assert (moment.names, moment.length_s) == ((), pytest.approx(2.0))


def test_equal_input_gives_equal_bytes_and_no_request(tmp_path):
    tables = write_tables(tmp_path, PARTY)
    html = report(tmp_path, *tables)
    assert report(tmp_path, *tables) == html
    assert report(tmp_path, *tables, video="/home/somebody/party.mp4") == html, "no path is reported"
    assert not re.search(r"https?:|src=|@import|<link", html)
    assert "<img" not in html


HOSTILE = "</script><img src=x onerror=\"alert(1)\"> & 'q' {{ 7*7 }}"


def test_names_cannot_become_html(tmp_path):
    faces = [face(HOSTILE, [2] * 10), face('" onmouseover="x', [2] * 10)]
    html = report(tmp_path, faces, group_of([2] * 10), video=f"/videos/{HOSTILE.replace('/', '')}.mp4")
    assert "<img" not in html
    assert html.count("</script>") == 1
    assert ' onmouseover="' not in html
    assert "{{ 7*7 }}" in html, "a name is no template"


NOBODY = group_of([255] * 30, sizes=[0] * 30)
ODD = {
    "no frames": ((), None, "have no frame"),
    "nobody": ((), NOBODY, "No face was found in 3.0 s"),
    "one frame": ((face("a", [2]),), group_of([2]), "In 0.0 s of video 1 person was seen"),
    "all unknown": ((face("a", [255] * 9),), group_of([255] * 9), "smile intensity never known"),
    "a face for one frame": ((face("a", [3], first=7),), group_of([0] * 30), "in view for 0.1 s"),
    "faces without a group": ((face("a", [3] * 9),), None, "1 person was seen"),
    "a table cut off": ((face("a", [3] * 40), face("b", [3], first=50)), group_of([3] * 30), "1 person was"),
    "stamps that stand still": (
        (Timeline("a", np.zeros(3), np.arange(3), np.zeros(3), np.zeros(3, np.uint8)),),
        None,
        "In 0.0 s of video 1 person was seen",
    ),
    "300 faces": (
        [face(f"p{n}", [n % 4] * 20, first=n) for n in range(300)],
        group_of([1] * 320),
        "270 more people, who came later",
    ),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_tables_give_a_sensible_report(case, tmp_path):
    faces, group, words = ODD[case]
    html = report(tmp_path, faces, group)
    assert words in html
    assert html.rstrip().endswith("</html>")
    shown = re.sub(r"<(script|style).*?</\1>| data-sort=\"[^\"]*\"", "", html, flags=re.DOTALL)
    assert not re.search(r"\bnan\b|\binf\b|None|Undefined", shown)


def test_people_come_in_the_order_of_their_first_appearance(tmp_path):
    faces = [face("late", [1] * 5, first=20), face("early", [1] * 30), face("middle", [1] * 5, first=9)]
    html = report(tmp_path, faces, group_of([1] * 30))
    assert re.findall(r'scope="row"[^>]*>(\w+)<', html) == ["early", "middle", "late"]


def test_three_hours_of_twenty_people_stay_below_a_megabyte(tmp_path):
    generator = np.random.default_rng(0)
    frames = np.arange(3 * 3600 * 30)
    values = generator.uniform(0.0, 1.0, len(frames))
    levels = np.floor(3 * values + 0.5).astype(np.uint8)
    faces = [Timeline(f"p{n}", frames / 30, frames, values, levels) for n in range(20)]
    html = report(tmp_path, faces, None)
    assert len(html) < 1_000_000
    assert len(paths_of(html, "mean")) == 21


def test_a_file_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(OutputError, match=r"report\.html cannot be written: No such file"):
        write_report(tmp_path / "missing" / "report.html", (), None, video="a.mp4")


def test_a_name_that_is_no_unicode_is_written_all_the_same(tmp_path):
    assert "bad?name.mp4" in report(tmp_path, (), None, video="bad\udcffname.mp4")


# --- thumbnails


def frames_of(count):
    for index in range(count):
        yield Frame(np.full((480, 1280, 3), (5 * index, 0, 0), np.uint8), index / 10, index)


def test_thumbnails_show_the_peaks_with_the_faces_marked(tmp_path):
    import cv2

    tables = write_tables(tmp_path, PARTY)
    (picture,) = make_thumbnails(frames_of(25), tmp_path / "faces.csv", *tables)
    assert picture.frame == 15
    image = cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (240, 640, 3)
    assert image[200, 500] == pytest.approx([0, 0, 75], abs=4), "the frame of the peak, red as it was"
    # Boxes are halved with the picture; anna's begins at x 20, y 25 and is at High, which is yellow.
    assert image[24:52, 20].astype(int).sum(axis=1).max() > 400
    html = report(tmp_path, *tables, thumbnails=[picture, Thumbnail(3, b"of no moment")])
    assert html.count('src="data:image/jpeg;base64,') == 1


def test_no_frame_is_read_for_thumbnails_of_nothing(tmp_path):
    tables = write_tables(tmp_path, {"a": [0] * 9})

    def never():
        raise AssertionError("a frame was read")
        yield

    assert make_thumbnails(never(), tmp_path / "faces.csv", *tables) == ()


def test_frames_behind_the_last_peak_are_not_read(tmp_path):
    tables = write_tables(tmp_path, PARTY)
    frames = frames_of(25)
    make_thumbnails(frames, tmp_path / "faces.csv", *tables)
    assert next(frames).index == 16


def test_boxes_read_back_are_those_of_the_frames(tmp_path):
    write_tables(tmp_path, PARTY)
    found = read_boxes(tmp_path / "faces.csv", [0, 20, 999])
    assert [each.track.id for each in found[20]] == ["anna", "ben", "cleo"]
    assert found[20][1].track.box == Box(100.0, 50.0, 40.0, 50.0)
    assert [(each[Smile].valid, each[Smile].level) for each in found[0]] == [(False, 255), (True, 0)]
    assert found[999] == ()
