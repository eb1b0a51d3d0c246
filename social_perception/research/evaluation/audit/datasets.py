"""The development data as sets of an audit: only pictures that the network was not trained on.

They say nothing of age, sex, origin or skin tone. Groups are what the sets say beside the smile (pose,
emotion word, source, how far raters agree) and what is measured of the pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from social_perception.core.errors import SourceError
from social_perception.research.evaluation.audit.labels import (
    AuditSet,
    Picture,
    as_groups,
    in_bands,
    truth_of,
)
from social_perception.research.training.labels import EMOTIONS, SETS_OF_SOURCES, is_held_out, rated_levels
from social_perception.research.training.stills import data_folder
from social_perception.sources.images import decode_image

YAW_EDGES_DEG = (-8.0, 8.0)
TURNED_EDGES_DEG = (10.0, 20.0)
PITCH_EDGES_DEG = (-3.0, 8.0)
ROLL_EDGES_DEG = (-8.0, 8.0)


def development_sets(training_sets: Sequence[str], quantiles: int) -> tuple[AuditSet, ...]:
    """Genki (smile or not, pose), FER+ (emotion) and the rated faces of all three sources (levels).

    Args:
        training_sets: what the network was trained on; genki is used whole if it is not among them.
        quantiles: groups into which numbers are split.

    Raises:
        SourceError: the data is missing.
    """
    whole = "genki_train" not in training_sets
    return _genki(whole=whole), _ferplus(quantiles), _rated(quantiles)


def _genki(*, whole: bool) -> AuditSet:
    table = _read("genki_train")
    if not whole:
        table = table[[is_held_out(name) for name in table["name"]]].reset_index(drop=True)
    degrees = table[["yaw", "pitch", "roll"]].apply(np.rad2deg)
    groups = pd.DataFrame(
        {
            "yaw": in_bands(degrees["yaw"], YAW_EDGES_DEG, "°"),
            "turned_sideways": in_bands(degrees["yaw"].abs(), TURNED_EDGES_DEG, "°"),
            "pitch": in_bands(degrees["pitch"], PITCH_EDGES_DEG, "°"),
            "roll": in_bands(degrees["roll"], ROLL_EDGES_DEG, "°"),
        }
    )
    truth = truth_of(table[["name", "smile"]].join(_levels("genki_train", table["name"])))
    about = (
        "GENKI-4K, in the wild and mostly in colour, smile or not; "
        + (
            "all its pictures, none of which the network has seen"
            if whole
            else "the fifth kept out of training"
        )
        + "; pose as labelled there"
    )
    return AuditSet("genki", _pictures(table), truth, groups, about)


def _ferplus(quantiles: int) -> AuditSet:
    table = _read("ferplus_test")
    votes = table[[*EMOTIONS, "unknown", "not_face"]]
    winner = votes.idxmax(axis=1)
    table, votes, winner = (
        each[winner != "not_face"].reset_index(drop=True) for each in (table, votes, winner)
    )
    agreement = votes.max(axis=1) / votes.sum(axis=1).clip(lower=1)
    groups = pd.DataFrame(
        {"emotion": as_groups(winner.rename("emotion"), quantiles),
         "taggers_agree": as_groups(agreement.rename("taggers_agree"), quantiles)}
    )  # fmt: skip
    truth = truth_of(pd.DataFrame({"smile": (winner == "happiness").astype(float)}))
    about = "FER+ test set, 48x48 gray; as a smile counts a majority of ten taggers for happiness"
    return AuditSet("ferplus_test", _pictures(table), truth, groups, about)


def _rated(quantiles: int) -> AuditSet:
    parts = []
    for source, name in SETS_OF_SOURCES.items():
        levels = rated_levels(name)
        levels = levels[levels["held_out"] & levels[["rater1", "rater2"]].notna().all(axis=1)]
        parts.append(
            _read(name, levels.index).merge(levels, left_on="name", right_index=True).assign(source=source)
        )
    table = pd.concat(parts, ignore_index=True)
    agree = np.where(table["rater1"] == table["rater2"], "same level", "different levels")
    groups = pd.DataFrame(
        {"source": as_groups(table["source"], quantiles),
         "raters": as_groups(pd.Series(agree, name="raters"), quantiles)}
    )  # fmt: skip
    level = (table["rater1"] + table["rater2"]) / 2
    # Half a level is a smile for one of two raters: it counts as neither, as a label of yes or no.
    truth = truth_of(pd.DataFrame({"level": level})).assign(
        smile=np.select([level == 0, level >= 1], [0.0, 1.0], np.nan)
    )
    about = "faces rated in levels by two models, the fifth kept out of training; truth is the mean of both"
    return AuditSet("rated", _pictures(table), truth, groups, about)


def _levels(set_name: str, names: pd.Series) -> pd.DataFrame:
    rated = rated_levels(set_name).reindex(names)[["rater1", "rater2"]]
    return rated.mean(axis=1, skipna=False).rename("level").reset_index(drop=True).to_frame()


def _read(name: str, names: Sequence[str] | pd.Index | None = None) -> pd.DataFrame:
    path = data_folder() / "data" / f"{name}.parquet"
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} cannot be read: {error}") from error
    return table if names is None else table[table["name"].isin(names)].reset_index(drop=True)


def _pictures(table: pd.DataFrame) -> tuple[Picture, ...]:
    return tuple(
        Picture(name, partial(decode_image, data, name)) for name, data in zip(table["name"], table["image"])
    )
