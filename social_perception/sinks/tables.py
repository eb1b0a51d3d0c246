"""The tables that runs leave behind, as CSV: written row by row, so that a cut-off run keeps its rows.

What cannot be known is an empty cell. Levels are the numbers of FaceAffect.msg (0 Neutral, 1 Low,
2 Medium, 3 High).
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from social_perception.core.errors import OutputError
from social_perception.core.signals import Cell, Subject, columns_of, declaration, signals_of
from social_perception.core.types import Face, FrameAffect, Smile

SCORE_COLUMNS = ("name", "found", "x", "y", "width", "height", *declaration(Smile).columns)
BOX_COLUMNS = ("image", "left", "top", "width", "height", "confidence")

Table = TypeVar("Table", bound="CsvTable")


class CsvTable:
    """A CSV file that grows; use it as a context manager."""

    @property
    def columns(self) -> Sequence[str]:
        """Names of the columns, in order."""
        raise NotImplementedError

    def __init__(self, path: str | Path, *, in_place: bool = False) -> None:
        """Begin the file with its header.

        Args:
            path: of the table.
            in_place: write under that name from the start, for whoever reads along. Otherwise the
                table is NAME.part until it is complete, and an earlier one stays until then; a run
                that fails leaves its rows in NAME.part. What is no file, such as /dev/stdout or a
                named pipe, is always written in place.

        Raises:
            OutputError: the file cannot be written.
        """
        self.path = Path(path)
        in_place = in_place or (self.path.exists() and not self.path.is_file())
        self._open_path = self.path if in_place else self.path.with_name(self.path.name + ".part")
        self._size = 0
        try:
            # Without a buffer: rows that found no room would be tried again when the file is closed.
            self._file = self._open_path.open("wb", buffering=0)
        except OSError as error:
            raise _output_error(self.path, error) from error
        try:
            self._write([self.columns])
        except OutputError:
            self._file.close()
            raise

    def _write(self, rows: Iterable[Sequence[Cell]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        data = memoryview(text.getvalue().encode())
        try:
            written = 0
            while written < len(data):
                written += self._file.write(data[written:])
        except OSError as error:
            # Half a row must not stay; where even this fails, there is no room for more rows either.
            with suppress(OSError):
                os.ftruncate(self._file.fileno(), self._size)
            raise _output_error(self.path, error) from error
        self._size += len(data)

    def __enter__(self: Table) -> Table:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
            if kind is None and self._open_path != self.path:
                self._open_path.replace(self.path)
        except OSError as failure:
            if kind is None:  # what went wrong before says more
                raise _output_error(self.path, failure) from failure


def _output_error(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path} cannot be written: {error.strerror or error}")


def face_columns() -> tuple[str, ...]:
    """The columns of a face table."""
    return ("stamp_s", "frame", "face_id", "x", "y", "width", "height", *columns_of(Subject.FACE))


def group_columns() -> tuple[str, ...]:
    """The columns of a group table."""
    return ("stamp_s", "frame", *columns_of(Subject.GROUP))


class FaceTable(CsvTable):
    """A row per visible face and frame: its box and its signals; cells of unknown values are empty."""

    @property
    def columns(self) -> Sequence[str]:
        return face_columns()

    def add(self, affect: FrameAffect) -> None:
        rows = []
        for face in affect.faces:
            if face.track.visible:
                box = face.track.box
                place = [round(value, 2) for value in (box.left, box.top, box.width, box.height)]
                cells = [cell for each in signals_of(Subject.FACE) for cell in each.cells(face[each.kind])]
                rows.append([f"{affect.stamp_s:.6f}", affect.index, face.track.id, *place, *cells])
        self._write(rows)


class GroupTable(CsvTable):
    """A row per frame: the group's signals."""

    @property
    def columns(self) -> Sequence[str]:
        return group_columns()

    def add(self, affect: FrameAffect) -> None:
        group = affect.group
        if group is None:
            return
        cells = [cell for each in signals_of(Subject.GROUP) for cell in each.cells(group[each.kind])]
        self._write([[f"{affect.stamp_s:.6f}", affect.index, *cells]])


class ScoreTable(CsvTable):
    """A row per still image: its largest face and how much that smiles."""

    @property
    def columns(self) -> Sequence[str]:
        return SCORE_COLUMNS

    def add(self, name: str, face: Face | None, smile: Smile) -> None:
        if face is None:
            self._write([[name, 0, *[""] * (len(self.columns) - 2)]])
            return
        box = face.box
        place = [round(value, 2) for value in (box.left, box.top, box.width, box.height)]
        self._write([[name, 1, *place, *declaration(Smile).cells(smile)]])


class BoxTable(CsvTable):
    """A row per face of a still image; an image without faces has none."""

    @property
    def columns(self) -> Sequence[str]:
        return BOX_COLUMNS

    def add(self, name: str, faces: Sequence[Face]) -> None:
        self._write(
            [
                name,
                *(
                    round(value, 2)
                    for value in (face.box.left, face.box.top, face.box.width, face.box.height)
                ),
                round(face.confidence, 5),
            ]
            for face in faces
        )
