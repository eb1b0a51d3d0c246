"""The measures by which groups are compared.

Each except the AUC is the mean of one number per image; a share is a mean of zeros and ones. Each measure
names the fairness criterion that corresponds to its difference between groups.
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

    ``values`` returns a number per image from its results and the smiling level, NaN where not applicable;
    it is None for the AUC. ``share`` marks means of zeros and ones. ``criterion`` is the fairness criterion
    of a difference between groups.
    """

    name: str
    title: str
    values: Callable[[pd.DataFrame, int], pd.Series] | None
    share: bool = False
    criterion: str = ""
    signed: bool = False


def _where(values: pd.Series, condition: pd.Series) -> pd.Series:
    return values.astype(float).where(condition)


def _scored_smiling(results: pd.DataFrame, smiling_level: int) -> pd.Series:
    return (results["level"] >= smiling_level).astype(float).where(results["found"])


MEASURES = (
    Measure("found", "faces detected", lambda faces, _: faces["found"].astype(float), share=True,
            criterion="difference in detection misses (J. Buolamwini, T. Gebru, 2018, for face analysis)"),
    Measure("intensity", "mean intensity", lambda faces, _: faces["intensity"]),
    Measure("intensity_neutral", "mean intensity, neutral faces",
            lambda faces, _: _where(faces["intensity"], faces["true_smile"] == 0)),
    Measure("intensity_smiling", "mean intensity, smiling faces",
            lambda faces, _: _where(faces["intensity"], faces["true_smile"] == 1)),
    Measure("bias", "mean error", lambda faces, _: faces["intensity"] - faces["true_intensity"], signed=True),
    Measure("mae", "mean absolute error",
            lambda faces, _: (faces["intensity"] - faces["true_intensity"]).abs()),
    Measure("within_one", "level correct within one",
            lambda faces, _: _where((faces["level"] - faces["true_level"]).abs() <= 1,
                                   faces["found"] & faces["true_level"].notna()), share=True),
    Measure("told_smile", "scored as smiling", _scored_smiling, share=True,
            criterion="demographic parity (T. Calders, F. Kamiran, M. Pechenizkiy, 2009)"),
    Measure("false_smile", "false smiles, neutral faces",
            lambda faces, level: _where(_scored_smiling(faces, level), faces["true_smile"] == 0), share=True,
            criterion="predictive equality (S. Corbett-Davies et al., 2017)"),
    Measure("missed_smile", "missed smiles, smiling faces",
            lambda faces, level: _where(1 - _scored_smiling(faces, level), faces["true_smile"] == 1),
            share=True,
            criterion="equal opportunity (M. Hardt, E. Price, N. Srebro, 2016)"),
    Measure("auc", "AUC, smile or not", None),
)  # fmt: skip

EQUALIZED_ODDS = "equalized odds (M. Hardt, E. Price, N. Srebro, 2016)"
PARITY_RATIO = "ratio of the shares scored as smiling (four-fifths rule; M. Feldman et al., 2015)"


def auc_values(results: pd.DataFrame) -> FloatArray:
    """Return predicted intensity and true smile (0 or 1) per image, (N, 2); NaN where either is unknown."""
    table = np.column_stack([results["intensity"], results["true_smile"]]).astype(float)
    table[np.isnan(table).any(axis=1)] = np.nan
    return table
