"""Measures of agreement between levels, on cases whose answer is known or comes from a second source."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as reference

from social_perception.research.evaluation.metrics import (
    accuracy,
    calibration_error,
    confusion,
    expected_chance_error,
    icc,
    kappa,
    macro_f1,
    precision_recall,
    smile_kappa,
)

RNG = np.random.default_rng(3)
TRUTH = RNG.integers(0, 4, 200).astype(float)
PREDICTED = np.clip(TRUTH + RNG.integers(-1, 2, 200), 0, 3)


def test_levels_agree_as_scikit_learn_counts() -> None:
    table = confusion(TRUTH, PREDICTED)
    assert (table == reference.confusion_matrix(TRUTH, PREDICTED)).all()
    precision, recall = precision_recall(table)
    expected = reference.precision_recall_fscore_support(TRUTH, PREDICTED)
    np.testing.assert_allclose(precision, expected[0])
    np.testing.assert_allclose(recall, expected[1])
    assert macro_f1(table) == pytest.approx(expected[2].mean())
    assert accuracy(TRUTH, PREDICTED) == reference.accuracy_score(TRUTH, PREDICTED)
    assert kappa(TRUTH, PREDICTED) == pytest.approx(reference.cohen_kappa_score(TRUTH, PREDICTED))
    assert smile_kappa(TRUTH, PREDICTED) == pytest.approx(
        reference.cohen_kappa_score(TRUTH > 0, PREDICTED > 0)
    )


def test_what_is_unknown_does_not_count() -> None:
    truth, predicted = np.array([0, 1, np.nan, 3.0]), np.array([0, 2, 1.0, np.nan])
    assert confusion(truth, predicted).sum() == 2
    assert accuracy(truth, predicted) == 0.5
    assert kappa(np.append(TRUTH, np.nan), np.append(PREDICTED, 1)) == kappa(TRUTH, PREDICTED)


def test_a_class_without_faces_has_no_recall_and_stays_out_of_f1() -> None:
    table = confusion(np.array([0.0, 0, 1]), np.array([0.0, 0, 1]))
    precision, recall = precision_recall(table)
    assert recall[:2].tolist() == precision[:2].tolist() == [1.0, 1.0]
    assert np.isnan(recall[2:]).all()
    assert np.isnan(precision[2:]).all()
    assert macro_f1(table) == 1.0


@pytest.mark.parametrize(("first", "second"), [([], []), ([1.0, 1.0], [1.0, 1.0])])
def test_no_agreement_is_known_without_faces_or_differences(first: list[float], second: list[float]) -> None:
    assert math.isnan(kappa(np.array(first), np.array(second)))
    assert math.isnan(icc(np.array(first), np.array(second)))


def test_icc_is_that_of_the_published_example() -> None:
    # Shrout and Fleiss, 1979, table 2: ICC(2,1) of the first two of the four predictions, by their formulas.
    first, second = np.array([9.0, 6, 8, 7, 10, 6]), np.array([2.0, 1, 4, 1, 5, 2])
    mean = (first + second) / 2
    between = 2 * ((mean - mean.mean()) ** 2).sum() / 5
    predictions = 6 * (((first.mean() - mean.mean()) ** 2) + ((second.mean() - mean.mean()) ** 2))
    rest = sum(((x - mean - x.mean() + mean.mean()) ** 2).sum() for x in (first, second)) / 5
    expected = (between - rest) / (between + rest + 2 * (predictions - rest) / 6)
    assert icc(first, second) == pytest.approx(expected)
    assert icc(first, second) < 0.2  # absolute: a judge who is always lower does not agree
    assert icc(first, first) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("confidence", "right", "error"), [(1.0, 1.0, 0.0), (1.0, 0.5, 0.5), (0.7, 0.7, 0.0)]
)
def test_calibration_error_is_the_gap_between_sure_and_right(
    confidence: float, right: float, error: float
) -> None:
    probabilities = np.tile([confidence, 1 - confidence, 0, 0], (100, 1))
    truth = np.where(np.arange(100) < 100 * right, 0.0, 2.0)
    assert calibration_error(truth, probabilities) == pytest.approx(error, abs=1e-9)


def test_gaps_of_different_bins_do_not_cancel() -> None:
    probabilities = np.array([[0.95, 0.05, 0, 0]] * 10 + [[0.55, 0.45, 0, 0]] * 10)
    truth = np.array([0.0] * 5 + [1.0] * 5 + [0.0] * 10)
    assert calibration_error(truth, probabilities) == pytest.approx(0.45)


def test_few_faces_have_a_calibration_error_by_chance() -> None:
    unsure = np.array([[0.3, 0.7, 0.0, 0.0]])
    errors = [expected_chance_error(np.repeat(unsure, count, axis=0)) for count in (10, 100, 10_000)]
    # The mean distance of a share of successes from its expectation, sqrt(2 p (1 - p) / (pi n)).
    assert errors == pytest.approx([0.366 / np.sqrt(n) for n in (10, 100, 10_000)], rel=0.4)
    assert expected_chance_error(np.eye(4)) == 0.0
