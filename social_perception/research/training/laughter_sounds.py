"""The recordings that the laughter network is trained on, as log-mel frames, computed once."""

from __future__ import annotations

import hashlib
import math
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import av
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from social_perception.core.errors import SourceError
from social_perception.core.sound import SoundArray
from social_perception.perception.hearing.mel import BANDS, HOP, MelFrames

RATE_HZ = 16_000
MAX_S = 10.0
"""Of a recording the beginning is used."""

SOUND_SUFFIXES = {".mp3", ".wav", ".ogg", ".flac", ".m4a", ".opus"}
_MIN_S = 0.2


class BurstName(NamedTuple):
    """What the name of a recording of EmoGator says."""

    speaker: int
    emotion: int
    number: int


def burst_name(stem: str) -> BurstName | None:
    """Read a name of EmoGator, speaker-emotion-number; None: it is another name."""
    parts = re.fullmatch(r"(\d{6})-(\d\d)-(\d)", stem)
    return BurstName(*map(int, parts.groups())) if parts else None


@dataclass(frozen=True, slots=True, eq=False)
class Recordings:
    """Recordings with their names: log-mel frames (frames, 64) of each, in half precision."""

    names: tuple[str, ...]
    mel: tuple[npt.NDArray[np.float16], ...]

    def __len__(self) -> int:
        return len(self.names)

    def select(self, keep: Sequence[bool] | npt.NDArray[np.bool_]) -> Recordings:
        chosen = np.flatnonzero(keep)
        return Recordings(
            tuple(self.names[index] for index in chosen), tuple(self.mel[index] for index in chosen)
        )

    def __add__(self, other: Recordings) -> Recordings:
        return Recordings(self.names + other.names, self.mel + other.mel)


def mel_of(samples: SoundArray) -> npt.NDArray[np.float32]:
    """The log-mel frames of samples at 16 kHz; a rest shorter than a frame is dropped."""
    return MelFrames().add(samples[: len(samples) // HOP * HOP])


def decode(path: Path | IO[bytes], max_s: float = math.inf) -> SoundArray:
    """The sound of a file, or its beginning, mono at 16 kHz.

    Raises:
        SourceError: it cannot be decoded.
    """
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE_HZ)
    try:
        with av.open(str(path) if isinstance(path, Path) else path, "r") as container:
            parts = []
            for frame in container.decode(audio=0):
                parts += resampler.resample(frame)
                if sum(part.samples for part in parts) > max_s * RATE_HZ:
                    break
            else:
                parts += resampler.resample(None)
    except (av.FFmpegError, IndexError) as error:
        raise SourceError(f"the sound of {path} cannot be read: {error}") from error
    samples = np.concatenate([np.empty(0, np.float32), *(part.to_ndarray()[0] for part in parts)])
    return np.clip(np.nan_to_num(samples), -1.0, 1.0)


def read_folder(folder: Path, cache: Path, keep: Callable[[str], bool] = bool) -> Recordings:
    """The recordings of a folder and those below it.

    Args:
        folder: with files of sound.
        cache: folder of the frames.
        keep: whether a recording of a name is used.

    Raises:
        SourceError: there are none.
    """
    found = sorted(path for path in folder.expanduser().rglob("*") if path.suffix.lower() in SOUND_SUFFIXES)
    paths = [path for path in found if keep(path.stem)]
    if not paths:
        raise SourceError(f"no recordings in {folder}")
    key = hashlib.sha256("\n".join(f"{path} {path.stat().st_size}" for path in paths).encode()).hexdigest()
    return _cached(cache / f"mel_{folder.name}_{key[:12]}.npz", (_named(path) for path in paths), len(paths))


def _named(path: Path) -> tuple[str, SoundArray]:
    try:
        return path.stem, decode(path, MAX_S)
    except SourceError as error:
        print(error)
        return path.stem, np.empty(0, np.float32)


def _cached(path: Path, sounds: Iterator[tuple[str, SoundArray]], count: int) -> Recordings:
    if not path.is_file():
        names, mel = [], []
        for name, samples in tqdm(sounds, total=count, desc=path.stem):
            if len(samples) >= _MIN_S * RATE_HZ:
                names.append(name)
                mel.append(mel_of(samples[: int(MAX_S * RATE_HZ)]).astype(np.float16))
        path.parent.mkdir(parents=True, exist_ok=True)
        joined = np.concatenate([np.empty((0, BANDS), np.float16), *mel])
        np.savez(path, name=np.array(names, str), length=np.array([len(each) for each in mel]), mel=joined)
    with np.load(path) as file:
        names, ends = file["name"].tolist(), np.cumsum(file["length"])
        return Recordings(tuple(names), tuple(np.split(file["mel"], ends)[: len(names)]))


LANGUAGES = ("af", "cs", "el", "es", "fi", "fr-fr", "hu", "nl", "pl", "pt", "ro", "ru", "sv", "tr", "vi")
"""Of the synthetic speech; English, German and Italian are for tests."""

_SYLLABLES = tuple(c + v for c in "bdfgklmnprstvz" for v in "aeiou")


def synthetic_speech(languages: Sequence[str], count: int, cache: Path, seed: int) -> Recordings:
    """Speech of espeak-ng: invented words and numbers by many voices.

    Raises:
        SourceError: espeak-ng is not installed.
    """
    path = cache / f"mel_espeak_{'_'.join(languages)}_{count}_{seed}.npz"
    return _cached(path, spoken(languages, count, seed), count)


def spoken(languages: Sequence[str], count: int, seed: int) -> Iterator[tuple[str, SoundArray]]:
    """Synthetic speech with its names; see :func:`synthetic_speech`."""
    generator = np.random.default_rng(seed)
    for index in range(count):
        words = ["".join(generator.choice(_SYLLABLES, generator.integers(1, 4))) for _ in range(12)]
        text = " ".join([*words[:6], str(generator.integers(10_000)), *words[6:]])
        variant = generator.choice(["m1", "m2", "m3", "m4", "m5", "m7", "f1", "f2", "f3", "f4"])
        voice = f"{languages[index % len(languages)]}+{variant}"
        numbers = {"-s": generator.integers(110, 230), "-p": generator.integers(20, 90)}
        options = [str(each) for pair in numbers.items() for each in pair]
        try:
            wave = subprocess.run(
                ["espeak-ng", "-v", voice, *options, "--stdout", text], capture_output=True, check=True
            ).stdout
        except (OSError, subprocess.CalledProcessError) as error:
            raise SourceError(f"synthetic speech needs espeak-ng: apt install espeak-ng ({error})") from error
        samples = np.frombuffer(wave[44:], np.int16).astype(np.float32) / 32768.0
        at = np.arange(0, len(samples) - 1, 22_050 / RATE_HZ)
        yield f"{voice}-{index}", np.interp(at, np.arange(len(samples)), samples).astype(np.float32)


def synthetic_sounds(count: int, cache: Path, seed: int) -> Recordings:
    """Noise, hum, knocks, applause, music and tones, made by code."""
    return _cached(cache / f"mel_synthetic_{count}_{seed}.npz", _made(count, seed), count)


def _made(count: int, seed: int) -> Iterator[tuple[str, SoundArray]]:
    generator = np.random.default_rng(seed)
    kinds = (noise, hum, knocks, applause, music, tones)
    for index in range(count):
        kind = kinds[index % len(kinds)]
        samples = kind(generator, 6.0)
        scaled = samples / max(1e-9, np.abs(samples).max()) * 0.5
        yield f"{kind.__name__}-{index}", scaled.astype(np.float32)


FloatArray = npt.NDArray[np.float64]


def _times(seconds: float) -> FloatArray:
    return np.arange(int(seconds * RATE_HZ)) / RATE_HZ


def noise(generator: np.random.Generator, seconds: float) -> FloatArray:
    """Noise with a slope of 0 to -6 dB per octave, of changing loudness."""
    spectrum = np.fft.rfft(generator.normal(size=len(_times(seconds))))
    spectrum[1:] /= np.arange(1, len(spectrum)) ** generator.uniform(0.0, 1.0)
    loudness = 1 + generator.uniform(0, 0.9) * np.sin(2 * np.pi * generator.uniform(0.1, 8) * _times(seconds))
    return np.fft.irfft(spectrum, len(loudness)) * loudness


def hum(generator: np.random.Generator, seconds: float) -> FloatArray:
    """A machine: harmonics of 50 to 400 Hz, and noise."""
    base_hz = generator.uniform(50, 400)
    waves = sum(
        generator.uniform(0, 1) / n * np.sin(2 * np.pi * n * base_hz * _times(seconds)) for n in range(1, 9)
    )
    return np.asarray(waves + generator.uniform(0, 0.3) * noise(generator, seconds))


def knocks(generator: np.random.Generator, seconds: float) -> FloatArray:
    """Knocks, steps and typing: short decaying resonances, at times as regular as laughter."""
    gap_s = generator.uniform(0.1, 0.8)
    jitter = generator.uniform(0.0, 0.6)
    starts_s = np.cumsum(gap_s * (1 + jitter * generator.uniform(-1, 1, int(seconds / gap_s) + 1)))
    times_s = _times(0.15)
    total = np.zeros(len(_times(seconds)))
    pitch_hz, decay_s = generator.uniform(80, 3000), generator.uniform(0.004, 0.05)
    for start in (starts_s * RATE_HZ).astype(int):
        sound = (np.sin(2 * np.pi * pitch_hz * times_s) + 0.5 * generator.normal(size=len(times_s))) * np.exp(
            -times_s / decay_s
        )
        part = total[start : start + len(sound)]
        part += sound[: len(part)] * generator.uniform(0.4, 1)
    return total


def applause(generator: np.random.Generator, seconds: float) -> FloatArray:
    """Two to sixty people who clap two to five times a second."""
    total = np.zeros(len(_times(seconds)))
    times_s = _times(0.05)
    for _ in range(generator.integers(2, 60)):
        gap_s = 1.0 / generator.uniform(2, 5)
        colour = np.sin(2 * np.pi * generator.uniform(600, 2500) * times_s)
        clap = generator.normal(size=len(times_s)) * (0.5 + colour) * np.exp(-times_s / 0.008)
        for start_s in np.arange(generator.uniform(0, gap_s), seconds, gap_s):
            start = int((start_s + generator.normal(0, 0.02)) * RATE_HZ)
            if start >= 0:
                part = total[start : start + len(clap)]
                part += clap[: len(part)]
    return total


def music(generator: np.random.Generator, seconds: float) -> FloatArray:
    """Chords and a melody of plucked or sustained harmonic tones, with a beat."""
    total = np.zeros(len(_times(seconds)))
    beat_s, root_hz = generator.uniform(0.15, 0.6), generator.uniform(100, 400)
    decay_s, brightness = generator.choice([0.15, 0.4, 2.0]), generator.uniform(0.6, 2.0)
    for start_s in np.arange(0, seconds, beat_s):
        times_s = _times(min(2.0 * beat_s, seconds - start_s))
        for step in generator.choice([0, 2, 4, 5, 7, 9, 11, 12], generator.integers(1, 4)):
            pitch_hz = root_hz * 2 ** (step / 12)
            tone = sum(np.sin(2 * np.pi * n * pitch_hz * times_s) / n**brightness for n in range(1, 12))
            start = int(start_s * RATE_HZ)
            part = total[start : start + len(times_s)]
            part += (tone * np.exp(-times_s / decay_s))[: len(part)]
    return total


def tones(generator: np.random.Generator, seconds: float) -> FloatArray:
    """Beeps and sirens: tones that glide, on and off."""
    times_s = _times(seconds)
    glide = 1 + generator.uniform(0, 0.5) * np.sin(2 * np.pi * generator.uniform(0.2, 6) * times_s)
    phase = 2 * np.pi * np.cumsum(generator.uniform(200, 2500) * glide) / RATE_HZ
    is_on = np.sin(2 * np.pi * generator.uniform(0.3, 6) * times_s) > generator.uniform(-1, 0.5)
    return np.sin(phase) * is_on
