"""Pre-trains the Social-MAE on faces and sounds without labels: it restores what is hidden from it.

Where an example has a face and a sound, the mean tokens of the two are also pulled together, and away from
those of the other examples of the batch. Examples with only one of the two are restored on their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from social_perception.research.social_mae.checkpoints import load_weights, save_weights
from social_perception.research.social_mae.network import (
    MODALITIES,
    SOUND,
    VIDEO,
    NetworkSizes,
    Reconstruction,
    SocialMae,
    by_kind,
    contrast,
    masked_error,
    normalize_patches,
    to_patches,
)
from social_perception.research.social_mae.pictures import pictures
from social_perception.research.social_mae.runs import Loaders, fit, start
from social_perception.research.social_mae.settings import PretrainingSettings
from social_perception.research.training.schedules import halving, one_cycle

_VALIDATION_SEED = 1


class Pretraining(lightning.LightningModule):
    """The loss of the masked patches, and the contrast."""

    def __init__(self, network: SocialMae, settings: PretrainingSettings, steps: int) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.steps = steps

    def training_step(self, batch: Mapping[str, Any], batch_idx: int) -> Tensor:
        count = len(batch["has_sound"])
        loss = torch.zeros((), device=self.device)
        for rows, inputs in by_kind(batch):
            parts = self.losses(inputs, self.network(inputs, self.settings.masked))
            for name, part in parts.items():
                self.log(f"train/{name}", part, batch_size=len(rows))
            total = sum(part * self.weight(name) for name, part in parts.items())
            loss = loss + total * (len(rows) / count)
        self.log("train/loss", loss, prog_bar=True, batch_size=count)
        return loss

    def validation_step(self, batch: Mapping[str, Any], batch_idx: int) -> None:
        # The same patches are hidden each time.
        with torch.random.fork_rng():
            torch.manual_seed(_VALIDATION_SEED + batch_idx)
            for rows, inputs in by_kind(batch):
                restored = self.network(inputs, self.settings.masked)
                for name, part in self.losses(inputs, restored).items():
                    self.log(f"valid/{name}", part, batch_size=len(rows), sync_dist=True)
                if batch_idx == 0:
                    self._draw(inputs, restored)

    def losses(
        self, inputs: Mapping[str, Tensor], restored: Mapping[str, Reconstruction]
    ) -> dict[str, Tensor]:
        """The error of the hidden patches of each modality, and the contrast where there are both."""
        parts = {}
        for name, each in restored.items():
            target = to_patches(name, inputs[name].float(), self.network.sizes)
            if self.settings.normalized_patches:
                target = normalize_patches(target)
            parts[name] = masked_error(each.patches, target, each.hidden)
        if len(restored) == len(MODALITIES) and self.settings.contrast_weight:
            parts["contrast"] = contrast(restored[SOUND].summary, restored[VIDEO].summary)
        return parts

    def weight(self, name: str) -> float:
        return self.settings.contrast_weight if name == "contrast" else 1.0

    def _draw(self, inputs: Mapping[str, Tensor], restored: Mapping[str, Reconstruction]) -> None:
        if not isinstance(self.logger, TensorBoardLogger):
            return
        kind = "_".join(inputs)
        drawn = pictures(inputs, restored, self.network.sizes, self.settings.normalized_patches)
        for name, picture in drawn.items():
            self.logger.experiment.add_image(f"{kind}/{name}", picture, self.global_step, dataformats="HWC")

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        trained = [each for each in self.parameters() if each.requires_grad]
        if self.settings.schedule == "halving":
            return halving(trained, self.settings)
        return one_cycle(trained, self.settings, self.steps)


def pretrain(data: Loaders, settings: PretrainingSettings, resume: str) -> Path:
    """Pre-train as the settings say and return the file with the weights.

    Raises:
        ModelError: the weights to begin with cannot be read.
    """
    start(settings)
    network = new_network(settings.sizes, settings.weights)
    module = Pretraining(network, settings, data.steps(settings))
    folder = fit(module, data, settings, resume)
    path = folder / f"{settings.name}.safetensors"
    if module.trainer.is_global_zero:
        save_weights(network, path, asdict(settings))
        print(f"weights written to {path}")
    return path


def new_network(sizes: NetworkSizes, weights: str) -> SocialMae:
    """A network, with the weights of a checkpoint where there is one."""
    network = SocialMae(sizes)
    if weights:
        print(load_weights(network, Path(weights).expanduser()))
    return network
