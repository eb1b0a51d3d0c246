"""The tables of a video as Parquet, for corpora: typed, compressed, empty cells as nulls.

They are converted from the CSV tables, so that both hold the same values, batch by batch, so that hours of
video need little memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any

from social_perception.core.errors import MissingDependencyError
from social_perception.core.signals import Field, Subject, fields_of
from social_perception.core.types import Frame, FrameAffect
from social_perception.sinks.sink import Sink, output_error

_BATCH_BYTES = 8 << 20
_TYPES: dict[type, str] = {int: "int32", float: "float64", bool: "bool", tuple: "string"}


class ParquetSink(Sink):
    """Converts a CSV table once all frames are in it.

    Args:
        path: of the Parquet file.
        table: the CSV file.
        metadata: see :func:`write_parquet`.

    Raises:
        MissingDependencyError: pyarrow is not installed.
    """

    def __init__(self, path: Path, table: Path, metadata: Mapping[str, str]) -> None:
        _require_pyarrow()
        self._path, self._table, self._metadata = path, table, metadata

    def add(self, frame: Frame, affect: FrameAffect) -> None:
        """Everything is done in ``close``."""

    def close(self) -> None:
        try:
            write_parquet(self._table, self._path, self._metadata)
        except OSError as error:
            raise output_error(self._path, error) from error

    def abort(self) -> None:
        """There is nothing to release."""


def _require_pyarrow() -> None:
    try:
        import pyarrow as pa  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("Parquet files need pyarrow: pip install pyarrow") from error


def write_parquet(table: str | Path, path: str | Path, metadata: Mapping[str, str]) -> None:
    """Write a face table or group table as Parquet, with a row group for every 8 MB of CSV.

    Args:
        table: the CSV file.
        path: of the Parquet file.
        metadata: kept in the file, each name with ``social_perception.`` before it.

    Raises:
        MissingDependencyError: pyarrow is not installed.
        OSError: a file cannot be read or written.
    """
    _require_pyarrow()
    import pyarrow.csv
    import pyarrow.parquet

    schema = _schema(_columns(Path(table)), metadata)
    options = pyarrow.csv.ConvertOptions(
        column_types=schema, null_values=[""], true_values=["1"], false_values=["0"]
    )
    reading = pyarrow.csv.ReadOptions(block_size=_BATCH_BYTES)
    # Opened here: pyarrow takes no names that are not valid Unicode.
    with (
        Path(table).open("rb") as csv,
        Path(path).open("wb") as file,
        pyarrow.csv.open_csv(csv, read_options=reading, convert_options=options) as batches,
        pyarrow.parquet.ParquetWriter(file, schema) as writer,
    ):
        for batch in batches:
            writer.write_table(pyarrow.Table.from_batches([batch]).cast(schema))


def _columns(table: Path) -> list[str]:
    with table.open(encoding="utf-8") as file:
        return file.readline().rstrip("\n").split(",")


def _schema(columns: list[str], metadata: Mapping[str, str]) -> Any:
    import pyarrow as pa

    name = pa.dictionary(pa.int32(), pa.string())
    fixed = {"stamp_s": pa.float64(), "frame": pa.int32(), "face_id": name}
    fixed |= dict.fromkeys(("x", "y", "width", "height"), pa.float64())
    subject = Subject.FACE if "face_id" in columns else Subject.GROUP
    declared = {column: each for _, each in fields_of(subject) for column in each.columns}
    fields = []
    for column in columns:
        known = declared.get(column)
        kind = fixed[column] if known is None else pa.type_for_alias(_alias(known))
        may_be_null = (
            column in ("x", "y", "width", "height") if known is None else _may_be_null(known, subject)
        )
        unit = {"unit": known.unit} if known is not None and known.unit else None
        fields.append(pa.field(column, kind, may_be_null, unit))
    return pa.schema(fields, {f"social_perception.{key}": value for key, value in metadata.items()})


def _alias(field: Field) -> str:
    if issubclass(field.type, IntEnum):
        return "int8"
    return "float64" if len(field.columns) > 1 else _TYPES[field.type]


def _may_be_null(field: Field, subject: Subject) -> bool:
    # While a face's signal is not valid its cells are empty, also those that are otherwise known.
    return field.can_be_unknown or subject is Subject.FACE
