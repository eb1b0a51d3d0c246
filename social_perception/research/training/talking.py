"""The rated clips of people who talk: tracked faces with the levels of the raters, for training.

These clips are ``talking/`` of the data folder; those of ``clips/`` that are rated are for evaluation only.
The raters saw two frames a second: the target of the frames between is interpolated.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from social_perception.core.types import Box, ImageArray
from social_perception.perception.smile.crop import crop_faces
from social_perception.research.tables import read_table
from social_perception.research.training.augmentation import SIDE, GrayImage
from social_perception.research.training.clip_sequences import clip_key, track_clip
from social_perception.research.training.labels import FloatArray, share_above
from social_perception.research.training.morph import CANVAS, canvas_box
from social_perception.research.training.stills import data_folder

TALKING = "talking"
"""Name of these clips among the data sets."""

MAX_DISTANCE_S = 0.3
"""Frames farther from every rated frame have no target."""


@dataclass(frozen=True, slots=True, eq=False)
class TalkingFaces:
    """F faces of clips, sorted by clip and time.

    ``canvases`` are (F, 160, 160) uint8, the gray crop and its surroundings, with the face's box at
    :func:`.morph.canvas_box`; ``above`` (F, 3) is the share of the raters above each level, NaN where not
    rated; ``track`` (F,) numbers the uninterrupted tracks over all clips; ``clip`` (F,) is the clip's file
    name.
    """

    canvases: GrayImage
    above: FloatArray
    track: npt.NDArray[np.int64]
    clip: npt.NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.track)

    def windows(self, length: int) -> npt.NDArray[np.int64]:
        """Return the first rows (W,) of all windows of ``length`` rated frames within one track."""
        rated = np.concatenate([[0], np.cumsum(~np.isnan(self.above[:, 0]))])
        first = np.arange(max(0, len(self) - length + 1))
        complete = rated[first + length] - rated[first] == length
        return first[complete & (self.track[first] == self.track[first + length - 1])]


def talking_faces(cache: Path, without: Collection[str] = ()) -> TalkingFaces:
    """Return the faces of the rated talking clips; tracked once, then read from the cache folder.

    Args:
        cache: folder for the tracked faces.
        without: names of clips to exclude.

    Raises:
        SourceError: the data is missing or a clip cannot be read.
    """
    folder = data_folder() / "talking"
    table = read_table(folder / "levels.csv", ["clip", "stamp_s", "rater1", "rater2"])
    parts, used = [], 0
    for clip, rows in table.groupby("clip"):
        if clip in without:
            continue
        canvases, stamps_s, track = _cached(folder / str(clip), cache)
        parts.append((canvases, interpolate_levels(rows, stamps_s), track + used, np.full(len(track), clip)))
        used += int(track.max(initial=-1)) + 1
    return TalkingFaces(*(np.concatenate(column) for column in zip(*parts)))


def interpolate_levels(rows: pd.DataFrame, stamps_s: npt.NDArray[np.float64]) -> FloatArray:
    """Interpolate the raters' shares (R, 3) to all frames (F, 3); NaN where no rated frame is near."""
    rows = rows.dropna(subset=["rater1", "rater2"]).sort_values("stamp_s")
    if rows.empty:
        return np.full((len(stamps_s), 3), np.nan, np.float32)
    at_s, above = rows["stamp_s"].to_numpy(float), share_above(rows[["rater1", "rater2"]].to_numpy(float))
    targets = np.stack([np.interp(stamps_s, at_s, column) for column in above.T], axis=1)
    distance_s = np.abs(stamps_s[:, None] - at_s).min(axis=1, initial=np.inf)
    targets[distance_s > MAX_DISTANCE_S] = np.nan
    return targets.astype(np.float32)


def _cached(video: Path, cache: Path) -> tuple[GrayImage, npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    path = cache / "talking" / f"{clip_key(video, CANVAS, SIDE)}.npz"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        canvases, stamps_s, track = _track_largest(video)
        np.savez(path, canvases=canvases, stamps_s=stamps_s, track=track)
    with np.load(path) as kept:
        return kept["canvases"], kept["stamps_s"], kept["track"]


def _track_largest(video: Path) -> tuple[GrayImage, npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return the canvases of the largest face of each frame, their times and the number of their tracks."""
    canvases: list[GrayImage] = []
    stamps_s, ids = [], []
    for frame, tracks in track_clip(video):
        if tracks:
            largest = max(tracks, key=lambda track: track.box.area)
            canvases.append(_canvas(frame.image, largest.box))
            stamps_s.append(frame.stamp_s)
            ids.append(largest.id)
    _, track = np.unique(np.array(ids, np.str_), return_inverse=True)
    new = np.flatnonzero(np.diff(track, prepend=-1))  # a face that comes back starts a new track
    numbers = np.repeat(np.arange(len(new)), np.diff([*new, len(track)]))
    return np.array(canvases, np.uint8).reshape(-1, CANVAS, CANVAS), np.array(stamps_s, float), numbers


def _canvas(image: ImageArray, box: Box) -> GrayImage:
    large = crop_faces(image, [box], margin=CANVAS / canvas_box()[2], side_px=CANVAS)[0]
    return cv2.cvtColor(large, cv2.COLOR_RGB2GRAY)
