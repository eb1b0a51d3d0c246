"""The Parquet tables say what the CSV tables say, with types."""

import builtins
import csv
import json

import pytest

from social_perception.core.errors import MissingDependencyError
from social_perception.sinks import parquet as views_parquet
from social_perception.sinks.parquet import write_parquet
from social_perception.sinks.tables import face_columns, group_columns

pa = pytest.importorskip("pyarrow", reason="Parquet is optional")
parquet = pytest.importorskip("pyarrow.parquet")

FACE_ROWS = [
    ["0.000000", 0, "anna", 1.25, -2.5, 30, 40, 0.5, 2, 0.1, 0.2, 0.3, 0.4, 0.9, "", -0.05, 0.1, 0.5, ""],
    ["0.033367", 1, "NA", 1.25, -2.5, 30, 40, "", "", "", "", "", "", "", "", "", "", "", ""],
]
GROUP_ROWS = [
    ["0.000000", 0, 1, 1, 0.5, 0.5, 0.0, 1.0, 2, 0.01, "", 0.0, "anna;bert", 0, -27.31, 0.5, 0.1, 2],
    ["0.033367", 1, 0, 0, "", "", "", "", "", "", "", 0.03, "", 1, "", "", "", ""],
]


def write(path, columns, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])
    return path


@pytest.mark.parametrize(("columns", "rows"), [(face_columns(), FACE_ROWS), (group_columns(), GROUP_ROWS)])
def test_every_cell_is_that_of_the_csv(tmp_path, columns, rows):
    table = write(tmp_path / "table.csv", columns, rows)
    write_parquet(table, tmp_path / "table.parquet", {"version": "1", "settings": json.dumps({"a": 1})})
    read = parquet.read_table(tmp_path / "table.parquet")
    assert read.column_names == list(columns)
    for number, row in enumerate(rows):
        for column, cell in zip(columns, row):
            value = read.column(column)[number].as_py()
            if column in ("face_id", "face_ids"):
                assert value == cell
            elif cell == "":
                assert value is None
            else:
                assert float(value) == float(cell)
    assert read.schema.metadata[b"social_perception.version"] == b"1"
    assert json.loads(read.schema.metadata[b"social_perception.settings"]) == {"a": 1}


def test_the_columns_have_their_types(tmp_path):
    write_parquet(write(tmp_path / "f.csv", face_columns(), FACE_ROWS), tmp_path / "f.parquet", {})
    write_parquet(write(tmp_path / "g.csv", group_columns(), GROUP_ROWS), tmp_path / "g.parquet", {})
    faces, group = (parquet.read_schema(tmp_path / f"{name}.parquet") for name in "fg")
    types = {name: str(faces.field(name).type) for name in ("stamp_s", "frame", "level", "intensity")}
    assert types == {"stamp_s": "double", "frame": "int32", "level": "int8", "intensity": "double"}
    assert pa.types.is_dictionary(faces.field("face_id").type)
    assert (faces.field("level").nullable, faces.field("frame").nullable) == (True, False)
    assert str(group.field("stale").type) == "bool"
    assert str(group.field("group_size").type) == "int32"


def test_a_long_table_is_written_in_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(views_parquet, "_BATCH_BYTES", 4096)
    rows = [[f"{n / 30:.6f}", n, f"p{n % 7}", *FACE_ROWS[0][3:]] for n in range(1000)]
    table = write(tmp_path / "faces.csv", face_columns(), rows)
    write_parquet(table, tmp_path / "faces.parquet", {})
    file = parquet.ParquetFile(tmp_path / "faces.parquet")
    assert file.num_row_groups > 5
    assert file.read().column("face_id").to_pylist() == [row[2] for row in rows]


def test_a_table_without_rows_is_a_file_without_rows(tmp_path):
    write_parquet(write(tmp_path / "f.csv", face_columns(), []), tmp_path / "f.parquet", {})
    read = parquet.read_table(tmp_path / "f.parquet")
    assert (read.num_rows, read.column_names) == (0, list(face_columns()))


def test_a_missing_pyarrow_is_reported(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match="pip install pyarrow"):
        write_parquet(tmp_path / "f.csv", tmp_path / "f.parquet", {})
