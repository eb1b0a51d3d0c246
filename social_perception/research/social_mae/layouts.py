"""The layouts of the data sets of the Social-MAE: which recordings there are, of whom, with which labels.

A folder has one of :data:`LAYOUTS`. Nothing is decoded here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from social_perception.core.errors import ConfigurationError, SourceError
from social_perception.research.social_mae.first_impressions import read_first_impressions
from social_perception.research.social_mae.recordings import (
    SPLITS,
    TEST,
    TRAIN,
    VIDEO_SUFFIXES,
    Corpus,
    Recording,
    files,
)
from social_perception.research.tables import read_table
from social_perception.research.training.elan_tiers import read_annotations
from social_perception.research.training.laughter_sounds import SOUND_SUFFIXES, burst_name
from social_perception.research.training.laughter_training import LAST_SPEAKER

EMOTIONS = ("anger", "disgust", "fear", "happy", "neutral", "sad")
"""Classes of CREMA-D, in the order of their codes."""

_LAUGHS, _SMILES, _NONE = "laughs", "smiles", "none"
_INTENSITIES = {_LAUGHS: ("low", "medium", "high"), _SMILES: ("subtle", "low", "medium", "high")}
_MIN_GAP_S = 2.0
"""Between two annotations, from which it is an example of neither."""
_GAP_S = 4.0


def read_corpus(layout: str, folder: Path, intensity: bool = False) -> Corpus:
    """The recordings of a folder.

    Args:
        layout: one of LAYOUTS.
        folder: of the data set.
        intensity: whether the intensities of laughs and smiles are classes of their own (``ndcme``).

    Raises:
        ConfigurationError: the layout is unknown.
        SourceError: there are no recordings, or annotations cannot be read.
    """
    if layout not in LAYOUTS:
        raise ConfigurationError(f"layout must be one of {', '.join(LAYOUTS)}, got {layout}")
    if not folder.is_dir():
        raise SourceError(f"{folder} is not a folder")
    corpus = LAYOUTS[layout](folder)
    if layout == "ndcme" and not intensity:
        kinds = [replace(each, label=str(each.label).split()[0]) for each in corpus.recordings]
        corpus = Corpus(tuple(kinds), (_LAUGHS, _SMILES, _NONE))
    if not corpus.recordings:
        raise SourceError(f"{folder} has no recordings in the layout {layout}")
    return corpus


def _read_folder(folder: Path) -> Corpus:
    """Any videos and sounds; a person is a folder of the first level, or a file.

    ``labels.csv``, if there, has ``name`` (path below the folder) and ``label``, and may have ``person``,
    ``start_s``, ``end_s`` and ``split``; files that are not in it are not used.
    """
    table = folder / "labels.csv"
    if not table.is_file():
        found = files(folder, VIDEO_SUFFIXES | SOUND_SUFFIXES)
        return Corpus(tuple(Recording(path, _person(path.relative_to(folder))) for path in found))
    rows = read_table(table, ["name", "label"], dtype={"name": str, "label": str, "person": str})
    recordings = tuple(_labelled(table, folder, row) for row in rows.to_dict("records"))
    return Corpus(recordings, tuple(sorted({str(each.label) for each in recordings})))


def _person(name: Path) -> str:
    return name.parts[0] if len(name.parts) > 1 else name.stem


def _labelled(table: Path, folder: Path, row: dict[Any, Any]) -> Recording:
    name, label = row["name"], row["label"]
    if not isinstance(name, str) or not isinstance(label, str):
        raise SourceError(f"{table}: each row needs name and label, got {name} and {label}")
    split = row.get("split", "")
    if split not in (*SPLITS, "") and pd.notna(split):
        raise SourceError(f"{table}: split must be one of {', '.join(SPLITS)}, got {split}")
    try:
        start_s, end_s = (float(row.get(key, math.nan)) for key in ("start_s", "end_s"))
    except ValueError as error:
        raise SourceError(f"{table}: the times of {name} must be numbers: {error}") from error
    person = row.get("person")
    return Recording(
        folder / name,
        person if isinstance(person, str) else _person(Path(name)),
        label,
        0.0 if math.isnan(start_s) else start_s,
        math.inf if math.isnan(end_s) else end_s,
        split if isinstance(split, str) else "",
    )


def _read_voxceleb2(folder: Path) -> Corpus:
    """``mp4/idXXXXX/VIDEO/NNNNN.mp4``, below ``dev`` and ``test`` or with ``vox2_meta.csv``; no labels."""
    sets = {"dev": TRAIN, "test": TEST}
    of_person: dict[str, str] = {}
    if (folder / "vox2_meta.csv").is_file():
        table = read_table(folder / "vox2_meta.csv", dtype=str)
        table.columns = table.columns.str.strip()
        columns = [name for name in table.columns if name in ("VoxCeleb2 ID", "Set")]
        if len(columns) == 2:
            rows = zip(table["VoxCeleb2 ID"].str.strip(), table["Set"].str.strip())
            of_person = {person: sets.get(part, "") for person, part in rows}
    recordings = []
    for path in files(folder, {".mp4", ".m4a"}):
        parts = path.relative_to(folder).parts
        if len(parts) >= 3 and re.fullmatch(r"id\d+", parts[-3]):
            split = next((sets[part] for part in parts if part in sets), of_person.get(parts[-3], ""))
            recordings.append(Recording(path, parts[-3], split=split))
    return Corpus(tuple(recordings))


def _read_cremad(folder: Path) -> Corpus:
    """``1001_DFA_ANG_XX.flv``, .mp4 or .wav: actor, sentence, emotion, level; a video before its sound."""
    codes = dict(zip(("ANG", "DIS", "FEA", "HAP", "NEU", "SAD"), EMOTIONS))
    named: dict[str, Recording] = {}
    for suffixes in (VIDEO_SUFFIXES, SOUND_SUFFIXES):
        for path in files(folder, suffixes):
            parts = re.fullmatch(r"(\d{4})_[A-Z]{3}_([A-Z]{3})_[A-Z]{1,2}", path.stem)
            if parts and parts[2] in codes:
                named.setdefault(path.stem, Recording(path, parts[1], codes[parts[2]]))
    return Corpus(tuple(named[name] for name in sorted(named)), EMOTIONS)


def _read_ndcme(folder: Path) -> Corpus:
    """NDC-ME: ELAN files with tiers of laughs and smiles, cut clips, or a table.

    The set is given on request; this is how public code reads it. ``13_1_A_M.eaf`` (conversation, part, role,
    gender) has tiers ``Laughs_0`` and ``Smiles_0`` with intensities; clips are named
    ``13_1_A_M_Laughs_low_NN.mp4``. ``labels.csv`` is read as that of a folder, with labels as ``laughs low``.
    """
    classes = tuple(f"{kind} {each}" for kind in (_LAUGHS, _SMILES) for each in _INTENSITIES[kind])
    if (folder / "labels.csv").is_file():
        recordings = list(_read_folder(folder).recordings)
    else:
        clips = (_ndcme_clip(path) for path in files(folder, VIDEO_SUFFIXES | SOUND_SUFFIXES))
        recordings = [clip for clip in clips if clip]
        for path in sorted(folder.rglob("*.eaf")):
            recordings += _ndcme_parts(path)
    for each in recordings:
        if each.label not in (*classes, _LAUGHS, _SMILES, _NONE):
            raise SourceError(
                f"{each.path.name}: unknown label {each.label!r}; known are {', '.join(classes)}"
            )
    return Corpus(tuple(recordings), (*classes, _NONE))


def _ndcme_person(parts: Sequence[str]) -> str:
    return f"{parts[0]}{parts[2]}" if len(parts) > 2 else parts[0]


def _ndcme_clip(path: Path) -> Recording | None:
    parts = path.stem.split("_")
    if len(parts) < 5 or parts[4].lower() not in (_LAUGHS, _SMILES, _NONE):
        return None
    kind = parts[4].lower()
    label = kind if kind == _NONE or len(parts) < 6 else f"{kind} {parts[5].lower()}"
    return Recording(path, _ndcme_person(parts), label)


def _ndcme_parts(path: Path) -> list[Recording]:
    """The annotated parts of a conversation, and of each long pause between them up to 4 s."""
    video, tiers = read_annotations(path)
    person = _ndcme_person(path.stem.split("_"))
    rows = [
        (start_s, end_s, f"{kind} {word}")
        for name, annotations in tiers.items()
        if (kind := name.lower().split("_")[0]) in _INTENSITIES
        for start_s, end_s, word in annotations
        if word in _INTENSITIES[kind]
    ]
    rows.sort()
    ends_s = np.maximum.accumulate([0.0, *(end_s for _, end_s, _ in rows)])
    pauses = [(float(end_s), start_s) for end_s, (start_s, _, _) in zip(ends_s, rows)]
    for begin_s, end_s in pauses:
        if end_s - begin_s >= _MIN_GAP_S:
            spare_s = max(0.0, end_s - begin_s - _GAP_S) / 2
            rows.append((begin_s + spare_s, end_s - spare_s, _NONE))
    return [Recording(video, person, label, start_s, end_s) for start_s, end_s, label in sorted(rows)]


def _read_emogator(folder: Path) -> Corpus:
    """EmoGator: ``data/mp3/SSSSSS-EE-N.mp3``, or a Parquet table with ``name``, ``emotion`` and ``audio``.

    Speakers 101 to 150 are the test, as for the laughter network; those after 250 are not used.
    """
    recordings = [
        _burst(path, name.speaker, f"{name.emotion:02d}")
        for path in files(folder, {".mp3"})
        if (name := burst_name(path.stem)) and name.speaker <= LAST_SPEAKER
    ]
    for path in [] if recordings else sorted(folder.rglob("*.parquet")):
        try:
            table = pd.read_parquet(path, columns=["name", "speaker", "emotion", "audio"])
        except (OSError, ValueError, KeyError) as error:
            raise SourceError(f"{path} cannot be read: {error}") from error
        for row in table.itertuples(index=False):
            if row.speaker <= LAST_SPEAKER:
                each = _burst(path / str(row.name), int(row.speaker), str(row.emotion).lower())
                recordings.append(replace(each, audio=row.audio))
    return Corpus(tuple(recordings), tuple(sorted({str(each.label) for each in recordings})))


def _burst(path: Path, speaker: int, emotion: str) -> Recording:
    return Recording(path, f"speaker {speaker}", emotion, split=TEST if 101 <= speaker <= 150 else TRAIN)


LAYOUTS: dict[str, Callable[[Path], Corpus]] = {
    "folder": _read_folder,
    "voxceleb2": _read_voxceleb2,
    "cremad": _read_cremad,
    "ndcme": _read_ndcme,
    "first_impressions": read_first_impressions,
    "emogator": _read_emogator,
}
