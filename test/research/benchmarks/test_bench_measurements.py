"""The measurements at small sizes, with small networks and real detectors."""

import numpy as np
import pytest
import torch

from social_perception.core.config import SmileConfig
from social_perception.perception.smile.reference_network import ReferenceConfig, ReferenceNetwork
from social_perception.perception.smile.streaming import StreamingScorer
from social_perception.research.benchmarks import detector, machine, scaling, scoring
from social_perception.research.benchmarks.report import Ratio
from social_perception.research.benchmarks.timing import Effort

BRIEF = Effort(rounds=1, slice_s=0.0, budget_s=5.0, limit_s=60.0)


@pytest.fixture
def tiny_reference(monkeypatch):
    """A small reference network of the same architecture."""
    sizes = ReferenceConfig(channels=(2, 2, 2, 2, 2), features=4, hidden=4)
    monkeypatch.setattr(scoring, "ReferenceNetwork", lambda: ReferenceNetwork(sizes))


def test_windows_and_streaming_give_the_same_result(tiny_reference):
    """All modes do the same work: after 20 frames of the same crops the results are equal."""
    network = scoring.ReferenceNetwork().eval().requires_grad_(False)
    crops = scoring.random_crops(3)
    ours = StreamingScorer(network, SmileConfig(), "cpu")
    streaming = scoring.StreamingCall(ours, 3)
    for _ in range(scoring.WINDOW_FRAMES):
        smiles = streaming.score(crops)
    for batch in (False, True):
        windows = scoring.WindowScorer(network, 3, "cpu", batch=batch)
        windows._windows[:] = scoring.to_input(torch.from_numpy(crops))[:, None]
        rows = np.array(windows.score(crops))
        np.testing.assert_allclose(rows[:, 0], [smile.intensity for smile in smiles], atol=1e-5)
        np.testing.assert_allclose(rows[:, 1:], [smile.probabilities for smile in smiles], atol=1e-5)


def check_ratios(comparison):
    for ratio in comparison.ratios:
        slow, fast = comparison.side(ratio.slow), comparison.side(ratio.fast)
        assert ratio.value == pytest.approx(slow.seconds / fast.seconds)


def test_scoring_measures_three_ways_with_both_networks(tiny_reference):
    small, large = scoring.compare_scoring([8, 1], "cpu", BRIEF)
    assert (small.what, small.size, large.what, large.size) == ("1 face", 1, "8 faces", 8)
    for comparison in (small, large):
        assert len(comparison.sides) == 6
        assert all(side.seconds > 0 and not side.reason for side in comparison.sides)
        check_ratios(comparison)
    assert [ratio.target for ratio in small.ratios] == [None] * 5
    assert [ratio.target for ratio in large.ratios] == [15.0, None, None, None, 100.0]


def test_sizes_that_would_take_too_long_are_skipped_with_the_reason(tiny_reference):
    effort = Effort(rounds=1, slice_s=0.0, budget_s=5.0, limit_s=0.0)
    _, two, four = scoring.compare_scoring([1, 2, 4], "cpu", effort)
    for comparison in (two, four):
        for side in comparison.sides:
            assert side.seconds is None
            assert side.reason.startswith("skipped: 1 face took ")
        assert [ratio.value for ratio in comparison.ratios] == [None] * 5


def test_a_batch_larger_than_the_memory_is_skipped(tiny_reference, monkeypatch):
    monkeypatch.setattr(scoring, "available_bytes", lambda device: 1e6)
    (one,) = scoring.compare_scoring([1], "cpu", BRIEF)
    missing = [side.name for side in one.sides if side.seconds is None]
    assert missing == [
        scoring.side_name(name, scoring.BATCH) for name in (scoring.REFERENCE, scoring.SHIPPED)
    ]
    assert "memory" in one.side(missing[0]).reason


def test_detectors_are_compared_and_find_the_people():
    pytest.importorskip("dlib", reason="needs dlib")
    (comparison,) = detector.compare_detectors([detector.Size(640, 360)], "cpu", BRIEF)
    assert (comparison.what, comparison.size) == ("640x360", 230_400)
    assert [side.name for side in comparison.sides] == [
        detector.DLIB,
        detector.EXACT,
        detector.VIDEO,
        detector.VIDEO_SMALL,
        detector.CASCADE,
    ]
    dlib, exact, _, small_faces, cascade = comparison.sides
    assert dlib.faces == exact.faces
    assert small_faces.faces == cascade.faces == detector.PEOPLE
    check_ratios(comparison)


def test_without_dlib_there_is_a_reason_and_no_ratio(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "dlib", None)
    (comparison,) = detector.compare_detectors([detector.Size(320, 180)], "cpu", BRIEF)
    assert comparison.side(detector.DLIB).reason == "this detector needs dlib: pip install dlib-bin"
    assert comparison.side(detector.EXACT).seconds > 0
    assert [ratio.value for ratio in comparison.ratios] == [None, None]


def test_the_targets_are_among_the_sizes():
    assert detector.TARGET_SIZE in detector.SIZES
    assert scoring.TARGET_FACES in scoring.FACES


def test_scaling_fits_lines_and_compares_with_a_matrix_product(tiny_reference):
    plan = scaling.ScalingPlan((1, 2), (1, 2), (detector.Size(160, 90), detector.Size(320, 180)), 64)
    lines, limits = scaling.measure_scaling(plan, "cpu", BRIEF)
    units = {line.name: line.unit for line in lines}
    assert units == {
        "scoring, reference network": "face",
        "scoring, shipped network": "face",
        "detection, exact": "megapixel",
        "detection, for video": "megapixel",
        scaling.TRACKING: "face",
    }
    assert all(len(line.points) == 2 for line in lines)
    assert [limit.name.split(", ")[0] for limit in limits] == ["scoring", "scoring", "detection", "detection"]
    for limit in limits:
        assert limit.share == pytest.approx(limit.achieved / limit.matrix_product)
        assert limit.achieved > 0


def test_lines_are_fitted_by_least_squares():
    line = scaling.fit("work", "cpu", "face", [(1.0, 3.0), (2.0, 5.0), (4.0, 9.0)])
    assert (line.slope_ms, line.intercept_ms, line.r_squared) == pytest.approx((2.0, 1.0, 1.0))
    noisy = scaling.fit("work", "cpu", "face", [(0.0, 0.0), (1.0, 2.0), (2.0, 0.0)])
    assert (noisy.slope_ms, noisy.intercept_ms, noisy.r_squared) == pytest.approx((0.0, 2 / 3, 0.0))


def test_operations_are_two_per_multiply_add():
    left, right = torch.zeros(3, 5), torch.zeros(5, 7)
    assert scaling.operations(lambda: left @ right) == 2 * 3 * 5 * 7


def test_the_networks_have_the_documented_cost():
    """The model card's multiply-adds: 2.84 billion of the reference network, 99 times the shipped one's."""
    counts = []
    for named in scoring.scorers("cpu"):
        call = scoring.StreamingCall(named.scorer, 1)
        counts.append(scaling.operations(lambda call=call: call.score(scoring.random_crops(1))) / 2)
    assert counts[0] == pytest.approx(2.84e9, rel=0.01)
    assert counts[0] / counts[1] == pytest.approx(99, rel=0.02)


@pytest.mark.parametrize("people", [2, 16])
def test_all_people_of_the_loop_are_tracked(people):
    call = scaling.TrackingCall(people)
    for _ in range(45):
        call()
        assert call.tracked == people


def test_the_machine_is_described():
    here = machine.this_machine()
    assert here.cores >= 1
    assert here.threads == torch.get_num_threads()
    assert here.cpu
    assert any(version.startswith("torch ") for version in here.versions)
    assert machine.available_bytes("cpu") > 1e8


def test_a_ratio_names_sides_that_exist(tiny_reference):
    (one,) = scoring.compare_scoring([1], "cpu", BRIEF)
    names = {side.name for side in one.sides}
    assert all(isinstance(ratio, Ratio) and {ratio.slow, ratio.fast} <= names for ratio in one.ratios)
