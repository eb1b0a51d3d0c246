"""``social-perception evaluate --sound``: speech, laughter, who speaks and who laughs in one table."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from social_perception.core.sound import Sound, SoundArray, SoundEvent
from social_perception.perception.hearing.listener import Listener
from social_perception.research.evaluation import laughing, speakers
from social_perception.research.evaluation.audit.intervals import auc
from social_perception.research.evaluation.metrics import FloatArray
from social_perception.research.evaluation.smiles_with_sound import smile_table
from social_perception.research.evaluation.targets import Measure, Rows, compare, table
from social_perception.research.training.laughter_sounds import RATE_HZ, decode, spoken
from social_perception.research.training.stills import data_folder

HELD_OUT = (101, 150)
"""Speakers of EmoGator who are not in the training."""

TEST_LANGUAGES = ("en-us", "en-gb", "de", "it")
"""Languages of synthetic speech that are not in the training."""

LAUGHS_FROM = SPEAKS_FROM = 0.5

_BLOCK = RATE_HZ // 10
_PAUSE_S = 0.5
_LAUGH_FROM_S = 1.5
"""Length of the laughs of the scenes."""


def main(model: str = "") -> None:
    """Measure the hearing, and the smiles of people who talk without and with sound; print both tables.

    Args:
        model: files of the smile network's weights; see :func:`.smiles_with_sound.smile_table`.

    Raises:
        SourceError: recordings are missing.
        MissingDependencyError: a package is not installed.
        ModelError: the smile network's weights cannot be read.
    """
    listener = Listener()
    print(smile_table(model, listener))
    print(table(["shipped"], list(compare([list(measures(listener))]))))


def measures(listener: Listener) -> Iterator[Measure]:
    """All measures of the hearing, with the targets."""
    yield from burst_measures(listener)
    talking = {path.stem: decode(path) for path in sorted((data_folder() / "talking").glob("*.mp4"))}
    yield from speech_measures(listener, talking, "talking")
    yield from speech_measures(listener, dict(spoken(TEST_LANGUAGES, 60, seed=99)), "synthetic speech")
    yield cost(listener)
    clips = speakers.read_clips(data_folder() / "talking", listener)
    yield from speakers.measures(speakers.folds(clips, listener))
    tested = [clip for clip in clips if not clip.is_for_calibration]
    yield from laughing.measures(tested, held_out_laughs(), listener)


def listen(listener: Listener, samples: SoundArray) -> list[SoundEvent]:
    """The events of a recording between two pauses, as of a stream."""
    listener.reset()
    pause = np.zeros(int(_PAUSE_S * RATE_HZ), np.float32)
    joined = np.concatenate([pause, samples, pause])
    events: list[SoundEvent] = []
    for first in range(0, len(joined), _BLOCK):
        events += listener.listen(Sound(joined[first : first + _BLOCK], RATE_HZ, first / RATE_HZ))
    return events


def held_out_bursts() -> pd.DataFrame:
    """The bursts of speakers who are not in the training."""
    bursts = pd.read_parquet(data_folder() / "sound" / "emogator.parquet")
    return bursts[bursts["speaker"].between(*HELD_OUT)]


def held_out_laughs() -> list[SoundArray]:
    """One laugh of each of these speakers."""
    bursts = held_out_bursts()
    long = bursts[(bursts["emotion"] == "Amusement") & (bursts["seconds"] >= _LAUGH_FROM_S)]
    return [decode(io.BytesIO(audio)) for audio in long.groupby("speaker")["audio"].first()]


def burst_measures(listener: Listener) -> Iterator[Measure]:
    """Laughter of speakers who are not in the training; the units are speakers."""
    bursts = held_out_bursts()
    sounds = [decode(io.BytesIO(audio)) for audio in bursts["audio"]]
    laughter = [np.array([event.laughter for event in listen(listener, each)]) for each in sounds]
    score = np.array([_highest(each) for each in laughter])
    delay_s = np.array([_delay_s(*each) for each in zip(sounds, laughter)])
    positive = (bursts["emotion"] == "Amusement").to_numpy()
    _, speaker = np.unique(bursts["speaker"], return_inverse=True)
    rows_of = [np.flatnonzero(speaker == each) for each in range(speaker.max() + 1)]

    def measure(name: str, target: str, statistic: Callable[[Rows], float]) -> Measure:
        return Measure(
            f"bursts, held-out speakers: {name}", target, len(rows_of),
            lambda units: float(statistic(np.concatenate([rows_of[unit] for unit in units]))),
        )  # fmt: skip

    yield measure(
        "amusement against the rest, AUC", ">= 0.9",
        lambda rows: auc(score[rows][positive[rows]], score[rows][~positive[rows]]),
    )  # fmt: skip
    is_laughter = score >= LAUGHS_FROM
    yield measure(
        "amusement in which laughter is found", "", lambda rows: is_laughter[rows][positive[rows]].mean()
    )
    yield measure(
        "others in which laughter is found", "", lambda rows: is_laughter[rows][~positive[rows]].mean()
    )
    found = positive & is_laughter & np.isfinite(delay_s)
    for name, share, target in (("median", 50, "<= 0.5"), ("95th percentile", 95, "<= 0.6")):

        def delay(rows: Rows, share: int = share) -> float:
            return float(np.percentile(delay_s[rows][found[rows]], share))

        yield measure(f"delay of the first event with laughter, {name}, s", target, delay)


def _highest(laughter: FloatArray) -> float:
    """The highest mean over 0.3 s."""
    return float(np.convolve(laughter, np.ones(3) / 3, "valid").max()) if len(laughter) > 2 else 0.0


def _delay_s(samples: SoundArray, laughter: FloatArray) -> float:
    """Time from the beginning of the sound to the end of the first event with laughter; NaN: none."""
    rows = np.flatnonzero(laughter >= LAUGHS_FROM)
    power = np.convolve(np.square(samples), np.ones(160) / 160, "same")
    onset_s = np.argmax(power > np.percentile(power, 90) / 100) / RATE_HZ
    return (rows[0] + 1) / 10 - _PAUSE_S - onset_s if len(rows) else math.nan


def speech_measures(listener: Listener, speech: Mapping[str, SoundArray], name: str) -> Iterator[Measure]:
    """Seconds of speech in which laughter or speech is found; the units are recordings."""
    events = [listen(listener, each) for each in speech.values()]
    laughter, speaking = (
        [_seconds([getattr(event, field) for event in each]) for each in events]
        for field in ("laughter", "speech")
    )

    def share(values: Sequence[FloatArray], units: Rows) -> float:
        return float((np.concatenate([values[unit] for unit in units]) >= LAUGHS_FROM).mean())

    yield Measure(
        f"{name}: share of seconds with laughter", "<= 0.01", len(events),
        lambda units: share(laughter, units),
    )  # fmt: skip
    yield Measure(
        f"{name}: share of seconds with speech", "", len(events), lambda units: share(speaking, units)
    )


def _seconds(values: Sequence[float]) -> FloatArray:
    """The highest value of each whole second."""
    return np.array(values[: len(values) // 10 * 10]).reshape(-1, 10).max(axis=1)


def cost(listener: Listener, seconds: float = 60.0) -> Measure:
    """Processor time of the listener."""
    samples = np.random.default_rng(1).normal(0, 0.05, int(seconds * RATE_HZ)).astype(np.float32)
    listen(listener, samples[:RATE_HZ])
    began_s = time.process_time()
    listen(listener, samples)
    used_ms = 1000 * (time.process_time() - began_s) / (10 * seconds)
    return Measure("processor time for 0.1 s of sound, ms", "<= 5", 1, lambda units: used_ms)
