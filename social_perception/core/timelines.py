"""The tables of a video read again: the smiles of each person, and of the group, over time."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from social_perception.core.types import Box, FaceAffect, Smile, SmileLevel, Track

SMILE_COLUMNS = ("intensity", "level", "p_neutral", "p_low", "p_medium", "p_high")


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """One face, or the group, over time: arrays of one length; what is unknown is NaN, level 255."""

    name: str
    stamps_s: npt.NDArray[np.float64]
    frames: npt.NDArray[np.int64]
    intensities: npt.NDArray[np.float64]
    levels: npt.NDArray[np.uint8]


class _Growing:
    """A Timeline while it is read: arrays of numbers, because an hour has 100000 rows per face."""

    def __init__(self) -> None:
        self.stamps_s, self.frames = array("d"), array("q")
        self.intensities, self.levels = array("d"), array("B")

    def add(self, row: Sequence[str], places: tuple[int, int, int, int]) -> None:
        stamp, frame, intensity, level = (row[place] for place in places)
        self.stamps_s.append(float(stamp))
        self.frames.append(int(frame))
        self.intensities.append(float(intensity or "nan"))
        self.levels.append(int(level or SmileLevel.UNKNOWN))

    def done(self, name: str) -> Timeline:
        return Timeline(
            name,
            np.array(self.stamps_s, np.float64),
            np.array(self.frames, np.int64),
            np.array(self.intensities, np.float64),
            np.array(self.levels, np.uint8),
        )


def read_timelines(path: str | Path) -> tuple[Timeline, ...]:
    """The faces of a face table, in the order of their first frame, or the group of a group table."""
    growing: dict[str, _Growing] = {}
    with Path(path).open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        header = next(rows)
        stamp, frame, intensity, level = (
            header.index(column) for column in ("stamp_s", "frame", "intensity", "level")
        )
        name = header.index("face_id") if "face_id" in header else None
        for row in rows:
            key = "group" if name is None else row[name]
            growing.setdefault(key, _Growing()).add(row, (stamp, frame, intensity, level))
    return tuple(grown.done(key) for key, grown in growing.items())


@dataclass(frozen=True, slots=True, eq=False)
class GroupTimeline(Timeline):
    """The group over time with all its numbers: a row per frame of the video; what is unknown is NaN."""

    group_sizes: npt.NDArray[np.int64]
    valid_faces: npt.NDArray[np.int64]
    mean_intensities: npt.NDArray[np.float64]
    dispersions: npt.NDArray[np.float64]
    smiling_fractions: npt.NDArray[np.float64]
    trends: npt.NDArray[np.float64]
    synchronies: npt.NDArray[np.float64]


_COUNT_COLUMNS = ("group_size", "valid_faces")
_NUMBER_COLUMNS = ("mean_intensity", "dispersion", "smiling_fraction", "trend", "synchrony")


def read_group(path: str | Path) -> GroupTimeline | None:
    """The group of a group table with all its numbers; None for a table without rows."""
    growing = _Growing()
    counts = [array("q") for _ in _COUNT_COLUMNS]
    numbers: list[array[float]] = [array("d") for _ in _NUMBER_COLUMNS]
    with Path(path).open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        header = next(rows)
        stamp, frame, intensity, level = (
            header.index(column) for column in ("stamp_s", "frame", "intensity", "level")
        )
        count_places = [header.index(column) for column in _COUNT_COLUMNS]
        number_places = [header.index(column) for column in _NUMBER_COLUMNS]
        for row in rows:
            growing.add(row, (stamp, frame, intensity, level))
            for values, place in zip(counts, count_places):
                values.append(int(row[place]))
            for real_values, place in zip(numbers, number_places):
                real_values.append(float(row[place] or "nan"))
    if not growing.frames:
        return None
    base = growing.done("group")
    columns: list[npt.NDArray[Any]] = [np.array(each, np.int64) for each in counts]
    columns += [np.array(each, np.float64) for each in numbers]
    return GroupTimeline(base.name, base.stamps_s, base.frames, base.intensities, base.levels, *columns)


def read_boxes(path: str | Path, frames: Collection[int]) -> dict[int, tuple[FaceAffect, ...]]:
    """The faces of some frames of a face table, by frame, with the boxes and smiles that it holds."""
    wanted = set(frames)
    found: dict[int, list[FaceAffect]] = {frame: [] for frame in wanted}
    with Path(path).open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if int(row["frame"]) in wanted:
                found[int(row["frame"])].append(_read_face(row))
    return {frame: tuple(faces) for frame, faces in found.items()}


def _read_face(row: dict[str, str]) -> FaceAffect:
    left, top, width, height = (float(row[column]) for column in ("x", "y", "width", "height"))
    track = Track(row["face_id"], Box(left, top, width, height), 1.0)
    if not row["level"]:
        return FaceAffect(track, Smile.unknown())
    neutral, low, medium, high = (float(row[column] or "nan") for column in SMILE_COLUMNS[2:])
    level = SmileLevel(int(row["level"]))
    return FaceAffect(track, Smile(float(row["intensity"]), level, (neutral, low, medium, high), 1, True))
