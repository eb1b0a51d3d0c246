from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from factories import affect, face, group

from social_perception.core.types import Box, SmileLevel, Voice
from social_perception.views.colors import LEVEL_COLORS, level_color
from social_perception.views.overlay import WARNING_COLOR, draw_overlay
from social_perception.views.traces import MAX_SAMPLES, Traces

NAN = math.nan
GRAY = 90
BARE = {"header": False, "legend": False}


def picture(width=640, height=480):
    return np.full((height, width, 3), GRAY, np.uint8)


def traces_of(*intensities, face_id="a", rate_hz=10.0, span_s=4.0):
    traces = Traces(span_s)
    for number, intensity in enumerate(intensities):
        seen = [] if intensity is None else [face(face_id, intensity)]
        traces.add(affect(*seen, stamp_s=number / rate_hz))
    return traces


def changed(drawn):
    return (drawn != GRAY).any(axis=2)


def test_the_overlay_is_a_copy_with_the_box_in_the_levels_colour():
    image = picture()
    drawn = draw_overlay(image, affect(face("a", 1.0)), **BARE)
    assert (image == GRAY).all()
    assert drawn.shape == image.shape
    assert tuple(drawn[245, 100]) == level_color(SmileLevel.HIGH)
    unknown = draw_overlay(image, affect(face("a", 1.0, valid=False)), **BARE)
    assert tuple(unknown[245, 100]) == level_color(SmileLevel.UNKNOWN)


def test_a_picture_that_must_not_be_written_is_drawn_all_the_same():
    image = np.frombuffer(picture().tobytes(), np.uint8).reshape(480, 640, 3)
    shown = affect(face("a", 0.5), group=group(stale=True))
    drawn = draw_overlay(image, shown, traces=traces_of(0.1, 0.5))
    assert not np.shares_memory(drawn, image)
    assert changed(drawn).any()
    assert not changed(image).any()


def test_pixels_away_from_faces_header_and_legend_stay_as_they_are():
    noise = np.random.default_rng(1).integers(0, 256, (480, 640, 3), np.uint8)
    shown = affect(face("a", 0.5), face("b", 0.9, box=Box(400, 250, 100, 100)), group=group())
    drawn = draw_overlay(noise, shown, traces=traces_of(0.1, 0.5))
    touched = (drawn != noise).any(axis=2)
    touched[:30] = False  # the header
    touched[450:, :330] = False  # the legend
    touched[170:340, 90:240] = False  # the first person's marks
    touched[220:400, 390:560] = False
    assert not touched.any()
    inside = (slice(210, 280), slice(110, 170))
    assert (drawn[inside] == noise[inside]).all()


def test_the_bar_is_as_long_as_the_intensity():
    lengths = []
    for intensity in (0.84, 1.0):
        drawn = draw_overlay(picture(), affect(face("a", intensity)), **BARE)
        row = drawn[290 + 3, 100:180]
        lengths.append(int((row == level_color(SmileLevel.HIGH)).all(axis=1).sum()))
    assert lengths[0] / lengths[1] == pytest.approx(0.84, abs=0.03)


def test_labels_can_be_disabled():
    shown = affect(face("a", 1.0))
    bare, labelled = (draw_overlay(picture(), shown, **BARE, labels=labels) for labels in (False, True))
    rows = (bare != labelled).any(axis=(1, 2)).nonzero()[0]
    assert rows.size
    # The box itself is drawn in both.
    assert (bare != GRAY).any()


@pytest.mark.parametrize("part", ["header", "legend"])
def test_header_and_legend_can_be_disabled(part):
    bare = draw_overlay(picture(), affect(), **BARE)
    assert (bare == GRAY).all()
    drawn = draw_overlay(picture(), affect(), **{**BARE, part: True})
    rows = changed(drawn).any(axis=1).nonzero()[0]
    assert rows.size
    assert (rows < 100).all() if part == "header" else (rows > 380).all()


@pytest.mark.parametrize(("size", "is_in_header"), [((1280, 720), True), ((720, 1280), False)])
def test_the_legend_has_every_colour_and_is_in_the_header_where_there_is_room(size, is_in_header):
    drawn = draw_overlay(picture(*size), affect(group=group()))
    rows = changed(drawn).any(axis=1)
    assert rows[size[1] // 2 :].any() != is_in_header
    colors = {tuple(pixel) for pixel in drawn.reshape(-1, 3).tolist()}
    assert {color for _, color in LEVEL_COLORS} <= colors


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (300, 2), (97, 97), (4000, 100), (3840, 2160)])
@pytest.mark.parametrize(
    "box", [Box(0, 0, 1, 1), Box(-1e9, -1e9, 2e9, 2e9), Box(1e7, 1e7, 5, 5), Box(-3, -3, 6, 6)]
)
def test_no_size_and_no_box_is_too_odd_to_draw(size, box):
    shown = affect(face("a" * 30, 0.5, box=box), face("b", 0.1, box=box, visible=False))
    drawn = draw_overlay(picture(*size), shown, traces=traces_of(0.1, 0.5, face_id="a" * 30), warning="no")
    assert drawn.shape == (size[1], size[0], 3)


def has_warning(drawn):
    """Whether a band in the warning's colour goes from side to side."""
    return bool((drawn == WARNING_COLOR).all(axis=2).mean(axis=1).max() > 0.9)


@pytest.mark.parametrize(
    ("group_affect", "warning", "expected"),
    [
        (None, "", False),
        (group(), "", False),
        (group(), "no results for 1.2 s", True),
        (group(stale=True), "", True),
    ],
)
def test_what_is_stale_is_warned_of_in_colour_and_words(group_affect, warning, expected):
    shown = affect(face("a", 0.5), group=group_affect)
    drawn = draw_overlay(picture(), shown, warning=warning)
    assert has_warning(drawn) == expected
    if warning:
        other = draw_overlay(picture(), shown, warning="no images for 2.0 s")
        assert (drawn != other).any(), "the words are shown"


def test_a_label_keeps_off_the_face_above_it():
    """Two people, one right above the other: the lower one's label would lie on the upper one's face."""
    upper, lower = Box(200, 100, 90, 90), Box(200, 195, 90, 90)
    alone = draw_overlay(picture(), affect(face("a", 1.0, box=upper)), **BARE)
    both = draw_overlay(picture(), affect(face("a", 1.0, box=upper), face("b", 0.0, box=lower)), **BARE)
    inside = (slice(105, 185), slice(205, 285))
    assert (both[inside] == alone[inside]).all()


def test_labels_keep_off_each_other():
    left, right = face("a", 0.6, box=Box(200, 200, 60, 90)), face("b", 1.0, box=Box(268, 200, 60, 90))
    first, second = (draw_overlay(picture(), affect(each), **BARE) for each in (left, right))
    both = draw_overlay(picture(), affect(left, right), **BARE)
    assert (changed(first) & changed(second)).sum() > 100, "above the boxes they would overlap"
    for alone, level in ((first, SmileLevel.MEDIUM), (second, SmileLevel.HIGH)):
        color = level_color(level)
        shown, whole = ((drawn == color).all(axis=2).sum() for drawn in (both, alone))
        assert shown == pytest.approx(whole, rel=0.03)


@pytest.mark.parametrize("top", [0.0, 200.0, 390.0], ids=["top", "middle", "bottom"])
def test_every_mark_of_a_face_is_in_the_picture_wherever_it_is(top):
    box = Box(200.0, top, 80.0, 90.0)
    drawn = draw_overlay(picture(), affect(face("a", 1.0, box=box)), traces=traces_of(0.5, 1.0), legend=False)
    high = (drawn == level_color(SmileLevel.HIGH)).all(axis=2)
    assert max_run(high) >= 76, "the bar, full"
    assert (drawn == 255).all(axis=2)[40:].any(), "the trace"


def max_run(mask):
    return int(mask.sum(axis=1).max())


def trace_rows(*intensities, **about):
    """The rows of a trace's line, from its left to its right; None where there is none."""
    traces = traces_of(*intensities, **about)
    shown = affect(face("a", 0.0), stamp_s=len(intensities) / 10)
    drawn = draw_overlay(picture(), shown, traces=traces, **BARE)
    white = (drawn[290:, 100:180] == 255).all(axis=2)
    return [float(column.nonzero()[0].mean()) if column.any() else None for column in white.T]


def test_a_trace_rises_with_the_intensity_and_ends_now():
    rows = trace_rows(*np.linspace(0.0, 1.0, 41))
    assert None not in rows[2:-2]
    assert rows[3] > rows[40] > rows[-4]
    assert rows[40] == pytest.approx((rows[3] + rows[-4]) / 2, abs=1.5)


def test_a_trace_of_somebody_new_is_at_the_right():
    rows = trace_rows(*[None] * 30, *[0.5] * 11)
    assert rows[5:55] == [None] * 50
    assert None not in rows[62:-2]


def test_a_trace_has_a_gap_where_nothing_was_known():
    rows = trace_rows(*[0.5] * 15, *[None] * 11, *[0.5] * 15)
    assert rows[34:46] == [None] * 12
    assert None not in rows[3:25]
    assert None not in rows[55:-2]


def test_traces_forget_what_is_old_and_who_left():
    traces = traces_of(*[0.5] * 100)
    assert len(traces.curve("a")) == 41
    for number in range(100, 140):
        traces.add(affect(face("b", 0.1), stamp_s=number / 10))
        assert traces.face_ids == ("a", "b")
    traces.add(affect(face("b", 0.1), stamp_s=14.05))
    assert traces.face_ids == ("b",)
    assert traces.curve("a").shape == (0, 2)


def test_a_trace_is_bounded_at_any_rate():
    traces = traces_of(*[0.5] * 3000, rate_hz=1000.0)
    assert len(traces.curve("a")) == MAX_SAMPLES


def test_a_curve_is_time_and_intensity_with_nan_for_the_unknown():
    traces = traces_of(0.1, 0.2, None, 0.4, span_s=1.0)
    traces.add(affect(face("a", 0.7, valid=False), stamp_s=0.4))
    np.testing.assert_allclose(
        traces.curve("a"), [[0.6, 0.1], [0.7, 0.2], [0.8, NAN], [0.9, 0.4], [1.0, NAN]], atol=1e-9
    )


def test_the_curve_of_somebody_new_has_the_times_of_the_pictures():
    traces = Traces(2.0)
    traces.add(affect(face("a", 0.1), stamp_s=0.0))
    traces.add(affect(face("a", 0.1), stamp_s=0.1))
    for stamp_s in (0.7, 1.5):
        traces.add(affect(face("a", 0.1), face("b", 0.2), stamp_s=stamp_s))
    np.testing.assert_allclose(traces.curve("b"), [[0.6, 0.2], [1.0, 0.2]])


def test_traces_take_a_frame_once_and_start_again_with_a_new_epoch():
    traces = traces_of(0.1, 0.2, 0.3)
    traces.add(affect(face("a", 0.9), stamp_s=0.2))
    traces.add(affect(face("a", 0.9), stamp_s=0.15))
    assert traces.curve("a")[:, 1].tolist() == [0.1, 0.2, 0.3]
    traces.add(replace(affect(face("a", 0.9), stamp_s=-5.0), epoch=1))
    assert traces.curve("a").tolist() == [[1.0, 0.9]]


def test_the_levels_get_lighter():
    lightness = [0.299 * r + 0.587 * g + 0.114 * b for _, (r, g, b) in LEVEL_COLORS[:4]]
    assert lightness == sorted(lightness)


@pytest.mark.parametrize(
    ("speaking", "laughing", "is_drawn"),
    [(0.9, 0.0, True), (0.0, 0.9, True), (0.4, 0.4, False), (NAN, NAN, False)],
)
def test_who_speaks_or_laughs_has_a_bubble_in_the_corner(speaking, laughing, is_drawn):
    who = face("a", box=Box(200.0, 100.0, 120.0, 120.0), further=(Voice(speaking, laughing),))
    corner = draw_overlay(picture(), affect(who), labels=False, **BARE)[106:116, 296:312]
    assert bool((corner.min(axis=2) > 200).any()) is is_drawn
