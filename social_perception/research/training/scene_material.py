"""What synthetic group scenes are made of: cut-out faces by emotion, sounds by emotion, backgrounds.

Each part of the data (training, validation, test) has faces, speakers and backgrounds of its own.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from social_perception.core.errors import SourceError
from social_perception.perception.scene.reduction import GrayArray, reduce
from social_perception.research.training.labels import is_held_out
from social_perception.research.training.laughter_sounds import (
    LANGUAGES,
    BurstName,
    Recordings,
    burst_name,
    decode,
    mel_of,
    read_folder,
    synthetic_sounds,
    synthetic_speech,
)
from social_perception.research.training.stills import data_folder, read_images, read_stills, to_gray
from social_perception.sources.images import decode_image

NEGATIVE, NEUTRAL, POSITIVE = range(3)

PARTS = ("train", "valid", "test")

SPEAKERS = {
    "train": frozenset([*range(1, 91), *range(151, 251)]),
    "valid": frozenset(range(91, 101)),
    "test": frozenset(range(101, 151)),
}
"""Speakers of EmoGator of each part; those from 251 on are not used."""

EMOTION_OF_BURST = {
    "Adoration": POSITIVE,
    "Amusement": POSITIVE,
    "Awe": POSITIVE,
    "Elation": POSITIVE,
    "Surprise (Positive)": POSITIVE,
    "Triumph": POSITIVE,
    "Neutral": NEUTRAL,
    "Anger": NEGATIVE,
    "Contempt": NEGATIVE,
    "Disappointment": NEGATIVE,
    "Disgust": NEGATIVE,
    "Distress": NEGATIVE,
    "Fear": NEGATIVE,
    "Pain": NEGATIVE,
    "Sadness": NEGATIVE,
    "Surprise (Negative)": NEGATIVE,
}
"""The rest, desire for example, is neither, or sounds like one of another class."""

BURSTS = (
    "Adoration", "Amusement", "Anger", "Awe", "Confusion", "Contempt", "Contentment", "Desire",
    "Disappointment", "Disgust", "Distress", "Ecstasy", "Elation", "Embarrassment", "Fear", "Guilt",
    "Interest", "Neutral", "Pain", "Pride", "Realization", "Relief", "Romantic Love", "Sadness", "Serenity",
    "Shame", "Surprise (Negative)", "Surprise (Positive)", "Sympathy", "Triumph",
)  # fmt: skip
"""Emotions of EmoGator, in the order of the numbers in its files' names, from 1."""

AMUSEMENT_COPIES = 4
"""How often a burst of amusement, which is mostly laughter, is used for one of another emotion."""

LANGUAGES_OF = {"train": LANGUAGES[:12], "valid": LANGUAGES[12:], "test": ("en-us", "de", "it")}
"""Of the synthetic speech."""

CUTOUT_PX = 48
PORTRAIT_PX = 96
_AGREED = 0.6
"""Share of FER+'s taggers who must agree on a face's emotion."""

_BACKGROUND_PX = 640


@dataclass(frozen=True, eq=False)
class Cutouts:
    """N faces: gray squares, the emotion of each, and the width of its face relative to its square."""

    images: tuple[GrayArray, ...]
    emotion: npt.NDArray[np.int64]
    width: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.images)

    def of(self, emotion: int) -> npt.NDArray[np.int64]:
        return self._rows[emotion]

    @cached_property
    def _rows(self) -> list[npt.NDArray[np.int64]]:
        return [np.flatnonzero(self.emotion == emotion) for emotion in range(3)]


@dataclass(frozen=True, slots=True, eq=False)
class EmotionalSounds:
    """Vocal bursts with the emotion of each, speech, and sounds without people."""

    bursts: Recordings
    emotion: npt.NDArray[np.int64]
    speech: Recordings
    others: Recordings


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """All of one part of the data."""

    cutouts: Cutouts
    sounds: EmotionalSounds
    backgrounds: tuple[GrayArray, ...]


def read_material(
    part: str, backgrounds: Sequence[str], cache: Path, seed: int = 1, bursts: str = ""
) -> Material:
    """Read one part: ``train``, ``valid`` or ``test``.

    Args:
        part: its name.
        backgrounds: folders of images without people.
        cache: folder for face boxes and log-mel frames.
        seed: of the synthetic speech and sounds.
        bursts: folder of EmoGator's recordings; empty: those of the development data.

    Raises:
        SourceError: data is missing.
    """
    sounds = read_sounds(part, cache, seed, bursts)
    return Material(read_cutouts(part, cache), sounds, read_backgrounds(part, backgrounds))


def read_cutouts(part: str, cache: Path) -> Cutouts:
    """The faces of FER+ and, but for validation, of GENKI-4K, whose held-out fifth is for tests."""
    images, table = read_images(f"ferplus_{part}")
    emotion = emotion_of_votes(table)
    kept = np.flatnonzero(emotion >= 0)
    faces = [cv2.resize(to_gray(images[row]), (CUTOUT_PX, CUTOUT_PX)) for row in kept]
    width = [np.full(len(kept), 0.85)]
    labels = [emotion[kept]]
    if part != "valid":
        stills = read_stills("genki_train", cache)
        held_out = np.array([is_held_out(name) for name in stills.table["name"]])
        rows = np.flatnonzero((held_out == (part == "test")) & ~np.isnan(stills.boxes[:, 0]))
        faces += [portrait(to_gray(stills.images[row]), stills.boxes[row]) for row in rows]
        width.append(np.full(len(rows), 0.5))
        labels.append(np.where(stills.table["smile"].to_numpy(bool)[rows], POSITIVE, NEUTRAL))
    return Cutouts(tuple(faces), np.concatenate(labels), np.concatenate(width).astype(np.float32))


def emotion_of_votes(table: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Negative, neutral or positive where FER+'s taggers agree, else -1: (N,)."""
    votes = table[["anger", "sadness", "fear", "disgust", "contempt"]].sum(axis=1).to_numpy(float)
    counts = np.column_stack([votes, table["neutral"], table["happiness"]])
    total = table.drop(columns="name").sum(axis=1).to_numpy(float)
    share = counts / np.maximum(total, 1.0)[:, None]
    return np.where(share.max(axis=1) >= _AGREED, share.argmax(axis=1), -1)


def portrait(image: GrayArray, box: npt.NDArray[np.float32]) -> GrayArray:
    """A face with its hair and shoulders: a square of twice its width, (96, 96)."""
    side = 2.0 * max(box[2], box[3])
    left, top = box[:2] + box[2:] / 2 - side / 2
    scale = PORTRAIT_PX / side
    matrix = np.array([[scale, 0.0, -scale * left], [0.0, scale, -scale * top]])
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.warpAffine(image, matrix, (PORTRAIT_PX,) * 2, flags=flags, borderMode=cv2.BORDER_REPLICATE)


def read_sounds(part: str, cache: Path, seed: int, bursts: str = "") -> EmotionalSounds:
    """Vocal bursts of the part's speakers, synthetic speech in its languages, and sounds made by code.

    Args:
        part: its name.
        cache: folder for log-mel frames.
        seed: of the synthetic speech and sounds.
        bursts: folder of EmoGator's recordings; empty: those of the development data.

    Raises:
        SourceError: the bursts are missing, or espeak-ng is not installed.
    """
    recordings, emotion = _bursts_of_folder(part, bursts, cache) if bursts else _bursts_of_table(part)
    number = seed + 10 * PARTS.index(part)
    return EmotionalSounds(
        recordings,
        emotion,
        synthetic_speech(LANGUAGES_OF[part], 120 if part == "train" else 45, cache, number),
        synthetic_sounds(90 if part == "train" else 45, cache, number),
    )


def _bursts_of_folder(part: str, folder: str, cache: Path) -> tuple[Recordings, npt.NDArray[np.int64]]:
    """All emotions; bursts of amusement are repeated."""

    def is_used(name: str) -> bool:
        burst = burst_name(name)
        return burst is not None and burst.speaker in SPEAKERS[part] and _emotion(burst) in EMOTION_OF_BURST

    found = read_folder(Path(folder), cache, is_used)
    emotions = [_emotion(burst) for name in found.names if (burst := burst_name(name))]
    rows = np.repeat(
        np.arange(len(found)), [AMUSEMENT_COPIES if each == "Amusement" else 1 for each in emotions]
    )
    used = Recordings(tuple(found.names[row] for row in rows), tuple(found.mel[row] for row in rows))
    return used, np.array([EMOTION_OF_BURST[emotions[row]] for row in rows], np.int64)


def _emotion(burst: BurstName) -> str:
    return BURSTS[burst.emotion - 1] if 1 <= burst.emotion <= len(BURSTS) else ""


def _bursts_of_table(part: str) -> tuple[Recordings, npt.NDArray[np.int64]]:
    path = data_folder() / "sound" / "emogator.parquet"
    try:
        table = pd.read_parquet(path)
    except OSError as error:
        raise SourceError(f"cannot read the vocal bursts in {path}: {error.strerror or error}") from error
    table = table[table["speaker"].isin(SPEAKERS[part]) & table["emotion"].isin(EMOTION_OF_BURST)]
    mel = tuple(mel_of(decode(io.BytesIO(audio))).astype(np.float16) for audio in table["audio"])
    emotion = table["emotion"].map(EMOTION_OF_BURST).to_numpy(np.int64)
    return Recordings(tuple(table["name"]), mel), emotion


def read_backgrounds(part: str, folders: Sequence[str]) -> tuple[GrayArray, ...]:
    """The images of folders, gray, with a long side of 640 px; a fifth of them is for tests, of the rest
    a fifth for validation.

    Raises:
        SourceError: there are none.
    """
    found = sorted(path for folder in folders for path in _images_in(Path(folder).expanduser()))
    used = [path for path in found if _part_of(path.name) == part]
    if not used:
        raise SourceError(f"no images for the part {part} in {', '.join(folders)}")
    decoded = (decode_image(path.read_bytes(), path.name) for path in used)
    return tuple(to_gray(reduce(image, _BACKGROUND_PX)) for image in decoded)


def _part_of(name: str) -> str:
    if is_held_out(name):
        return "test"
    return "valid" if is_held_out(f"valid {name}") else "train"


def _images_in(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
