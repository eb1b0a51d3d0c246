"""The conditions on a blackboard and a clock that is set by hand."""

from __future__ import annotations

import math
import subprocess
import sys

import py_trees
import pytest

from social_perception.behaviours import (
    GroupIsAbsent,
    GroupIsPresent,
    Hysteresis,
    IsGroupSmiling,
    Mood,
    MoodIs,
    SomeoneSmiles,
)
from social_perception.core.errors import ConfigurationError
from social_perception.core.types import SmileLevel

AT_ONCE = Hysteresis(on=0.5, off=0.3)


def rows(name, values):
    return [None if value is None else {name: value} for value in values]


@pytest.mark.parametrize("measure", IsGroupSmiling.MEASURES)
def test_a_group_smiles_from_one_threshold_to_the_other(scene, measure) -> None:
    condition = IsGroupSmiling(hysteresis=AT_ONCE, measure=measure, **scene.options)
    assert scene.play(condition, rows(measure, [0.2, 0.49, 0.5, 0.3, 0.29, 0.49])) == "FFSSFF"


def test_by_default_a_smile_of_a_moment_is_none(scene) -> None:
    condition = IsGroupSmiling(**scene.options)
    assert scene.play(condition, rows("smiling_fraction", [0, 1, 0, 1, 0, 1])) == "FFFFFF"
    assert scene.play(condition, rows("smiling_fraction", [1] * 6 + [0] + [1] * 3)) == "FFFFSSSSSS"


@pytest.mark.parametrize(
    ("level", "intensities", "expected"),
    [
        (SmileLevel.LOW, [0.1, 0.17, 0.1, 0.08], "FSSF"),
        (SmileLevel.MEDIUM, [0.49, 0.5, 0.45, 0.41], "FSSF"),
        (SmileLevel.HIGH, [0.8, 0.84, 0.8, 0.7], "FSSF"),
    ],
)
def test_someone_smiles_where_the_level_begins(scene, face, level, intensities, expected) -> None:
    condition = SomeoneSmiles(level, on_dwell_s=0.0, off_dwell_s=0.0, **scene.options)
    faces = [{"faces": [face("a", 0.0), face("b", value)]} for value in intensities]
    assert scene.play(condition, faces) == expected
    assert SmileLevel.of_intensity(intensities[1]) == level, "the same as the level says"


def test_a_face_without_a_valid_smile_smiles_not(scene, face) -> None:
    condition = SomeoneSmiles(SmileLevel.LOW, on_dwell_s=0.0, **scene.options)
    scene.say(faces=[face("lost", 1.0, valid=False)])
    assert scene.tick(condition) == "FAILURE"
    scene.say(faces=[face("lost", 1.0, valid=False), face("eva", 0.75)])
    assert scene.tick(condition) == "SUCCESS"
    assert "eva smiles 0.75" in condition.feedback_message


@pytest.mark.parametrize(
    ("mood", "expected"), [(Mood.RISING, "FFSSFF"), ("rising", "FFSSFF"), ("falling", "FFFFFS")]
)
def test_the_mood_is_the_sign_of_the_trend(scene, mood, expected) -> None:
    condition = MoodIs(mood, hysteresis=Hysteresis(on=0.05, off=0.02), **scene.options)
    trends = [math.nan, 0.04, 0.05, 0.03, 0.01, -0.05]
    assert scene.play(condition, rows("trend", trends)) == expected


def test_a_group_is_present_while_enough_are_there(scene) -> None:
    condition = GroupIsPresent(min_size=2, off_dwell_s=0.2, **scene.options)
    sizes = [1, 2, 1, 2, 1, 1, 1, 2]
    assert scene.play(condition, rows("group_size", sizes)) == "FSSSSSFS"


def test_absent_is_seen_for_a_while_and_not_guessed_from_silence(scene) -> None:
    condition = GroupIsAbsent(min_size=2, dwell_s=0.3, **scene.options)
    assert scene.play(condition, rows("group_size", [2, 1, 0, 1, 0, 2, 0])) == "FFFFSFF"
    scene.say(group_size=0, stale=True)
    assert scene.play(condition, [None] * 9) == "F" * 9


CONDITIONS = {
    "smiling": lambda options: IsGroupSmiling(hysteresis=Hysteresis(0.5, 0.5, 0.2), **options),
    "someone": lambda options: SomeoneSmiles(SmileLevel.LOW, on_dwell_s=0.2, **options),
    "rising": lambda options: MoodIs("rising", hysteresis=Hysteresis(0.05, 0.02, 0.2), **options),
    "present": lambda options: GroupIsPresent(on_dwell_s=0.2, **options),
    "absent": lambda options: GroupIsAbsent(min_size=9, dwell_s=0.2, **options),
}


@pytest.fixture(params=CONDITIONS)
def condition(request, scene):
    return CONDITIONS[request.param](scene.options)


@pytest.fixture
def happy(face):
    return {"smiling_fraction": 1.0, "trend": 0.1, "faces": [face("a", 1.0)]}


def test_before_anything_came_it_fails_and_says_so(scene, condition) -> None:
    assert scene.tick(condition) == "FAILURE"
    assert "nothing was received yet" in condition.feedback_message


def test_old_data_fails_and_the_dwell_begins_anew(scene, condition, happy) -> None:
    assert scene.play(condition, [happy] * 4) == "FFSS"
    assert scene.play(condition, [None] * 8) == "S" * 8, "used for a second"
    assert scene.play(condition, [None] * 3).endswith("F")
    assert "stale" in condition.feedback_message
    assert scene.play(condition, [happy] * 4) == "FFSS"


@pytest.mark.parametrize("name", sorted(CONDITIONS.keys() - {"someone"}))  # a list of faces has no such mark
def test_what_the_perception_calls_stale_fails_at_once(scene, name, happy) -> None:
    condition = CONDITIONS[name](scene.options)
    assert scene.play(condition, [happy] * 4) == "FFSS"
    assert scene.play(condition, [{**happy, "stale": True}, happy, happy, happy]) == "FFFS"


def test_a_clock_that_goes_back_fails_until_new_data_came(scene, condition, happy) -> None:
    assert scene.play(condition, [happy] * 3) == "FFS"
    scene.now_s -= 100.0
    assert scene.tick(condition) == "FAILURE"
    assert "clock went back" in condition.feedback_message
    assert scene.play(condition, [happy] * 3) == "FFS"


def test_who_was_not_ticked_has_seen_nothing(scene, condition, happy) -> None:
    scene.play(condition, [happy])
    scene.now_s += 5.0
    assert scene.play(condition, [happy] * 3) == "FFS"


def test_a_sequence_that_begins_anew_with_each_tick_does_not_reset_the_dwell(scene, condition, happy) -> None:
    """py_trees stops a sequence's children (INVALID) whenever the sequence begins anew."""
    sequence = py_trees.composites.Sequence(name="all", memory=False)
    sequence.add_children([condition, py_trees.behaviours.Success(name="done")])
    assert scene.play(sequence, [happy] * 4) == "FFSS"


def test_the_feedback_says_what_was_measured(scene) -> None:
    condition = IsGroupSmiling(hysteresis=AT_ONCE, **scene.options)
    scene.say(smiling_fraction=0.75)
    scene.tick(condition)
    assert condition.feedback_message == "smiling_fraction 0.75: yes"


def test_py_trees_own_behaviours_reach_the_values(scene) -> None:
    scene.say(group_size=3)
    check = py_trees.common.ComparisonExpression(
        variable=f"{scene.namespace}/group.group_size", value=3, operator=lambda left, right: left == right
    )
    condition = py_trees.behaviours.CheckBlackboardVariableValue(name="three", check=check)
    assert scene.tick(condition) == "SUCCESS"


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: IsGroupSmiling(measure="joy"), "measure must be one of smiling_fraction, .* got joy"),
        (lambda: SomeoneSmiles(SmileLevel.NEUTRAL), "level must be LOW, MEDIUM or HIGH, got"),
        (lambda: MoodIs("sideways"), "mood must be one of rising, falling, got 'sideways'"),
        (lambda: GroupIsPresent(min_size=0), "min_size must be at least 1, got 0"),
        (lambda: GroupIsAbsent(min_size=0), "min_size must be at least 1, got 0"),
    ],
)
def test_what_is_wrong_is_named(make, problem) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        make()


def test_without_py_trees_a_line_says_how_to_get_it() -> None:
    code = (
        "import sys; sys.modules['py_trees'] = None\n"
        "from social_perception.core.errors import MissingDependencyError\n"
        "try:\n    import social_perception.behaviours\n"
        "except MissingDependencyError as error:\n    print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "behaviour trees need py_trees: pip install py_trees\n"
