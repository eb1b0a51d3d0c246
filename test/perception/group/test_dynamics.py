"""Who smiles with whom: synthetic people with a known lag, sign and correlation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from factories import face
from scipy.ndimage import gaussian_filter1d

from social_perception.core.config import DynamicsConfig
from social_perception.core.types import Voice
from social_perception.perception.group import dynamics
from social_perception.perception.group.dynamics import (
    DynamicsEstimator,
    highest_peaks,
    lagged_correlations,
    resample,
)

RATE_HZ = 30.0
STEP_S = dynamics.GRID_STEP_S


def smiling(seed, times_s, slowness_s=0.5):
    """A curve like a smile's, that can be asked at any times: smoothed noise in [0, 1]."""
    grid = np.arange(-20.0, 200.0, 0.02)
    noise = gaussian_filter1d(np.random.default_rng(seed).standard_normal(len(grid)), slowness_s / 0.02)
    return np.interp(times_s, grid, np.clip(0.5 + 0.2 * noise / noise.std(), 0.0, 1.0))


def run(stamps_s, curves, **config):
    """The dynamics after all frames; NaN in a curve: the person is not there."""
    estimator = DynamicsEstimator(DynamicsConfig(**config))
    feed(estimator, stamps_s, curves)
    return estimator.estimate()


def feed(estimator, stamps_s, curves, epoch=0):
    for index, stamp_s in enumerate(stamps_s):
        there = [face(name, curve[index]) for name, curve in curves.items() if not np.isnan(curve[index])]
        estimator.add(there, float(stamp_s), epoch)


STAMPS_S = np.arange(0.0, 40.0, 1 / RATE_HZ)


@pytest.mark.parametrize("lag_s", [-2.0, -0.7, 0.0, 0.1, 1.3, 2.0])
@pytest.mark.parametrize("rate_hz", [4.0, 10.0, 30.0], ids="{:g}Hz".format)
def test_the_lag_and_its_sign_are_found_at_any_frame_rate(lag_s, rate_hz):
    stamps_s = np.arange(0.0, 40.0, 1 / rate_hz)
    curves = {"a": smiling(1, stamps_s), "b": smiling(1, stamps_s - lag_s)}  # b follows a by lag_s
    (pair,) = run(stamps_s, curves).pairs
    assert (pair.first, pair.second) == ("a", "b")
    assert pair.lag_s == pytest.approx(lag_s, abs=STEP_S / 100)
    assert pair.correlation > 0.97


def test_a_lag_beyond_the_longest_is_not_given():
    curves = {"a": smiling(1, STAMPS_S), "b": smiling(1, STAMPS_S - 2.5)}
    (short,) = run(STAMPS_S, curves, max_lag_s=2.0).pairs
    assert math.isnan(short.correlation) or short.correlation < 0.7
    (long,) = run(STAMPS_S, curves, max_lag_s=3.0).pairs
    assert (long.lag_s, long.correlation > 0.97) == (pytest.approx(2.5), True)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_smiling_against_each_other_is_negative_at_lag_zero(sign):
    curve = smiling(2, STAMPS_S)
    group = run(STAMPS_S, {"a": curve, "b": 0.5 + sign * 0.6 * (curve - 0.5)})
    assert group.pairs[0].zero_lag_correlation == pytest.approx(sign, abs=1e-6)
    assert group.synchrony == pytest.approx(sign, abs=1e-6)


def test_each_correlation_is_numpys_over_the_samples_that_both_have():
    generator = np.random.default_rng(3)
    people = generator.uniform(0, 1, (80, 4))
    people[:25, 1] = np.nan
    people[generator.uniform(size=people.shape) < 0.1] = np.nan
    lags_s, curves = lagged_correlations(people, 0.1, 1.0, 2.0)
    assert lags_s == pytest.approx(np.arange(-11, 12) * 0.1)
    for index, lag in enumerate(range(-11, 12)):
        rows = np.arange(max(0, -lag), min(80, 80 - lag))
        for first in range(4):
            for second in range(4):
                x, y = people[rows, first], people[rows + lag, second]
                both = ~np.isnan(x) & ~np.isnan(y)
                expected = np.corrcoef(x[both], y[both])[0, 1]
                assert curves[index, first, second] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3])
def test_noise_lowers_the_correlation_by_what_theory_says(noise):
    """r of two noisy copies of one signal is the signal's share of the variance."""
    generator = np.random.default_rng(4)
    signal = 0.5 + 0.1 * np.sin(np.arange(300_000) * 0.7)
    people = np.stack([signal + noise * generator.standard_normal(len(signal)) for _ in range(2)], axis=1)
    _, curves = lagged_correlations(people, 0.1, 0.1, 10.0)
    assert curves[2, 0, 1] == pytest.approx(0.005 / (0.005 + noise**2), abs=0.01)


def test_frame_noise_is_averaged_over_the_grids_intervals():
    generator = np.random.default_rng(5)
    noisy = {
        name: np.clip(smiling(6, STAMPS_S) + 0.1 * generator.standard_normal(len(STAMPS_S)), 0, 1)
        for name in "ab"
    }
    frame_by_frame = np.corrcoef(noisy["a"][-900:], noisy["b"][-900:])[0, 1]
    assert run(STAMPS_S, noisy).pairs[0].zero_lag_correlation > frame_by_frame + 0.05


def test_the_highest_correlation_comes_first_and_each_pair_once():
    curves = {
        "leader": smiling(1, STAMPS_S),
        "follower": smiling(1, STAMPS_S - 0.5),
        "stranger": smiling(9, STAMPS_S),
        "stone": np.full(len(STAMPS_S), 0.4),
    }
    group = run(STAMPS_S, curves)
    assert group.face_ids == ("follower", "leader", "stone", "stranger")
    assert len({frozenset((pair.first, pair.second)) for pair in group.pairs}) == len(group.pairs) == 6
    assert (group.pairs[0].first, group.pairs[0].second) == ("follower", "leader")
    assert group.pairs[0].lag_s == pytest.approx(-0.5), "the leader is ahead of the follower"
    known = [pair.correlation for pair in group.pairs if not math.isnan(pair.correlation)]
    assert known == sorted(known, reverse=True)
    assert all(math.isnan(pair.correlation) for pair in group.pairs[len(known) :])


def test_the_order_in_which_people_are_listed_changes_nothing():
    curves = {name: smiling(seed, STAMPS_S) for seed, name in enumerate("abcdef")}
    backwards = dict(reversed(curves.items()))
    assert repr(run(STAMPS_S, curves)) == repr(run(STAMPS_S, backwards))  # NaN equals nothing


@pytest.mark.parametrize("jitter", [0.0, 0.005])
@pytest.mark.parametrize("names", ["ab", "ba"])
def test_who_does_not_change_has_no_correlation(names, jitter):
    still = 0.5 + jitter * (smiling(1, STAMPS_S) - 0.5)
    group = run(STAMPS_S, dict(zip(names, [smiling(1, STAMPS_S), still])))
    (pair,) = group.pairs
    values = (pair.correlation, pair.lag_s, pair.zero_lag_correlation, group.synchrony)
    assert all(math.isnan(value) for value in values)


def test_curves_that_only_rise_have_no_peak_but_a_correlation_now():
    rising = np.linspace(0.0, 1.0, len(STAMPS_S))
    (pair,) = run(STAMPS_S, {"a": rising, "b": rising**3}, dynamics_window_s=20.0).pairs
    assert math.isnan(pair.lag_s)
    assert math.isnan(pair.correlation)
    assert pair.zero_lag_correlation > 0.9


@pytest.mark.parametrize(("together_s", "known"), [(8.5, False), (9.5, True)])
def test_too_little_time_together_is_unknown(together_s, known):
    late = smiling(1, STAMPS_S)
    late[STAMPS_S[-1] - STAMPS_S > together_s] = np.nan
    group = run(STAMPS_S, {"a": smiling(1, STAMPS_S), "late": late}, min_overlap=0.3)
    assert math.isnan(group.pairs[0].zero_lag_correlation) is not known
    assert math.isnan(group.synchrony) is not known


def test_who_left_is_not_listed_and_who_returns_keeps_the_past():
    curves = {"a": smiling(1, STAMPS_S), "b": smiling(1, STAMPS_S - 0.4)}
    curves["b"][700:900] = np.nan
    estimator = DynamicsEstimator(DynamicsConfig())
    away = slice(0, 850)
    feed(estimator, STAMPS_S[away], {name: curve[away] for name, curve in curves.items()})
    gone = estimator.estimate()
    assert (gone.face_ids, gone.pairs) == (("a",), ())
    assert math.isnan(gone.synchrony)
    back = slice(850, None)
    feed(estimator, STAMPS_S[back], {name: curve[back] for name, curve in curves.items()})
    (pair,) = estimator.estimate().pairs
    assert (pair.lag_s, pair.correlation > 0.97) == (pytest.approx(0.4), True)


def test_a_face_without_a_valid_smile_is_listed_but_unknown():
    estimator = DynamicsEstimator(DynamicsConfig())
    for stamp_s, value in zip(STAMPS_S, smiling(1, STAMPS_S)):
        estimator.add([face("a", value), face("hidden", value, valid=False)], float(stamp_s))
    group = estimator.estimate()
    assert group.face_ids == ("a", "hidden")
    assert math.isnan(group.pairs[0].zero_lag_correlation)


def test_irregular_stamps_and_a_pause_of_the_camera_change_little():
    generator = np.random.default_rng(7)
    stamps_s = np.cumsum(generator.uniform(0.01, 0.2, 500))
    stamps_s[250:] += 6.0
    curves = {"a": smiling(1, stamps_s), "b": smiling(1, stamps_s - 0.8)}
    (pair,) = run(stamps_s, curves).pairs
    assert (pair.lag_s, pair.correlation > 0.95) == (pytest.approx(0.8), True)


def test_the_even_grid_holds_the_means_and_leaves_gaps_unknown():
    stamps_s = np.array([0.0, 0.05, 0.1, 0.15, 0.2, 1.2, 1.3])
    people = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.8, 1.0])[:, None]
    table = resample(stamps_s, people, 0.1)[:, 0]
    expected = [0.1, 0.3, *[math.nan] * 10, 0.9]
    assert table == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("frames", [0, 1])
def test_before_there_is_a_history_nothing_is_known(frames):
    estimator = DynamicsEstimator(DynamicsConfig())
    feed(estimator, STAMPS_S[:frames], {"a": [0.5], "b": [0.6]})
    group = estimator.estimate()
    assert group.stale is (frames == 0)
    assert (group.window_s, len(group.pairs)) == (0.0, frames)
    assert math.isnan(group.synchrony)


def test_an_empty_room_is_known():
    estimator = DynamicsEstimator(DynamicsConfig())
    estimator.add([], 12.0)
    group = estimator.estimate()
    assert (group.stamp_s, group.face_ids, group.pairs, group.stale) == (12.0, (), (), False)


def test_a_new_epoch_starts_without_a_history():
    estimator = DynamicsEstimator(DynamicsConfig())
    feed(estimator, STAMPS_S, {"a": smiling(1, STAMPS_S), "b": smiling(1, STAMPS_S)})
    feed(estimator, STAMPS_S[:600], {"a": smiling(2, STAMPS_S), "c": smiling(2, STAMPS_S - 0.3)}, epoch=1)
    group = estimator.estimate()
    assert group.face_ids == ("a", "c")
    assert group.window_s == pytest.approx(STAMPS_S[599])
    assert group.pairs[0].lag_s == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("curve", "value", "lag_s"),
    [
        ([0.1, 0.9, 0.2, 0.5, 0.3], 0.9, -1.0),
        ([0.1, 0.5, 0.2, 0.9, 0.3], 0.9, 1.0),
        ([0.1, 0.9, 0.5, 0.9, 0.3], 0.9, -1.0),
        ([0.1, 0.8, 0.8, 0.2, 0.1], 0.8, 0.0),
        ([-0.9, -0.3, -0.2, -0.4, -0.5], -0.2, 0.0),
        ([0.9, 0.4, 0.3, 0.2, 0.1], math.nan, math.nan),
        ([0.5, 0.5, 0.5, 0.5, 0.5], math.nan, math.nan),
        ([0.1, math.nan, 0.9, 0.2, 0.1], math.nan, math.nan),
        ([math.nan] * 5, math.nan, math.nan),
    ],
    ids=["left", "right", "equal", "plateau", "negative", "edge", "flat", "unknown beside", "unknown"],
)
def test_the_peak_of_a_curve(curve, value, lag_s):
    values, lags_s = highest_peaks(np.array(curve)[:, None], np.arange(-2.0, 3.0))
    assert (values[0], lags_s[0]) == pytest.approx((value, lag_s), nan_ok=True)


def test_strangers_reach_high_peaks_by_chance_and_no_synchrony():
    """The figures that keep one from reading much into one window: 276 pairs of independent people."""
    curves = {f"p{seed}": smiling(seed, STAMPS_S, slowness_s=0.5) for seed in range(24)}
    group = run(STAMPS_S, curves)
    peaks = np.array([pair.correlation for pair in group.pairs if not math.isnan(pair.correlation)])
    assert 0.2 < np.median(peaks) < 0.4
    assert np.percentile(peaks, 95) < 0.7
    assert abs(group.synchrony) < 0.05


def test_work_grows_with_the_lags_and_not_with_the_pairs(monkeypatch):
    products = []
    matrix = dynamics.correlation_matrix
    monkeypatch.setattr(dynamics, "correlation_matrix", lambda *tables: products.append(1) or matrix(*tables))
    counts = []
    for people in (2, 64):
        group = run(STAMPS_S[-100:], {f"p{seed:02}": smiling(seed, STAMPS_S) for seed in range(people)})
        assert len(group.pairs) == people * (people - 1) // 2
        counts.append(len(products))
        products.clear()
    assert counts == [22, 22]


def test_a_group_has_no_pairs_but_everybody_is_listed(monkeypatch):
    monkeypatch.setattr(dynamics, "MAX_PEOPLE", 3)
    times_s = np.arange(0.0, 20.0, 0.1)
    for people, pairs in ((3, 3), (4, 0)):
        curves = {f"p{number}": smiling(number, times_s) for number in range(people)}
        found = run(times_s, curves)
        assert (len(found.face_ids), len(found.pairs)) == (people, pairs)
        assert math.isnan(found.synchrony) == (pairs == 0)
        assert not found.stale


def test_the_memory_is_the_windows():
    estimator = DynamicsEstimator(DynamicsConfig(dynamics_window_s=5.0))
    feed(estimator, STAMPS_S, {"a": smiling(1, STAMPS_S)})
    assert estimator._history.people.shape == (pytest.approx(5.0 * RATE_HZ, abs=2), 1)


def laugh(estimator, laughing, stamps_s):
    """Feed frames in which each of ``laughing`` laughs in the given times (start, end)."""
    for stamp_s in stamps_s:
        loud = {name: 0.9 * any(a <= stamp_s < b for a, b in times) for name, times in laughing.items()}
        faces = [face(name, 0.5, further=[Voice(0.0, each)]) for name, each in loud.items()]
        estimator.add(faces, float(stamp_s))
    return estimator.estimate()


def test_who_joins_in_a_laughter_is_known_with_the_lag():
    estimator = DynamicsEstimator(DynamicsConfig(dynamics_window_s=10.0))
    laughing = {
        "ann": [(2.0, 3.0), (20.05, 21.0)],
        "bob": [(20.5, 21.5), (22.5, 23.0)],
        "cid": [(20.0, 20.1), (21.0, 21.2)],  # too short
        "dan": [(23.0, 25.0)],
    }
    found = laugh(estimator, laughing, np.arange(0.0, 5.0, 0.05))
    assert (found.laughing_ids, found.laughing_lags_s) == (("ann",), (0.0,))
    assert laugh(estimator, {}, np.arange(5.0, 14.0, 0.05)).laughing_ids == (), "older than the window"
    before = estimator.snapshot()
    found = laugh(estimator, laughing, np.arange(14.0, 26.0, 0.05))
    assert found.laughing_ids == ("ann", "bob", "dan")
    assert found.laughing_lags_s == pytest.approx((0.0, 0.45, 2.95), abs=1e-6)
    assert before.estimate().laughing_ids == ()
    found = laugh(estimator, {"cid": [(28.0, 30.0)]}, np.arange(26.0, 30.0, 0.05))
    assert found.laughing_ids == ("cid",), "after a pause another laughter begins"


def test_without_sound_nobody_laughs():
    assert run(STAMPS_S[:100], {"a": smiling(1, STAMPS_S)}).laughing_ids == ()
