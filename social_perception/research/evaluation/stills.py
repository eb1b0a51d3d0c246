"""Scores the data sets of still faces with a network and measures the agreement with their labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from social_perception.core.types import Smile
from social_perception.perception.smile.track_scorer import TrackScorer
from social_perception.research.evaluation.metrics import FloatArray, auc, weighted_kappa
from social_perception.research.training.faces import still_crops
from social_perception.research.training.labels import SETS_OF_SOURCES, is_held_out, rated_levels
from social_perception.research.training.stills import Stills

BATCH = 128


@dataclass(frozen=True, slots=True, eq=False)
class ScoredStills:
    """A data set with the network's predictions, NaN where no face was detected.

    ``intensity``, ``level`` and ``valid`` (0 or 1) are (N,), the ``probabilities`` of the levels (N, 4).
    """

    stills: Stills
    intensity: FloatArray
    level: FloatArray
    valid: FloatArray
    probabilities: FloatArray


def score_stills(stills: Stills, scorer: TrackScorer) -> ScoredStills:
    """Score the largest face of each image, detected and cropped as by ``social-perception score``."""
    crops = still_crops(stills)
    smiles: list[Smile] = []
    for start in range(0, len(crops), BATCH):
        smiles += scorer.score_still(crops[start : start + BATCH])
    rows = np.array([(s.intensity, int(s.level), s.valid, *s.probabilities) for s in smiles], float)
    rows = rows.reshape(-1, 7)
    rows[np.isnan(stills.boxes[:, 0])] = np.nan
    return ScoredStills(stills, rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3:])


def ferplus_figures(scored: ScoredStills) -> dict[str, object]:
    """Return the AUC of a majority for happiness against a majority for neutral, and against all others."""
    winner = scored.stills.table.drop(columns="name").idxmax(axis=1).to_numpy()
    happy = winner == "happiness"
    pair, faces = happy | (winner == "neutral"), winner != "not_face"
    return {
        "auc_happiness_neutral": auc(happy[pair], scored.intensity[pair]),
        "auc_happiness_rest": auc(happy[faces], scored.intensity[faces]),
        "faces": int(faces.sum()),
    }


def genki_figures(scored: ScoredStills, *, held_out_only: bool = False) -> dict[str, object]:
    """Return AUC and accuracy of smile / no smile on all images or on the held-out fifth."""
    table = scored.stills.table
    selected = np.array([is_held_out(name) or not held_out_only for name in table["name"]], bool)
    detected = selected & ~np.isnan(scored.intensity)
    smile = table["smile"].to_numpy(bool)[detected]
    intensity = scored.intensity[detected]
    return {
        "auc": auc(smile, intensity),
        "accuracy_from_low": accuracy(smile, scored.level[detected] >= 1),
        "accuracy_from_a_third": accuracy(smile, intensity >= 1 / 3),
        "faces": int(detected.sum()),
        "without_a_face": int((selected & ~detected).sum()),
    }


def accuracy(truth: npt.NDArray[np.bool_], predicted: npt.NDArray[np.bool_]) -> float:
    """Return the share of equal values."""
    return float((truth == predicted).mean())


def level_figures(scored: dict[str, ScoredStills]) -> dict[str, object]:
    """Return quadratic-weighted kappas on the held-out rated faces, over all sets and per set."""
    parts = {name: _held_out(name, scored[name]) for name in SETS_OF_SOURCES.values()}
    return {"all": _kappas(np.concatenate(list(parts.values()))), **{k: _kappas(v) for k, v in parts.items()}}


def held_out_names(name: str) -> list[str]:
    """Return the names of a set's rated images in the held-out fifth."""
    rated = rated_levels(name)
    return list(rated.index[rated["held_out"]])


def rated_by_both(name: str, scored: ScoredStills) -> npt.NDArray[np.bool_]:
    """Return which of the images (N,) are held-out faces rated by both raters."""
    rated = rated_levels(name).reindex(scored.stills.table["name"])
    return (rated["held_out"].eq(True) & rated[["rater1", "rater2"]].notna().all(axis=1)).to_numpy()


def raters(name: str, scored: ScoredStills) -> FloatArray:
    """Return the levels of rater 1 and rater 2, (N, 2); NaN where not rated."""
    return rated_levels(name).reindex(scored.stills.table["name"])[["rater1", "rater2"]].to_numpy(float)


def _held_out(name: str, scored: ScoredStills) -> FloatArray:
    """Return the columns level, rater 1, rater 2 of the held-out faces rated by both raters."""
    return np.column_stack([scored.level, raters(name, scored)])[rated_by_both(name, scored)]


def _kappas(table: FloatArray) -> dict[str, float]:
    level, first, second = table.T
    known = ~np.isnan(level)
    return {
        "with_raters_mean": weighted_kappa(level, (first + second) / 2),
        "between_raters": weighted_kappa(first, second),
        "within_one_level": float((np.abs(level - (first + second) / 2)[known] <= 1).mean()),
        "faces": int(known.sum()),
    }
