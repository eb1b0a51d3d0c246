"""Single faces of the development data whose smile is rated: stills, and frames of people who talk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from social_perception.research.social_mae.development import Clip
from social_perception.research.social_mae.examples import Example
from social_perception.research.tables import read_table
from social_perception.research.training.faces import still_crops
from social_perception.research.training.labels import SETS_OF_SOURCES, rated_levels
from social_perception.research.training.stills import data_folder, read_stills
from social_perception.research.training.talking import MAX_DISTANCE_S

_FACE_PX = 48


@dataclass(frozen=True, slots=True, eq=False)
class RatedFaces:
    """Single faces whose smile is rated.

    Attributes:
        crops: (N, 3, 48, 48) uint8 RGB.
        level: (N,), the mean of two raters, 0 to 3.
        person: (N,), who is certainly not the same as those with other names, or the clip.
        held_out: (N,) bool.
    """

    crops: npt.NDArray[np.uint8]
    level: npt.NDArray[np.float64]
    person: npt.NDArray[np.str_]
    held_out: npt.NDArray[np.bool_]

    def select(self, rows: npt.NDArray[np.bool_]) -> RatedFaces:
        return RatedFaces(self.crops[rows], self.level[rows], self.person[rows], self.held_out[rows])

    def examples(self, rated: bool = False) -> list[Example]:
        """Videos of one frame, with the level as their label if so requested."""
        labels = [(float(level),) if rated else None for level in self.level]
        return [
            Example(crop[None], None, label, str(name))
            for crop, label, name in zip(self.crops, labels, self.person)
        ]


def rated_faces(cache: Path) -> RatedFaces:
    """The rated stills; the fifth whose names say so is held out.

    Raises:
        SourceError: they are missing.
    """
    parts = []
    for name in SETS_OF_SOURCES.values():
        rated = rated_levels(name).dropna(subset=["rater1", "rater2"])
        path = cache / "social_mae" / f"rated_{name}.npz"
        if not path.is_file():
            stills = read_stills(name, cache, list(rated.index))
            path.parent.mkdir(parents=True, exist_ok=True)
            found = ~np.isnan(stills.boxes[:, 0])
            names = stills.table["name"].to_numpy(str)[found]
            np.savez(path, crops=_small(still_crops(stills)[found]), name=names)
        with np.load(path) as kept:
            rows = rated.loc[kept["name"]]
            level = rows[["rater1", "rater2"]].mean(axis=1).to_numpy(float)
            parts.append(RatedFaces(kept["crops"], level, kept["name"], rows["held_out"].to_numpy(bool)))
    columns = zip(*((each.crops, each.level, each.person, each.held_out) for each in parts))
    return RatedFaces(*map(np.concatenate, columns))


def rated_frames(clips: Sequence[Clip]) -> RatedFaces:
    """The rated frames of the clips; those of clips that are not trained on are held out.

    Raises:
        SourceError: the ratings are missing.
    """
    table = read_table(data_folder() / "talking" / "levels.csv", ["clip", "stamp_s", "rater1", "rater2"])
    named = {clip.name: clip for clip in clips if len(clip.stamps_s)}
    table = table.dropna(subset=["rater1", "rater2"])
    crops, level, person, held_out = [], [], [], []
    for row in table[table["clip"].isin(named)].itertuples(index=False):
        clip = named[str(row.clip)]
        distance_s = np.abs(clip.stamps_s - row.stamp_s)
        if distance_s.min() <= MAX_DISTANCE_S:
            crops.append(clip.crops[distance_s.argmin()].transpose(1, 2, 0))
            level.append((row.rater1 + row.rater2) / 2)
            person.append(clip.person)
            held_out.append(not clip.is_trained_on)
    return RatedFaces(_small(np.array(crops)), np.array(level, float), np.array(person), np.array(held_out))


def _small(crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Crops (N, S, S, 3) as (N, 3, 48, 48)."""
    resized = [cv2.resize(each, (_FACE_PX, _FACE_PX), interpolation=cv2.INTER_AREA) for each in crops]
    return np.array(resized, np.uint8).transpose(0, 3, 1, 2)
