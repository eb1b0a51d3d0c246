"""``social-perception evaluate --scene``: scene networks on synthetic and real scenes, in one table.

Networks are compared on the same scenes, of faces, speakers and backgrounds that no training saw. The smiles
of the single faces are the baseline: each face is found without error and scored at full size, and a logistic
regression on validation scenes turns the mean and the spread of a scene's smiles into its emotion.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression

from social_perception.core.config import SmileConfig
from social_perception.core.types import Box
from social_perception.perception.scene.network import CLASSES, SceneNetwork
from social_perception.perception.scene.reduction import LONG_SIDE_PX
from social_perception.perception.scene.weights import load_scene_network, shipped_path
from social_perception.perception.smile.crop import crop_faces
from social_perception.perception.smile.factory import make_scorer
from social_perception.perception.smile.weights import read_metadata
from social_perception.research.evaluation import scene_recordings
from social_perception.research.evaluation.metrics import FloatArray, calibration_error, macro_f1
from social_perception.research.evaluation.run import make_folder
from social_perception.research.evaluation.targets import SHIPPED, Measure, Row, Rows, compare, table
from social_perception.research.training.scene_drawing import CANVASES
from social_perception.research.training.scene_material import (
    NEGATIVE,
    NEUTRAL,
    POSITIVE,
    Cutouts,
    Material,
    read_material,
)
from social_perception.research.training.scene_plans import Kind, Plan, Shares, SoundKind, draw_plan
from social_perception.research.training.scene_synthesis import Scene, SceneComposer
from social_perception.research.training.scene_training import MODALITIES, only, to_batch
from social_perception.research.training.stills import to_rgb

FACES = "mean of the faces' smiles"
FRAMES = 3
"""Images of a test scene."""

SCENES, OF_KIND = 500, 100
"""Scenes as they are in training, and of each further kind."""

OTHER_SIZES_PX = (64, 160)
"""Long sides of further images that the first network is measured on."""

_BATCH = 20

Labels = npt.NDArray[np.int64]
"""Classes of scenes, (N,)."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A network to compare, and what it was trained to use: fusion, sound or images."""

    name: str
    network: SceneNetwork
    modalities: str

    @classmethod
    def read(cls, file: str) -> Candidate:
        """Read a file of weights; empty: the shipped ones.

        Raises:
            ModelError: it cannot be read.
        """
        path = Path(file).expanduser() if file else shipped_path()
        network = load_scene_network(path)
        training = json.loads(read_metadata(path).get("training", "{}"))
        return cls(path.stem if file else SHIPPED, network, training.get("modalities", "fusion"))

    @torch.inference_mode()
    def predict(self, scenes: Sequence[Scene]) -> FloatArray:
        """Return probabilities (N, 3)."""
        found = []
        for _, group in groupby(scenes, lambda scene: scene.images.shape):
            same = list(group)
            for first in range(0, len(same), _BATCH):
                images, _, mel, has_sound, *_ = to_batch(same[first : first + _BATCH])
                images, has_sound = only(self.modalities, images, has_sound)
                found.append(self.network(images.float(), mel, has_sound).softmax(1).double().numpy())
        return np.concatenate(found)


@dataclass(frozen=True, slots=True, eq=False)
class Predicted:
    """The scenes of a test with what one candidate predicts for them, (N, 3)."""

    plans: Sequence[Plan]
    probabilities: FloatArray

    @property
    def label(self) -> Labels:
        return np.array([plan.label for plan in self.plans], np.int64)

    @property
    def predicted(self) -> Labels:
        return self.probabilities.argmax(axis=1)

    def where(self, holds: Callable[[Plan], bool]) -> Predicted:
        return self.select([row for row, plan in enumerate(self.plans) if holds(plan)])

    def select(self, rows: Sequence[int]) -> Predicted:
        return Predicted([self.plans[row] for row in rows], self.probabilities[list(rows)])


def main(models: Sequence[str], backgrounds: Sequence[str], cache: Path, output: Path | None) -> list[Row]:
    """Measure scene networks, print the table and return its rows.

    Args:
        models: files with the weights; empty: the shipped network.
        backgrounds: folders of images without people.
        cache: folder of the face boxes and log-mel frames.
        output: folder for ``scenes.json`` and ``scenes.md``; None: they are not written.

    Raises:
        SourceError: data is missing.
        ModelError: weights cannot be read.
        OutputError: the folder cannot be created.
    """
    candidates = with_parts([Candidate.read(each) for each in models])
    material = read_material("test", backgrounds, cache)
    scenes = compose_scenes(material)
    plans = [scene.plan for scene in scenes]
    columns = [Predicted(plans, each.predict(scenes)) for each in candidates]
    faces = FaceBaseline(read_material("valid", backgrounds, cache))
    baseline = Predicted(plans, faces.predict(scenes, material.cutouts))
    names = [*(each.name for each in candidates), FACES]
    measured = [list(synthetic_measures(each)) for each in (*columns, baseline)]
    sizes = list(size_measures(candidates[0], material))
    unknown = [replace(each, statistic=lambda rows: float("nan")) for each in sizes]
    for measures, found in zip(measured, [sizes] + [unknown] * len(columns)):
        measures += found
    recordings = scene_recordings.read_recordings()
    for candidate, measures in zip(candidates, measured):
        measures += scene_recordings.measures(candidate.network, candidate.modalities, recordings)
    measured[-1] += scene_recordings.unknown_measures(recordings)
    rows = list(compare(measured))
    text = table(names, rows)
    print(text)
    counts = confusion(columns[0].label[:SCENES], columns[0].predicted[:SCENES])
    print(f"confusion of {names[0]}, true {', '.join(CLASSES)} by row:\n{counts}")
    if output is not None:
        make_folder(output)
        (output / "scenes.md").write_text(text + "\n")
        figures = {"models": names, "rows": [asdict(row) for row in rows], "confusion": counts.tolist()}
        (output / "scenes.json").write_text(json.dumps(figures, indent=2) + "\n")
    return rows


def with_parts(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates, after the first its own figures without sound and without images."""
    first, *others = candidates
    parts = [replace(first, name=f"{first.name}, {part} alone", modalities=part) for part in MODALITIES[1:]]
    return [first, *(parts if first.modalities == MODALITIES[0] else ()), *others]


def compose_scenes(
    material: Material, count: int = SCENES, of_kind: int = OF_KIND, image_px: int = LONG_SIDE_PX
) -> list[Scene]:
    """Compose the test scenes: first those as in training, then conflicts and further kinds."""
    shares, composer, scenes = Shares(), SceneComposer(material, image_px), []
    plans = [draw_plan(np.random.default_rng((99, number)), shares) for number in range(count)]
    plans += [
        Plan(Kind.GROUP, faces, SoundKind.BURSTS, sound)
        for _ in range(-(-of_kind // 6))
        for faces in range(3)
        for sound in range(3)
        if faces != sound
    ]
    for kind in (Kind.EMPTY, Kind.MANY, Kind.DARK):
        sounds = (SoundKind.NOTHING, SoundKind.BACKGROUND)
        plans += [
            Plan(kind, n % 3 if kind is Kind.MANY else None, sounds[n % 2], NEUTRAL) for n in range(of_kind)
        ]
    for number, plan in enumerate(plans):
        draw = np.random.default_rng((98, number))
        scenes.append(composer.compose(plan, CANVASES[number // _BATCH % len(CANVASES)], FRAMES, draw))
    return scenes


def synthetic_measures(of: Predicted, count: int = SCENES) -> Iterator[Measure]:
    """All measures of synthetic scenes; the units are scenes."""
    mixed, rest = of.select(range(count)), of.select(range(count, len(of.plans)))
    yield _measure("synthetic scenes: macro F1", ">= 0.85", mixed, f1)
    for place, name in enumerate(CLASSES):
        yield _measure(f"synthetic scenes: F1 of {name}", "", mixed, partial(class_f1, place))
    truth, probabilities = mixed.label, mixed.probabilities
    yield Measure(
        "synthetic scenes: expected calibration error", "", len(truth),
        lambda rows: calibration_error(truth[rows].astype(float), probabilities[rows]),
    )  # fmt: skip
    conflicts = rest.where(lambda plan: plan.conflicts)
    yield _measure("conflict of faces and sound: macro F1", "", conflicts, f1)
    for name, holds in CONFLICTS.items():
        yield _measure(f"conflict, {name}: accuracy", "", conflicts.where(holds), _accuracy)
    fitting = mixed.where(lambda plan: not plan.conflicts and plan.faces is not None)
    yield _measure("no conflict: macro F1", "", fitting, f1)
    for kind in (Kind.EMPTY, Kind.DARK, Kind.MANY):
        chosen = [row for row, plan in enumerate(rest.plans) if plan.kind is kind]
        yield _measure(f"{kind.value}, without bursts: accuracy", "", rest.select(chosen), _accuracy)


def size_measures(of: Candidate, material: Material) -> Iterator[Measure]:
    """The macro F1 on the same scenes in images of other sizes."""
    for image_px in OTHER_SIZES_PX:
        scenes = compose_scenes(material, of_kind=0, image_px=image_px)
        found = Predicted([each.plan for each in scenes], of.predict(scenes))
        yield _measure(f"synthetic scenes, long side of {image_px} px: macro F1", "", found, f1)


CONFLICTS: dict[str, Callable[[Plan], bool]] = {
    "neutral faces and laughter": lambda plan: plan.faces == NEUTRAL and plan.sound == POSITIVE,
    "neutral faces and cries": lambda plan: plan.faces == NEUTRAL and plan.sound == NEGATIVE,
    "smiling faces, other sound": lambda plan: plan.faces == POSITIVE,
    "negative faces, other sound": lambda plan: plan.faces == NEGATIVE,
}


def _measure(name: str, target: str, of: Predicted, statistic: Callable[[Labels, Labels], float]) -> Measure:
    truth, predicted = of.label, of.predicted

    def value(rows: Rows) -> float:
        return statistic(truth[rows], predicted[rows])

    return Measure(name, target, len(truth), value)


def confusion(truth: Labels, predicted: Labels) -> npt.NDArray[np.int64]:
    """Return the confusion matrix (3, 3); rows are the truth."""
    counts = np.zeros((3, 3), np.int64)
    np.add.at(counts, (truth, predicted), 1)
    return counts


def f1(truth: Labels, predicted: Labels) -> float:
    """Mean F1 over the classes that occur."""
    return macro_f1(confusion(truth, predicted))


def class_f1(place: int, truth: Labels, predicted: Labels) -> float:
    counts = confusion(truth, predicted)
    return float(2 * counts[place, place] / max(1, counts[place].sum() + counts[:, place].sum()))


def _accuracy(truth: Labels, predicted: Labels) -> float:
    return float((truth == predicted).mean()) if len(truth) else float("nan")


class FaceBaseline:
    """Predicts a scene's emotion from the smiles of its faces, each found without error.

    Args:
        valid: faces of scenes on which the logistic regression is fitted.
        scenes: number of these scenes.
    """

    def __init__(self, valid: Material, scenes: int = 300) -> None:
        composer, shares = SceneComposer(valid), Shares()
        drawn = [
            composer.compose(draw_plan(draw, shares), CANVASES[0], 1, draw)
            for draw in (np.random.default_rng((97, number)) for number in range(scenes))
        ]
        label = np.array([scene.plan.label for scene in drawn])
        self._regression = LogisticRegression().fit(self._features(drawn, valid.cutouts), label)

    def predict(self, scenes: Sequence[Scene], cutouts: Cutouts) -> FloatArray:
        """Return probabilities (N, 3)."""
        return np.asarray(self._regression.predict_proba(self._features(scenes, cutouts)))

    @staticmethod
    def _features(scenes: Sequence[Scene], cutouts: Cutouts) -> FloatArray:
        """Mean and spread of the smiles, and whether there are faces: (N, 3)."""
        used = sorted({face for scene in scenes for face in scene.faces})
        smile = dict(zip(used, smiles(cutouts, used)))
        found = [np.array([smile[face] for face in scene.faces]) for scene in scenes]
        return np.array([(each.mean(), each.std(), 1.0) if len(each) else (0.0, 0.0, 0.0) for each in found])


def smiles(cutouts: Cutouts, rows: Sequence[int]) -> FloatArray:
    """Smile intensities of cut-out faces, at the size of their sources."""
    scorer = make_scorer(SmileConfig(device="cpu"))
    crops = []
    for row in rows:
        image = cv2.resize(cutouts.images[row], (96, 96), interpolation=cv2.INTER_LINEAR)
        width = 96.0 * float(cutouts.width[row])
        place = Box((96.0 - width) / 2, (96.0 - width) / 2, width, width)
        crops.append(crop_faces(to_rgb(image), [place])[0])
    found: list[float] = []
    for first in range(0, len(crops), 128):
        found += [each.intensity for each in scorer.score_still(np.stack(crops[first : first + 128]))]
    return np.array(found)
