"""The tables of a video as Parquet, for corpora: typed, compressed, empty cells as nulls.

Made from the CSV, so that the two say the same, batch by batch, so that hours of video need little
memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from social_perception.core.errors import MissingDependencyError

_BATCH_BYTES = 8 << 20
_TYPES = {
    "frame": "int32", "group_size": "int32", "valid_faces": "int32", "level": "int8", "stale": "bool",
    "face_ids": "string",
}  # fmt: skip
"""Types of the columns that are neither the face's name nor float64."""


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
    try:
        import pyarrow.csv
        import pyarrow.parquet
    except ImportError as error:
        raise MissingDependencyError("Parquet files need pyarrow: pip install pyarrow") from error
    schema = _schema(_columns(Path(table)), metadata)
    options = pyarrow.csv.ConvertOptions(
        column_types=schema, null_values=[""], true_values=["1"], false_values=["0"]
    )
    reading = pyarrow.csv.ReadOptions(block_size=_BATCH_BYTES)
    with (
        pyarrow.csv.open_csv(table, read_options=reading, convert_options=options) as batches,
        pyarrow.parquet.ParquetWriter(path, schema) as writer,
    ):
        for batch in batches:
            writer.write_table(pyarrow.Table.from_batches([batch]).cast(schema))


def _columns(table: Path) -> list[str]:
    with table.open(encoding="utf-8") as file:
        return file.readline().rstrip("\n").split(",")


def _schema(columns: list[str], metadata: Mapping[str, str]) -> Any:
    import pyarrow as pa

    name = pa.dictionary(pa.int32(), pa.string())
    types = {column: pa.type_for_alias(_TYPES.get(column, "float64")) for column in columns}
    required = {"stamp_s", "frame", "face_id", "group_size", "valid_faces", "face_ids", "stale"}
    fields = [
        pa.field(column, name if column == "face_id" else types[column], column not in required)
        for column in columns
    ]
    return pa.schema(fields, {f"social_perception.{key}": value for key, value in metadata.items()})
