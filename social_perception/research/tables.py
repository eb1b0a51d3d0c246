"""Reads tables of labels as spreadsheets and other programs write them."""

from __future__ import annotations

import codecs
import csv
import io
import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from social_perception.core.errors import SourceError
from social_perception.core.files import read_limited

_logger = logging.getLogger(__name__)

MAX_FILE_BYTES = 2**28
_MAX_REASON = 500
_DELIMITERS = (",", ";", "\t", "|")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    # Before UTF-16, with whose mark theirs begins.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DECIMAL_COMMA = r"^\s*([-+]?\d*),(\d+)\s*$"


def read_table(path: Path, needs: Sequence[str] = (), **options: Any) -> pd.DataFrame:
    """Read a CSV file with a header.

    Cells are separated by commas, semicolons, tabs or bars, whichever the header has most of; with
    semicolons, numbers may have decimal commas. Text is UTF-8, what a byte-order mark says, or else
    Windows-1252 (of which Latin-1 is a part), which is reported.

    Args:
        path: of the file.
        needs: names of columns that it must have.
        options: passed on to :func:`pandas.read_csv`.

    Raises:
        SourceError: it cannot be read, is empty, no table, or has no such column.
    """
    try:
        text = _text(path, read_limited(path, MAX_FILE_BYTES)).lstrip("\r\n")
    except FileNotFoundError as error:
        raise SourceError(f"{path} does not exist") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    if not text:
        raise SourceError(f"{path} is empty")
    delimiter, text = _delimiter(text)
    try:
        table = pd.read_csv(
            io.StringIO(text, newline=""),
            sep=delimiter,
            decimal="," if delimiter == ";" else ".",
            index_col=False,
            skipinitialspace=True,
            **options,
        )
    except ValueError as error:  # the errors of pandas are ValueErrors
        reason = " ".join(str(error).split())[:_MAX_REASON]
        raise SourceError(f"{path} cannot be read as CSV: {reason}") from error
    table.columns = table.columns.str.strip()
    for name in needs:
        if name not in table:
            columns = " ".join(", ".join(map(str, table.columns)).split())
            raise SourceError(f"{path} has no column {name}; it has {columns[:_MAX_REASON]}")
    # Where a column stays text, pandas leaves its numbers as they are.
    return table.replace(_DECIMAL_COMMA, r"\1.\2", regex=True) if delimiter == ";" else table


def _text(path: Path, data: bytes) -> str:
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    if encoding != "utf-8" or b"\0" not in data:
        with suppress(UnicodeDecodeError):
            return data.decode(encoding)
    if encoding != "utf-8" or b"\0" in data:
        raise SourceError(f"{path} is not a text in {encoding.upper()}: save it as CSV UTF-8")
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is neither UTF-8 nor Windows-1252: save it as CSV UTF-8") from error
    _logger.warning("%s is not UTF-8; it is read as Windows-1252", path)
    return text


def _delimiter(text: str) -> tuple[str, str]:
    """The delimiter, and the text without the line in which Excel names it."""
    first, _, rest = text.partition("\n")
    if first.lower().startswith("sep=") and len(first.strip()) == 5:
        return first[4], rest
    cells = {}
    for each in _DELIMITERS:
        header = next(csv.reader(io.StringIO(text, newline=""), delimiter=each), [])
        cells[each] = len(header)
    return max(_DELIMITERS, key=cells.__getitem__), text
