"""Writes results as an ELAN file (.eaf): per face, tiers of its levels, its speech and its laughter.

ELAN: https://archive.mpi.nl/tla/elan; the file, in format 3.0 as ELAN 6 writes it, is made by pympi-ling.
"""

from __future__ import annotations

import mimetypes
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import numpy as np

from social_perception.core.errors import MissingDependencyError
from social_perception.core.timelines import Timeline, Timelines
from social_perception.core.types import Frame, FrameAffect, SmileLevel
from social_perception.sinks.sink import Sink, output_error

VOCABULARY = "smile intensity"
FORMAT = "3.0"
LANGUAGE = ("eng", "http://cdb.iso.org/lg/CDB-00138502-001", "English (eng)")
"""Language of the vocabulary: ISO 639-3 code, its definition in ELAN's list, its name."""

VOICE = "voice"
"""The type of the tiers of speech and laughter."""

_VOICES = {"speech": "speaking", "laughter": "laughing"}
"""The annotations of these tiers, and the columns of the face table that they come from."""

_VOICE_FROM, _LONGEST_PAUSE_S, _SHORTEST_VOICE_S = 0.5, 0.3, 0.2

_ALIGNED = {"TIME_ALIGNABLE": "true", "GRAPHIC_REFERENCES": "false"}
"""Of a type without constraints: its tiers are independent and aligned with the time."""

_ILLEGAL = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML document may contain (XML 1.0, section 2.2)."""

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


def level_runs(face: Timeline, clock: Timeline, shortest_s: float = 0.0) -> tuple[LevelRun, ...]:
    """Cut a face's levels into runs; a gap in its frames, or an unknown level, ends a run.

    Args:
        face: the face's levels.
        clock: a timeline with every frame of the video: a run ends where the frame after it begins.
        shortest_s: a shorter run is merged into the longer of the runs it touches, or dropped where it
            touches none; 0: the runs equal the levels exactly.
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


def voice_runs(face: Timeline, clock: Timeline, column: str) -> tuple[tuple[float, float], ...]:
    """The stretches of time, from and to in s, in which a face speaks or laughs: from 0.5 on.

    Pauses up to 0.3 s do not end one, and those shorter than 0.2 s are dropped.

    Args:
        face: of the person.
        clock: a timeline with every frame of the video.
        column: of the face table, in [0, 1].
    """
    values = face.values.get(column)
    active = np.zeros(0, np.int64) if values is None else np.flatnonzero(values >= _VOICE_FROM)
    if not len(active):
        return ()
    starts_s, ends_s = face.stamps_s[active], _frame_ends(face, clock)[active]
    breaks = np.flatnonzero(starts_s[1:] - ends_s[:-1] > _LONGEST_PAUSE_S)
    firsts, lasts = np.append(0, breaks + 1), np.append(breaks, len(active) - 1)
    found = ((float(starts_s[first]), float(ends_s[last])) for first, last in zip(firsts, lasts))
    return tuple(each for each in found if each[1] - each[0] >= _SHORTEST_VOICE_S)


def _frame_ends(face: Timeline, clock: Timeline) -> np.ndarray:
    next_place = np.searchsorted(clock.frames, face.frames, side="right")
    steps_s = np.diff(clock.stamps_s)
    last_end_s = clock.stamps_s[-1] + (np.median(steps_s) if len(steps_s) else 0.04)
    return np.append(clock.stamps_s, last_end_s)[next_place]


def _smooth(runs: list[LevelRun], shortest_s: float) -> tuple[LevelRun, ...]:
    runs = list(runs)
    # The tolerance keeps runs of exactly that length, three frames at 30 Hz.
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


class ElanSink(Sink):
    """Writes the ELAN file once all frames are in the tables.

    Args:
        path: of the .eaf file.
        timelines: the tables, read when they are complete.
        video: see :func:`write_elan`.
        shortest_s: see :func:`level_runs`.
        media: see :func:`write_elan`.
        origin_ms: see :func:`write_elan`.
    """

    def __init__(
        self,
        path: Path,
        timelines: Timelines,
        video: Path,
        shortest_s: float = 0.0,
        media: Path | None = None,
        origin_ms: int = 0,
    ) -> None:
        self._path, self._timelines = path, timelines
        self._link = video, shortest_s, media, origin_ms

    def add(self, frame: Frame, affect: FrameAffect) -> None:
        """Everything is done in ``close``."""

    def close(self) -> None:
        tables = self._timelines
        try:
            write_elan(self._path, tables.faces, tables.group, *self._link)
        except OSError as error:
            raise output_error(self._path, error) from error

    def abort(self) -> None:
        """There is nothing to release."""


def write_elan(
    path: str | Path,
    faces: tuple[Timeline, ...],
    clock: Timeline | None,
    video: str | Path,
    shortest_s: float = 0.0,
    media: Path | None = None,
    origin_ms: int = 0,
) -> None:
    """Write the file; the video is linked by its absolute path and by the path relative to the file.

    ELAN counts in ms: an annotation's ends are the stamps of its first frame and of the frame after its
    last, rounded. The document's date is that of the video file, so that the same video gives the same
    file.

    Args:
        path: of the .eaf file.
        faces: the faces over time.
        clock: every frame's time, for example the group's timeline; None: the video has no frames.
        video: the annotated video.
        shortest_s: see :func:`level_runs`.
        media: the video that is linked where ELAN cannot play the annotated one; it lies beside the file.
        origin_ms: the video's time at time 0 of the annotations, as in an ELAN file that people made of it
            (``TIME_ORIGIN``, ELAN's media offset); what precedes it is not written.

    Raises:
        MissingDependencyError: pympi-ling is not installed.
    """
    try:
        from pympi.Elan import Eaf
    except ImportError as error:
        raise MissingDependencyError("ELAN files need pympi-ling: pip install pympi-ling") from error
    eaf = Eaf(author="social_perception")
    _set_format(eaf, Path(video))
    _add_vocabulary(eaf)
    # Removed together with its type: every tier has ours.
    eaf.remove_tier("default")
    eaf.remove_linguistic_type("default-lt")
    if clock is not None:
        for face in faces:
            runs = ((run.start_s, run.end_s, run.level.label) for run in level_runs(face, clock, shortest_s))
            _add_tier(eaf, face, "", runs, origin_ms)
        for face in faces:
            for word, column in _VOICES.items():
                voices = [(*ends_s, word) for ends_s in voice_runs(face, clock, column)]
                if voices:
                    _add_tier(eaf, face, word, voices, origin_ms)
    if media is None:
        _link(eaf, Path(video).resolve(), Path(path).resolve(), origin_ms)
    else:
        _link(eaf, media, media, origin_ms)
    # ELAN numbers annotations that are added by hand from here on; the name that pympi writes is not ELAN's.
    eaf.properties[:] = [("lastUsedAnnotationId", eaf.maxaid)]
    eaf.to_file(str(path))


def _set_format(eaf: Any, video: Path) -> None:
    """Set the head of the document; pympi writes that of format 2.8, of which 3.0 is an extension."""
    try:
        date = datetime.fromtimestamp(int(video.stat().st_mtime), timezone.utc)
    except OSError:  # the video is elsewhere
        date = datetime.now(timezone.utc).replace(microsecond=0)
    eaf.adocument.update({
        "DATE": date.isoformat(),
        "FORMAT": FORMAT,
        "VERSION": FORMAT,
        "xsi:noNamespaceSchemaLocation": f"http://www.mpi.nl/tools/elan/EAFv{FORMAT}.xsd",
    })  # fmt: skip
    eaf.header.update({"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})


def _add_tier(
    eaf: Any, face: Timeline, voice: str, runs: Iterable[tuple[float, float, str]], origin_ms: int
) -> None:
    """Add a face's tier of levels, or of a kind of voice: runs from and to a time in s, and a text."""
    name = _legal(face.name)
    tier = f"face {name} {voice}".rstrip()
    if voice and VOICE not in eaf.linguistic_types:
        eaf.add_linguistic_type(VOICE, param_dict={**_ALIGNED, "LINGUISTIC_TYPE_ID": VOICE})
    eaf.add_tier(tier, ling=VOICE if voice else VOCABULARY, locale="en", part=name, ann="social_perception")
    for start_s, end_s, text in runs:
        # ELAN's time begins at 0.
        start_ms, end_ms = (max(0, round(time_s * 1000) - origin_ms) for time_s in (start_s, end_s))
        # Frames of a high-speed camera can be less than a millisecond apart.
        if start_ms < end_ms:
            eaf.add_annotation(tier, start_ms, end_ms, text)


def _legal(text: str) -> str:
    """The text, with the number of each character that is invalid in XML, so that names stay different."""
    return _ILLEGAL.sub(lambda found: f"<U+{ord(found[0]):04X}>", text)


def _add_vocabulary(eaf: Any) -> None:
    language = LANGUAGE[0]
    eaf.add_locale("en", "US")
    eaf.add_language(*LANGUAGE)
    eaf.add_controlled_vocabulary(VOCABULARY)
    eaf.add_cv_description(VOCABULARY, language, "How much a person smiles")
    for level in _LEVELS:
        entry = [(level.label, language, f"level {int(level)} of 0 to {len(_LEVELS) - 1}")]
        eaf.add_cv_entry(VOCABULARY, f"level{int(level)}", entry)
    parameters = {"LINGUISTIC_TYPE_ID": VOCABULARY, **_ALIGNED, "CONTROLLED_VOCABULARY_REF": VOCABULARY}
    eaf.add_linguistic_type(VOCABULARY, param_dict=parameters)


def _link(eaf: Any, video: Path, path: Path, origin_ms: int) -> None:
    kind = mimetypes.guess_type(video.name)[0] or "unknown"
    relative = "./" + Path(os.path.relpath(video, path.parent)).as_posix()
    # Characters that are invalid in XML are percent-encoded, which ELAN decodes.
    relative = _ILLEGAL.sub(lambda found: quote_from_bytes(os.fsencode(found[0])), relative)
    eaf.add_linked_file(video.as_uri(), relpath=relative, mimetype=kind, time_origin=origin_ms or None)
