"""The optimizers of the trainings: AdamW, its learning rate rising once and falling, and a halving Adam."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig

from social_perception.core.errors import ConfigurationError

RISE = 0.3
"""Share of the steps in which the learning rate rises."""

HALVED_FROM, HALVED_EVERY, LAST_EPOCH = 10, 5, 1000


class OptimizerSettings(Protocol):
    """What the settings of a training say about its optimizer."""

    @property
    def learning_rate(self) -> float:
        """The highest learning rate."""

    @property
    def weight_decay(self) -> float:
        """The weight decay, where a group of parameters has none of its own."""


class OneCycle(torch.optim.lr_scheduler.OneCycleLR):
    """A one-cycle schedule that is resumed with the number of steps that it began with."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state of the run that is resumed.

        Raises:
            ConfigurationError: that run has another number of steps.
        """
        if state_dict["total_steps"] != self.total_steps:
            raise ConfigurationError(
                f"a one-cycle training is resumed with the epochs, batch and data that it began with: it has "
                f"{state_dict['total_steps']} steps, got settings for {self.total_steps}; choose another name"
            )
        super().load_state_dict(state_dict)


def one_cycle(
    parameters: Iterable[torch.Tensor] | Iterable[Mapping[str, Any]],
    settings: OptimizerSettings,
    steps: int,
    rise: float = RISE,
) -> OptimizerLRSchedulerConfig:
    """Return AdamW with the one-cycle schedule, which changes in every step (L. Smith and N. Topin, 2018).

    Args:
        parameters: to be trained, or groups of them, which may have an ``lr`` of their own.
        settings: of the training.
        steps: of the whole training.
        rise: share of the steps in which the learning rate rises.
    """
    rate = settings.learning_rate
    optimizer = torch.optim.AdamW(parameters, rate, weight_decay=settings.weight_decay)  # type: ignore[arg-type]
    rates = [group["lr"] for group in optimizer.param_groups]
    schedule = OneCycle(optimizer, rates, total_steps=steps, pct_start=rise)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def halving(
    parameters: Iterable[torch.Tensor] | Iterable[Mapping[str, Any]], settings: OptimizerSettings
) -> OptimizerLRSchedulerConfig:
    """Return Adam whose learning rate halves every 5 epochs from the 10th, as CAV-MAE and Social-MAE use it.

    Args:
        parameters: to be trained, or groups of them.
        settings: of the training.
    """
    optimizer = torch.optim.Adam(
        parameters,  # type: ignore[arg-type]
        settings.learning_rate,
        betas=(0.95, 0.999),
        weight_decay=settings.weight_decay,
    )
    epochs = range(HALVED_FROM, LAST_EPOCH, HALVED_EVERY)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, list(epochs), gamma=0.5)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "epoch"}}
