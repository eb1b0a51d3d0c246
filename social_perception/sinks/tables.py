"""CSV tables, written row by row, so that a run that is cut off keeps its rows.

An unknown value is an empty cell. Levels are the numbers of FaceAffect.msg (0 Neutral, 1 Low, 2 Medium,
3 High).
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from enum import IntEnum
from pathlib import Path

from social_perception.core.errors import OutputError
from social_perception.core.signals import Cell, Field, Subject, declaration, fields_of, signals_of
from social_perception.core.sound import SoundEvent
from social_perception.core.types import Explanation, Face, Frame, FrameAffect, Smile
from social_perception.sinks.sink import Output, Sink, append, output_error

SCORE_COLUMNS = ("name", "found", "x", "y", "width", "height", *declaration(Smile).columns)
EVENT_COLUMNS = ("name", "stamp_s", "speech", "laughter")
BOX_COLUMNS = ("image", "left", "top", "width", "height", "confidence")


class TextFile(Output):
    """A text file that grows line by line, so that a run that is cut off keeps its lines.

    Args:
        path: of the file.
        in_place: write under that name from the start, for programs that read along. Otherwise the file
            is NAME.part until it is complete, and an earlier one stays until then; a run that fails
            leaves its lines in NAME.part. What is no file, such as /dev/stdout or a named pipe, is
            always written in place.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(self, path: str | Path, *, in_place: bool = False) -> None:
        self.path = Path(path)
        in_place = in_place or (self.path.exists() and not self.path.is_file())
        self._open_path = self.path if in_place else self.path.with_name(self.path.name + ".part")
        self._size = 0
        try:
            # Without a buffer: lines for which there was no space would be tried again on closing.
            self._file = self._open_path.open("wb", buffering=0)
        except OSError as error:
            raise output_error(self.path, error) from error

    def write(self, text: str) -> None:
        """Append whole lines; they are in the file afterwards. Names of files need not be valid Unicode.

        Raises:
            OutputError: the file cannot be written; it then ends with the last whole line.
        """
        self._size = append(self._file, self.path, text.encode(errors="backslashreplace"), self._size)

    def close(self) -> None:
        try:
            self._file.close()
            if self._open_path != self.path:
                self._open_path.replace(self.path)
        except OSError as error:
            raise output_error(self.path, error) from error

    def abort(self) -> None:
        with suppress(OSError):  # the error before says more
            self._file.close()


class CsvTable(TextFile):
    """A CSV file with a header; see :class:`TextFile`."""

    @property
    def columns(self) -> Sequence[str]:
        """Names of the columns, in order."""
        raise NotImplementedError

    def __init__(self, path: str | Path, *, in_place: bool = False) -> None:
        super().__init__(path, in_place=in_place)
        try:
            self.write_rows([self.columns])
        except OutputError:
            self.abort()
            raise

    def write_rows(self, rows: Iterable[Sequence[Cell]]) -> None:
        """Append rows; see ``write``."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        self.write(text.getvalue())


_FRAME = {"stamp_s": "time of the frame, s", "frame": "index of the frame"}
_FACE = {"face_id": "id of the face"} | {
    name: f"{name} of its box, px" for name in ("x", "y", "width", "height")
}


def described_columns(subject: Subject) -> dict[str, str]:
    """The columns of the table of faces, the group or the scene, each with its label, unit and range."""
    columns = {**_FRAME, **(_FACE if subject is Subject.FACE else {})}
    for _, each in fields_of(subject):
        details = [each.label, each.unit, _members(each) or each.bounds]
        columns |= dict.fromkeys(each.columns, ", ".join(filter(None, details)))
    return columns


def _members(each: Field) -> str:
    """The first and the last value of an enumeration; empty for other types."""
    members = [one for one in each.type if one != each.unknown] if issubclass(each.type, IntEnum) else []
    return " to ".join(f"{int(one)} {one.name.capitalize()}" for one in members[:1] + members[-1:])


def face_columns() -> tuple[str, ...]:
    """The columns of a face table."""
    return tuple(described_columns(Subject.FACE))


def group_columns() -> tuple[str, ...]:
    """The columns of a group table."""
    return tuple(described_columns(Subject.GROUP))


class FaceTable(CsvTable, Sink):
    """A row per visible face and frame: its box and its signals; cells of unknown values are empty."""

    @property
    def columns(self) -> Sequence[str]:
        return face_columns()

    def add(self, frame: Frame, affect: FrameAffect) -> None:
        rows = []
        for face in affect.faces:
            if face.track.visible:
                box = face.track.box
                place = [round(value, 2) for value in (box.left, box.top, box.width, box.height)]
                cells = [cell for each in signals_of(Subject.FACE) for cell in each.cells(face[each.kind])]
                rows.append([f"{affect.stamp_s:.6f}", affect.index, face.track.id, *place, *cells])
        self.write_rows(rows)


class GroupTable(CsvTable, Sink):
    """A row per frame: the group's signals."""

    @property
    def columns(self) -> Sequence[str]:
        return group_columns()

    def add(self, frame: Frame, affect: FrameAffect) -> None:
        group = affect.group
        if group is None:
            return
        cells = [cell for each in signals_of(Subject.GROUP) for cell in each.cells(group[each.kind])]
        self.write_rows([[f"{affect.stamp_s:.6f}", affect.index, *cells]])


class SceneTable(CsvTable, Sink):
    """A row per frame that was used: the scene's signals."""

    @property
    def columns(self) -> Sequence[str]:
        return tuple(described_columns(Subject.SCENE))

    def add(self, frame: Frame, affect: FrameAffect) -> None:
        if affect.scene is None:
            return
        scene = affect.scene
        cells = [cell for each in signals_of(Subject.SCENE) for cell in each.cells(scene[each.kind])]
        self.write_rows([[f"{affect.stamp_s:.6f}", affect.index, *cells]])


class EventTable(CsvTable):
    """A row per tenth of a second of a sound file; an unknown value is an empty cell."""

    @property
    def columns(self) -> Sequence[str]:
        return EVENT_COLUMNS

    def add(self, name: str, events: Sequence[SoundEvent]) -> None:
        self.write_rows([[name, *_event_cells(each)] for each in events])


class SoundTable(CsvTable, Sink):
    """A row per tenth of a second: the speech and the laughter in the room."""

    @property
    def columns(self) -> Sequence[str]:
        return EVENT_COLUMNS[1:]

    def add(self, frame: Frame, affect: FrameAffect) -> None:
        self.write_rows([_event_cells(each) for each in affect.sound_events or ()])


def _event_cells(event: SoundEvent) -> list[Cell]:
    values = (event.speech, event.laughter)
    return [f"{event.stamp_s:.3f}", *("" if math.isnan(each) else round(each, 4) for each in values)]


class ScoreTable(CsvTable):
    """A row per still image: its largest face and how much that smiles.

    Args:
        path: of the file.
        explained: whether there are columns for the explanation of the smile.
    """

    def __init__(self, path: str | Path, *, explained: bool = False) -> None:
        self._explained = explained
        super().__init__(path)

    @property
    def columns(self) -> Sequence[str]:
        return (*SCORE_COLUMNS, *(declaration(Explanation).columns if self._explained else ()))

    def add(self, name: str, face: Face | None, smile: Smile, explanation: Explanation | None = None) -> None:
        if face is None:
            self.write_rows([[name, 0, *[""] * (len(self.columns) - 2)]])
            return
        box = face.box
        place = [round(value, 2) for value in (box.left, box.top, box.width, box.height)]
        cells = [name, 1, *place, *declaration(Smile).cells(smile)]
        if explanation is not None:
            cells += declaration(Explanation).cells(explanation)
        self.write_rows([cells])


class BoxTable(CsvTable):
    """A row per face of a still image; an image without faces has none."""

    @property
    def columns(self) -> Sequence[str]:
        return BOX_COLUMNS

    def add(self, name: str, faces: Sequence[Face]) -> None:
        self.write_rows(
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
