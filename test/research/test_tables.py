"""Label tables as spreadsheets write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from social_perception.core.errors import SourceError
from social_perception.research.tables import read_table

PLAIN = "name,level,age\nJörg.png,2,34.5\nb c.png,,\n"
GERMAN = PLAIN.replace(",", ";").replace(".5", ",5")
TABLES = {
    "plain": PLAIN.encode(),
    "byte-order mark": PLAIN.encode("utf-8-sig"),
    "carriage returns": PLAIN.replace("\n", "\r\n").encode(),
    "carriage returns alone": PLAIN.replace("\n", "\r").encode(),
    "semicolons": GERMAN.encode(),
    "tabs": PLAIN.replace(",", "\t").encode(),
    "bars": PLAIN.replace(",", "|").encode(),
    "quoted": b'"name","level","age"\n' + '"Jörg.png","2","34.5"\n"b c.png","",""\n'.encode(),
    "spaces": PLAIN.replace(",", ", ").replace("age", "age ").encode(),
    "Latin-1": PLAIN.encode("latin-1"),
    "UTF-16": PLAIN.encode("utf-16"),
    "UTF-16 of a spreadsheet": b"\xfe\xff" + GERMAN.encode("utf-16-be"),
    "with its separator": b"sep=;\r\n" + GERMAN.encode(),
    "empty lines": b"\n\n" + PLAIN.encode() + b"\n",
}


@pytest.mark.parametrize("text", [True, False], ids=["text", "numbers"])
@pytest.mark.parametrize("content", TABLES.values(), ids=TABLES)
def test_a_table_is_read_as_any_program_writes_it(tmp_path: Path, content: bytes, text: bool) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    table = read_table(path, ["name", "level"], dtype=str if text else None)
    assert list(table.columns) == ["name", "level", "age"]
    assert table["name"].tolist() == ["Jörg.png", "b c.png"]
    assert [str(float(table[column][0])) for column in ("level", "age")] == ["2.0", "34.5"]
    assert table[["level", "age"]].isna().sum().tolist() == [1, 1]


def test_the_encoding_that_is_guessed_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(TABLES["Latin-1"])
    read_table(path)
    assert "labels.csv is not UTF-8; it is read as Windows-1252" in caplog.text


def test_commas_in_text_do_not_split_it(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text('name;note\na.png;"one, two; three"\n')
    assert read_table(path)["note"].tolist() == ["one, two; three"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"n\0a\0m\0e\0,\0l\0", "is not a text in UTF-8: save it as CSV UTF-8"),
        (PLAIN.encode("utf-16-le"), "is not a text in UTF-8: save it as CSV UTF-8"),
        (PLAIN.encode("utf-16")[:-1], "is not a text in UTF-16"),
        (b"\x81\x8d,level", "neither UTF-8 nor Windows-1252"),
        (b"picture,level\na.png,2\n", "has no column name; it has picture, level"),
        (b"name,level\na.png,2\nb.png,2,3\n", "cannot be read as CSV: .*line 3"),
    ],
)
def test_what_is_no_table_is_one_clear_line(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "labels.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=message) as caught:
        read_table(path, ["name"])
    assert "\n" not in str(caught.value)
