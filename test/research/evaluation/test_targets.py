"""The table of targets: its measures, their intervals, and the comparison of networks."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from social_perception.core.errors import ConfigurationError
from social_perception.core.types import SmileLevel, TrackedFaces
from social_perception.research.evaluation import clips, movements, targets
from social_perception.research.evaluation.clips import ClipTimeline
from social_perception.research.evaluation.targets import Candidate, Measure, compare, read_candidates, table
from social_perception.research.training.morph import MorphFace, Mouth
from social_perception.research.training.stills import Stills

STEPS = movements.AMOUNTS
LINE = STEPS
STAIRS = np.floor(4 * STEPS) / 4
SIGMOID = 1 / (1 + np.exp(-30 * (STEPS - 0.5)))  # flat before the onset and after the apex


@pytest.mark.parametrize(
    ("curve", "flattest", "follows", "monotone"),
    [
        (LINE, 0.1, True, True),
        (1 - LINE, -0.1, False, False),
        (STAIRS, 0.0, False, True),
        (SIGMOID, 0.0, True, True),
        (np.where(STEPS < 0.5, 0.0, 1.0), 0.0, True, True),  # a single step has no plateau within
        (LINE - 0.3 * (STEPS == 0.5), -0.2, False, False),
        (np.full(21, 0.4), 0.0, False, True),
    ],
)
def test_plateaus_of_an_acted_smile(curve, flattest, follows, monotone) -> None:
    assert movements.smallest_tenth(curve) == pytest.approx(flattest, abs=1e-5)
    assert movements.follows(curve, 0.03) is follows
    assert movements.is_monotone(curve) is monotone


def test_only_neutral_faces_act_the_onset_and_amount_0_is_the_face_itself() -> None:
    rows, columns = np.mgrid[0:160, 0:160]
    face = MorphFace(((rows * 3 + columns * 5) % 200).astype(np.uint8), Mouth(0.0, closed=True))
    acted = movements.act_onset([face, face, face], np.array([0.0, 2.0, 0.0]))
    assert acted.crops.shape == (2, 21, 96, 96)
    np.testing.assert_allclose(acted.crops[0, 0], face.canvas[32:-32, 32:-32], atol=2)
    moved = np.abs(acted.crops[0].astype(int) - acted.crops[0, 0]).sum(axis=(1, 2))
    assert (np.diff(moved) > 0).all()
    assert movements.act_changes([face], np.array([2.0])).crops.shape == (1, 9, 96, 96)


def test_ranks_of_faces_that_follow_and_of_one_that_does_not() -> None:
    rising = np.linspace(0.2, 0.6, len(movements.CHANGES))
    ranks = movements.rank_agreements(np.stack([rising, rising[::-1], np.full_like(rising, 0.5)]))
    np.testing.assert_allclose(ranks, [1, -1, 0])


def test_a_face_rolls_about_its_center() -> None:
    images = tuple(np.random.default_rng(0).integers(0, 256, (2, 91, 81, 3), np.uint8))
    boxes = np.array([[20, 25, 40, 40], [math.nan] * 4], np.float32)
    rolled = movements.roll(Stills("set", images, boxes, pd.DataFrame({"name": ["a", "b"]})), 180)
    np.testing.assert_array_equal(rolled.boxes, boxes)
    np.testing.assert_array_equal(
        rolled.images[0][30:60, 25:55], images[0][30:61, 25:56][::-1, ::-1][:30, :30]
    )
    np.testing.assert_array_equal(rolled.images[1], images[1])  # no face: nothing to rotate about


def test_coverings_change_the_face_and_what_is_not_covered_stays() -> None:
    image = np.full((100, 100), 200, np.uint8)
    stills = Stills("a", (image, image), np.array([[20, 20, 60, 60], [np.nan] * 4]), pd.DataFrame())
    for covering in movements.COVERINGS:
        for apply, strength in covering.ways:
            found, without_face = movements.changed(stills, apply, strength).images
            mouth = found[67, [37, 50, 63], 0] != 200
            assert mouth.any() == covering.target.startswith(">=")
            assert (without_face == 200).all()


def timeline(raters: list[tuple[int, int]], levels: list[float], name: str = "a") -> ClipTimeline:
    level = np.array(levels)
    chosen = np.eye(4)[np.nan_to_num(level).astype(int)]
    probabilities = np.where(np.isnan(level)[:, None], math.nan, chosen)
    stamps_s = np.arange(len(level)) / 2
    return ClipTimeline(
        name, stamps_s, np.array(raters, float), level / 3, level, probabilities, stamps_s, level / 3
    )


CLIPS = (
    timeline([(0, 0), (0, 0), (0, 1), (1, 2)], [0, 1, 3, 0]),
    timeline([(0, 0), (2, 2), (0, 0), (2, 1)], [2, 2, math.nan, 1]),
)


def named(part: str, folder: str = "talking") -> Measure:
    (found,) = [each for each in targets._clip_measures(folder, CLIPS) if part in each.name]
    return found


@pytest.mark.parametrize(
    ("part", "value", "reached"),
    [
        ("rated 0 by both, shown as Low or above (3 frames)", 2 / 3, False),
        ("rated 0 by both, shown as Medium or above (3 frames)", 1 / 3, None),
        ("rated Low or above by both, shown so (3 frames)", 2 / 3, False),
        (
            "mean over clips with a smile",
            np.mean(
                [np.corrcoef([0, 1, 3, 0], [0, 0, 0.5, 1.5])[0, 1], np.corrcoef([2, 2, 1], [0, 2, 1.5])[0, 1]]
            ),
            False,
        ),
        (
            "Pearson of all frames",
            np.corrcoef([0, 1, 3, 0, 2, 2, 1], [0, 0, 0.5, 1.5, 0, 2, 1.5])[0, 1],
            None,
        ),
        ("calibration error", 5 / 7, False),
    ],
)
def test_measures_of_clips(part: str, value: float, reached: bool | None) -> None:
    measure = named(part)
    drawn = measure.resampled()
    assert drawn[0] == pytest.approx(value, abs=0.001)
    assert measure.reached(drawn[0]) is reached
    assert np.nanmin(drawn) < np.nanmax(drawn)  # over clips, of which there are two


@pytest.mark.parametrize(
    ("target", "value", "reached"),
    [(">= 0.9", 0.9, True), (">= 0.9", 0.89, False), ("<= 0.03", 0.03, True), ("<= 0.03", 0.04, False),
     ("", 1.0, None), (">= 0.9", math.nan, None)],
)  # fmt: skip
def test_targets(target: str, value: float, reached: bool | None) -> None:
    assert Measure("m", target, 1, lambda rows: value).reached(value) is reached


def mean_of(values: list[float], name: str = "share of smiles") -> Measure:
    return targets._mean(name, ">= 0.5", np.array(values))


def test_networks_are_compared_on_the_same_draws() -> None:
    values = [0.0, 1.0, 1.0, 0.0, 1.0, 1.0]
    better = [value + 0.25 for value in values]
    (row,) = compare([[mean_of(values)], [mean_of(better)], [mean_of(values[:3])]])
    assert row.values[0].low < row.values[0].value < row.values[0].high
    difference = row.differences[0]
    assert (difference.low, difference.value, difference.high) == pytest.approx((0.25, 0.25, 0.25))
    assert row.differences[1] is None
    text = table(["old", "new", "less"], [row])
    assert "| measure | target | old | new | less | new - old | less - old |" in text
    assert "| >= 0.5 | 0.667 (0.333 to 1.000) reached |" in text
    assert "| 0.250 (0.250 to 0.250) | other data |" in text


def test_an_auc_of_one_group_minus_that_of_another() -> None:
    smile = np.array([True, False, True, False])
    scores = np.array([[0.9, 0.9], [0.1, 0.1], [0.2, 0.2], [0.8, 0.8]])
    first = np.array([True, True, False, False])
    measure = targets._auc_difference("AUC", "", scores, smile, np.column_stack([first, ~first]))
    assert measure.statistic(np.arange(4)) == 1.0


@pytest.mark.parametrize(
    ("folds", "clip", "fold"),
    [([set()], "a", 0), ([{"a"}], "a", None), ([{"a"}, {"b"}], "a", 1), ([{"a"}, {"b"}], "c", 0)],
)
def test_a_clip_is_scored_by_a_fold_that_was_not_trained_on_it(folds, clip, fold) -> None:
    candidate = Candidate("a", (), ("genki_train",), tuple(map(frozenset, folds)))
    assert candidate.fold(clip) == fold
    unknown = CLIPS[0].without_predictions()
    assert np.isnan(unknown.level).all()
    np.testing.assert_array_equal(unknown.raters, CLIPS[0].raters)


def test_two_models_of_one_name_are_rejected() -> None:
    with pytest.raises(ConfigurationError, match="must differ, got shipped, shipped"):
        read_candidates(["", ""])


class LevelOfFrame:
    """A scorer that sees as many smiles as it has counted frames."""

    def __init__(self, per_frame: float) -> None:
        self.config, self.per_frame, self.frames = None, per_frame, 0

    def score(self, tracks, crops, stamp_s):
        from factories import smile

        self.frames += 1
        return tuple(smile(min(1.0, self.per_frame * self.frames)) for _ in tracks)

    def reset(self) -> None:
        self.frames = 0


@pytest.mark.parametrize(
    ("columns", "frames"),
    [({"frame": [0, 5, 99]}, [0, 5, 9]), ({}, [0, 4, 9])],
)
def test_ratings_meet_the_frames_of_every_scorer(columns, frames, monkeypatch) -> None:
    from factories import track

    def faces(index: int) -> TrackedFaces:
        tracks = (track("a"),) if index != 5 else ()
        crops = np.zeros((len(tracks), 96, 96, 3), np.uint8)
        return TrackedFaces(index / 10, index, 640, 480, tracks, crops)

    rows = pd.DataFrame({"stamp_s": [0.0, 0.43, 1.5], "rater1": [0, 1, 2], "rater2": [0, 1, 2], **columns})
    scorers = [LevelOfFrame(0.05), LevelOfFrame(0.1)]
    for _ in range(2):  # the states are reset
        monkeypatch.setattr(clips, "tracked_clips", lambda folder: [("a", rows, map(faces, range(10)))])
        ((slow, fast),) = clips.clip_timelines(scorers)
    every = np.where(np.arange(10) == 5, math.nan, np.arange(1, 11))
    np.testing.assert_allclose(slow.all_intensity, 0.05 * every)
    np.testing.assert_allclose(fast.intensity, 0.1 * every[frames])
    known = ~np.isnan(fast.level)
    expected = [SmileLevel.of_intensity(value) for value in fast.intensity[known]]
    np.testing.assert_array_equal(fast.level[known], expected)
    assert fast.probabilities.shape == (3, 4)
