"""Scene networks on real groups: photos, and meetings composed of the rated clips of people who talk.

Nothing of it is in a training. Of two groups, the valence must be higher for the one that two raters agree
smiles more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from social_perception.core.sound import SoundArray
from social_perception.core.types import ImageArray
from social_perception.perception.hearing.mel import BANDS, SILENCE, MelFrames
from social_perception.perception.scene.estimator import SOUND_FRAMES
from social_perception.perception.scene.network import SceneNetwork
from social_perception.perception.scene.reduction import reduce, to_input
from social_perception.research.evaluation.metrics import FloatArray
from social_perception.research.evaluation.targets import Measure, Rows
from social_perception.research.tables import read_table
from social_perception.research.training.laughter_sounds import decode
from social_perception.research.training.scene_training import only
from social_perception.research.training.stills import data_folder
from social_perception.sources.images import read_image
from social_perception.sources.video import VideoSource

PHOTOS = {
    "2007_007763.jpg": 2,
    "2008_001322.jpg": 2,
    "2008_002506.jpg": 2,
    "tv_cast_1.jpg": 1,
    "tv_cast_2.jpg": 1,
    "tv_cast_3.jpg": 2,
    "tv_cast_4.jpg": 2,
    "tv_cast_5.jpg": 1,
}
"""The group photos, neutral (1) or positive (2), by one rater."""

GROUPS, MOMENTS, STEP_S = 60, 3, 0.5
"""Meetings, images of each, and the time between two."""

MIN_DIFFERENCE = 0.25
"""Levels by which both raters must find that one of two groups smiles more."""

_TILE = 200


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Images of one group, its sound as log-mel frames (300, 64) or None, and its smile by each rater."""

    images: tuple[ImageArray, ...]
    mel: SoundArray | None
    ratings: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Recordings:
    photos: tuple[Recording, ...]
    meetings: tuple[Recording, ...]


def read_recordings() -> Recordings:
    """Read the photos and compose the meetings.

    Raises:
        SourceError: data is missing.
    """
    photos = tuple(
        Recording((read_image(data_folder() / "photos" / name),), None, (float(rating),))
        for name, rating in PHOTOS.items()
    )
    return Recordings(photos, tuple(compose_meetings(data_folder() / "talking")))


@dataclass(frozen=True, slots=True, eq=False)
class _Clip:
    """Square images of one person at 2 Hz, with the level of each rater (T, 2), and the sound."""

    tiles: tuple[ImageArray, ...]
    levels: FloatArray
    samples: SoundArray


def compose_meetings(folder: Path) -> Iterator[Recording]:
    """Place four or nine clips beside one another; two of the people are audible, one after the other."""
    ratings = read_table(folder / "levels.csv", ["clip", "stamp_s", "rater1", "rater2"])
    rated = ratings.dropna(subset=["rater1", "rater2"])
    clips = [
        _read_clip(folder / str(name), rows) for name, rows in tqdm(rated.groupby("clip"), desc="meetings")
    ]
    smiling = [i for i, clip in enumerate(clips) if clip.levels.mean() > 0.2]
    for number in range(GROUPS):
        draw = np.random.default_rng((96, number))
        side = 2 if number % 2 else 3
        # Few clips have smiles: their share is drawn, so that the groups differ.
        happy = min(int(draw.integers(0, side**2 + 1)), len(smiling))
        chosen = [*draw.choice(smiling, happy, replace=False)]
        others = [i for i in range(len(clips)) if i not in chosen]
        chosen += [*draw.choice(others, side**2 - happy, replace=False)]
        yield _meeting([clips[i] for i in draw.permutation(chosen)], side, draw)


def _read_clip(path: Path, rows: object) -> _Clip:
    stamps_s = rows["stamp_s"].to_numpy(float)  # type: ignore[index]
    tiles: list[ImageArray] = []
    with VideoSource(path) as source:
        for frame in source:
            if len(tiles) < len(stamps_s) and frame.stamp_s >= stamps_s[len(tiles)] - 0.02:
                tiles.append(_square(frame.image))
    levels = rows[["rater1", "rater2"]].to_numpy(float)[: len(tiles)]  # type: ignore[index]
    return _Clip(tuple(tiles), levels, decode(path))


def _square(image: ImageArray) -> ImageArray:
    """The middle of an image, (200, 200, 3)."""
    side = min(image.shape[:2])
    top, left = ((length - side) // 2 for length in image.shape[:2])
    return cv2.resize(
        image[top : top + side, left : left + side], (_TILE, _TILE), interpolation=cv2.INTER_AREA
    )


def _meeting(clips: Sequence[_Clip], side: int, draw: np.random.Generator) -> Recording:
    first = [int(draw.integers(0, max(1, len(clip.tiles) - MOMENTS + 1))) for clip in clips]
    images, levels = [], []
    for moment in range(MOMENTS):
        at = [min(start + moment, len(clip.tiles) - 1) for start, clip in zip(first, clips)]
        tiles = [clip.tiles[i] for i, clip in zip(at, clips)]
        rows = [np.hstack(tiles[row * side : (row + 1) * side]) for row in range(side)]
        images.append(np.vstack(rows))
        levels.append([clip.levels[i] for i, clip in zip(at, clips)])
    speaker, start_s = clips[0], STEP_S * first[0]
    samples = speaker.samples[int(16_000 * start_s) :][: 160 * SOUND_FRAMES]
    mel = np.full((SOUND_FRAMES, BANDS), SILENCE, np.float32)
    frames = MelFrames().add(samples[: len(samples) // 160 * 160])
    mel[SOUND_FRAMES - len(frames) :] = frames
    return Recording(tuple(images), mel, tuple(np.mean(levels, axis=(0, 1))))


def measures(network: SceneNetwork, modalities: str, recordings: Recordings) -> Iterator[Measure]:
    """Whether the valence of real groups is ordered as the raters order them; the units are groups."""
    if modalities == "sound":
        yield from unknown_measures(recordings)
        return
    for name, target, of, with_sound in _tests(recordings):
        valence = np.array([valence_of(network, modalities, each, with_sound) for each in of])
        ratings = np.array([each.ratings for each in of])
        yield Measure(name, target, len(of), partial(_ordered, valence, ratings))


def unknown_measures(recordings: Recordings) -> Iterator[Measure]:
    """The same measures of what cannot be measured on them."""
    for name, target, of, _ in _tests(recordings):
        yield Measure(name, target, len(of), lambda rows: float("nan"))


def _tests(recordings: Recordings) -> Iterator[tuple[str, str, tuple[Recording, ...], bool]]:
    yield "group photos: pairs ordered right", ">= 0.8", recordings.photos, False
    yield "meetings of clips, images alone: pairs ordered right", ">= 0.8", recordings.meetings, False
    yield "meetings of clips, with speech: pairs ordered right", ">= 0.8", recordings.meetings, True


@torch.inference_mode()
def valence_of(network: SceneNetwork, modalities: str, recording: Recording, with_sound: bool) -> float:
    images = torch.from_numpy(np.stack([to_input(reduce(each)) for each in recording.images]))[None]
    silence = np.full((SOUND_FRAMES, BANDS), SILENCE, np.float32)
    has_sound = with_sound and recording.mel is not None
    mel = torch.from_numpy(recording.mel if has_sound and recording.mel is not None else silence)[None]
    images, present = only(modalities, images, torch.tensor([float(has_sound)]))
    probabilities = network(images.float(), mel, present).softmax(1)[0]
    return float(probabilities[2] - probabilities[0])


def _ordered(valence: FloatArray, ratings: FloatArray, rows: Rows) -> float:
    return ordered(valence[rows], ratings[rows])


def ordered(valence: FloatArray, ratings: FloatArray) -> float:
    """Share of the pairs that all raters order alike in which the valence (N,) orders them so, too.

    Args:
        valence: of each group.
        ratings: (N, raters).
    """
    apart = ratings[:, None, :] - ratings[None, :, :]
    agreed = (apart >= MIN_DIFFERENCE).all(axis=2)
    right = valence[:, None] > valence[None, :]
    return float(right[agreed].mean()) if agreed.any() else float("nan")
