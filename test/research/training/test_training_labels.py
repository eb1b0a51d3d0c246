"""Targets from votes, emotions and ratings."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from social_perception.research.training import labels
from social_perception.research.training.labels import EMOTIONS, is_held_out, make_targets


def votes(**given: int) -> dict[str, int]:
    return {name: given.get(name, 0) for name in (*EMOTIONS, "unknown", "not_face")}


@pytest.fixture
def table() -> pd.DataFrame:
    rows = [votes(happiness=10)] * 20 + [votes(neutral=10)] * 20
    rows += [votes(contempt=10), votes(not_face=10), votes(happiness=10), votes(neutral=10)]
    return pd.DataFrame(rows).assign(name=[f"face{i}.png" for i in range(len(rows))])


@pytest.fixture
def ratings(monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """Both raters see Medium and High in the happy faces 0 to 9, Neutral in the faces 20 to 29."""
    happy, neutral = [f"face{i}.png" for i in range(10)], [f"face{i}.png" for i in range(20, 30)]
    rated = pd.DataFrame(
        {"rater1": [2.0] * 10 + [0.0] * 10, "rater2": [3.0] * 10 + [0.0] * 9 + [np.nan], "held_out": False},
        index=pd.Index(happy + neutral, name="name"),
    )
    monkeypatch.setattr(labels, "rated_levels", lambda _: rated)
    return rated


def test_the_held_out_fifth_is_a_fifth_and_fixed() -> None:
    share = np.mean([is_held_out(f"fer{i:07d}.png") for i in range(5000)])
    assert 0.18 < share < 0.22
    # The split is part of what the published figures mean: it must never change.
    assert [is_held_out(f"file{i:04d}.jpg") for i in range(1, 9)] == EXPECTED_SPLIT


EXPECTED_SPLIT = [True, False, False, False, False, False, False, False]


def test_two_raters_become_a_distribution(table: pd.DataFrame, ratings: pd.DataFrame) -> None:
    targets = make_targets("ferplus_train", table)
    assert targets.above[0] == pytest.approx([1.0, 1.0, 0.5])
    assert targets.above[29] == pytest.approx([0.0, 0.0, 0.0])  # one rater alone
    assert targets.rated.sum() == 20
    assert targets.weight[0] == pytest.approx([1.0, 1.0, 1.0])


def test_a_weak_label_gets_the_mean_rating_of_its_faces(table: pd.DataFrame, ratings: pd.DataFrame) -> None:
    targets = make_targets("ferplus_train", table)
    happy, neutral = targets.above[15], targets.above[35]
    assert happy[0] > 0.9
    assert 0.4 < happy[2] < 0.6
    assert (neutral < 0.1).all()
    assert targets.weight[15, 0] > targets.weight[15, 1] > targets.weight[15, 2]


def test_held_out_ratings_are_not_used(table: pd.DataFrame, ratings: pd.DataFrame) -> None:
    before = make_targets("ferplus_train", table).above[35]
    ratings.loc["face20.png", ["rater1", "rater2", "held_out"]] = [3.0, 3.0, True]
    targets = make_targets("ferplus_train", table)
    assert targets.held_out[20]
    assert targets.held_out.sum() == 1
    assert targets.above[35] == pytest.approx(before, abs=0.03)


def test_contempt_and_no_face_do_not_count(table: pd.DataFrame, ratings: pd.DataFrame) -> None:
    weight = make_targets("ferplus_train", table).weight
    assert (weight[40] == 0).all()
    assert (weight[41] == 0).all()
    assert weight[42, 0] > 0


def test_emotions_are_distributions(table: pd.DataFrame, ratings: pd.DataFrame) -> None:
    emotion = make_targets("ferplus_train", table).emotion
    assert emotion[:41].sum(axis=1) == pytest.approx(np.ones(41))
    assert emotion[0, EMOTIONS.index("happiness")] == 1.0


def test_a_fifth_of_all_genki_faces_is_held_out_rated_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"file{i:04d}.jpg" for i in range(1, 301)]
    rated = pd.DataFrame(
        {"rater1": 1.0, "rater2": 1.0, "held_out": [is_held_out(name) for name in names[:20]]},
        index=pd.Index(names[:20], name="name"),
    )
    monkeypatch.setattr(labels, "rated_levels", lambda _: rated)
    table = pd.DataFrame({"name": names, "smile": [0, 1] * 150})
    targets = make_targets("genki_train", table)
    assert targets.held_out.tolist() == [is_held_out(name) for name in names]
