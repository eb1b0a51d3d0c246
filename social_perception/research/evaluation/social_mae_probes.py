"""Linear probes of a pre-trained Social-MAE: emotions and laughter of bursts, smiles of single frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegressionCV, Ridge
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from social_perception.research.evaluation.audit.intervals import auc
from social_perception.research.evaluation.metrics import FloatArray, pearson
from social_perception.research.evaluation.targets import Measure, Rows
from social_perception.research.social_mae.development import (
    HELD_OUT_SPEAKERS,
    Burst,
    Clip,
)
from social_perception.research.social_mae.examples import Example, collate
from social_perception.research.social_mae.network import (
    SOUND,
    VIDEO,
    SocialMae,
)
from social_perception.research.social_mae.rated import RatedFaces

LAUGHTER = "Amusement"

STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
"""Inverse regularisation of the probes, of which one is chosen by cross-validation over speakers."""

_BATCH = 32


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """The development data for the tests."""

    bursts: Sequence[Burst]
    clips: Sequence[Clip]
    stills: RatedFaces
    frames: RatedFaces


def burst_measures(network: SocialMae, data: Data, baselines: bool) -> Iterator[Measure]:
    """Nine emotions and laughter: a linear probe, the same of an untrained network, and of mel statistics."""
    examples = [burst.example() for burst in data.bursts]
    of = {"probe": lambda: features(network, SOUND, examples)}
    if baselines:
        of["probe of an untrained network"] = lambda: features(untrained(network), SOUND, examples)
        of["mel statistics"] = lambda: np.array([mel_statistics(burst) for burst in data.bursts])
    for name, values in of.items():
        yield from emotion_measures(f"bursts, {name}", data, *probe_emotions(values(), data))


def untrained(network: SocialMae) -> SocialMae:
    """A network of the same sizes with random weights."""
    torch.manual_seed(0)
    return SocialMae(network.sizes).eval()


def probe_emotions(values: FloatArray, data: Data) -> tuple[list[FloatArray], list[FloatArray], list[str]]:
    """Logistic regressions of nine emotions and of laughter on features (B, F) of the bursts.

    Returns:
        Of the held-out bursts the shares of the emotions, and the scores of laughter; the emotions.
    """
    speakers = np.array([burst.speaker for burst in data.bursts])
    emotions = np.array([burst.emotion for burst in data.bursts])
    known = ~np.isin(speakers, HELD_OUT_SPEAKERS)
    folds = list(GroupKFold(5).split(values[known], groups=speakers[known]))

    def fitted(target: npt.NDArray[np.generic]) -> Any:
        regression = LogisticRegressionCV(Cs=STRENGTHS, cv=folds, scoring="neg_log_loss", max_iter=2000)
        return make_pipeline(StandardScaler(), regression).fit(values[known], target[known])

    of_emotions, of_laughter = fitted(emotions), fitted(emotions == LAUGHTER)
    return (
        [of_emotions.predict_proba(values[~known])],
        [of_laughter.predict_proba(values[~known])[:, 1]],
        list(of_emotions.classes_),
    )


def emotion_measures(
    name: str,
    data: Data,
    shares: Sequence[FloatArray],
    scores: Sequence[FloatArray],
    classes: Sequence[str],
) -> Iterator[Measure]:
    """Macro F1 and the AUC of laughter over held-out speakers, each the mean of several trainings."""
    held_out = [burst for burst in data.bursts if burst.speaker in HELD_OUT_SPEAKERS]
    truth = np.array([burst.emotion for burst in held_out])
    people = rows_of_people([burst.person for burst in held_out])
    laughs = truth == LAUGHTER
    predicted = [np.array(classes)[each.argmax(axis=1)] for each in shares]

    def rows_of(units: Rows) -> Rows:
        return np.concatenate([people[unit] for unit in units])

    def f1(units: Rows) -> float:
        rows = rows_of(units)
        return float(np.mean([f1_score(truth[rows], each[rows], average="macro") for each in predicted]))

    def laughter(units: Rows) -> float:
        rows = rows_of(units)
        return float(np.mean([auc(each[rows][laughs[rows]], each[rows][~laughs[rows]]) for each in scores]))

    yield Measure(f"{name}: nine emotions, macro F1", "", len(people), f1)
    yield Measure(f"{name}: laughter, AUC", "", len(people), laughter)


def mel_statistics(burst: Burst) -> FloatArray:
    """Mean, deviation, highest and almost lowest value of each band, and the deviation of its changes."""
    mel = burst.mel.astype(float)
    changes = np.diff(mel, axis=0).std(axis=0)
    return np.concatenate(
        [mel.mean(axis=0), mel.std(axis=0), changes, mel.max(axis=0), np.percentile(mel, 10, axis=0)]
    )


def smile_measures(network: SocialMae, data: Data, baselines: bool) -> Iterator[Measure]:
    """Smile levels by a linear probe of one frame, repeated, and by one of the pixels."""
    of: dict[str, tuple[Callable[[RatedFaces], FloatArray], float]] = {
        "probe": (lambda faces: features(network, VIDEO, faces.examples()), 10.0)
    }
    if baselines:
        random = untrained(network)
        of["probe of an untrained network"] = lambda faces: features(random, VIDEO, faces.examples()), 10.0
        of["pixels"] = pixels, 3000.0
    known = [faces.select(~faces.held_out) for faces in (data.stills, data.frames)]
    level = np.concatenate([faces.level for faces in known])
    for name, (values_of, strength) in of.items():
        model = make_pipeline(StandardScaler(), Ridge(strength))
        model.fit(np.concatenate([values_of(faces) for faces in known]), level)
        for title, faces in (("stills", data.stills), ("talking", data.frames)):
            unseen = faces.select(faces.held_out)
            yield from level_measures(f"smiles, {title}, {name}", unseen, [model.predict(values_of(unseen))])


def level_measures(name: str, faces: RatedFaces, predicted: Sequence[FloatArray]) -> Iterator[Measure]:
    """AUC of smile or none and the correlation with the raters' mean level."""
    people = rows_of_people(faces.person)
    smiles = faces.level >= 1

    def rows_of(units: Rows) -> Rows:
        return np.concatenate([people[unit] for unit in units])

    def found(units: Rows) -> float:
        rows = rows_of(units)
        return float(
            np.mean([auc(each[rows][smiles[rows]], each[rows][~smiles[rows]]) for each in predicted])
        )

    def agreement(units: Rows) -> float:
        rows = rows_of(units)
        return float(np.mean([pearson(each[rows], faces.level[rows]) for each in predicted]))

    yield Measure(f"{name}: smile, AUC", "", len(people), found)
    yield Measure(f"{name}: level, Pearson", "", len(people), agreement)


def pixels(faces: RatedFaces) -> FloatArray:
    """Gray values of the faces in 24x24."""
    gray = faces.crops.mean(axis=1)  # (N, 48, 48)
    return gray.reshape(len(gray), 24, 2, 24, 2).mean(axis=(2, 4)).reshape(len(gray), -1)


@torch.no_grad()
def features(network: SocialMae, modality: str, examples: Sequence[Example]) -> FloatArray:
    """The mean tokens (B, W) of one modality."""
    parts = []
    for part in chunks(examples):
        batch = collate(part, network.sizes.shape)
        parts.append(network.encoder({modality: batch[modality]}).double().numpy())
    return np.concatenate(parts)


def chunks(examples: Sequence[Example]) -> Iterator[Sequence[Example]]:
    for first in range(0, len(examples), _BATCH):
        yield examples[first : first + _BATCH]


def rows_of_people(names: Sequence[str] | npt.NDArray[np.str_]) -> list[Rows]:
    """The rows of each person."""
    _, number = np.unique(np.asarray(names), return_inverse=True)
    return [np.flatnonzero(number == each) for each in range(number.max() + 1)]
