"""Scores the still-face data sets with a network and measures the agreement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from social_perception.core.types import Smile
from social_perception.perception.smile.streaming import StreamingScorer
from social_perception.research.evaluation.metrics import FloatArray, auc, weighted_kappa
from social_perception.research.training.faces import still_crops
from social_perception.research.training.labels import SETS_OF_SOURCES, is_held_out, rated_levels
from social_perception.research.training.stills import Stills

BATCH = 128


@dataclass(frozen=True, slots=True, eq=False)
class ScoredStills:
    """A set's pictures with what the network says, NaN where no face was found.

    ``intensity`` and ``level`` are (N,), ``probabilities`` (N, 4) of the levels.
    """

    stills: Stills
    intensity: FloatArray
    level: FloatArray
    probabilities: FloatArray


def score_stills(stills: Stills, scorer: StreamingScorer) -> ScoredStills:
    """Score the largest face of each picture, found and cut as ``social-perception score`` does."""
    crops = still_crops(stills)
    smiles: list[Smile] = []
    for start in range(0, len(crops), BATCH):
        smiles += scorer.score_still(crops[start : start + BATCH])
    told = np.array([(smile.intensity, int(smile.level), *smile.probabilities) for smile in smiles], float)
    told = told.reshape(-1, 6)
    told[np.isnan(stills.boxes[:, 0])] = np.nan
    return ScoredStills(stills, told[:, 0], told[:, 1], told[:, 2:])


def ferplus_figures(scored: ScoredStills) -> dict[str, object]:
    """AUC of a majority of happiness against a majority of neutral, and against all the rest."""
    winner = scored.stills.table.drop(columns="name").idxmax(axis=1).to_numpy()
    happy = winner == "happiness"
    pair, faces = happy | (winner == "neutral"), winner != "not_face"
    return {
        "auc_happiness_neutral": auc(happy[pair], scored.intensity[pair]),
        "auc_happiness_rest": auc(happy[faces], scored.intensity[faces]),
        "faces": int(faces.sum()),
    }


def genki_figures(scored: ScoredStills, *, held_out_only: bool = False) -> dict[str, object]:
    """AUC and accuracy of smile / no smile, of all pictures or of the fifth that is never trained on."""
    table = scored.stills.table
    asked = np.array([is_held_out(name) or not held_out_only for name in table["name"]], bool)
    found = asked & ~np.isnan(scored.intensity)
    smile = table["smile"].to_numpy(bool)[found]
    intensity = scored.intensity[found]
    return {
        "auc": auc(smile, intensity),
        "accuracy_from_low": accuracy(smile, scored.level[found] >= 1),
        "accuracy_from_a_third": accuracy(smile, intensity >= 1 / 3),
        "faces": int(found.sum()),
        "without_a_face": int((asked & ~found).sum()),
    }


def accuracy(truth: npt.NDArray[np.bool_], guess: npt.NDArray[np.bool_]) -> float:
    """The share of equal answers."""
    return float((truth == guess).mean())


def level_figures(scored: dict[str, ScoredStills]) -> dict[str, object]:
    """Levels on the held-out fifth of the rated faces: quadratic-weighted kappas, over all and per set."""
    parts = {name: _held_out(name, scored[name]) for name in SETS_OF_SOURCES.values()}
    return {"all": _kappas(np.concatenate(list(parts.values()))), **{k: _kappas(v) for k, v in parts.items()}}


def held_out_names(name: str) -> list[str]:
    """The names of a set's rated pictures that are never trained on."""
    rated = rated_levels(name)
    return list(rated.index[rated["held_out"]])


def rated_by_both(name: str, scored: ScoredStills) -> npt.NDArray[np.bool_]:
    """Which of the pictures (N,) are held-out faces of a set that both raters could rate."""
    rated = rated_levels(name).reindex(scored.stills.table["name"])
    return (rated["held_out"].eq(True) & rated[["rater1", "rater2"]].notna().all(axis=1)).to_numpy()


def raters(name: str, scored: ScoredStills) -> FloatArray:
    """The levels by rater 1 and rater 2, (N, 2); NaN where not rated."""
    return rated_levels(name).reindex(scored.stills.table["name"])[["rater1", "rater2"]].to_numpy(float)


def _held_out(name: str, scored: ScoredStills) -> FloatArray:
    """Columns level, rater 1, rater 2 of the held-out faces of a set that both raters could rate."""
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
