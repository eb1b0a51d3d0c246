"""The measures that groups are compared by.

Each but the AUC is the mean of one number per picture, so that a share is a mean of zeros and ones. Which
of the well-known criteria of fairness the difference of a measure between groups is stands with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from social_perception.research.evaluation.metrics import FloatArray


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure.

    ``values`` gives a number per picture, NaN where it says nothing; None for the AUC. ``share`` tells
    zeros and ones from other numbers. ``criterion`` is what a difference between groups is called.
    """

    name: str
    title: str
    values: Callable[[pd.DataFrame, int], pd.Series] | None
    share: bool = False
    criterion: str = ""
    signed: bool = False


def _where(values: pd.Series, condition: pd.Series) -> pd.Series:
    return values.astype(float).where(condition)


def _told(seen: pd.DataFrame, smiling_level: int) -> pd.Series:
    return (seen["level"] >= smiling_level).astype(float).where(seen["found"])


MEASURES = (
    Measure("found", "faces found", lambda seen, _: seen["found"].astype(float), share=True,
            criterion="difference in detection misses (J. Buolamwini, T. Gebru, 2018, for face analysis)"),
    Measure("intensity", "mean intensity", lambda seen, _: seen["intensity"]),
    Measure("intensity_neutral", "mean intensity, neutral faces",
            lambda seen, _: _where(seen["intensity"], seen["true_smile"] == 0)),
    Measure("intensity_smiling", "mean intensity, smiling faces",
            lambda seen, _: _where(seen["intensity"], seen["true_smile"] == 1)),
    Measure("bias", "mean error", lambda seen, _: seen["intensity"] - seen["true_intensity"], signed=True),
    Measure("mae", "mean absolute error", lambda seen, _: (seen["intensity"] - seen["true_intensity"]).abs()),
    Measure("within_one", "level right within one",
            lambda seen, _: _where((seen["level"] - seen["true_level"]).abs() <= 1,
                                   seen["found"] & seen["true_level"].notna()), share=True),
    Measure("told_smile", "told to smile", _told, share=True,
            criterion="demographic parity (T. Calders, F. Kamiran, M. Pechenizkiy, 2009)"),
    Measure("false_smile", "false smiles, neutral faces",
            lambda seen, level: _where(_told(seen, level), seen["true_smile"] == 0), share=True,
            criterion="predictive equality (S. Corbett-Davies et al., 2017)"),
    Measure("missed_smile", "missed smiles, smiling faces",
            lambda seen, level: _where(1 - _told(seen, level), seen["true_smile"] == 1), share=True,
            criterion="equal opportunity (M. Hardt, E. Price, N. Srebro, 2016)"),
    Measure("auc", "AUC, smile or not", None),
)  # fmt: skip

EQUALIZED_ODDS = "equalized odds (M. Hardt, E. Price, N. Srebro, 2016)"
PARITY_RATIO = "ratio of the shares told to smile (four-fifths rule; M. Feldman et al., 2015)"


def auc_values(seen: pd.DataFrame) -> FloatArray:
    """Intensity and truth (0 or 1) of the pictures, (N, 2); NaN where either is unknown."""
    table = np.column_stack([seen["intensity"], seen["true_smile"]]).astype(float)
    table[np.isnan(table).any(axis=1)] = np.nan
    return table
