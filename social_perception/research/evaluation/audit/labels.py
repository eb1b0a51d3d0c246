"""What is known of the pictures of an audit: labels and groups, read from a CSV file."""

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
from social_perception.sources.images import list_images, read_image

_logger = logging.getLogger(__name__)

LABELS = {"level": (0.0, 3.0), "intensity": (0.0, 1.0), "smile": (0.0, 1.0)}
"""The label columns and their ranges; ``level`` may be the mean of several raters."""

MOST_GROUPS = 50
"""A column of more different words is no group, but a name or a remark."""

FEW_NUMBERS = 6
"""A column of no more different numbers is taken as it is; others are split into quantiles."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture that is read, (H, W, 3) uint8 RGB, when it is needed."""

    name: str
    read: Callable[[], ImageArray]


@dataclass(frozen=True, slots=True, eq=False)
class AuditSet:
    """N pictures with what is known of them.

    ``truth`` has N rows and the columns ``intensity`` [0, 1], ``level`` [0, 3] and ``smile`` (0 or 1), NaN
    where unknown. ``groups`` has N rows and one categorical column per attribute, missing where unknown.
    """

    name: str
    pictures: tuple[Picture, ...]
    truth: pd.DataFrame
    groups: pd.DataFrame
    about: str = ""


def read_labelled(
    folder: Path, labels: Path, asked: Sequence[str] | None, quantiles: int, measured: Sequence[str] = ()
) -> AuditSet:
    """The pictures of a folder that a CSV file names, with their labels and groups.

    Args:
        folder: of images.
        labels: CSV with the column ``name``, one or more of LABELS, and columns of groups.
        asked: names of the group columns; None: all further columns.
        quantiles: number of groups that a column of numbers is split into.
        measured: names of groups that come from the pictures; they may be asked for, too.

    Raises:
        SourceError: a file, column or picture is missing, or a label is outside its range.
    """
    table = _table(labels)
    images = {path.name: path for path in list_images(folder)}
    missing = [name for name in table["name"] if name not in images]
    if missing:
        raise SourceError(
            f"{labels}: {len(missing)} of {len(table)} names have no picture in {folder}, "
            f"for example {missing[0]}"
        )
    if len(images) > len(table):
        _logger.warning("%d pictures in %s have no label; left out", len(images) - len(table), folder)
    pictures = tuple(Picture(name, partial(read_image, images[name])) for name in table["name"])
    groups = _group_columns(table, labels, asked, quantiles, measured)
    return AuditSet(folder.resolve().name, pictures, truth_of(table), groups)


def truth_of(table: pd.DataFrame) -> pd.DataFrame:
    """What follows from the label columns there are: a level is an intensity, and Low and above a smile."""
    unknown = pd.Series(np.nan, index=table.index)
    level, intensity, smile = (
        table[name].astype(float) if name in table else unknown for name in ("level", "intensity", "smile")
    )
    intensity = intensity.fillna(level / 3)
    # The level nearest to an intensity, as SmileLevel.of_intensity.
    level = level.fillna(np.floor(3 * intensity + 0.5))
    from_level = (level >= 1).astype(float).where(level.notna())
    return pd.DataFrame({"intensity": intensity, "level": level, "smile": smile.fillna(from_level)})


def as_groups(values: pd.Series, quantiles: int) -> pd.Series:
    """A column as ordered groups: words and few numbers as they are, many numbers by quantiles.

    Raises:
        SourceError: there are too many different words.
    """
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.notna().sum() == values.notna().sum() > 0:
        if numbers.nunique() <= FEW_NUMBERS:
            return _words(numbers.map(lambda number: np.nan if pd.isna(number) else f"{number:g}"))
        return _quantiles(numbers, quantiles)
    words = _words(values.map(lambda word: str(word).strip() if pd.notna(word) else np.nan))
    if len(words.cat.categories) > MOST_GROUPS:
        raise SourceError(
            f"column {values.name} has {len(words.cat.categories)} different values; groups may have "
            f"{MOST_GROUPS} at most"
        )
    return words


def in_bands(numbers: pd.Series, edges: Sequence[float], unit: str = "") -> pd.Series:
    """Numbers as groups between fixed edges; below the first and above the last are groups, too."""
    inner = [f"{low:g} to {high:g}{unit}" for low, high in itertools.pairwise(edges)]
    names = [f"below {edges[0]:g}{unit}", *inner, f"{edges[-1]:g}{unit} and above"]
    cut = pd.cut(numbers, [-np.inf, *edges, np.inf], right=False, labels=names)
    return cut.cat.remove_unused_categories()


def _quantiles(numbers: pd.Series, count: int) -> pd.Series:
    cut = pd.qcut(numbers, count, duplicates="drop")
    if len(cut.cat.categories) < 2:  # most are the same number
        cut = pd.cut(numbers, [-np.inf, numbers.median(), np.inf])
    names = [_between(numbers[cut == interval]) for interval in cut.cat.categories]
    # Skewed numbers can leave two quantiles with the same name.
    unique = [f"{name} ({place + 1})" if names.count(name) > 1 else name for place, name in enumerate(names)]
    return cut.cat.rename_categories(unique)


def _between(numbers: pd.Series) -> str:
    low, high = f"{numbers.min():.3g}", f"{numbers.max():.3g}"
    return low if low == high else f"{low} to {high}"


def _words(values: pd.Series) -> pd.Series:
    order = sorted(values.dropna().unique(), key=_natural)
    return values.astype(pd.CategoricalDtype(order, ordered=True))


def _natural(word: str) -> list[tuple[int, float, str]]:
    parts = re.split(r"(-?\d+(?:\.\d+)?)", word)
    return [
        (0, float(part), "") if number % 2 else (1, 0.0, part) for number, part in enumerate(parts) if part
    ]


def _table(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise SourceError(f"{path} does not exist")
    try:
        # A group may well be called "None" or "NA": only an empty cell is unknown.
        table = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""], skipinitialspace=True)
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise SourceError(f"{path} cannot be read as CSV: {error}") from error
    if "name" not in table:
        raise SourceError(f"{path} has no column name; it has {', '.join(map(str, table.columns))}")
    if not set(LABELS) & set(table):
        raise SourceError(f"{path} has no label column; one of {', '.join(LABELS)} is needed")
    if table.empty or table["name"].isna().any():
        raise SourceError(f"{path} has {'no rows' if table.empty else 'a row without a name'}")
    if table["name"].duplicated().any():
        raise SourceError(f"{path} names {table['name'][table['name'].duplicated()].iloc[0]} twice")
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
    right = numbers.between(low, high) & ((label != "smile") | numbers.isin([0, 1]))
    wrong = np.flatnonzero(texts.notna() & ~right)
    if len(wrong):
        rule = "0 or 1" if label == "smile" else f"in [{low:g}, {high:g}]"
        raise SourceError(
            f"{path}: {label} must be {rule}, got {texts.iloc[wrong[0]]} for {names.iloc[wrong[0]]}"
        )
    return numbers


def _group_columns(
    table: pd.DataFrame, path: Path, asked: Sequence[str] | None, quantiles: int, measured: Sequence[str]
) -> pd.DataFrame:
    further = [column for column in table if column not in {"name", *LABELS}]
    for name in asked or ():
        if name not in further and name not in measured:
            known = ", ".join([*map(str, further), *measured])
            raise SourceError(f"{path} has no group column {name}; there are {known}")
    groups = {}
    for name in further if asked is None else [name for name in asked if name in further]:
        try:
            groups[name] = as_groups(table[name], quantiles)
        except SourceError as error:  # noqa: PERF203 (few columns)
            if asked is not None:
                raise
            _logger.warning("%s; left out", error)
    return pd.DataFrame(groups, index=table.index)
