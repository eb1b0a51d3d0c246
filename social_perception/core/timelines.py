"""The tables of a video read again: each person, and the group, over time."""

from __future__ import annotations

import csv
import functools
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from social_perception.core.signals import Field, Signals, Subject, declaration, fields_of
from social_perception.core.types import Box, FaceAffect, Smile, SmileLevel, Track

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """One face, the group or the scene over time: arrays of one length; what is unknown is NaN, level 255.

    Attributes:
        name: id of the face, ``group`` or ``scene``.
        stamps_s: times of the frames.
        frames: their indices.
        intensities: of the face's smile, or of the group.
        levels: likewise.
        values: the subject's other numbers by table column; columns that the table lacks are NaN.
    """

    name: str
    stamps_s: FloatArray
    frames: npt.NDArray[np.int64]
    intensities: FloatArray
    levels: npt.NDArray[np.uint8]
    values: Mapping[str, FloatArray] = field(default_factory=dict)

    def where(self, kept: npt.NDArray[np.bool_]) -> Timeline:
        """The rows of a mask, shape (N,)."""
        arrays = (self.stamps_s[kept], self.frames[kept], self.intensities[kept], self.levels[kept])
        return Timeline(self.name, *arrays, {name: each[kept] for name, each in self.values.items()})


class _Growing:
    """A Timeline while it is read: arrays of numbers, because an hour has 100000 rows per face."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.stamps_s, self.frames = array("d"), array("q")
        self.intensities, self.levels = array("d"), array("B")
        self.values = {column: array("d") for column in columns}

    def add(self, row: Mapping[str, str]) -> None:
        self.stamps_s.append(float(row["stamp_s"]))
        self.frames.append(int(row["frame"]))
        self.intensities.append(float(row.get("intensity") or "nan"))
        self.levels.append(int(row.get("level") or SmileLevel.UNKNOWN))
        for column, values in self.values.items():
            values.append(float(row.get(column) or "nan"))

    def done(self, name: str) -> Timeline:
        return Timeline(
            name,
            np.array(self.stamps_s, np.float64),
            np.array(self.frames, np.int64),
            np.array(self.intensities, np.float64),
            np.array(self.levels, np.uint8),
            {column: np.array(values, np.float64) for column, values in self.values.items()},
        )


def figures_of(subject: Subject, without: Collection[type] = (Smile,)) -> tuple[Field, ...]:
    """The numbers, of one column each, that a subject's signals report, except those of some signals."""
    found = (each for one, each in fields_of(subject) if one.kind not in without)
    return tuple(each for each in found if each.is_number and len(each.columns) == 1)


def read_timelines(path: str | Path) -> tuple[Timeline, ...]:
    """The faces of a face table, in the order of their first frame."""
    columns = [each.columns[0] for each in figures_of(Subject.FACE)]
    growing: dict[str, _Growing] = {}
    for row in _rows(path):
        growing.setdefault(row["face_id"], _Growing(columns)).add(row)
    return tuple(grown.done(name) for name, grown in growing.items())


def read_group(path: str | Path) -> Timeline | None:
    """The group of a group table with all its numbers; None for a table without rows."""
    return _read("group", path, [each.columns[0] for each in figures_of(Subject.GROUP)])


def read_scene(path: str | Path) -> Timeline | None:
    """The scene of a scene table with all its numbers; None for a table without rows."""
    return _read("scene", path, [column for _, each in fields_of(Subject.SCENE) for column in each.columns])


def _read(name: str, path: str | Path, columns: Sequence[str]) -> Timeline | None:
    growing = _Growing(columns)
    for row in _rows(path):
        growing.add(row)
    return growing.done(name) if growing.frames else None


class Timelines:
    """The tables of a video, each read once, when it is needed.

    Args:
        faces: the face table; None: single people are not reported.
        group: the group table; None: the group of people is not reported.
        scene: the scene table; None: the scene is not reported.
    """

    def __init__(self, faces: Path | None, group: Path | None, scene: Path | None = None) -> None:
        self._faces_path, self._group_path, self._scene_path = faces, group, scene

    @functools.cached_property
    def faces(self) -> tuple[Timeline, ...]:
        """See :func:`read_timelines`; empty without a face table."""
        return () if self._faces_path is None else read_timelines(self._faces_path)

    @functools.cached_property
    def group(self) -> Timeline | None:
        """See :func:`read_group`; None without a group table."""
        return None if self._group_path is None else read_group(self._group_path)

    @functools.cached_property
    def scene(self) -> Timeline | None:
        """See :func:`read_scene`; None without a scene table."""
        return None if self._scene_path is None else read_scene(self._scene_path)


def read_boxes(path: str | Path, frames: Collection[int]) -> dict[int, tuple[FaceAffect, ...]]:
    """The faces of some frames of a face table, by frame, with the boxes and smiles that it holds."""
    found: dict[int, list[FaceAffect]] = {frame: [] for frame in frames}
    for row in _rows(path):
        if int(row["frame"]) in found:
            found[int(row["frame"])].append(_read_face(row))
    return {frame: tuple(faces) for frame, faces in found.items()}


def _rows(path: str | Path) -> Iterator[dict[str, str]]:
    with Path(path).open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        header = next(rows)
        for row in rows:
            yield dict(zip(header, row))


def _read_face(row: dict[str, str]) -> FaceAffect:
    left, top, width, height = (float(row[column]) for column in ("x", "y", "width", "height"))
    track = Track(row["face_id"], Box(left, top, width, height), 1.0)
    if not row["level"]:
        return FaceAffect(track)
    columns = next(each.columns for each in declaration(Smile).fields if each.name == "probabilities")
    neutral, low, medium, high = (float(row[column] or "nan") for column in columns)
    level = SmileLevel(int(row["level"]))
    smile = Smile(float(row["intensity"]), level, (neutral, low, medium, high), 1, True)
    return FaceAffect(track, Signals(smile))
