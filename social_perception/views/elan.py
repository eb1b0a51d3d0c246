"""Writes what was found as an ELAN file (.eaf), for annotators: a tier per face, an annotation per smile.

ELAN: https://archive.mpi.nl/tla/elan; the file is made by pympi-ling.
"""

from __future__ import annotations

import mimetypes
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from social_perception.core.errors import MissingDependencyError
from social_perception.core.types import SmileLevel
from social_perception.views.tables import Timeline

VOCABULARY = "smile intensity"
SHORTEST_RUN_S = 0.1
"""Shorter annotations than this are not made: nobody could see them, and no annotator draws them."""

_LEVELS = (SmileLevel.NEUTRAL, SmileLevel.LOW, SmileLevel.MEDIUM, SmileLevel.HIGH)


@dataclass(frozen=True, slots=True)
class LevelRun:
    """A stretch of time in which a face keeps one level, in s; the end is not part of it."""

    start_s: float
    end_s: float
    level: SmileLevel

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s


def level_runs(face: Timeline, clock: Timeline, shortest_s: float = SHORTEST_RUN_S) -> tuple[LevelRun, ...]:
    """Cut a face's levels into runs; a gap in its frames, or an unknown level, ends a run.

    Args:
        face: the face's levels.
        clock: a timeline with every frame of the video: a run ends where the frame after it begins.
        shortest_s: a shorter run is given to the longer of the runs it touches, or dropped where it
            touches none.
    """
    ends_s = _frame_ends(face, clock)
    runs: list[LevelRun] = []
    last_frame = None
    for stamp_s, end_s, frame, level in zip(face.stamps_s, ends_s, face.frames, face.levels):
        if level == SmileLevel.UNKNOWN:
            continue
        run = LevelRun(float(stamp_s), float(end_s), SmileLevel(int(level)))
        if runs and last_frame == frame - 1 and runs[-1].level is run.level:
            runs[-1] = replace(runs[-1], end_s=run.end_s)
        else:
            runs.append(run)
        last_frame = frame
    return _smooth(runs, shortest_s)


def _frame_ends(face: Timeline, clock: Timeline) -> np.ndarray:
    next_place = np.searchsorted(clock.frames, face.frames, side="right")
    steps_s = np.diff(clock.stamps_s)
    last_end_s = clock.stamps_s[-1] + (np.median(steps_s) if len(steps_s) else 0.04)
    return np.append(clock.stamps_s, last_end_s)[next_place]


def _smooth(runs: list[LevelRun], shortest_s: float) -> tuple[LevelRun, ...]:
    runs = list(runs)
    # The tolerance keeps what lasts exactly as long, three frames at 30 Hz.
    while short := [run for run in runs if run.length_s < shortest_s - 1e-6]:
        place = runs.index(min(short, key=lambda run: run.length_s))
        run = runs[place]
        before = runs[place - 1] if place > 0 and runs[place - 1].end_s == run.start_s else None
        after = runs[place + 1] if place + 1 < len(runs) and runs[place + 1].start_s == run.end_s else None
        neighbours = [each for each in (before, after) if each is not None]
        if not neighbours:
            del runs[place]
            continue
        level = max(neighbours, key=lambda each: each.length_s).level
        first = place - (before is not None and before.level is level)
        last = place + (after is not None and after.level is level)
        runs[first : last + 1] = [LevelRun(runs[first].start_s, runs[last].end_s, level)]
    return tuple(runs)


def write_elan(
    path: str | Path, faces: tuple[Timeline, ...], clock: Timeline | None, video: str | Path
) -> None:
    """Write the file; the video is linked, both by its place and relative to the file.

    Args:
        path: of the .eaf file.
        faces: the faces over time.
        clock: every frame's time, for example the group's timeline; None: the video has no frames.
        video: what was annotated.

    Raises:
        MissingDependencyError: pympi-ling is not installed.
    """
    try:
        from pympi.Elan import Eaf
    except ImportError as error:
        raise MissingDependencyError("ELAN files need pympi-ling: pip install pympi-ling") from error
    eaf = Eaf(author="social_perception")
    _add_vocabulary(eaf)
    eaf.remove_tier("default")
    for face in faces if clock is not None else ():
        tier = f"face {face.name}"
        eaf.add_tier(tier, ling=VOCABULARY)
        for run in level_runs(face, clock):
            eaf.add_annotation(tier, round(run.start_s * 1000), round(run.end_s * 1000), run.level.label)
    _link(eaf, Path(video).resolve(), Path(path).resolve())
    eaf.to_file(str(path))


def _add_vocabulary(eaf: Any) -> None:
    eaf.add_language("und", "http://cdb.iso.org/lg/CDB-00130975-001", "undetermined (und)")
    eaf.add_controlled_vocabulary(VOCABULARY)
    for level in _LEVELS:
        entry = [(level.label, "und", f"level {int(level)}")]
        eaf.add_cv_entry(VOCABULARY, f"level{int(level)}", entry)
    parameters = {
        "LINGUISTIC_TYPE_ID": VOCABULARY,
        "TIME_ALIGNABLE": "true",
        "GRAPHIC_REFERENCES": "false",
        "CONTROLLED_VOCABULARY_REF": VOCABULARY,
    }
    eaf.add_linguistic_type(VOCABULARY, param_dict=parameters)


def _link(eaf: Any, video: Path, path: Path) -> None:
    kind = mimetypes.guess_type(video.name)[0] or "unknown"
    relative = "./" + Path(os.path.relpath(video, path.parent)).as_posix()
    eaf.add_linked_file(video.as_uri(), relpath=relative, mimetype=kind)
