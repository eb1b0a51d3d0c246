"""Converts the labels of the data sets into targets for P(level > k), k = 0, 1, 2.

Rated faces: the share of the two raters above each level. Weak labels (votes for happiness, one
emotion, smile / no smile) do not name a level; the target of each of their values is estimated from
the rated faces of the same set with that value: for example, the share of the rated faces with nine
votes for happiness that is above Neutral. The held-out fifth is excluded from the estimate.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from social_perception.research.tables import read_table
from social_perception.research.training.stills import data_folder

EMOTIONS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
SETS_OF_SOURCES = {"ferplus": "ferplus_train", "genki": "genki_train", "muxspace": "muxspace"}

WEAK_LABEL_WEIGHTS = (1.0, 0.2, 0.05)
"""Weight of a weak label at each threshold: it tells whether a face smiles, hardly how much."""

FULLY_HELD_OUT_SETS = ("genki_train",)
"""Sets of which a fifth of all faces is held out, not only of the rated ones: they have no separate
test set."""

SET_WEIGHTS = {"ferplus_train": 1.0, "muxspace": 0.7, "genki_train": 1.0}
"""Weight of a set's weak labels: ten votes, one label of mixed origin, one careful label."""

PRIOR_COUNT = 2.0
"""Pseudo-count of the set's mean in each estimate, so that rare values are not overfitted."""

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """The training targets of the N faces of a set, in the order of its table.

    ``above`` (N, 3) are the targets of P(level > k) and ``weight`` (N, 3) their loss weights;
    ``emotion`` (N, 8) is a distribution over EMOTIONS or all zero; ``rated`` (N,) marks faces with
    rated levels; ``held_out`` (N,) marks faces reserved for evaluation.
    """

    above: FloatArray
    weight: FloatArray
    emotion: FloatArray
    rated: npt.NDArray[np.bool_]
    held_out: npt.NDArray[np.bool_]


def is_held_out(name: str) -> bool:
    """Return whether a face is in the fifth reserved for evaluation, by the hash of its name."""
    return int(hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest(), 16) % 5 == 0


def rated_levels(set_name: str) -> pd.DataFrame:
    """Return the rated faces of a set, indexed by ``name``.

    The columns are ``rater1``, ``rater2`` (NaN: not ratable) and ``held_out``.
    """
    table = read_table(
        data_folder() / "data" / "intensity_labels.csv", ["source", "name", "rater1", "rater2"]
    )
    table = table[table["source"].map(SETS_OF_SOURCES) == set_name].set_index("name")
    table["held_out"] = [is_held_out(name) for name in table.index]
    return table[["rater1", "rater2", "held_out"]]


def make_targets(set_name: str, table: pd.DataFrame) -> Targets:
    """Return the targets of a set's faces; ``table`` holds its labels and the column ``name``."""
    rated = rated_levels(set_name).reindex(table["name"])
    above = share_above(rated[["rater1", "rater2"]].to_numpy(float))
    held_out = rated["held_out"].eq(True).to_numpy()
    if set_name in FULLY_HELD_OUT_SETS:
        held_out = np.array([is_held_out(name) for name in table["name"]], bool)
    known = ~np.isnan(above[:, 0])
    values = weak_values(set_name, table)
    weak = _mean_per_value(values, above, known & ~held_out)
    weight = SET_WEIGHTS[set_name] * _label_quality(set_name, table)[:, None] * np.array(WEAK_LABEL_WEIGHTS)
    return Targets(
        np.where(known[:, None], above, weak).astype(np.float32),
        np.where(known[:, None], 1.0, weight).astype(np.float32),
        _emotions(set_name, table).astype(np.float32),
        known,
        held_out,
    )


def weak_values(set_name: str, table: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the weak label of each face as a small integer, (N,)."""
    if set_name.startswith("ferplus"):
        share = table["happiness"] / _votes(table).clip(lower=1)
        return np.digitize(share, [0.05, 0.25, 0.45, 0.65, 0.85, 0.95])
    if set_name == "muxspace":
        return table["emotion"].map({"happiness": 2, "neutral": 1}).fillna(0).to_numpy(np.int64)
    return table["smile"].to_numpy(np.int64)


def share_above(levels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Convert levels (N, raters), NaN where not rated, to the share of raters above 0, 1, 2: (N, 3)."""
    voted = ~np.isnan(levels)
    higher = (levels[:, None, :] > np.arange(3)[None, :, None]).sum(axis=2)
    count = voted.sum(axis=1, keepdims=True)
    return np.where(count > 0, higher / np.maximum(count, 1), np.nan)


def _mean_per_value(
    values: npt.NDArray[np.int64], above: npt.NDArray[np.float64], known: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Return for each face the mean of ``above`` over the rated faces with the same weak label: (N, 3)."""
    average = above[known].mean(axis=0)
    mean = np.empty((values.max() + 1, 3))
    for value in range(len(mean)):
        same = above[known & (values == value)]
        mean[value] = (same.sum(axis=0) + PRIOR_COUNT * average) / (len(same) + PRIOR_COUNT)
    return mean[values]


def _votes(table: pd.DataFrame) -> pd.Series:
    return table[list(EMOTIONS)].sum(axis=1)


def _label_quality(set_name: str, table: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return 0 where the label does not tell about a smile (no face, contempt), else up to 1: (N,)."""
    if set_name == "muxspace":
        return (table["emotion"] != "contempt").to_numpy(float)
    if not set_name.startswith("ferplus"):
        return np.ones(len(table))
    votes = _votes(table)
    contempt = table["contempt"] / votes.clip(lower=1)
    return ((votes / 10.0) * (1.0 - contempt) * (table["not_face"] <= 3)).to_numpy(float)


def _emotions(set_name: str, table: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return the distribution over EMOTIONS, (N, 8); all zero where the set has none."""
    if set_name.startswith("ferplus"):
        counts = table[list(EMOTIONS)].to_numpy(float)
        return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    if set_name == "muxspace":
        emotions = table["emotion"].to_numpy()
        # A single annotator: smooth the label by a tenth.
        return 0.9 * (emotions[:, None] == np.array(EMOTIONS)[None, :]) + 0.1 / len(EMOTIONS)
    return np.zeros((len(table), len(EMOTIONS)))
