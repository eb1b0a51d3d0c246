"""The conditions on a blackboard and a clock that is set by hand."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace

import py_trees
import pytest

from social_perception.behaviours import (
    GroupIsAbsent,
    GroupIsCheerful,
    GroupIsPresent,
    GroupLaughs,
    Hysteresis,
    IsGroupSmiling,
    Mood,
    MoodIs,
    SomebodyLaughs,
    SomebodySpeaks,
    SomeoneSmiles,
)
from social_perception.core.errors import ConfigurationError
from social_perception.core.signals import Signals
from social_perception.core.types import RoomSound, SceneAffect, SmileLevel, Voice
from social_perception.core.types import Scene as SceneOfFrame

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


@pytest.mark.parametrize(("kind", "field"), [(SomebodySpeaks, "speaking"), (SomebodyLaughs, "laughing")])
def test_somebody_speaks_or_laughs_from_one_threshold_to_the_other(scene, face, kind, field) -> None:
    condition = kind(hysteresis=Hysteresis(on=0.6, off=0.4), **scene.options)
    silent = Voice(0.0, 0.0)

    def row(value):
        loud = replace(silent, **{field: value})
        faces = [face("anna", further=(silent,)), face("eva", further=(loud,))]
        return {"faces": faces}

    values = [0.5, 0.6, 0.4, 0.39, 1.0, math.nan]
    assert scene.play(condition, [row(value) for value in values]) == "FSSFSF"
    scene.say(**row(0.7))
    scene.tick(condition)
    assert condition.feedback_message == f"eva {condition._verb} 0.70: yes"


def test_the_group_laughs_while_laughter_is_in_the_room(scene) -> None:
    condition = GroupLaughs(hysteresis=Hysteresis(on=0.6, off=0.4), **scene.options)
    values = [0.5, 0.6, 0.4, 0.39, 1.0, math.nan]
    rows = [{"signals": Signals(RoomSound(0.0, value, 0))} for value in values]
    assert scene.play(condition, rows) == "FSSFSF"


@pytest.mark.parametrize("kind", [SomebodySpeaks, SomebodyLaughs, GroupLaughs])
def test_by_default_a_moment_of_voice_is_none_and_a_moment_of_silence_does_not_end_it(
    scene, face, kind
) -> None:
    condition = kind(**scene.options)
    loud = {"faces": [face("eva", further=(Voice(1.0, 1.0),))], "signals": Signals(RoomSound(1, 1, 1))}
    quiet = {"faces": [face("eva", further=(Voice(0.0, 0.0),))], "signals": Signals(RoomSound(0, 0, 0))}
    assert "S" not in scene.play(condition, [loud, quiet] * 3)
    assert scene.play(condition, [loud] * 5 + [quiet] * 3).endswith("SSSS")
    assert scene.play(condition, [quiet] * 9).endswith("F")


@pytest.mark.parametrize("kind", [SomebodySpeaks, SomebodyLaughs, GroupLaughs])
def test_without_sound_nobody_speaks_or_laughs(scene, face, kind) -> None:
    condition = kind(**scene.options)
    scene.say(faces=[face("eva")])
    assert scene.tick(condition) == "FAILURE"


def cheerful(valence, *, stale=False):
    affect = SceneAffect((0.2, 0.3, 0.5), valence, False)
    return {"of_scene": SceneOfFrame(0.0, Signals(affect), stale)}


def test_a_scene_is_cheerful_from_one_threshold_to_the_other(scene) -> None:
    condition = GroupIsCheerful(hysteresis=Hysteresis(on=0.4, off=0.2), **scene.options)
    values = [0.3, 0.4, 0.2, 0.19, -1.0, 1.0, math.nan]
    assert scene.play(condition, [cheerful(value) for value in values]) == "FSSFFSF"
    assert scene.play(condition, [cheerful(0.9), cheerful(0.9, stale=True), {}]) == "SFF"


def test_by_default_a_cheerful_moment_is_none_and_a_sad_one_does_not_end_it(scene) -> None:
    condition = GroupIsCheerful(**scene.options)
    assert "S" not in scene.play(condition, [cheerful(0.9), cheerful(-0.9)] * 5)
    played = scene.play(condition, [cheerful(0.9)] * 12 + [cheerful(-0.9)] * 3 + [cheerful(0.9)])
    assert played.endswith("SSSS")


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
    "speaks": lambda options: SomebodySpeaks(hysteresis=Hysteresis(0.6, 0.4, 0.2), **options),
    "laughs": lambda options: SomebodyLaughs(hysteresis=Hysteresis(0.6, 0.4, 0.2), **options),
    "group laughs": lambda options: GroupLaughs(hysteresis=Hysteresis(0.6, 0.4, 0.2), **options),
    "present": lambda options: GroupIsPresent(on_dwell_s=0.2, **options),
    "absent": lambda options: GroupIsAbsent(min_size=9, dwell_s=0.2, **options),
}


OF_FACES = {"someone", "speaks", "laughs"}


@pytest.fixture(params=CONDITIONS)
def condition(request, scene):
    return CONDITIONS[request.param](scene.options)


@pytest.fixture
def happy(face):
    loud = face("a", 1.0, further=(Voice(1.0, 1.0),))
    further = Signals(RoomSound(1.0, 1.0, 1))
    return {"smiling_fraction": 1.0, "trend": 0.1, "faces": [loud], "signals": further}


def test_before_anything_came_it_fails_and_says_so(scene, condition) -> None:
    assert scene.tick(condition) == "FAILURE"
    assert "nothing was received yet" in condition.feedback_message


def test_old_data_fails_and_the_dwell_begins_anew(scene, condition, happy) -> None:
    assert scene.play(condition, [happy] * 4) == "FFSS"
    assert scene.play(condition, [None] * 8) == "S" * 8, "used for a second"
    assert scene.play(condition, [None] * 3).endswith("F")
    assert "stale" in condition.feedback_message
    assert scene.play(condition, [happy] * 4) == "FFSS"


@pytest.mark.parametrize("name", sorted(CONDITIONS.keys() - OF_FACES))  # a list of faces has no such mark
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
