"""One table of several networks on the same data: what a robot depends on, beside its target.

Intervals are percentile bootstraps over independent units: faces of the stills, whole clips of the videos.
Networks are compared on the same draws.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from social_perception.core.config import SmileConfig
from social_perception.core.errors import ConfigurationError
from social_perception.core.types import SmileLevel
from social_perception.perception.smile.factory import make_scorer
from social_perception.perception.smile.track_scorer import TrackScorer
from social_perception.perception.smile.weights import read_metadata, shipped_path
from social_perception.research.evaluation import metrics, movements
from social_perception.research.evaluation.agreement import read_training_sets
from social_perception.research.evaluation.audit.intervals import Interval, auc
from social_perception.research.evaluation.clips import (
    RATED,
    ClipTimeline,
    clip_timelines,
    rated_clips,
)
from social_perception.research.evaluation.metrics import FloatArray
from social_perception.research.evaluation.stills import (
    ScoredStills,
    held_out_names,
    rated_by_both,
    raters,
    score_stills,
)
from social_perception.research.training.labels import SETS_OF_SOURCES, is_held_out
from social_perception.research.training.stills import read_stills

RESAMPLES = 500
SHIPPED = "shipped"
TURNED_DEG = 20
"""Yaw from which a face counts as turned; the data have 12 held-out pictures beyond 30 degrees."""
NO_PLATEAU = 0.03
"""Smallest share of the intensity's range that a tenth of the morph's range must pass."""

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Measure:
    """A figure of one network.

    Attributes:
        name: what is measured, and of what.
        target: the value to reach, with ``>=`` or ``<=`` before it; empty: none.
        units: number of independent units.
        statistic: maps the rows of the units (with repetitions) to the figure.
    """

    name: str
    target: str
    units: int
    statistic: Callable[[Rows], float]

    def resampled(self) -> FloatArray:
        """Return the figure and then that of each bootstrap draw, (1 + RESAMPLES,); NaN where undefined."""
        rng = np.random.default_rng(0)
        draws = [np.arange(self.units), *(rng.integers(0, self.units, self.units) for _ in range(RESAMPLES))]
        return np.array([self.statistic(rows) if self.units else math.nan for rows in draws])

    def reached(self, value: float) -> bool | None:
        """Tell whether a value reaches the target; None: there is none, or the value is unknown."""
        if not self.target or math.isnan(value):
            return None
        relation, limit = self.target.split()
        return bool(value >= float(limit) if relation == ">=" else value <= float(limit))


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What one network predicts for all data; see :func:`measures`."""

    rated: tuple[ScoredStills, ...]
    ferplus: ScoredStills
    genki: ScoredStills
    rolled: FloatArray
    covered: tuple[FloatArray, ...]
    onset: FloatArray
    changes: FloatArray
    change_level: FloatArray
    clips: dict[str, tuple[ClipTimeline, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A network to compare, or the folds of a cross-validation over clips.

    A network lists the clips that it was trained on as ``clips`` in its training metadata; each clip is
    scored by the first fold that was not trained on it. Everything else is measured with the first file.

    Attributes:
        name: for the table.
        scorers: one per fold.
        sets: sets of stills that the first fold was trained on.
        clips: rated clips that each fold was trained on.
    """

    name: str
    scorers: tuple[TrackScorer, ...]
    sets: tuple[str, ...]
    clips: tuple[frozenset[str], ...]

    @classmethod
    def read(cls, files: str) -> Candidate:
        """Read the weights from file names separated by commas; empty: the shipped network."""
        names = files.split(",")
        paths = [Path(name).expanduser() if name else shipped_path() for name in names]
        return cls(
            paths[0].stem if names[0] else SHIPPED,
            tuple(make_scorer(SmileConfig(model=name)) for name in names),
            read_training_sets(paths[0]),
            tuple(
                frozenset(json.loads(read_metadata(path).get("training", "{}")).get("clips", ()))
                for path in paths
            ),
        )

    def fold(self, clip: str) -> int | None:
        """Return which of the scorers was not trained on a clip; None: all were."""
        return next((fold for fold, clips in enumerate(self.clips) if clip not in clips), None)


def read_candidates(files: Sequence[str]) -> list[Candidate]:
    """Read the networks to compare.

    Raises:
        ModelError: weights cannot be read.
        ConfigurationError: two have the same name.
    """
    candidates = [Candidate.read(each) for each in files]
    if len({each.name for each in candidates}) < len(candidates):
        names = ", ".join(each.name for each in candidates)
        raise ConfigurationError(f"the names of the models' files must differ, got {names}")
    return candidates


def predict(candidates: Sequence[Candidate], cache: Path, clips: bool) -> Iterator[Predictions]:
    """Score everything with every network: faces are detected and tracked, and morphs rendered, once."""
    stills = [read_stills(name, cache, held_out_names(name)) for name in SETS_OF_SOURCES.values()]
    ferplus, genki = read_stills("ferplus_test", cache), read_stills("genki_train", cache)
    if any("genki_train" in each.sets for each in candidates):
        genki = genki.select([name for name in genki.table["name"] if is_held_out(name)])
    rolled = [movements.roll(genki, angle) for angle in movements.ANGLES]
    covered = [[movements.changed(genki, *way) for way in each.ways] for each in movements.COVERINGS]
    timelines = _timelines(candidates) if clips else [{} for _ in candidates]
    acted = None
    for candidate, over_time in zip(candidates, timelines):
        scorer = candidate.scorers[0]
        rated = tuple(score_stills(each, scorer) for each in stills)
        if acted is None:  # which faces were detected is the same for all
            faces, levels = movements.morph_faces(rated)
            acted = movements.act_onset(faces, levels), movements.act_changes(faces, levels)
        yield Predictions(
            rated,
            score_stills(ferplus, scorer),
            score_stills(genki, scorer),
            np.array([score_stills(each, scorer).intensity for each in rolled]),
            tuple(np.array([score_stills(way, scorer).valid for way in ways]) for ways in covered),
            acted[0].intensity(scorer),
            acted[1].intensity(scorer),
            acted[1].level,
            over_time,
        )


def _timelines(candidates: Sequence[Candidate]) -> list[dict[str, tuple[ClipTimeline, ...]]]:
    """Score the rated clips, for each candidate by the fold that was not trained on them.

    A folder whose clips all candidates were trained on is skipped.
    """
    scorers = [scorer for each in candidates for scorer in each.scorers]
    first = np.cumsum([0, *(len(each.scorers) for each in candidates)])
    found: list[dict[str, tuple[ClipTimeline, ...]]] = [{} for _ in candidates]
    for folder in RATED:
        names = rated_clips(folder)
        if all(each.fold(name) is None for each in candidates for name in names):
            continue
        clips = list(clip_timelines(scorers, folder))
        for place, candidate in enumerate(candidates):
            folds = [candidate.fold(each[0].clip) for each in clips]
            found[place][folder] = tuple(
                each[first[place] + fold] if fold is not None else each[0].without_predictions()
                for each, fold in zip(clips, folds)
            )
    return found


def measures(of: Predictions) -> Iterator[Measure]:
    """Return all measures of a network, with the targets."""
    yield from _still_measures(of)
    for folder, timelines in of.clips.items():
        yield from _clip_measures(folder, timelines)
    yield from _movement_measures(of)


def _still_measures(of: Predictions) -> Iterator[Measure]:
    rows = [rated_by_both(each.stills.name, each) & ~np.isnan(each.level) for each in of.rated]
    levels = np.concatenate([raters(each.stills.name, each)[kept] for each, kept in zip(of.rated, rows)])
    level = np.concatenate([each.level[kept] for each, kept in zip(of.rated, rows)])
    intensity = np.concatenate([each.intensity[kept] for each, kept in zip(of.rated, rows)])
    probabilities = np.concatenate([each.probabilities[kept] for each, kept in zip(of.rated, rows)])
    mean = levels.mean(axis=1)
    yield Measure(
        "kappa with the raters' mean, held-out fifth", ">= 0.915", len(level),
        lambda rows: metrics.weighted_kappa(level[rows], mean[rows]),
    )  # fmt: skip
    agreed = levels[:, 0] == levels[:, 1]
    yield _auc(
        "Medium against High (rated by both), AUC, held-out fifth", ">= 0.88",
        intensity[agreed & (mean >= 2)], mean[agreed & (mean >= 2)] == 3,
    )  # fmt: skip
    yield Measure(
        "expected calibration error, rater 1, held-out fifth", "<= 0.03", len(level),
        lambda rows: metrics.calibration_error(levels[rows, 0], probabilities[rows]),
    )  # fmt: skip
    yield Measure(
        "the same, were the probabilities right", "", len(level),
        lambda rows: metrics.expected_chance_error(probabilities[rows]),
    )  # fmt: skip
    winner = of.ferplus.stills.table.drop(columns="name").idxmax(axis=1).to_numpy()
    face = (winner != "not_face") & ~np.isnan(of.ferplus.intensity)
    yield _auc(
        "ferplus_test, happiness against the rest, AUC", ">= 0.988",
        of.ferplus.intensity[face], winner[face] == "happiness",
    )  # fmt: skip
    known = ~np.isnan(of.genki.intensity)
    smile = of.genki.stills.table["smile"].to_numpy(bool)
    yield _auc("genki, not trained on, AUC", ">= 0.991", of.genki.intensity[known], smile[known])
    correct = (of.genki.level >= 1)[known] == smile[known]
    yield _mean("genki, not trained on, accuracy from level Low", ">= 0.96", correct)
    turned = np.degrees(np.abs(of.genki.stills.table["yaw"].to_numpy(float))) > TURNED_DEG
    scores = np.column_stack([of.genki.intensity, of.genki.intensity])[known]
    yield _auc_difference(
        f"genki, yaw beyond {TURNED_DEG}° minus the rest, AUC", ">= -0.01", scores, smile[known],
        np.column_stack([turned, ~turned])[known],
    )  # fmt: skip


def neutral_levels(timelines: Sequence[ClipTimeline]) -> list[FloatArray]:
    """The estimated levels of the frames that all raters call Neutral, of each clip."""
    return [each.level[(each.raters == 0).all(axis=1) & ~np.isnan(each.level)] for each in timelines]


def _clip_measures(folder: str, timelines: Sequence[ClipTimeline]) -> Iterator[Measure]:
    """Measures of the rated clips of a folder; the units are clips."""
    talking = folder == "talking"
    neutral = neutral_levels(timelines)
    smiling = [each.level[(each.raters >= 1).all(axis=1) & ~np.isnan(each.level)] for each in timelines]
    target = "<= 0.015" if talking else "<= 0.04"
    yield clip_share(f"{folder}: rated 0 by both, shown as Low or above", target, neutral, 1)
    yield clip_share(f"{folder}: rated 0 by both, shown as Medium or above", "", neutral, 2)
    yield clip_share(
        f"{folder}: rated Low or above by both, shown so", ">= 0.9" if talking else "", smiling, 1
    )
    lowest = SmileLevel.LOW if talking else SmileLevel.MEDIUM
    yield pearson_of_clips(folder, ">= 0.8" if talking else ">= 0.95", timelines, lowest)
    yield pearson_of_frames(folder, "", timelines)
    yield Measure(
        f"{folder}: expected calibration error, rater 1", "<= 0.03", len(timelines),
        lambda rows: metrics.calibration_error(
            np.concatenate([timelines[row].raters[:, 0] for row in rows]),
            np.concatenate([timelines[row].probabilities for row in rows]),
        ),
    )  # fmt: skip


def _movement_measures(of: Predictions) -> Iterator[Measure]:
    yield Measure(
        "acted smile, neutral faces: share of the range in the flattest tenth, mean curve", ">= 0.03",
        len(of.onset), lambda rows: movements.smallest_tenth(of.onset[rows].mean(axis=0)),
    )  # fmt: skip
    plateau_free = np.array([movements.follows(each, NO_PLATEAU) for each in of.onset])
    yield _mean("acted smile: single faces without a plateau between onset and apex", "", plateau_free)
    yield _mean(
        "acted smile: single faces on which it never falls", "",
        np.array([movements.is_monotone(each) for each in of.onset]),
    )  # fmt: skip
    ranks = movements.rank_agreements(of.changes)
    for level, name in enumerate(("Neutral", "Low", "Medium", "High")):
        yield _mean(
            f"rank agreement with the morph's amount, faces rated {name}, Spearman", ">= 0.8",
            ranks[of.change_level == level],
        )  # fmt: skip
    upright = of.genki.intensity
    known = ~np.isnan(upright)
    for covering, valid in zip(movements.COVERINGS, of.covered):
        yield _mean(
            f"genki, {covering.title}: valid is false", covering.target, 1 - valid[:, known].mean(axis=0)
        )
    moved = np.nanmean(np.abs(of.rolled - upright), axis=0)
    yield _mean(
        f"genki, rolled by {movements.ANGLES[0]}° to {movements.ANGLES[-1]}°: mean change of intensity",
        "<= 0.05",
        moved[known & ~np.isnan(moved)],
    )  # fmt: skip
    smile = of.genki.stills.table["smile"].to_numpy(bool)
    both = [of.rolled[movements.ANGLES.index(angle)] for angle in (-30, 30)]
    scores = np.column_stack([np.mean(both, axis=0), upright])
    complete = ~np.isnan(scores).any(axis=1)
    yield _auc_difference(
        "genki, rolled by 30° minus upright, AUC", ">= -0.01", scores[complete], smile[complete],
        np.ones((complete.sum(), 2), bool),
    )  # fmt: skip


def _mean(name: str, target: str, values: npt.NDArray[Any]) -> Measure:
    return Measure(name, target, len(values), lambda rows: float(np.mean(values[rows])))


def pearson_of_clips(
    name: str, target: str, timelines: Sequence[ClipTimeline], lowest: SmileLevel
) -> Measure:
    """The mean correlation over the clips in which a rater saw this level or a higher one."""
    correlations = np.array([each.pearson for each in timelines if each.has_smile(lowest)])
    return Measure(
        f"{name}: Pearson over time, mean over clips with a smile from {lowest.label}", target,
        len(correlations), lambda rows: _known_mean(correlations[rows]),
    )  # fmt: skip


def pearson_of_frames(name: str, target: str, timelines: Sequence[ClipTimeline]) -> Measure:
    """The correlation over the frames of all clips."""

    def statistic(rows: Rows) -> float:
        return metrics.pearson(
            np.concatenate([timelines[row].intensity for row in rows]),
            np.concatenate([timelines[row].raters.mean(axis=1) for row in rows]),
        )

    return Measure(f"{name}: Pearson of all frames", target, len(timelines), statistic)


def _known_mean(values: FloatArray) -> float:
    return math.nan if np.isnan(values).all() else float(np.nanmean(values))


def _auc(name: str, target: str, score: FloatArray, positive: npt.NDArray[np.bool_]) -> Measure:
    def statistic(rows: Rows) -> float:
        return auc(score[rows][positive[rows]], score[rows][~positive[rows]])

    return Measure(name, target, len(score), statistic)


def _auc_difference(
    name: str, target: str, scores: FloatArray, positive: npt.NDArray[np.bool_], groups: npt.NDArray[np.bool_]
) -> Measure:
    """Difference of the AUC of two scores (N, 2), each of its group (N, 2) of the faces."""

    def statistic(rows: Rows) -> float:
        values = [
            auc(
                scores[rows, i][positive[rows] & groups[rows, i]],
                scores[rows, i][~positive[rows] & groups[rows, i]],
            )
            for i in range(2)
        ]
        return values[0] - values[1]

    return Measure(name, target, len(scores), statistic)


def clip_share(name: str, target: str, levels: Sequence[FloatArray], at_least: int) -> Measure:
    """Share of frames shown at or above a level; levels are those of the frames of each clip."""
    counts = np.array([[(each >= at_least).sum(), len(each)] for each in levels]).reshape(-1, 2)

    def statistic(rows: Rows) -> float:
        hits, of = counts[rows].sum(axis=0)
        return float(hits / of) if of else math.nan

    return Measure(f"{name} ({counts[:, 1].sum()} frames)", target, len(counts), statistic)


@dataclass(frozen=True, slots=True)
class Row:
    """One measure of all networks, and the difference of each further one to the first."""

    measure: str
    target: str
    values: tuple[Interval, ...]
    reached: tuple[bool | None, ...]
    differences: tuple[Interval | None, ...]


def compare(columns: Sequence[Sequence[Measure]]) -> Iterator[Row]:
    """Compute the measures of each network, with 95 % intervals."""
    for row in zip(*columns):
        draws = [each.resampled() for each in row]
        values = tuple(map(_interval, draws))
        yield Row(
            row[0].name,
            row[0].target,
            values,
            tuple(each.reached(value.value) for each, value in zip(row, values)),
            tuple(
                _interval(drawn - draws[0]) if each.units == row[0].units else None
                for each, drawn in zip(row[1:], draws[1:])
            ),
        )


def _interval(values: FloatArray) -> Interval:
    draws = values[1:][~np.isnan(values[1:])]
    low, high = np.percentile(draws, [2.5, 97.5]) if len(draws) else (math.nan, math.nan)
    return Interval(float(values[0]), float(low), float(high))


def table(names: Sequence[str], rows: Sequence[Row]) -> str:
    """Format the rows as a Markdown table, a column per network and per difference to the first."""
    titles = ["measure", "target", *names, *(f"{name} - {names[0]}" for name in names[1:])]
    lines = [titles, ["---"] * len(titles)]
    for row in rows:
        cells = [_cell(value, reached) for value, reached in zip(row.values, row.reached)]
        cells += ["other data" if each is None else _cell(each) for each in row.differences]
        lines.append([row.measure, row.target, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Interval, reached: bool | None = None) -> str:
    if math.isnan(value.value):
        return "–"
    mark = {True: " reached", False: " missed", None: ""}[reached]
    return f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f}){mark}"
