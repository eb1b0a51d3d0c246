"""The group's numbers against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from factories import face

from social_perception.core.config import GroupConfig
from social_perception.core.types import Box, Position, SmileLevel
from social_perception.perception.group.aggregator import GroupAggregator
from social_perception.perception.group.weights import person_weights


def test_empty_room_is_known_and_a_silent_camera_is_not():
    aggregator = GroupAggregator(GroupConfig(stale_after_s=1.0))
    assert aggregator.current(0.0).stale, "nothing was ever seen"
    empty = aggregator.update([], 10.0)
    assert (empty.group_size, empty.stale, empty.level) == (0, False, SmileLevel.UNKNOWN)
    assert math.isnan(empty.intensity)
    assert not aggregator.current(0.9).stale
    assert aggregator.current(1.1).stale
    assert aggregator.current(1.1).group_size == 0


def test_only_valid_smiles_enter_the_numbers():
    group = GroupAggregator(GroupConfig()).update(
        [face("a", 0.2), face("b", 0.6), face("c", 1.0, valid=False)], 0.0
    )
    assert (group.group_size, group.valid_faces) == (3, 2)
    assert group.mean_intensity == pytest.approx(0.4)
    assert group.dispersion == pytest.approx(0.2)
    assert group.smiling_fraction == pytest.approx(1.0)
    assert group.face_ids == ("a", "b", "c")


@pytest.mark.parametrize(
    ("smiling_level", "fraction"), [(1, 0.75), (2, 0.5), (3, 0.25)], ids=["low", "medium", "high"]
)
def test_smiling_fraction_counts_from_the_chosen_level(smiling_level, fraction):
    faces = [face(name, level / 3) for name, level in zip("abcd", range(4))]
    group = GroupAggregator(GroupConfig(smiling_level=smiling_level)).update(faces, 0.0)
    assert group.smiling_fraction == pytest.approx(fraction)


def test_a_face_of_twice_the_area_counts_twice():
    faces = [
        face("near", 1.0, box=Box(0, 0, 200, 100)),
        face("far", 0.0, box=Box(50, 0, 100, 100)),
    ]
    assert person_weights(faces, 1.0, 0.0) == pytest.approx([2 / 3, 1 / 3])
    assert person_weights(faces, 0.0, 0.0) == pytest.approx([0.5, 0.5])


def test_the_rim_counts_less_than_the_centre():
    boxes = [Box(x, 0, 10, 10) for x in (0, 100, 200)]
    faces = [face(str(index), 0.5, box=box) for index, box in enumerate(boxes)]
    # Rim people lose half their weight: 0.5, 1, 0.5.
    assert person_weights(faces, 1.0, 0.5) == pytest.approx([0.25, 0.5, 0.25])
    assert person_weights(faces[:2], 1.0, 1.0) == pytest.approx([0.5, 0.5]), "no centre person"


def test_depth_replaces_size():
    small_but_near = face("a", 1.0, box=Box(0, 0, 10, 10), position=Position(0, 0, 1.0))
    large_but_far = face("b", 0.0, box=Box(0, 0, 90, 90), position=Position(0, 0, 2.0))
    assert person_weights([small_but_near, large_but_far], 1.0, 0.0) == pytest.approx([0.8, 0.2])


FOCAL_PX, CENTER_PX = 600.0, (640.0, 360.0)


def seen(name, place, *, face_m=0.16, has_depth=True):
    """A person at a place in m, as a camera sees them."""
    x, y, z = place
    side = face_m * FOCAL_PX / z
    u, v = CENTER_PX[0] + FOCAL_PX * x / z, CENTER_PX[1] + FOCAL_PX * y / z
    box = Box(u - side / 2, v - side / 2, side, side)
    return face(name, 0.5, box=box, position=Position(x, y, z) if has_depth else None)


def test_a_child_in_front_counts_more_though_the_face_is_smaller():
    child, adult = (0.3, 0.2, 1.0), (-0.2, 0.0, 1.2)
    faces = [seen("child", child, face_m=0.11), seen("adult", adult, face_m=0.16)]
    assert faces[0].track.box.area < faces[1].track.box.area
    by_depth = person_weights(faces, 1.0, 0.0)
    assert by_depth[0] > by_depth[1]
    flat = [seen("child", child, face_m=0.11, has_depth=False), seen("adult", adult, has_depth=False)]
    by_size = person_weights(flat, 1.0, 0.0)
    assert by_size[0] < by_size[1]


GROUP = [(-0.9, 0.1, 1.4), (0.2, -0.1, 1.1), (0.9, 0.0, 2.0), (1.4, 0.1, 2.4)]


@pytest.mark.parametrize("unknown", [(0,), (1,), (3,), (0, 2), (1, 3)])
def test_a_missing_depth_changes_nobodys_weight(unknown):
    complete = [seen(str(i), place) for i, place in enumerate(GROUP)]
    partly = [seen(str(i), place, has_depth=i not in unknown) for i, place in enumerate(GROUP)]
    expected = person_weights(complete, 1.0, 0.5)
    assert person_weights(partly, 1.0, 0.5) == pytest.approx(expected, rel=1e-6)
    by_size = person_weights([seen(str(i), place, has_depth=False) for i, place in enumerate(GROUP)], 1, 0.5)
    assert np.abs(by_size - expected).max() > 0.01, "the test tells the ways apart"


@pytest.mark.parametrize("known", range(4))
def test_one_known_depth_serves_all(known):
    partly = [seen(str(i), place, has_depth=i == known) for i, place in enumerate(GROUP)]
    weights = person_weights(partly, 1.0, 0.0)
    depths = np.array([z for _, _, z in GROUP])
    expected = depths**-2.0 / (depths**-2.0).sum()
    assert weights == pytest.approx(expected, rel=0.2)
    assert np.argsort(weights).tolist() == np.argsort(expected).tolist()


def test_one_odd_face_does_not_spoil_the_estimate():
    places = [(-1.0, 0.0, 1.5), (-0.4, 0.0, 1.5), (0.2, 0.0, 1.5), (0.8, 0.0, 1.5)]
    faces = [seen(str(i), place, face_m=0.5 if i == 0 else 0.16) for i, place in enumerate(places[:3])]
    faces.append(seen("3", places[3], has_depth=False))
    complete = [*faces[:3], seen("3", places[3])]
    assert person_weights(faces, 1.0, 0.5) == pytest.approx(person_weights(complete, 1.0, 0.5), rel=1e-6)


@pytest.mark.parametrize("z", [0.0, -1.0, math.nan])
def test_a_position_behind_the_camera_is_none(z):
    known, odd = seen("a", (0.0, 0.0, 1.0)), seen("b", (0.5, 0.0, 1.0), has_depth=False)
    other = face("b", 0.5, box=odd.track.box, position=Position(0.0, 0.0, z))
    assert person_weights([known, other], 1.0, 0.5) == pytest.approx(person_weights([known, odd], 1.0, 0.5))


def run(aggregator, curves, rate_hz=30.0):
    group = None
    for index in range(len(next(iter(curves.values())))):
        faces = [face(name, curve[index]) for name, curve in curves.items() if not np.isnan(curve[index])]
        group = aggregator.update(faces, index / rate_hz)
    return group


def test_trend_is_the_slope_per_second():
    rising = 0.1 + 0.05 * np.arange(90) / 30.0
    group = run(GroupAggregator(GroupConfig(window_s=2.0)), {"a": rising})
    assert group.trend == pytest.approx(0.05)
    assert group.window_s == pytest.approx(2.0, abs=0.04)


@pytest.mark.parametrize(("phase", "expected"), [(0.0, 1.0), (math.pi, -1.0), (math.pi / 2, 0.0)])
def test_synchrony_of_two_waves(phase, expected):
    times = np.arange(120) / 30.0
    waves = {"a": 0.5 + 0.3 * np.sin(math.pi * times), "b": 0.5 + 0.2 * np.sin(math.pi * times + phase)}
    group = run(GroupAggregator(GroupConfig(window_s=4.0)), waves)
    assert group.synchrony == pytest.approx(expected, abs=0.02)


def test_synchrony_equals_numpy_where_people_come_and_go():
    generator = np.random.default_rng(3)
    curves = {name: generator.uniform(0, 1, 100) for name in "abc"}
    curves["b"][:40] = np.nan
    curves["c"][70:] = np.nan
    group = run(GroupAggregator(GroupConfig(window_s=60.0)), curves)
    expected = []
    for first, second in (("a", "b"), ("a", "c"), ("b", "c")):
        both = ~np.isnan(curves[first]) & ~np.isnan(curves[second])
        expected.append(np.corrcoef(curves[first][both], curves[second][both])[0, 1])
    assert group.synchrony == pytest.approx(np.mean(expected))


def test_what_cannot_be_known_is_nan():
    aggregator = GroupAggregator(GroupConfig())
    group = aggregator.update([face("a", 0.5)], 0.0)
    assert math.isnan(group.trend)
    assert math.isnan(group.synchrony), "one person alone is not in synchrony"
    constant = {"a": np.full(60, 0.5), "b": np.linspace(0, 1, 60)}
    assert math.isnan(run(GroupAggregator(GroupConfig()), constant).synchrony)


def test_the_window_forgets():
    aggregator = GroupAggregator(GroupConfig(window_s=1.0))
    run(aggregator, {"a": np.linspace(0, 1, 300), "gone": np.r_[np.full(30, 0.3), np.full(270, np.nan)]})
    assert aggregator._history._people.shape[1] == 1
    assert len(aggregator._history._stamps) <= 31


def test_a_stamp_that_repeats_replaces_its_frame():
    aggregator = GroupAggregator(GroupConfig())
    group = aggregator.update([face("a", 0.5)], 0.5)
    group = aggregator.update([face("a", 0.7)], 0.5)
    assert (group.intensity, group.window_s) == (pytest.approx(0.7), 0.0)
