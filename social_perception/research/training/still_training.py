"""Trains the CNN and the ordinal head on single pictures (a Lightning module)."""

from __future__ import annotations

import lightning
import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from social_perception.perception.smile.networks import SmileNetwork, intensity, to_input
from social_perception.research.training.faces import (
    AugmentedFaces,
    RatedShareSampler,
    TrainingFaces,
    gray_input,
    still_crops,
)
from social_perception.research.training.labels import EMOTIONS
from social_perception.research.training.settings import StillSettings
from social_perception.research.training.stills import Stills

Batch = tuple[Tensor, Tensor, Tensor, Tensor]


def ordinal_loss(logits: Tensor, above: Tensor, weight: Tensor) -> Tensor:
    """Weighted binary cross-entropy of P(level > k), summed over k; all (N, 3)."""
    loss = functional.binary_cross_entropy_with_logits(logits, above, reduction="none")
    return (loss * weight).sum(dim=-1).mean()


class StillTraining(lightning.LightningModule):
    """The loss on one frame alone: the memory stays as it is."""

    def __init__(self, network: SmileNetwork, settings: StillSettings, steps: int) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.steps = steps
        self.dropout = nn.Dropout(settings.dropout)
        self.emotions = nn.Linear(network.config.features, len(EMOTIONS))
        self._validated: list[tuple[Tensor, Tensor]] = []

    def training_step(self, batch: Batch, _: int) -> Tensor:
        crops, above, weight, emotion = batch
        features = self.dropout(self.network.encoder(gray_input(crops)))
        logits = self.network.head(self.network.score_now(features).float())
        loss = ordinal_loss(logits, above, weight)
        # Faces without an emotion have an all-zero target and so no loss.
        guess = functional.log_softmax(self.emotions(features).float(), dim=-1)
        total = loss - self.settings.emotion_weight * (emotion * guess).sum(dim=-1).mean()
        self.log("train/ordinal_loss", loss, prog_bar=True)
        self.log("train/loss", total)
        return total

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        crops, happy = batch
        self._validated.append((intensity(self.network.still(to_input(crops)).float()), happy))

    def on_validation_epoch_end(self) -> None:
        scores, happy = (torch.cat(column).cpu() for column in zip(*self._validated))
        self._validated.clear()
        known = happy >= 0
        if len(happy[known].unique()) == 2:
            self.log("valid/auc", roc_auc_score(happy[known], scores[known]), prog_bar=True)

    def configure_optimizers(self) -> dict[str, object]:
        decayed = [p for p in self.parameters() if p.ndim > 1 and p.requires_grad]
        others = [p for p in self.parameters() if p.ndim <= 1 and p.requires_grad]
        groups = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
        settings = self.settings
        optimizer = torch.optim.AdamW(groups, settings.learning_rate, weight_decay=settings.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, settings.learning_rate, total_steps=self.steps, pct_start=0.15
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def still_loader(faces: TrainingFaces, settings: StillSettings, seed: int) -> DataLoader:  # type: ignore[type-arg]
    """Batches of augmented faces."""
    sampler = RatedShareSampler(faces.targets.rated, settings.rated_share, settings.draws, seed)
    return DataLoader(
        AugmentedFaces(faces, seed), settings.batch, sampler=sampler, drop_last=True, num_workers=1,
        persistent_workers=True, prefetch_factor=8, worker_init_fn=_one_thread,
    )  # fmt: skip


def validation_loader(stills: Stills) -> DataLoader:  # type: ignore[type-arg]
    """FER+ faces as the pipeline crops them, with 1 for a majority of happiness, 0 for another emotion."""
    table = stills.table.drop(columns="name")
    winner = table.idxmax(axis=1)
    happy = np.where(winner.isin(["unknown", "not_face"]), -1, winner == "happiness")
    crops = torch.from_numpy(still_crops(stills))
    return DataLoader(TensorDataset(crops, torch.from_numpy(happy)), 256)


def _one_thread(_: int) -> None:
    import cv2

    cv2.setNumThreads(0)
    torch.set_num_threads(1)
