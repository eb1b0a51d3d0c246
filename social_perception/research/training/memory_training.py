"""Trains the GRU on sequences of features (a Lightning module); the CNN and the head stay as they are."""

from __future__ import annotations

from pathlib import Path

import lightning
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from social_perception.perception.smile.networks import SmileNetwork
from social_perception.research.training.clip_sequences import clip_faces
from social_perception.research.training.faces import TrainingFaces
from social_perception.research.training.sequences import Changes, feature_sequences
from social_perception.research.training.settings import MemorySettings

PARTS = 3
"""Sequences chained into one example."""


class MemoryTraining(lightning.LightningModule):
    """The loss over all frames of a chain, the first as much as the last."""

    def __init__(self, network: SmileNetwork, settings: MemorySettings, steps: int) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.steps = steps

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        features, above = batch
        logits, _ = self.network.over_time(features)
        loss = functional.binary_cross_entropy_with_logits(logits, above)
        self.log("train/memory_loss", loss, prog_bar=True)
        with torch.no_grad():
            alone = self.network.head(self.network.score_now(features))
            self.log(
                "train/loss_without_memory",
                functional.binary_cross_entropy_with_logits(alone, above),
                prog_bar=True,
            )
        return loss

    def configure_optimizers(self) -> dict[str, object]:
        network, settings = self.network, self.settings
        learned = [*network.memory.parameters(), *network.score_memory.parameters()]
        optimizer = torch.optim.AdamW(learned, settings.learning_rate, weight_decay=settings.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, settings.learning_rate, total_steps=self.steps
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def memory_loader(
    network: SmileNetwork, faces: TrainingFaces, settings: MemorySettings, seed: int, cache: Path
) -> DataLoader:  # type: ignore[type-arg]
    """Batches of chained feature sequences, rendered and encoded once; the clips' faces are cached."""
    clips = clip_faces(cache) if settings.clip_share else None
    sequences = feature_sequences(network, faces, settings, seed, clips)
    return DataLoader(Changes(sequences, PARTS, seed), settings.batch, shuffle=True, drop_last=True)
