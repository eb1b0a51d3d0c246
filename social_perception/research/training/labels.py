"""Turns what the data sets say of a face into targets for P(level > k), k = 0, 1, 2.

Rated faces: the share of the two raters above each level. Weak labels (votes for happiness, an
emotion word, smile / no smile) say nothing of levels by themselves; what each of their values means
is read off the rated faces of the same set: of the rated faces with nine votes for happiness, so
many were above Neutral, so many above Low. Faces of the held-out fifth take no part in that.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from social_perception.research.training.stills import data_folder

EMOTIONS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
SETS_OF_SOURCES = {"ferplus": "ferplus_train", "genki": "genki_train", "muxspace": "muxspace"}

WEAK_TRUST = (1.0, 0.2, 0.05)
"""Weight of a weak label at each threshold: it is about smiling at all, hardly about how much."""

HELD_OUT_WHOLLY = ("genki_train",)
"""Sets of which a fifth of all faces is held out, not only of the rated ones: no other part of them
is kept for evaluation."""

SET_TRUST = {"ferplus_train": 1.0, "muxspace": 0.7, "genki_train": 1.0}
"""Weight of a set's weak labels: ten voters, one word of a mixed origin, one careful word."""

PRIOR_FACES = 2.0
"""Faces of the whole set's average mixed into each estimate, so that a rare value is not overread."""

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What is known of the N faces of a set, in the order of its table.

    ``above`` (N, 3) are the targets of P(level > k) and ``weight`` (N, 3) how much each counts;
    ``emotion`` (N, 8) is a distribution over EMOTIONS or all zero; ``rated`` (N,) marks faces with
    rated levels; ``held_out`` (N,) marks those that are kept for evaluation.
    """

    above: FloatArray
    weight: FloatArray
    emotion: FloatArray
    rated: npt.NDArray[np.bool_]
    held_out: npt.NDArray[np.bool_]


def is_held_out(name: str) -> bool:
    """Whether a face belongs to the fifth that is never trained on: by the hash of its name."""
    return int(hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest(), 16) % 5 == 0


def rated_levels(set_name: str) -> pd.DataFrame:
    """The rated faces of a set by ``name``: ``rater1``, ``rater2`` (NaN: not ratable), ``held_out``."""
    table = pd.read_csv(data_folder() / "data" / "intensity_labels.csv")
    table = table[table["source"].map(SETS_OF_SOURCES) == set_name].set_index("name")
    table["held_out"] = [is_held_out(name) for name in table.index]
    return table[["rater1", "rater2", "held_out"]]


def targets_of(set_name: str, table: pd.DataFrame) -> Targets:
    """The targets of a set's faces; ``table`` holds its labels and the column ``name``."""
    rated = rated_levels(set_name).reindex(table["name"])
    above = _above(rated[["rater1", "rater2"]].to_numpy(float))
    held_out = rated["held_out"].eq(True).to_numpy()
    if set_name in HELD_OUT_WHOLLY:
        held_out = np.array([is_held_out(name) for name in table["name"]], bool)
    known = ~np.isnan(above[:, 0])
    values = weak_values(set_name, table)
    weak = _meaning(values, above, known & ~held_out)
    weight = SET_TRUST[set_name] * _certainty(set_name, table)[:, None] * np.array(WEAK_TRUST)
    return Targets(
        np.where(known[:, None], above, weak).astype(np.float32),
        np.where(known[:, None], 1.0, weight).astype(np.float32),
        _emotions(set_name, table).astype(np.float32),
        known,
        held_out,
    )


def weak_values(set_name: str, table: pd.DataFrame) -> npt.NDArray[np.int64]:
    """The weak label of each face as one of a few values, (N,)."""
    if set_name.startswith("ferplus"):
        share = table["happiness"] / _votes(table).clip(lower=1)
        return np.digitize(share, [0.05, 0.25, 0.45, 0.65, 0.85, 0.95])
    if set_name == "muxspace":
        return table["emotion"].map({"happiness": 2, "neutral": 1}).fillna(0).to_numpy(np.int64)
    return table["smile"].to_numpy(np.int64)


def _above(levels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Levels (N, raters), NaN where not rated, to the share of raters above 0, 1, 2: (N, 3)."""
    voted = ~np.isnan(levels)
    higher = (levels[:, None, :] > np.arange(3)[None, :, None]).sum(axis=2)
    count = voted.sum(axis=1, keepdims=True)
    return np.where(count > 0, higher / np.maximum(count, 1), np.nan)


def _meaning(
    values: npt.NDArray[np.int64], above: npt.NDArray[np.float64], known: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """For each face, the mean of ``above`` over the known faces with the same weak value: (N, 3)."""
    average = above[known].mean(axis=0)
    meaning = np.empty((values.max() + 1, 3))
    for value in range(len(meaning)):
        same = above[known & (values == value)]
        meaning[value] = (same.sum(axis=0) + PRIOR_FACES * average) / (len(same) + PRIOR_FACES)
    return meaning[values]


def _votes(table: pd.DataFrame) -> pd.Series:
    return table[list(EMOTIONS)].sum(axis=1)


def _certainty(set_name: str, table: pd.DataFrame) -> npt.NDArray[np.float64]:
    """0 where the label says nothing of a smile (no face, contempt), else up to 1: (N,)."""
    if set_name == "muxspace":
        return (table["emotion"] != "contempt").to_numpy(float)
    if not set_name.startswith("ferplus"):
        return np.ones(len(table))
    votes = _votes(table)
    contempt = table["contempt"] / votes.clip(lower=1)
    return ((votes / 10.0) * (1.0 - contempt) * (table["not_face"] <= 3)).to_numpy(float)


def _emotions(set_name: str, table: pd.DataFrame) -> npt.NDArray[np.float64]:
    """The distribution over EMOTIONS, (N, 8); all zero where the set has none."""
    if set_name.startswith("ferplus"):
        counts = table[list(EMOTIONS)].to_numpy(float)
        return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    if set_name == "muxspace":
        words = table["emotion"].to_numpy()
        # One word from one hand: leave a tenth to doubt.
        return 0.9 * (words[:, None] == np.array(EMOTIONS)[None, :]) + 0.1 / len(EMOTIONS)
    return np.zeros((len(table), len(EMOTIONS)))
