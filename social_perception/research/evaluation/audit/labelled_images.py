"""Reads the images of an audit with their labels and groups from a folder and a CSV file."""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from social_perception.core.errors import SourceError
from social_perception.core.types import ImageArray
from social_perception.research.tables import read_table
from social_perception.sources.image_folder import list_images
from social_perception.sources.images import read_image

_logger = logging.getLogger(__name__)

LABELS = {"level": (0.0, 3.0), "intensity": (0.0, 1.0), "smile": (0.0, 1.0)}
"""The label columns and their ranges; ``level`` may be the mean of several raters."""

MAX_GROUPS = 50
"""A text column with more distinct values holds names or remarks, not groups."""

MAX_SEPARATE_VALUES = 6
"""Each value of a numeric column with at most this number of values is a group; others get quantiles."""


@dataclass(frozen=True, slots=True, eq=False)
class AuditImage:
    """An image, (H, W, 3) uint8 RGB, that is read on demand."""

    name: str
    read: Callable[[], ImageArray]


@dataclass(frozen=True, slots=True, eq=False)
class AuditSet:
    """N images with their labels and groups.

    ``truth`` has N rows and the columns ``intensity`` [0, 1], ``level`` [0, 3] and ``smile`` (0 or 1), NaN
    where unknown. ``groups`` has N rows and one categorical column per attribute, missing where unknown.
    """

    name: str
    images: tuple[AuditImage, ...]
    truth: pd.DataFrame
    groups: pd.DataFrame
    description: str = ""


def read_labelled_images(
    folder: Path,
    labels: Path,
    group_names: Sequence[str] | None,
    quantiles: int,
    measured: Sequence[str] = (),
) -> AuditSet:
    """Read the images of a folder that are listed in a CSV file, with their labels and groups.

    Args:
        folder: folder of images.
        labels: CSV with the column ``name``, one or more of LABELS, and group columns.
        group_names: the group columns; None: all other columns.
        quantiles: number of groups of a numeric column.
        measured: names of groups that are measured in the images; valid in ``group_names``, too.

    Raises:
        SourceError: a file, column or image is missing, or a label is outside its range.
    """
    table = _table(labels)
    paths = {path.name: path for path in list_images(folder)}
    missing = [name for name in table["name"] if name not in paths]
    if missing:
        raise SourceError(
            f"{labels}: {len(missing)} of {len(table)} names have no image in {folder}, "
            f"for example {missing[0]}"
        )
    if len(paths) > len(table):
        _logger.warning("%d images in %s have no label; dropped", len(paths) - len(table), folder)
    images = tuple(AuditImage(name, partial(read_image, paths[name])) for name in table["name"])
    groups = _group_columns(table, labels, group_names, quantiles, measured)
    return AuditSet(folder.resolve().name, images, complete_labels(table), groups)


def complete_labels(table: pd.DataFrame) -> pd.DataFrame:
    """Derive missing labels from the others: intensity is level / 3, and a smile is level Low or above."""
    unknown = pd.Series(np.nan, index=table.index)
    level, intensity, smile = (
        table[name].astype(float) if name in table else unknown for name in ("level", "intensity", "smile")
    )
    intensity = intensity.fillna(level / 3)
    # The nearest level, as in SmileLevel.of_intensity.
    level = level.fillna(np.floor(3 * intensity + 0.5))
    from_level = (level >= 1).astype(float).where(level.notna())
    return pd.DataFrame({"intensity": intensity, "level": level, "smile": smile.fillna(from_level)})


def to_groups(values: pd.Series, quantiles: int) -> pd.Series:
    """Convert a column to ordered groups: text and few distinct numbers by value, other numbers by quantile.

    Raises:
        SourceError: a text column has too many distinct values.
    """
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.notna().sum() == values.notna().sum() > 0:
        if numbers.nunique() <= MAX_SEPARATE_VALUES:
            return _by_name(numbers.map(lambda number: np.nan if pd.isna(number) else f"{number:g}"))
        return _by_quantiles(numbers, quantiles)
    texts = _by_name(values.map(lambda text: str(text).strip() if pd.notna(text) else np.nan))
    if len(texts.cat.categories) > MAX_GROUPS:
        raise SourceError(
            f"column {values.name} has {len(texts.cat.categories)} different values; a group column may have "
            f"at most {MAX_GROUPS}"
        )
    return texts


def bin_by_edges(numbers: pd.Series, edges: Sequence[float], unit: str = "") -> pd.Series:
    """Convert numbers to groups by fixed edges; below the first and above the last edge are groups, too."""
    inner = [f"{low:g} to {high:g}{unit}" for low, high in itertools.pairwise(edges)]
    names = [f"below {edges[0]:g}{unit}", *inner, f"{edges[-1]:g}{unit} and above"]
    cut = pd.cut(numbers, [-np.inf, *edges, np.inf], right=False, labels=names)
    return cut.cat.remove_unused_categories()


def _by_quantiles(numbers: pd.Series, count: int) -> pd.Series:
    cut = pd.qcut(numbers, count, duplicates="drop")
    if len(cut.cat.categories) < 2:  # most values are equal
        cut = pd.cut(numbers, [-np.inf, numbers.median(), np.inf])
    names = [_range_name(numbers[cut == interval]) for interval in cut.cat.categories]
    # Skewed numbers can leave two quantiles with the same name.
    unique = [f"{name} ({number})" if names.count(name) > 1 else name for number, name in enumerate(names, 1)]
    return cut.cat.rename_categories(unique)


def _range_name(numbers: pd.Series) -> str:
    low, high = f"{numbers.min():.3g}", f"{numbers.max():.3g}"
    return low if low == high else f"{low} to {high}"


def _by_name(values: pd.Series) -> pd.Series:
    order = sorted(values.dropna().unique(), key=_natural_sort_key)
    return values.astype(pd.CategoricalDtype(order, ordered=True))


def _natural_sort_key(text: str) -> list[tuple[int, float, str]]:
    parts = re.split(r"(-?\d+(?:\.\d+)?)", text)
    return [
        (0, float(part), "") if number % 2 else (1, 0.0, part) for number, part in enumerate(parts) if part
    ]


def _table(path: Path) -> pd.DataFrame:
    # "None" and "NA" are valid group names: only an empty cell is unknown.
    table = read_table(path, ["name"], dtype=str, keep_default_na=False, na_values=[""])
    if not set(LABELS) & set(table):
        raise SourceError(f"{path} has no label column; one of {', '.join(LABELS)} is required")
    if table.empty or table["name"].isna().any():
        raise SourceError(f"{path} has {'no rows' if table.empty else 'a row without a name'}")
    if table["name"].duplicated().any():
        raise SourceError(f"{path} lists {table['name'][table['name'].duplicated()].iloc[0]} twice")
    labels = [label for label in LABELS if label in table]
    for label in labels:
        table[label] = _numbers(table[label], table["name"], label, path)
    if table[labels].isna().all(axis=None):
        raise SourceError(f"{path} has no label in any row")
    return table


def _numbers(texts: pd.Series, names: pd.Series, label: str, path: Path) -> pd.Series:
    if label == "smile":
        texts = texts.str.lower().replace({"true": "1", "false": "0"})
    numbers = pd.to_numeric(texts, errors="coerce")
    low, high = LABELS[label]
    valid = numbers.between(low, high) & ((label != "smile") | numbers.isin([0, 1]))
    invalid = np.flatnonzero(texts.notna() & ~valid)
    if len(invalid):
        rule = "0 or 1" if label == "smile" else f"in [{low:g}, {high:g}]"
        raise SourceError(
            f"{path}: {label} must be {rule}, got {texts.iloc[invalid[0]]} for {names.iloc[invalid[0]]}"
        )
    return numbers


def _group_columns(
    table: pd.DataFrame,
    path: Path,
    group_names: Sequence[str] | None,
    quantiles: int,
    measured: Sequence[str],
) -> pd.DataFrame:
    columns = [column for column in table if column not in {"name", *LABELS}]
    for name in group_names or ():
        if name not in columns and name not in measured:
            known = ", ".join([*map(str, columns), *measured])
            raise SourceError(f"{path} has no group column {name}; available: {known}")
    groups = {}
    for name in columns if group_names is None else [name for name in group_names if name in columns]:
        try:
            groups[name] = to_groups(table[name], quantiles)
        except SourceError as error:  # noqa: PERF203 (few columns)
            if group_names is not None:
                raise
            _logger.warning("%s; dropped", error)
    return pd.DataFrame(groups, index=table.index)
