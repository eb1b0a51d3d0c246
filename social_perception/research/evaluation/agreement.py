"""Agreement with the first rater on the held-out faces: network, second rater and a HOG + SVM baseline.

The baseline is the one that the reference publication names as future work. HOG: N. Dalal and B. Triggs,
"Histograms of oriented gradients for human detection", 2005.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from sklearn.calibration import CalibratedClassifierCV
from sklearn.metrics import cohen_kappa_score, make_scorer
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.svm import SVC

from social_perception.core.errors import MissingDependencyError
from social_perception.core.types import ImageArray
from social_perception.perception.smile.weights import read_metadata
from social_perception.research.evaluation import metrics
from social_perception.research.evaluation.metrics import FloatArray
from social_perception.research.evaluation.stills import ScoredStills, rated_by_both, raters
from social_perception.research.training.faces import still_crops
from social_perception.research.training.labels import SETS_OF_SOURCES, rated_levels
from social_perception.research.training.settings import TrainSettings
from social_perception.research.training.stills import read_stills

FOLDS = 3
COSTS = (1.0, 3.0, 10.0)
"""Values of C; cross-validation selects the one with the highest quadratic-weighted kappa."""

CELL_PX = 12
"""The best of 8, 12 and 16 px in cross-validation on the training faces."""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """Levels of the N faces by a rater or a classifier: ``level`` (N,), ``intensity`` (N,) in [0, 1].

    ``probabilities`` (N, 4) are those of the levels, None for a rater.
    """

    name: str
    level: FloatArray
    intensity: FloatArray
    probabilities: FloatArray | None = None

    def report(self, truth: FloatArray) -> dict[str, object]:
        """Return the measures of agreement with the levels (N,) of the first rater."""
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
    """The held-out faces that both raters rated and that were detected."""

    truth: FloatArray
    """Levels (N,) of the first rater."""
    network: Prediction
    second_rater: Prediction
    baseline: Prediction

    @property
    def predictions(self) -> tuple[Prediction, Prediction, Prediction]:
        return self.network, self.second_rater, self.baseline

    def reports(self) -> dict[str, object]:
        return {prediction.name: prediction.report(self.truth) for prediction in self.predictions}


def held_out(scored: dict[str, ScoredStills], training_sets: Sequence[str], cache: Path) -> HeldOut:
    """Combine the sets and train the baseline.

    Args:
        scored: the held-out faces of each set with the network's predictions.
        training_sets: the baseline is trained on their rated faces that are not held out.
        cache: folder for the face boxes.
    """
    rows = {
        name: np.flatnonzero(rated_by_both(name, each) & ~np.isnan(each.level))
        for name, each in scored.items()
    }
    levels = np.concatenate([raters(name, each)[rows[name]] for name, each in scored.items()])
    level = np.concatenate([each.level[rows[name]] for name, each in scored.items()])
    intensity = np.concatenate([each.intensity[rows[name]] for name, each in scored.items()])
    probabilities = np.concatenate([each.probabilities[rows[name]] for name, each in scored.items()])
    crops = np.concatenate([still_crops(each.stills)[rows[name]] for name, each in scored.items()])
    baseline = train_baseline(training_sets, cache).probabilities(crops)
    return HeldOut(
        levels[:, 0],
        Prediction("network", level, intensity, probabilities),
        Prediction("second_rater", levels[:, 1], levels[:, 1] / 3),
        Prediction("hog_svm", baseline.argmax(axis=1).astype(float), baseline @ np.arange(4) / 3, baseline),
    )


def train_baseline(sets: Sequence[str], cache: Path) -> HogSvm:
    """Train HOG + SVM on the first rater's levels of the sets' rated faces that are not held out."""
    crops, levels = [], []
    for name in sets:
        rated = rated_levels(name)
        if rated.empty:
            continue
        rated = rated[~rated["held_out"] & rated["rater1"].notna()]
        stills = read_stills(name, cache, rated.index)
        detected = ~np.isnan(stills.boxes[:, 0])
        crops.append(still_crops(stills)[detected])
        levels.append(rated.loc[stills.table["name"], "rater1"].to_numpy(int)[detected])
    return HogSvm.train(np.concatenate(crops), np.concatenate(levels))


def read_training_sets(weights: Path) -> tuple[str, ...]:
    """Return the sets that a network was trained on, from its metadata; else those of the shipped network."""
    training = json.loads(read_metadata(weights).get("training", "{}"))
    known = tuple(name for name in training.get("sets", ()) if name in SETS_OF_SOURCES.values())
    return known or TrainSettings().sets


@dataclass(frozen=True, slots=True)
class HogSvm:
    """Radial-basis SVM on the HOG of a gray 96x96 crop; probabilities by Platt scaling.

    As for the network, training and prediction include the mirror images.
    """

    classifier: Any
    cost: float

    @classmethod
    def train(cls, crops: ImageArray, levels: npt.NDArray[np.int64]) -> HogSvm:
        """Train on crops (N, 96, 96, 3) uint8 and their levels (N,)."""
        features, targets = _features_with_mirror(crops), np.concatenate([levels, levels])
        faces = np.tile(np.arange(len(crops)), 2)
        # A face and its mirror image must be in the same fold.
        folds = list(
            StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(features, targets, faces)
        )
        agreement = make_scorer(cohen_kappa_score, weights="quadratic")
        search = GridSearchCV(SVC(), {"C": list(COSTS)}, scoring=agreement, cv=folds, refit=False)
        cost = float(search.fit(features, targets).best_params_["C"])
        platt = CalibratedClassifierCV(SVC(C=cost), method="sigmoid", cv=folds, ensemble=False)
        return cls(platt.fit(features, targets), cost)

    def probabilities(self, crops: ImageArray) -> npt.NDArray[np.float64]:
        """Return the probabilities (N, 4) of the levels; 0 for a level that is not in the training data."""
        probabilities = np.zeros((len(crops), 4))
        if len(crops):
            both = self.classifier.predict_proba(_features_with_mirror(crops))
            probabilities[:, self.classifier.classes_] = both.reshape(2, len(crops), -1).mean(axis=0)
        return probabilities


def _features_with_mirror(crops: ImageArray) -> npt.NDArray[np.float64]:
    """Return the features of crops (N, 96, 96, 3) and of their mirror images: (2 N, D)."""
    return hog_features(np.concatenate([crops, crops[:, :, ::-1]]))


def hog_features(crops: ImageArray) -> npt.NDArray[np.float64]:
    """Compute the HOG of crops (N, 96, 96, 3): 9 orientations, cells of 12 px, blocks of 2x2 cells, (N,
    1764).

    Raises:
        MissingDependencyError: scikit-image is not installed.
    """
    try:
        from skimage.feature import hog
    except ImportError as error:
        raise MissingDependencyError(
            "the HOG baseline needs scikit-image: pip install scikit-image"
        ) from error
    grays = (cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) for crop in crops)
    return np.array([hog(gray, 9, (CELL_PX, CELL_PX), (2, 2), transform_sqrt=True) for gray in grays])
