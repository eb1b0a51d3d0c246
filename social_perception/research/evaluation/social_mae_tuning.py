"""Fine-tuning of a pre-trained Social-MAE, against training from scratch and the shipped laughter network."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from social_perception.perception.hearing.listener import Listener
from social_perception.research.evaluation import hearing
from social_perception.research.evaluation.audit.intervals import auc
from social_perception.research.evaluation.metrics import FloatArray
from social_perception.research.evaluation.social_mae_probes import (
    LAUGHTER,
    Data,
    chunks,
    emotion_measures,
    level_measures,
    rows_of_people,
)
from social_perception.research.evaluation.targets import Measure, Rows, compare, table
from social_perception.research.social_mae.checkpoints import load_weights
from social_perception.research.social_mae.development import (
    HELD_OUT_SPEAKERS,
    Burst,
    Clip,
    read_bursts,
)
from social_perception.research.social_mae.examples import Example, ExampleShape, collate
from social_perception.research.social_mae.finetuning import finetune
from social_perception.research.social_mae.network import (
    SIZES,
    SOUND,
    Classifier,
    by_kind,
)
from social_perception.research.social_mae.runs import batches
from social_perception.research.social_mae.settings import FinetuningSettings
from social_perception.research.training.laughter_sounds import decode
from social_perception.research.training.laughter_training import AMUSEMENT, is_for_training
from social_perception.research.training.stills import data_folder

TUNING = FinetuningSettings(
    size="tiny", epochs=6, batch=32, learning_rate=5e-4, head_rate=4.0, weight_decay=0.05,
    schedule="one_cycle", precision="32-true", devices=1, workers=0,
)  # fmt: skip


@torch.no_grad()
def tune(
    known: Sequence[Example], unseen: Sequence[Example], settings: FinetuningSettings, seed: int
) -> FloatArray:
    """Fine-tune on examples with labels and return the outputs (N, outputs) for others."""
    with tempfile.TemporaryDirectory() as folder, torch.enable_grad():
        run = replace(settings, seed=seed, output=folder)
        path = finetune(batches(known, None, run), run, "no")
        network = Classifier(run.sizes, run.outputs).eval()
        load_weights(network, path)
    parts = []
    for part in chunks(unseen):
        _, inputs = next(by_kind(collate(part, run.sizes.shape)))
        outputs = network(inputs)
        parts.append((outputs.softmax(dim=1) if run.labels == "class" else outputs).double().numpy())
    return np.concatenate(parts)


def tuning_tables(weights: str, data: Data, seeds: Sequence[int]) -> Iterator[str]:
    """Fine-tuning from the pre-trained weights against training from scratch, on the same data."""
    for tuned in (tuned_emotions, tuned_smiles):
        columns = [list(tuned(begin, data, seeds)) for begin in (weights, "")]
        yield table(["pre-trained", "from scratch"], list(compare(columns)))


def tuned_emotions(weights: str, data: Data, seeds: Sequence[int]) -> Iterator[Measure]:
    """Nine emotions and laughter by fine-tuning, the mean of several seeds."""
    classes = sorted({burst.emotion for burst in data.bursts})
    known = [
        burst.example(classes.index(burst.emotion))
        for burst in data.bursts
        if burst.speaker not in HELD_OUT_SPEAKERS
    ]
    unseen = [burst.example() for burst in data.bursts if burst.speaker in HELD_OUT_SPEAKERS]
    settings = replace(TUNING, outputs=len(classes), weights=weights)
    outputs = [tune(known, unseen, settings, seed) for seed in seeds]
    laughter = [each[:, classes.index(LAUGHTER)] for each in outputs]
    yield from emotion_measures("bursts, all weights trained", data, outputs, laughter, classes)


def tuned_smiles(weights: str, data: Data, seeds: Sequence[int]) -> Iterator[Measure]:
    """Smile levels by fine-tuning on one frame, repeated once, the mean of several seeds."""
    stills, frames = (each.select(~each.held_out) for each in (data.stills, data.frames))
    known = [*stills.examples(True), *frames.examples(True)]
    sets = {
        "stills": data.stills.select(data.stills.held_out),
        "talking": data.frames.select(data.frames.held_out),
    }
    settings = replace(TUNING, frames=2, labels="values", outputs=1, weights=weights)
    unseen = [example for each in sets.values() for example in each.examples()]
    outputs = [tune(known, unseen, settings, seed)[:, 0] for seed in seeds]
    first = len(sets["stills"].level)
    for title, part in (("stills", slice(first)), ("talking", slice(first, None))):
        predicted = [each[part] for each in outputs]
        yield from level_measures(f"smiles, {title}, all weights trained", sets[title], predicted)


def laughter_table(
    weights: str, data: Data, seeds: Sequence[int], recordings: Path, cache: Path
) -> Iterator[str]:
    """Laughter by fine-tuning on the recordings of the shipped laughter network, and that network."""
    columns = [list(tuned_laughter(weights, data, seeds, recordings, cache)), list(shipped_laughter(data))]
    yield table(["pre-trained", "shipped"], list(compare(columns)))


def shipped_laughter(data: Data) -> Iterator[Measure]:
    """What the shipped network hears of the same people."""
    listener = Listener()
    yield from islice(hearing.burst_measures(listener), 3)
    folder = data_folder() / "talking"
    talking = {clip.name: decode(folder / clip.name) for clip in data.clips if not clip.is_trained_on}
    yield next(hearing.speech_measures(listener, talking, "talking, held out"))
    yield hearing.cost(listener)


def tuned_laughter(
    weights: str, data: Data, seeds: Sequence[int], recordings: Path, cache: Path
) -> Iterator[Measure]:
    """The same of a fine-tuned encoder, in windows of sound; speech of trained clips is not laughter."""
    shape = SIZES[TUNING.size].shape
    bursts = [
        burst.example(int(burst.emotion == f"{AMUSEMENT:02}"))
        for burst in read_bursts(recordings, shape, cache)
        if is_for_training(burst.name, hearing.HELD_OUT)
    ]
    speech = [each for clip in data.clips if clip.is_trained_on for each in _speech(clip, shape)]
    held_out = [burst for burst in data.bursts if burst.speaker in HELD_OUT_SPEAKERS]
    talking = [_speech(clip, shape) for clip in data.clips if not clip.is_trained_on]
    unseen = [*(burst.example() for burst in held_out), *(each for windows in talking for each in windows)]
    settings = replace(TUNING, weights=weights, outputs=2, balanced=True)
    scores = [tune([*bursts, *speech], unseen, settings, seed)[:, 1] for seed in seeds]
    yield from laughter_measures(held_out, list(map(len, talking)), scores)
    used_ms = _used_ms(Classifier(settings.sizes, 2).eval(), collate(unseen[:1], shape)[SOUND])
    yield Measure("processor time for 0.1 s of sound, ms", "<= 5", 1, lambda units: used_ms)


def laughter_measures(
    bursts: Sequence[Burst], windows: Sequence[int], scores: Sequence[FloatArray]
) -> Iterator[Measure]:
    """Laughter in bursts and in windows of speech, the mean of several trainings.

    Args:
        bursts: of held-out speakers.
        windows: of each clip of people who talk.
        scores: of each training, of all bursts and then of all windows.
    """
    is_laughter = np.array([burst.emotion == LAUGHTER for burst in bursts])
    people = rows_of_people([burst.person for burst in bursts])
    clips = np.split(len(bursts) + np.arange(sum(windows)), np.cumsum(windows)[:-1])

    def measure(
        name: str, target: str, units: Sequence[Rows], statistic: Callable[[FloatArray, Rows], float]
    ) -> Measure:
        def mean(chosen: Rows) -> float:
            rows = np.concatenate([units[unit] for unit in chosen])
            return float(np.mean([statistic(score, rows) for score in scores]))

        return Measure(name, target, len(units), mean)

    def found(score: FloatArray, rows: Rows) -> float:
        return float((score[rows] >= hearing.LAUGHS_FROM).mean())

    def separated(score: FloatArray, rows: Rows) -> float:
        return auc(score[rows[is_laughter[rows]]], score[rows[~is_laughter[rows]]])

    name = "bursts, held-out speakers"
    yield measure(f"{name}: amusement against the rest, AUC", "", people, separated)
    yield measure(
        f"{name}: amusement in which laughter is found", "", people,
        lambda score, rows: found(score, rows[is_laughter[rows]]),
    )  # fmt: skip
    yield measure(
        f"{name}: others in which laughter is found", "", people,
        lambda score, rows: found(score, rows[~is_laughter[rows]]),
    )  # fmt: skip
    yield measure("talking, held out: share of windows with laughter", "<= 0.01", clips, found)


def _speech(clip: Clip, shape: ExampleShape) -> list[Example]:
    """Windows of the sound of a clip, a second apart."""
    return [Example(None, clip.sound(at_s, shape), 0, clip.person) for at_s in clip.starts_s(shape, 1.0)]


@torch.no_grad()
def _used_ms(network: Classifier, sound: torch.Tensor, times: int = 30) -> float:
    """Processor time of one window, which a stream needs ten times a second."""
    network({SOUND: sound})
    began_s = time.process_time()
    for _ in range(times):
        network({SOUND: sound})
    return 1000 * (time.process_time() - began_s) / times
