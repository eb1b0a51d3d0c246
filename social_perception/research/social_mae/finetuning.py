"""Fine-tunes the encoder of a Social-MAE for one task: classes, or values such as ratings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning
import torch
import torchmetrics
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn import functional

from social_perception.core.errors import SourceError
from social_perception.research.social_mae.checkpoints import load_weights, save_weights
from social_perception.research.social_mae.examples import NO_LABEL
from social_perception.research.social_mae.network import Classifier, by_kind
from social_perception.research.social_mae.runs import Loaders, fit, start
from social_perception.research.social_mae.settings import FinetuningSettings
from social_perception.research.social_mae.streaming import ShardLoader
from social_perception.research.training.schedules import halving, one_cycle

MIXUP = 10.0
"""Both parameters of the beta distribution of a mixture's share, as in CAV-MAE."""

SCORE = "valid/score"
"""Macro F1 of classes; 1 minus the mean absolute error of values."""


class Finetuning(lightning.LightningModule):
    """Cross-entropy of classes, or the mean squared error of values."""

    seen: Tensor
    """How often each class occurred so far."""

    def __init__(self, network: Classifier, settings: FinetuningSettings, steps: int) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.steps = steps
        self.register_buffer("seen", torch.zeros(settings.outputs))
        self.score: torchmetrics.Metric = (
            torchmetrics.classification.MulticlassF1Score(settings.outputs, average="macro")
            if settings.labels == "class"
            else torchmetrics.MeanAbsoluteError()
        )
        network.encoder.requires_grad_(not settings.frozen)
        for branch in network.encoder.branches.values():
            branch.position.requires_grad_(False)

    def training_step(self, batch: Mapping[str, Any], batch_idx: int) -> Tensor:
        loss, count = torch.zeros((), device=self.device), 0
        for rows, inputs in self._parts(batch):
            rows, inputs, target = self._labelled(rows, inputs, batch["label"])
            if not len(rows):
                continue
            mixed, soft = self._mix(inputs, self._targets(target))
            loss = loss + self._loss(self.network(mixed).float(), soft) * len(rows)
            count += len(rows)
        if not count:
            raise SourceError("a batch has no example with a label")
        self.log("train/loss", loss / count, prog_bar=True, batch_size=count)
        return loss / count

    def validation_step(self, batch: Mapping[str, Any], batch_idx: int) -> None:
        for rows, inputs in self._parts(batch):
            rows, inputs, target = self._labelled(rows, inputs, batch["label"])
            if len(rows):
                outputs = self.network(inputs).float()
                self.score.update(outputs.argmax(dim=1) if target.ndim == 1 else outputs, target)

    def on_validation_epoch_end(self) -> None:
        value = self.score.compute()
        self.log(SCORE, value if self.settings.labels == "class" else 1.0 - value, prog_bar=True)
        self.score.reset()

    def _parts(self, batch: Mapping[str, Any]) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        if self.settings.sound_only:
            batch = {**batch, "has_video": torch.zeros_like(batch["has_video"])}
        return by_kind(batch)

    def _labelled(
        self, rows: Tensor, inputs: Mapping[str, Tensor], labels: Tensor
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Those of the rows that have a label."""
        target = labels[rows]
        if (self.settings.labels == "class") != (target.ndim == 1):
            raise SourceError(f"the examples have no labels of the kind {self.settings.labels}")
        known = target != NO_LABEL if target.ndim == 1 else target.isfinite().all(dim=1)
        return rows[known], {name: value[known] for name, value in inputs.items()}, target[known]

    def _targets(self, target: Tensor) -> Tensor:
        """One-hot classes (B, outputs), weighted against their frequency where so set, or values."""
        if target.ndim > 1:
            return target
        hot = functional.one_hot(target, self.settings.outputs).float()
        if self.settings.balanced:
            self.seen += hot.sum(dim=0)
            hot = hot * self.seen.sum() / (self.seen.clamp(min=1.0) * (self.seen > 0).sum())
        return hot

    def _mix(self, inputs: dict[str, Tensor], target: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Mix a share of the examples with others of the batch (H. Zhang et al., 2018)."""
        if not self.settings.mixup or len(target) < 2:
            return inputs, target
        share = torch.distributions.Beta(MIXUP, MIXUP).sample((len(target),)).to(target.device)
        chosen = torch.rand(len(target), device=target.device) < self.settings.mixup
        share = torch.where(chosen, share, torch.ones_like(share))
        other = torch.randperm(len(target), device=target.device)

        def mix(value: Tensor) -> Tensor:
            part = share.view(-1, *[1] * (value.ndim - 1)).to(value.dtype)
            return part * value + (1 - part) * value[other]

        return {name: mix(value) for name, value in inputs.items()}, mix(target)

    def _loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        if self.settings.labels == "class":
            return functional.cross_entropy(outputs, target)
        return functional.mse_loss(outputs, target)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        settings = self.settings
        rate = settings.learning_rate
        groups: list[dict[str, Any]] = [
            {"params": self.network.head.parameters(), "lr": rate * settings.head_rate}
        ]
        if not settings.frozen:
            trained = [each for each in self.network.encoder.parameters() if each.requires_grad]
            groups.append({"params": trained, "lr": rate})
        if settings.schedule == "halving":
            return halving(groups, settings)
        return one_cycle(groups, settings, self.steps)


def finetune(data: Loaders, settings: FinetuningSettings, resume: str) -> Path:
    """Fine-tune as the settings say and return the file with the weights, those of the best epoch.

    Raises:
        SourceError: the examples have no labels of this kind.
        ModelError: the weights to begin with cannot be read.
    """
    start(settings)
    network = Classifier(settings.sizes, settings.outputs)
    if settings.weights:
        print(load_weights(network, Path(settings.weights).expanduser()))
    module = Finetuning(network, settings, data.steps(settings))
    folder = fit(module, data, settings, resume, best=SCORE)
    path = folder / f"{settings.name}.safetensors"
    if module.trainer.is_global_zero:
        names = data.train.stream.labels if isinstance(data.train, ShardLoader) else ()
        save_weights(network, path, asdict(settings), names)
        print(f"weights written to {path}")
    return path
