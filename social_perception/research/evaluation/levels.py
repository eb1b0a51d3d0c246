"""Holds several judges against the first rater on the held-out faces: network, second rater, baseline."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from social_perception.perception.smile.weights import read_metadata
from social_perception.research.evaluation import metrics
from social_perception.research.evaluation.hog_svm import HogSvm
from social_perception.research.evaluation.metrics import FloatArray
from social_perception.research.evaluation.stills import ScoredStills, rated_by_both, raters
from social_perception.research.training.faces import still_crops
from social_perception.research.training.labels import SETS_OF_SOURCES, rated_levels
from social_perception.research.training.settings import TrainSettings
from social_perception.research.training.stills import read_stills


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """What one judge says of the N faces: ``level`` (N,), ``intensity`` (N,) in [0, 1].

    ``probabilities`` is (N, 4), or None of a judge who does not say how sure it is.
    """

    name: str
    level: FloatArray
    intensity: FloatArray
    probabilities: FloatArray | None = None

    def report(self, truth: FloatArray) -> dict[str, object]:
        """The measures of agreement with the levels (N,) of the first rater."""
        table = metrics.confusion(truth, self.level)
        precision, recall = metrics.precision_recall(table)
        calibration = math.nan
        if self.probabilities is not None:
            calibration = metrics.calibration_error(truth, self.probabilities)
        return {
            "accuracy": metrics.accuracy(truth, self.level),
            "macro_f1": metrics.macro_f1(table),
            "kappa": metrics.kappa(truth, self.level),
            "kappa_quadratic": metrics.weighted_kappa(truth, self.level),
            "kappa_smile": metrics.smile_kappa(truth, self.level),
            "icc": metrics.icc(truth / 3, self.intensity),
            "pearson": metrics.pearson(truth, self.intensity),
            "spearman": metrics.spearman(truth, self.intensity),
            "expected_calibration_error": calibration,
            "precision": precision.tolist(),
            "recall": recall.tolist(),
            "confusion": table.tolist(),
            "faces": int(table.sum()),
        }


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """The held-out faces that both raters could rate and in which a face was found."""

    truth: FloatArray
    """Levels (N,) of the first rater."""
    network: Judge
    second_rater: Judge
    baseline: Judge

    @property
    def judges(self) -> tuple[Judge, Judge, Judge]:
        return self.network, self.second_rater, self.baseline

    def reports(self) -> dict[str, object]:
        return {judge.name: judge.report(self.truth) for judge in self.judges}


def held_out(scored: dict[str, ScoredStills], training_sets: Sequence[str], cache: Path) -> HeldOut:
    """Put the sets together and train the baseline.

    Args:
        scored: the held-out faces of each set with the network's answers.
        training_sets: sets whose rated faces, but the held-out ones, the baseline learns from.
        cache: where found face boxes are kept.
    """
    chosen = {
        name: np.flatnonzero(rated_by_both(name, each) & ~np.isnan(each.level))
        for name, each in scored.items()
    }
    levels, network, probabilities, crops = (
        np.concatenate(parts)
        for parts in (
            [raters(name, scored[name])[rows] for name, rows in chosen.items()],
            [np.column_stack([scored[n].level, scored[n].intensity])[rows] for n, rows in chosen.items()],
            [scored[name].probabilities[rows] for name, rows in chosen.items()],
            [still_crops(scored[name].stills)[rows] for name, rows in chosen.items()],
        )
    )
    told = trained_baseline(training_sets, cache).probabilities(crops)
    return HeldOut(
        levels[:, 0],
        Judge("network", network[:, 0], network[:, 1], probabilities),
        Judge("second_rater", levels[:, 1], levels[:, 1] / 3),
        Judge("hog_svm", told.argmax(axis=1).astype(float), told @ np.arange(4) / 3, told),
    )


def trained_baseline(sets: Sequence[str], cache: Path) -> HogSvm:
    """HOG and SVM, trained on the first rater's levels of the sets' rated faces that are not held out."""
    crops, levels = [], []
    for name in sets:
        rated = rated_levels(name)
        if rated.empty:
            continue
        rated = rated[~rated["held_out"] & rated["rater1"].notna()]
        stills = read_stills(name, cache).select(rated.index)
        found = ~np.isnan(stills.boxes[:, 0])
        crops.append(still_crops(stills)[found])
        levels.append(rated.loc[stills.table["name"], "rater1"].to_numpy(int)[found])
    return HogSvm.trained(np.concatenate(crops), np.concatenate(levels))


def training_sets_of(weights: Path) -> tuple[str, ...]:
    """The sets that a network was trained on, as its file says; else those of the shipped one."""
    training = json.loads(read_metadata(weights).get("training", "{}"))
    known = tuple(name for name in training.get("sets", ()) if name in SETS_OF_SOURCES.values())
    return known or TrainSettings().sets
