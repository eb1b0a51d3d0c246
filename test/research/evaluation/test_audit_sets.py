"""Audit sets: labels and groups, and no training images."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from social_perception.core.errors import SourceError
from social_perception.core.types import Box, Face, Smile, SmileLevel
from social_perception.research.evaluation.audit.development_sets import development_sets
from social_perception.research.evaluation.audit.labelled_images import AuditImage, complete_labels, to_groups
from social_perception.research.evaluation.audit.scoring import (
    ScoredFace,
    Subject,
    is_same_face,
    select_subjects,
)
from social_perception.research.training.labels import is_held_out


@pytest.mark.parametrize(
    ("values", "groups"),
    [
        (["b", "a10", "a2", None], ["a2", "a10", "b"]),
        (["-3", "2.50", "-3", None], ["-3", "2.5"]),
        ([str(n) for n in range(40)], ["0 to 9", "10 to 19", "20 to 29", "30 to 39"]),
        (["None", "NA", "None"], ["NA", "None"]),
        ([0.1] * 30 + list(range(1, 10)), ["0.1", "1 to 9"]),
    ],
)
def test_columns_become_groups(values: list[object], groups: list[str]) -> None:
    made = to_groups(pd.Series(values, name="g", dtype=object), 4)
    assert list(made.cat.categories) == groups
    assert made.isna().tolist() == [value is None for value in values]


def test_too_many_values_are_not_groups() -> None:
    with pytest.raises(SourceError, match="column person has 51 different values"):
        to_groups(pd.Series([f"p{n}" for n in range(51)], name="person"), 4)


def test_missing_labels_are_derived() -> None:
    truth = complete_labels(
        pd.DataFrame(
            {"level": [0, 1, 2.5, np.nan, np.nan], "intensity": [np.nan, np.nan, np.nan, 0.6, np.nan],
             "smile": [np.nan, 0, np.nan, np.nan, 1]}
        )
    )  # fmt: skip
    np.testing.assert_allclose(truth["intensity"], [0, 1 / 3, 2.5 / 3, 0.6, np.nan])
    np.testing.assert_allclose(truth["level"], [0, 1, 2.5, 2, np.nan])
    np.testing.assert_allclose(truth["smile"], [0, 0, 1, 1, 1])
    for intensity in (0.0, 0.16, 0.17, 0.49, 0.51, 0.84, 1.0):
        level = complete_labels(pd.DataFrame({"intensity": [intensity]}))["level"][0]
        assert level == SmileLevel.of_intensity(intensity)


def subjects(neutral: int, smiling: int, unknown: int = 0) -> list[Subject]:
    values = [0.0] * neutral + [1.0] * smiling + [np.nan] * unknown
    return [
        Subject(AuditImage(str(n), lambda: None), Box(0, 0, 9, 9), 0.5, 1, value)
        for n, value in enumerate(values)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("there", "count", "expected"),
    [
        ((50, 50), 20, (10, 10, 0)),
        ((4, 50), 20, (4, 16, 0)),
        ((50, 3), 20, (17, 3, 0)),
        ((3, 4, 90), 20, (3, 4, 13)),
        ((3, 4), 20, (3, 4, 0)),
        ((5, 5), 0, (0, 0, 0)),
    ],
)
def test_subjects_are_balanced(there, count, expected) -> None:
    selected = select_subjects(subjects(*there), count, 0)
    kinds = [each.smiling for each in selected]
    assert (kinds.count(0.0), kinds.count(1.0), int(np.isnan(kinds).sum())) == expected
    assert len({each.image.name for each in selected}) == len(selected)
    again = select_subjects(subjects(*there), count, 0)
    assert [each.image.name for each in selected] == [each.image.name for each in again]


def test_another_face_is_rejected() -> None:
    subject = Subject(AuditImage("a", lambda: None), Box(10, 10, 20, 20), 0.5, 1, 1.0)

    def scored(left: float) -> ScoredFace:
        return ScoredFace(Face(Box(left, 10, 20, 20), 1.0), Smile.unknown())

    assert is_same_face("blur", subject, scored(14), 100)
    assert not is_same_face("blur", subject, scored(60), 100)
    assert is_same_face("mirror", subject, scored(70), 100)
    assert not is_same_face("mirror", subject, scored(10), 100)
    assert not is_same_face("blur", subject, ScoredFace(None, Smile.unknown()), 100)


def test_the_development_sets_exclude_training_images(shared) -> None:
    genki, ferplus, rated = development_sets(("ferplus_train", "muxspace", "genki_train"), 4)
    for each in (genki, rated):
        assert all(is_held_out(image.name) for image in each.images)
    assert [each.name for each in (genki, ferplus, rated)] == ["genki", "ferplus_test", "rated"]
    for each in (genki, ferplus, rated):
        assert len(each.images) == len(each.truth) == len(each.groups)
        assert each.images[0].read().shape[2] == 3
    assert len(genki.images) == 400
    assert 3500 < len(ferplus.images) <= 3556
    assert set(rated.groups["source"]) == {"ferplus", "genki", "muxspace"}
    assert {"yaw", "pitch", "roll"} <= set(genki.groups)
    assert genki.truth["smile"].notna().all()
    # Of the whole set no image is dropped for a network that was not trained on it.
    whole = development_sets(("ferplus_train", "muxspace"), 4)[0]
    assert len(whole.images) == 1937
    table = pd.DataFrame({"emotion": ferplus.groups["emotion"], "smile": ferplus.truth["smile"]})
    assert set(table[table["smile"] == 1]["emotion"]) == {"happiness"}
    assert "not_face" not in set(table["emotion"])
