"""The tables that runs leave behind, as CSV: written row by row, so that a cut-off run keeps its rows.

What cannot be known is an empty cell. Levels are the numbers of FaceAffect.msg (0 Neutral, 1 Low,
2 Medium, 3 High).
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from social_perception.core.errors import OutputError
from social_perception.core.timelines import SMILE_COLUMNS
from social_perception.core.types import Face, FrameAffect, Smile, SmileLevel

FACE_COLUMNS = ("stamp_s", "frame", "face_id", "x", "y", "width", "height", *SMILE_COLUMNS)
GROUP_COLUMNS = (
    "stamp_s", "frame", "group_size", "valid_faces", "intensity", "mean_intensity", "dispersion",
    "smiling_fraction", "level", "trend", "synchrony", "window_s", "face_ids", "stale",
)  # fmt: skip
SCORE_COLUMNS = ("name", "found", "x", "y", "width", "height", *SMILE_COLUMNS)
BOX_COLUMNS = ("image", "left", "top", "width", "height", "confidence")

Cell = str | int | float
Table = TypeVar("Table", bound="CsvTable")


class CsvTable:
    """A CSV file that grows; use it as a context manager."""

    columns: Sequence[str] = ()

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
        csv.writer(text, lineterminator="\n").writerows([_cell(value) for value in row] for row in rows)
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


class FaceTable(CsvTable):
    """A row per visible face and frame; its smile's cells are empty while it is not valid."""

    columns = FACE_COLUMNS

    def add(self, affect: FrameAffect) -> None:
        rows = []
        for face in affect.faces:
            if face.track.visible:
                box = face.track.box
                place = [round(value, 2) for value in (box.left, box.top, box.width, box.height)]
                smile = face.smile if face.smile.valid else Smile.unknown()
                rows.append(
                    [f"{affect.stamp_s:.6f}", affect.index, face.track.id, *place, *_smile_cells(smile)]
                )
        self._write(rows)


class GroupTable(CsvTable):
    """A row per frame."""

    columns = GROUP_COLUMNS

    def add(self, affect: FrameAffect) -> None:
        group = affect.group
        if group is None:
            return
        numbers = (group.intensity, group.mean_intensity, group.dispersion, group.smiling_fraction)
        self._write([[
            f"{affect.stamp_s:.6f}", affect.index, group.group_size, group.valid_faces,
            *(round(value, 4) for value in numbers), _level_cell(group.level),
            round(group.trend, 5), round(group.synchrony, 4), round(group.window_s, 4),
            ";".join(group.face_ids), int(group.stale),
        ]])  # fmt: skip


class ScoreTable(CsvTable):
    """A row per still image: its largest face and how much that smiles."""

    columns = SCORE_COLUMNS

    def add(self, name: str, face: Face | None, smile: Smile) -> None:
        if face is None:
            self._write([[name, 0, *[""] * (len(self.columns) - 2)]])
            return
        box = face.box
        place = [round(value, 2) for value in (box.left, box.top, box.width, box.height)]
        self._write([[name, 1, *place, *_smile_cells(smile)]])


class BoxTable(CsvTable):
    """A row per face of a still image; an image without faces has none."""

    columns = BOX_COLUMNS

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


def _smile_cells(smile: Smile) -> list[Cell]:
    return [round(smile.intensity, 4), _level_cell(smile.level), *(round(p, 4) for p in smile.probabilities)]


def _level_cell(level: SmileLevel) -> Cell:
    return "" if level is SmileLevel.UNKNOWN else int(level)


def _cell(value: Cell) -> Cell:
    return "" if isinstance(value, float) and math.isnan(value) else value
