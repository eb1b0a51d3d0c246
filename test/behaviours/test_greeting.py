"""The example tree, without ROS."""

from __future__ import annotations

import py_trees
import pytest

from social_perception.behaviours import GreetingPlan, greeting_tree

PLAN = GreetingPlan(smile_s=1.0, smiling_on=0.5, smiling_off=0.3, absence_s=2.0, cooldown_s=30.0)
SMILING = {"smiling_fraction": 1.0}
NEUTRAL = {"smiling_fraction": 0.0}
EMPTY = {"group_size": 0, "smiling_fraction": float("nan")}
BLIND = {"stale": True, **SMILING}


@pytest.fixture
def greet(scene):
    """Plays rows of 0.1 s to the tree; returns how often it greeted in each call."""
    greetings = []
    listen = py_trees.behaviours.Success(name="listen")
    tree = greeting_tree(listen, lambda: greetings.append(scene.now_s), PLAN, **scene.options)

    def play(row, seconds: float) -> int:
        before = len(greetings)
        scene.play(tree, [row] * round(seconds * 10))
        return len(greetings) - before

    return play


def test_a_group_is_greeted_once_it_smiled_for_a_second(greet) -> None:
    assert greet(NEUTRAL, 3.0) == 0
    assert greet(SMILING, 1.0) == 0
    assert greet(SMILING, 0.1) == 1
    assert greet(SMILING, 20.0) == 0


def test_a_smile_that_flickers_is_not_greeted(greet) -> None:
    assert sum(greet(SMILING, 0.8) + greet(NEUTRAL, 0.1) for _ in range(10)) == 0


def test_after_the_cooldown_a_smiling_group_is_greeted_again(greet) -> None:
    assert greet(SMILING, 1.1) == 1
    assert greet(NEUTRAL, 5.0) + greet(SMILING, 24.9) == 0
    assert greet(SMILING, 0.2) == 1


@pytest.mark.parametrize(("seconds", "greetings"), [(1.5, 0), (2.5, 1)])
def test_who_comes_after_the_group_left_is_greeted(greet, seconds, greetings) -> None:
    assert greet(SMILING, 1.1) == 1
    assert greet(EMPTY, seconds) == 0
    assert greet(SMILING, 1.1) == greetings


@pytest.mark.parametrize("row", [BLIND, None], ids=["the camera is silent", "the perception is gone"])
def test_silence_is_no_departure_and_nobody_is_greeted_in_it(greet, row) -> None:
    assert greet(SMILING, 0.9) == 0
    assert greet(row, 5.0) == (1 if row is None else 0), "data is used for max_age_s"
    assert greet(SMILING, 1.1) == (0 if row is None else 1)
    assert greet(row, 5.0) == 0
    assert greet(SMILING, 1.5) == 0, "it is still the same group"


def test_a_clock_that_went_back_knows_nothing_of_the_greeting(greet, scene) -> None:
    assert greet(SMILING, 1.1) == 1
    scene.now_s -= 500.0
    assert greet(SMILING, 1.2) == 1
