"""The development data as examples: vocal bursts, clips of people who talk, and faces of FER+.

Bursts are sound alone, faces are video alone (one frame, repeated), clips are both. What is computed of them
is cached as arrays.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch.utils.data import IterableDataset
from tqdm import tqdm

from social_perception.core.errors import SourceError
from social_perception.perception.hearing.fbank import STEPS_PER_S, log_mel
from social_perception.perception.smile.crop import crop_faces
from social_perception.research.evaluation.speakers import CALIBRATION
from social_perception.research.social_mae.examples import Example, ExampleShape
from social_perception.research.social_mae.settings import PretrainingSettings
from social_perception.research.training.clip_sequences import clip_key, track_clip
from social_perception.research.training.laughter_sounds import burst_name, decode
from social_perception.research.training.laughter_training import LAST_SPEAKER
from social_perception.research.training.stills import data_folder

TRAINED_CLIPS = CALIBRATION
"""Beginnings of the names of the clips that are trained on; nobody in them is in the others."""

SAME_PERSON = {
    "lipnet_id2_vcd_swwp2s.mp4": "lipnet_grid_pwij3p.mp4",
    "talking_face_pc_avs_517600055.mp4": "talking_face_pc_avs_00002.mp4",
    "video_retalking_3.mp4": "sadtalker_alexandriaocasiocortez_000.mp4",
}
"""Clips that show, or may show, the person of another one, by eye."""

HELD_OUT_SPEAKERS = range(101, 151)
"""Of EmoGator, as for the laughter network."""

STRIDE_S = 0.2
"""From one window of a clip to the next."""

_SIDE_PX = 64
_ONSET_DROP = 8.0
"""Nepers below a burst's loudest steps at which it begins: what is before is silence."""
_BEFORE = 5
_MAX_S = 10.0
_EVERY_WINDOW, _EVERY_BURST = 5, 30
"""Of the people who are not trained on, in the validation."""

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Burst:
    """A vocal burst: its name as in EmoGator, and its spectrogram (steps, bins), from the onset."""

    name: str
    emotion: str
    mel: FloatArray

    @property
    def speaker(self) -> int:
        return int(self.name.split("-")[0])

    @property
    def person(self) -> str:
        return f"speaker {self.speaker}"

    def example(self, label: int | None = None) -> Example:
        return Example(None, self.mel.astype(np.float32), label, self.person)


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """The largest face of a clip: crops (F, 3, 64, 64) at times (F,), and the clip's whole spectrogram."""

    name: str
    crops: npt.NDArray[np.uint8]
    stamps_s: npt.NDArray[np.float64]
    mel: FloatArray

    @property
    def is_trained_on(self) -> bool:
        return self.name.startswith(TRAINED_CLIPS)

    @property
    def person(self) -> str:
        return SAME_PERSON.get(self.name, self.name)

    def starts_s(self, shape: ExampleShape, stride_s: float = STRIDE_S) -> npt.NDArray[np.float64]:
        """The beginnings of all windows in which the face is followed."""
        length_s = shape.steps / STEPS_PER_S
        if not len(self.stamps_s):
            return np.empty(0)
        end_s = min(self.stamps_s[-1], len(self.mel) / STEPS_PER_S)
        return np.arange(self.stamps_s[0], end_s - length_s + 1e-6, stride_s)

    def video(self, start_s: float, shape: ExampleShape) -> npt.NDArray[np.uint8]:
        """The frames of a window: (frames, 3, 64, 64)."""
        length_s = shape.steps / STEPS_PER_S
        at_s = start_s + (np.arange(shape.frames) + 0.5) / shape.frames * length_s
        return self.crops[np.abs(self.stamps_s[:, None] - at_s).argmin(axis=0)]

    def sound(self, start_s: float, shape: ExampleShape) -> FloatArray:
        """The spectrogram of a window."""
        first = round(start_s * STEPS_PER_S)
        return self.mel[first : first + shape.steps].astype(np.float32)

    def examples(self, shape: ExampleShape) -> list[Example]:
        return [
            Example(self.video(start_s, shape), self.sound(start_s, shape), None, self.person)
            for start_s in self.starts_s(shape)
        ]


def read_bursts(folder: Path, shape: ExampleShape, cache: Path) -> list[Burst]:
    """EmoGator's recordings, named as there; those for tests of others are not read.

    Raises:
        SourceError: there are none.
    """
    named = {path.stem: burst_name(path.stem) for path in sorted(folder.expanduser().rglob("*.mp3"))}
    used = {
        stem: f"{name.emotion:02}" for stem, name in named.items() if name and name.speaker <= LAST_SPEAKER
    }
    if not used:
        raise SourceError(f"no recordings of EmoGator in {folder}")
    key = hashlib.sha256("\n".join(used).encode()).hexdigest()[:12]
    paths = {path.stem: path for path in folder.expanduser().rglob("*.mp3")}
    return _cached_bursts(cache / f"bursts_{key}.npz", used, paths.__getitem__, shape)


def rated_bursts(shape: ExampleShape, cache: Path) -> list[Burst]:
    """The bursts of nine emotions in the development data, of speakers 1 to 150.

    Raises:
        SourceError: they are missing.
    """
    path = data_folder() / "sound" / "emogator.parquet"
    try:
        table = pd.read_parquet(path)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error}") from error
    stems = [Path(name).stem for name in table["name"]]
    audio = dict(zip(stems, table["audio"]))
    emotions = dict(zip(stems, table["emotion"]))
    return _cached_bursts(cache / "bursts_rated.npz", emotions, lambda stem: io.BytesIO(audio[stem]), shape)


def _cached_bursts(
    path: Path, emotions: Mapping[str, str], source: Callable[[str], Path | IO[bytes]], shape: ExampleShape
) -> list[Burst]:
    path = path.with_stem(f"{path.stem}_{shape.bins}x{shape.steps}")
    if not path.is_file():
        mel, names = [], []
        for stem in tqdm(emotions, desc=path.stem, mininterval=5):
            spectrogram = log_mel(decode(source(stem), _MAX_S), shape.bins)
            if len(spectrogram) > 2 * _BEFORE:
                mel.append(from_onset(spectrogram)[: shape.steps].astype(np.float16))
                names.append(stem)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, mel=np.concatenate(mel), length=[len(each) for each in mel], name=names)
    with np.load(path) as kept:
        parts = np.split(kept["mel"], np.cumsum(kept["length"])[:-1])
        return [Burst(str(name), emotions[str(name)], mel) for name, mel in zip(kept["name"], parts)]


def from_onset(mel: FloatArray) -> FloatArray:
    """A spectrogram without the silence before the sound."""
    loudest = mel.max(axis=1)
    onset = int(np.argmax(loudest > np.percentile(loudest, 95) - _ONSET_DROP))
    return mel[max(0, onset - _BEFORE) :]


def read_clips(bins: int, cache: Path) -> list[Clip]:
    """The clips of people who talk; tracked once, then read from the cache folder.

    Raises:
        SourceError: they are missing or cannot be read.
    """
    found = sorted((data_folder() / "talking").glob("*.mp4"))
    if not found:
        raise SourceError(f"no clips in {data_folder() / 'talking'}")
    return [_cached_clip(path, bins, cache) for path in found]


def _cached_clip(video: Path, bins: int, cache: Path) -> Clip:
    path = cache / "social_mae" / f"{clip_key(video, _SIDE_PX, bins)}.npz"
    if not path.is_file():
        crops, stamps_s = [np.zeros((0, _SIDE_PX, _SIDE_PX, 3), np.uint8)], []
        for frame, tracks in track_clip(video):
            if tracks:
                box = max((track.box for track in tracks), key=lambda each: each.area)
                crops.append(crop_faces(frame.image, [box], side_px=_SIDE_PX))
                stamps_s.append(frame.stamp_s)
        path.parent.mkdir(parents=True, exist_ok=True)
        faces = np.concatenate(crops).transpose(0, 3, 1, 2)
        np.savez(path, crops=faces, stamps_s=np.array(stamps_s, float), mel=log_mel(decode(video), bins))
    with np.load(path) as kept:
        return Clip(video.name, kept["crops"], kept["stamps_s"], kept["mel"])


def read_faces() -> list[Example]:
    """The faces of FER+'s training set, without their labels.

    Raises:
        SourceError: they are missing.
    """
    path = data_folder() / "data" / "ferplus_train.parquet"
    try:
        table = pd.read_parquet(path, columns=["name", "image"])
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error}") from error
    faces = []
    for name, data in zip(table["name"], table["image"]):
        image = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)
        faces.append(Example(image.transpose(2, 0, 1)[None], None, None, f"face {name}"))
    return faces


class Draws(IterableDataset[Example]):
    """An endless choice of examples of several sets, a number of them per epoch.

    Args:
        sets: examples to draw from.
        shares: of each set in the draws.
        count: of draws per epoch.
    """

    def __init__(self, sets: Sequence[Sequence[Example]], shares: Sequence[float], count: int) -> None:
        self._sets, self._count = sets, count
        self._shares = np.array(shares) / np.sum(shares)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Example]:
        worker = torch.utils.data.get_worker_info()
        # From the seed of the run, and another one in each epoch and worker.
        rng = np.random.default_rng(int(torch.randint(2**62, ()).item()))
        for _ in range(-(-self._count // (worker.num_workers if worker else 1))):
            chosen = self._sets[int(rng.choice(len(self._sets), p=self._shares))]
            yield chosen[int(rng.integers(len(chosen)))]


def pretraining_examples(settings: PretrainingSettings) -> tuple[Draws, list[Example]]:
    """Examples to pre-train on, and some of people who are not in them.

    Raises:
        SourceError: data is missing.
    """
    shape, cache = settings.sizes.shape, Path(settings.cache)
    clips = read_clips(shape.bins, cache)
    bursts = read_bursts(Path(settings.bursts), shape, cache)
    trained = [
        [example for clip in clips if clip.is_trained_on for example in clip.examples(shape)],
        [burst.example() for burst in bursts if burst.speaker not in HELD_OUT_SPEAKERS],
        read_faces() if settings.shares[2] else [],
    ]
    used = [(examples, share) for examples, share in zip(trained, settings.shares) if share]
    held_out = [example for clip in clips if not clip.is_trained_on for example in clip.examples(shape)]
    voices = [burst.example() for burst in bursts if burst.speaker in HELD_OUT_SPEAKERS]
    valid = [*held_out[::_EVERY_WINDOW], *voices[::_EVERY_BURST]]
    return Draws([each for each, _ in used], [share for _, share in used], settings.draws), valid
