"""Trains the laughter network on vocal bursts whose labels are noisy.

A burst that was recorded as amusement is mostly laughter, but not always, and some of the others are
laughter, too. So the loss is trimmed: after the first quarter of the training the rows of each batch with the
highest loss, a share of them, do not count, since wrong labels are among them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from social_perception.core.errors import ConfigurationError
from social_perception.perception.hearing.laughter import STATE
from social_perception.perception.smile.weights import to_half
from social_perception.research.training.checkpoints import resume_checkpoint
from social_perception.research.training.laughter_mixing import Mixtures, Sounds
from social_perception.research.training.laughter_network import LaughterNetwork
from social_perception.research.training.laughter_sounds import (
    LANGUAGES,
    Recordings,
    burst_name,
    read_folder,
    synthetic_sounds,
    synthetic_speech,
)
from social_perception.research.training.schedules import one_cycle
from social_perception.research.training.settings import from_mapping
from social_perception.research.training.trainers import make_trainer

AMUSEMENT = 2
LAST_SPEAKER = 250
"""Of EmoGator; its later speakers are for tests of others."""

_WARMUP = 0.25


@dataclass(frozen=True, slots=True)
class LaughterSettings:
    """A complete run, as in ``config/train_laughter.yaml``."""

    name: str = "small"
    seed: int = 1
    bursts: str = "sounds/emogator"
    """Folder of EmoGator's recordings, named as there: speaker-emotion-number.mp3."""
    held_out: tuple[int, int] = (101, 150)
    """Its first and last speaker who are not used."""
    speech: tuple[str, ...] = ("sounds/speech",)
    """Folders of recorded speech without laughter."""
    synthetic_speech: int = 300
    """Sentences of espeak-ng."""
    others: tuple[str, ...] = ("sounds/others",)
    """Folders of music and noise."""
    synthetic_sounds: int = 240
    """Noise, applause and music made by code."""
    trimmed: float = 0.05
    """Share of the rows of a batch, those with the highest loss, that do not count."""
    epochs: int = 25
    draws: int = 2400
    """Examples per epoch, of 3 s each."""
    batch: int = 24
    learning_rate: float = 4e-3
    weight_decay: float = 0.02
    threads: int = 1
    precision: str = "bf16-mixed"
    workers: int = 1
    cache: str = ".cache"
    output: str = "runs"

    def __post_init__(self) -> None:
        for name in ("epochs", "draws", "batch", "threads"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0.0 <= self.trimmed < 1.0:
            raise ConfigurationError(f"trimmed must be in [0, 1), got {self.trimmed}")
        if self.draws < self.batch:
            raise ConfigurationError(f"draws must be at least batch, got {self.draws} and {self.batch}")


def laughter_settings(values: Mapping[str, Any]) -> LaughterSettings:
    """Build the settings from the content of a YAML file.

    Raises:
        ConfigurationError: a setting is unknown or outside its range.
    """
    return from_mapping(
        LaughterSettings, {name: value for name, value in values.items() if name != "network"}
    )


class LaughterTraining(lightning.LightningModule):
    """Cross-entropy over the rows of mixed examples."""

    def __init__(self, network: LaughterNetwork, settings: LaughterSettings, steps: int) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.steps = steps

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> Tensor:
        frames, target, weight = batch
        logits = self.network(frames, frames.new_zeros(len(frames), STATE))[0].float()
        losses = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
        if self.global_step > self.steps * _WARMUP:
            weight = weight * (losses <= torch.quantile(losses.detach(), 1.0 - self.settings.trimmed))
        loss = (losses * weight).sum() / weight.sum()
        self.log("train/laughter_loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        return one_cycle(self.parameters(), self.settings, self.steps)


def read_bursts(folder: Path, held_out: tuple[int, int], cache: Path) -> Recordings:
    """The bursts for training: all of amusement, and a few of other emotions.

    Raises:
        SourceError: there are none.
    """
    return read_folder(folder, cache, partial(is_for_training, held_out=held_out))


def is_for_training(name: str, held_out: tuple[int, int]) -> bool:
    """Whether a recording of EmoGator is amusement, or one of the few others, of a speaker who is used."""
    parts = burst_name(name)
    if not parts:
        return False
    speaker, emotion, number = parts
    is_held_out = held_out[0] <= speaker <= held_out[1] or speaker > LAST_SPEAKER
    return not is_held_out and (emotion == AMUSEMENT or (number == 1 and (speaker + emotion) % 3 == 0))


def train_laughter(settings: LaughterSettings, resume: str) -> Path:
    """Train the network and return the file with its weights.

    Raises:
        SourceError: recordings are missing.
    """
    torch.set_num_threads(settings.threads)
    lightning.seed_everything(settings.seed, verbose=False)
    folder = Path(settings.output) / f"laughter_{settings.name}"
    mixtures = Mixtures(read_sounds(settings), settings.draws, settings.seed)
    loader = DataLoader(
        mixtures,
        settings.batch,
        num_workers=settings.workers,
        drop_last=True,
        worker_init_fn=_seed_worker,
        persistent_workers=settings.workers > 0,
    )
    network = LaughterNetwork()
    module = LaughterTraining(network, settings, settings.epochs * len(loader))
    trainer = make_trainer(folder, settings.epochs, settings.precision)
    trainer.fit(module, loader, ckpt_path=resume_checkpoint(folder, resume), weights_only=True)
    path = folder / f"laughter_{settings.name}.safetensors"
    tensors = {name: to_half(value) for name, value in network.state_dict().items()}
    save_file(tensors, path, {"training": json.dumps(asdict(settings))})
    print(f"weights written to {path}")
    return path


def read_sounds(settings: LaughterSettings) -> Sounds:
    """All recordings of a run.

    Raises:
        SourceError: recordings are missing.
    """
    cache = Path(settings.cache)
    bursts = read_bursts(Path(settings.bursts), settings.held_out, cache)
    laughs = np.array([int(name.split("-")[1]) == AMUSEMENT for name in bursts.names])
    speech = synthetic_speech(LANGUAGES, settings.synthetic_speech, cache, settings.seed)
    others = synthetic_sounds(settings.synthetic_sounds, cache, settings.seed)
    for each in settings.speech:
        speech += read_folder(Path(each), cache)
    for each in settings.others:
        others += read_folder(Path(each), cache)
    return Sounds(bursts, laughs, speech, others)


def _seed_worker(number: int) -> None:
    """Each worker draws examples of its own."""
    info = torch.utils.data.get_worker_info()
    assert info is not None
    info.dataset.reseed([info.seed % 2**32, number])  # type: ignore[attr-defined]
