"""The baseline that the reference names as future work: HOG features and a support vector machine.

HOG after N. Dalal and B. Triggs, "Histograms of oriented gradients for human detection" (2005).
"""

from __future__ import annotations

from dataclasses import dataclass
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

FOLDS = 3
COSTS = (1.0, 3.0, 10.0)
"""Values of C tried; the one with the highest quadratic-weighted kappa in cross-validation is taken."""

CELL_PX = 12
"""Of 8, 12 and 16 px the best in cross-validation on the training faces."""


@dataclass(frozen=True, slots=True)
class HogSvm:
    """Radial-basis SVM on the HOG of a gray 96x96 crop; probabilities by Platt's scaling.

    Like the network it learns from mirror images too, and averages over them when it is asked.
    """

    classifier: Any
    cost: float

    @classmethod
    def trained(cls, crops: ImageArray, levels: npt.NDArray[np.int64]) -> HogSvm:
        """Train on crops (N, 96, 96, 3) uint8 and their levels (N,)."""
        features, twice = _both(crops), np.concatenate([levels, levels])
        faces = np.tile(np.arange(len(crops)), 2)
        # A face and its mirror image are never on both sides of a fold.
        folds = list(StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(features, twice, faces))
        agreement = make_scorer(cohen_kappa_score, weights="quadratic")
        search = GridSearchCV(SVC(), {"C": list(COSTS)}, scoring=agreement, cv=folds, refit=False)
        cost = float(search.fit(features, twice).best_params_["C"])
        platt = CalibratedClassifierCV(SVC(C=cost), method="sigmoid", cv=folds, ensemble=False)
        return cls(platt.fit(features, twice), cost)

    def probabilities(self, crops: ImageArray) -> npt.NDArray[np.float64]:
        """The probabilities (N, 4) of the levels; 0 for a level not seen in training."""
        told = np.zeros((len(crops), 4))
        if len(crops):
            both = self.classifier.predict_proba(_both(crops))
            told[:, self.classifier.classes_] = both.reshape(2, len(crops), -1).mean(axis=0)
        return told


def _both(crops: ImageArray) -> npt.NDArray[np.float64]:
    """The features of crops (N, ...) and of their mirror images: (2 N, D)."""
    return hog_features(np.concatenate([crops, crops[:, :, ::-1]]))


def hog_features(crops: ImageArray) -> npt.NDArray[np.float64]:
    """HOG of crops (N, 96, 96, 3): 9 directions in cells of 12 px, blocks of 2x2 cells, (N, 1764)."""
    try:
        from skimage.feature import hog
    except ImportError as error:
        raise MissingDependencyError(
            "the HOG baseline needs scikit-image: pip install scikit-image"
        ) from error
    grays = (cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) for crop in crops)
    return np.array([hog(gray, 9, (CELL_PX, CELL_PX), (2, 2), transform_sqrt=True) for gray in grays])
