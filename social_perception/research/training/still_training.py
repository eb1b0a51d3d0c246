"""Training of the small network on single images: the Lightning module, its data, teacher and calibration.

1. :class:`StillTraining` trains the CNN and the ordinal head.
2. :func:`distill_targets` mixes the outputs of a wider, trained network into the targets (knowledge
   distillation: G. Hinton, O. Vinyals and J. Dean, 2015). Weak labels tell whether a face smiles, hardly
   how much, and are the same for all faces with the same votes; a teacher differentiates between them.
3. :func:`calibrate` fits the thresholds between the levels on the rated faces only. Weak labels order
   faces well but carry little information on the third threshold, and raise it so far that hardly any
   face reaches High. Five numbers are fitted: the three thresholds, the scale of the score and the
   common scale of the steps between the levels. The order of the faces by P(level > 0) is unchanged.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import lightning
import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm

from social_perception.perception.smile.networks import OrdinalHead, SmileNetwork, intensity, to_input
from social_perception.research.tables import read_table
from social_perception.research.training.faces import (
    AugmentedFaces,
    RatedShareSampler,
    TrainingFaces,
    clean_and_mirrored,
    gray_input,
    still_crops,
)
from social_perception.research.training.labels import EMOTIONS, FloatArray
from social_perception.research.training.schedules import one_cycle
from social_perception.research.training.settings import StillSettings
from social_perception.research.training.stills import Stills

Batch = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]

MIN_RISE = 0.35
"""Least rise of the intensity from no smile to a full one, of a face that does not smile already."""
MAX_INTENSITY = 0.9

TEACHER_BATCH = 128
CALIBRATION_STEPS = 100


def ordinal_loss(logits: Tensor, above: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted binary cross-entropy of P(level > k), summed over k and averaged over N.

    Args:
        logits: (N, 3).
        above: targets of P(level > k), (N, 3).
        weight: weight of each target, (N, 3).
    """
    loss = functional.binary_cross_entropy_with_logits(logits, above, reduction="none")
    return (loss * weight).sum(dim=-1).mean()


def line_loss(value: Tensor, amounts: Tensor) -> Tensor:
    """Return how far the intensities (K, A) of morphed smiles are from linear in their amounts (K, A).

    The first two amounts of a face are 0 and 1; they define its line, which should rise by MIN_RISE.
    """
    if not len(value):
        return value.new_zeros(())
    none, full = value[:, :1], value[:, 1:2]
    line = none + amounts[:, 2:] * (full - none)
    rise = functional.relu(torch.clamp(none.detach() + MIN_RISE, max=MAX_INTENSITY) - full)
    return (value[:, 2:] - line.detach()).square().mean() + rise.square().mean()


class StillTraining(lightning.LightningModule):
    """The single-frame loss; the memory is not trained."""

    def __init__(self, network: SmileNetwork, settings: StillSettings, steps: int) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.steps = steps
        self.dropout = nn.Dropout(settings.dropout)
        self.emotions = nn.Linear(network.config.features, len(EMOTIONS))
        self._validated: list[tuple[Tensor, Tensor]] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        crops, above, weight, emotion, visible, smiling, amounts = batch
        morphed = ~amounts[:, 0].isnan()
        # In one pass: batches of their own could be identified by their batch statistics.
        maps = self.network.encoder.maps(gray_input(torch.cat([crops, smiling[morphed].flatten(0, 1)])))
        encoded = self.network.encoder.features(maps)
        features, smiles = self.dropout(encoded[: len(crops)]), encoded[len(crops) :]
        logits = self.network.head(self.network.score_now(features).float())
        loss = ordinal_loss(logits, above, weight * visible[:, None])
        mouth = self.network.mouth_visible(maps[: len(crops)]).float()[:, 0]
        visible_loss = functional.binary_cross_entropy_with_logits(mouth, visible)
        # Faces without an emotion have an all-zero target, so their loss is 0.
        log_probabilities = functional.log_softmax(self.emotions(features).float(), dim=-1)
        emotion_loss = -(emotion * log_probabilities).sum(dim=-1).mean()
        value = intensity(self.network.head(self.network.score_now(smiles).float()))
        line = line_loss(value.view(int(morphed.sum()), amounts.shape[1]), amounts[morphed])
        settings = self.settings
        total = loss + visible_loss + settings.emotion_weight * emotion_loss + settings.line_weight * line
        self.log("train/ordinal_loss", loss, prog_bar=True)
        self.log("train/visible_loss", visible_loss)
        self.log("train/line_loss", line, prog_bar=True)
        self.log("train/loss", total)
        return total

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        crops, happy = batch
        self._validated.append((intensity(self.network.still(to_input(crops)).float()), happy))

    def on_validation_epoch_end(self) -> None:
        scores, happy = (torch.cat(column).cpu() for column in zip(*self._validated))
        self._validated.clear()
        known = happy >= 0
        if len(happy[known].unique()) == 2:
            self.log("valid/auc", roc_auc_score(happy[known], scores[known]), prog_bar=True)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        decayed = [p for p in self.parameters() if p.ndim > 1 and p.requires_grad]
        others = [p for p in self.parameters() if p.ndim <= 1 and p.requires_grad]
        groups: list[dict[str, object]] = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
        return one_cycle(groups, self.settings, self.steps, rise=0.15)


def still_loader(faces: TrainingFaces, settings: StillSettings, seed: int) -> DataLoader[tuple[Tensor, ...]]:
    """Return batches of augmented faces."""
    sampler = RatedShareSampler(faces, settings, seed)
    return DataLoader(
        AugmentedFaces(faces, settings, seed), settings.batch, sampler=sampler, drop_last=True, num_workers=1,
        persistent_workers=True, prefetch_factor=8, worker_init_fn=_use_one_thread,
    )  # fmt: skip


def validation_loader(stills: Stills) -> DataLoader[tuple[Tensor, ...]]:
    """Return batches of FER+ faces, cropped as the pipeline does, and their labels.

    The label is 1 for a majority for happiness, 0 for another emotion and -1 for none.
    """
    table = stills.table.drop(columns="name")
    winner = table.idxmax(axis=1)
    happy = np.where(winner.isin(["unknown", "not_face"]), -1, winner == "happiness")
    crops = torch.from_numpy(still_crops(stills))
    return DataLoader(TensorDataset(crops, torch.from_numpy(happy)), 256)


def _use_one_thread(_: int) -> None:
    import cv2

    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def distill_targets(faces: TrainingFaces, teacher: SmileNetwork, trust: float) -> TrainingFaces:
    """Mix the teacher's outputs into the targets of the faces.

    Args:
        faces: N faces with targets ``above`` (N, 3) and their weights.
        teacher: a trained and calibrated network.
        trust: weight of its output; a rating has the weight 1.
    """
    return mix_targets(faces, predict_probabilities(faces, teacher), trust)


def mix_targets(faces: TrainingFaces, predicted: FloatArray, trust: float) -> TrainingFaces:
    """Mix a teacher's P(level > k), (N, 3), into the targets of the faces; NaN leaves a face's targets."""
    targets = faces.targets
    # Normalized, so that a rated face has the same weight as without a teacher.
    weight = (targets.weight + trust) / (1.0 + trust)
    above = (targets.weight * targets.above + trust * predicted) / (targets.weight + trust)
    known = ~np.isnan(predicted[:, :1])
    above, weight = np.where(known, above, targets.above), np.where(known, weight, targets.weight)
    mixed = replace(targets, above=above.astype(np.float32), weight=weight.astype(np.float32))
    return replace(faces, targets=mixed)


def read_outputs(path: Path, faces: TrainingFaces) -> FloatArray:
    """Read P(level > k), (N, 3), of the faces from a table as ``score`` writes it; NaN for faces not in it.

    Raises:
        SourceError: the table cannot be read.
    """
    levels = ["p_neutral", "p_low", "p_medium", "p_high"]
    table = read_table(path, ["name", *levels]).drop_duplicates("name").set_index("name")[levels]
    p = table.reindex(list(faces.names)).to_numpy(np.float32)
    return np.stack([p[:, 1:].sum(axis=1), p[:, 2:].sum(axis=1), p[:, 3]], axis=1)


def predict_probabilities(faces: TrainingFaces, network: SmileNetwork) -> FloatArray:
    """Predict P(level > k) of each face without augmentation, (N, 3).

    Scores are averaged over each face and its mirror image.
    """
    network.eval()
    batches = []
    with torch.inference_mode():
        for start in tqdm(range(0, len(faces), TEACHER_BATCH), desc="teacher", mininterval=5):
            rows = range(start, min(start + TEACHER_BATCH, len(faces)))
            features = network.encoder(clean_and_mirrored(faces, rows))
            scores = network.score_now(features).unflatten(0, (2, -1)).mean(dim=0)
            batches.append(torch.sigmoid(network.head(scores)))
    return torch.cat(batches).numpy()


def calibrate(network: SmileNetwork, faces: TrainingFaces) -> None:
    """Fit the thresholds and the scales of the scores to the ratings, in place."""
    rated = np.flatnonzero(faces.targets.rated)
    if not len(rated):
        return
    network.eval()
    scores = torch.cat(
        [_scores(network, faces, batch) for batch in np.array_split(rated, len(rated) // 128 + 1)]
    )
    scales = fit_thresholds(network.head, scores, torch.from_numpy(faces.targets.above[rated]))
    with torch.no_grad():
        network.score_now.weight.mul_(scales[:, None])
        network.score_now.bias.mul_(scales)
        network.score_memory.weight.mul_(scales[:, None])


def fit_thresholds(head: OrdinalHead, scores: Tensor, above: Tensor) -> Tensor:
    """Fit the thresholds in place, and the scales of the scores.

    Args:
        head: its thresholds are fitted.
        scores: (N, 3).
        above: targets of P(level > k), (N, 3).

    Returns:
        (3,): the scale of the first score and the common scale of the other two.
    """
    log_scales = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [log_scales, *head.parameters()], max_iter=CALIBRATION_STEPS, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = head(log_scales.exp()[[0, 1, 1]] * scores)
        value = functional.binary_cross_entropy_with_logits(logits, above)
        value.backward()
        return value

    optimizer.step(loss)
    return log_scales.detach().exp()[[0, 1, 1]]


def _scores(network: SmileNetwork, faces: TrainingFaces, rows: npt.NDArray[np.int64]) -> Tensor:
    """Return the scores (N, 3) of first frames, with memory, averaged over each face and its mirror image."""
    with torch.no_grad():
        features = network.encoder(clean_and_mirrored(faces, rows))
        memory, _ = network.memory(features.unsqueeze(1))
        scores = network.score_now(features) + network.score_memory(memory[:, 0])
    return scores.unflatten(0, (2, -1)).mean(dim=0)
