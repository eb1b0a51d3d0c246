"""The development data as audit sets: only images that the network was not trained on.

They have no labels for age, sex, origin or skin tone. Groups come from their other labels (pose, emotion,
source, agreement of the raters) and from measurements of the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from social_perception.core.errors import SourceError
from social_perception.research.evaluation.audit.labelled_images import (
    AuditImage,
    AuditSet,
    bin_by_edges,
    complete_labels,
    to_groups,
)
from social_perception.research.training.labels import EMOTIONS, SETS_OF_SOURCES, is_held_out, rated_levels
from social_perception.research.training.stills import data_folder
from social_perception.sources.images import decode_image

YAW_EDGES_DEG = (-8.0, 8.0)
ABSOLUTE_YAW_EDGES_DEG = (10.0, 20.0)
PITCH_EDGES_DEG = (-3.0, 8.0)
ROLL_EDGES_DEG = (-8.0, 8.0)


def development_sets(training_sets: Sequence[str], quantiles: int) -> tuple[AuditSet, ...]:
    """Return GENKI (smile or not, pose), FER+ (emotion) and the rated faces of all three sources (levels).

    Args:
        training_sets: the sets that the network was trained on; all of GENKI is used if it is not in them.
        quantiles: number of groups of numeric columns.

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
            "yaw": bin_by_edges(degrees["yaw"], YAW_EDGES_DEG, "°"),
            "turned_sideways": bin_by_edges(degrees["yaw"].abs(), ABSOLUTE_YAW_EDGES_DEG, "°"),
            "pitch": bin_by_edges(degrees["pitch"], PITCH_EDGES_DEG, "°"),
            "roll": bin_by_edges(degrees["roll"], ROLL_EDGES_DEG, "°"),
        }
    )
    truth = complete_labels(table[["name", "smile"]].join(_levels("genki_train", table["name"])))
    description = (
        "GENKI-4K, in the wild and mostly in color, smile or not; "
        + ("all images, none of which the network was trained on" if whole else "the held-out fifth")
        + "; pose labels of the data set"
    )
    return AuditSet("genki", _images(table), truth, groups, description)


def _ferplus(quantiles: int) -> AuditSet:
    table = _read("ferplus_test")
    votes = table[[*EMOTIONS, "unknown", "not_face"]]
    winner = votes.idxmax(axis=1)
    table, votes, winner = (
        each[winner != "not_face"].reset_index(drop=True) for each in (table, votes, winner)
    )
    agreement = votes.max(axis=1) / votes.sum(axis=1).clip(lower=1)
    groups = pd.DataFrame(
        {"emotion": to_groups(winner.rename("emotion"), quantiles),
         "taggers_agree": to_groups(agreement.rename("taggers_agree"), quantiles)}
    )  # fmt: skip
    truth = complete_labels(pd.DataFrame({"smile": (winner == "happiness").astype(float)}))
    description = "FER+ test set, 48x48 gray; a smile is a majority of ten taggers for happiness"
    return AuditSet("ferplus_test", _images(table), truth, groups, description)


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
        {"source": to_groups(table["source"], quantiles),
         "raters": to_groups(pd.Series(agree, name="raters"), quantiles)}
    )  # fmt: skip
    level = (table["rater1"] + table["rater2"]) / 2
    # Half a level is a smile for one of the two raters only: neither a smile nor none.
    truth = complete_labels(pd.DataFrame({"level": level})).assign(
        smile=np.select([level == 0, level >= 1], [0.0, 1.0], np.nan)
    )
    description = "faces rated in levels by two models, the held-out fifth; truth is the mean of both"
    return AuditSet("rated", _images(table), truth, groups, description)


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


def _images(table: pd.DataFrame) -> tuple[AuditImage, ...]:
    return tuple(
        AuditImage(name, partial(decode_image, data, name))
        for name, data in zip(table["name"], table["image"])
    )
