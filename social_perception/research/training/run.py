"""``social-perception train CONFIG``: trains a network on the data sets and writes its weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import (
    EarlyStopping,
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
    TQDMProgressBar,
)
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from social_perception.core.errors import ConfigurationError
from social_perception.perception.smile.networks import NetworkConfig, SmileNetwork
from social_perception.perception.smile.weights import save_network
from social_perception.research.training.checkpoints import resume_checkpoint
from social_perception.research.training.clip_sequences import clip_faces
from social_perception.research.training.faces import TrainingFaces, training_faces
from social_perception.research.training.reference_settings import reference_settings
from social_perception.research.training.reference_training import train_reference
from social_perception.research.training.sequences import ChainedSequences, feature_sequences
from social_perception.research.training.settings import (
    MemorySettings,
    StillSettings,
    TrainSettings,
    read_yaml,
    train_settings,
    without_sets,
)
from social_perception.research.training.still_training import (
    StillTraining,
    calibrate,
    distill_targets,
    still_loader,
    validation_loader,
)
from social_perception.research.training.stills import read_stills

Stage = Callable[[TrainSettings, Path, str], None]
"""Trains one stage: settings, folder, ``resume``."""

VALIDATION_SET = "ferplus_valid"
CHAIN_LENGTH = 3
"""Sequences chained into one example for the memory."""


def main(config_path: Path | str, resume: str = "no", without: Sequence[str] = ()) -> Path:
    """Train the network that a YAML file describes and return the file with its weights.

    Args:
        config_path: a file like ``config/train_small.yaml`` or ``config/train_reference.yaml``; its
            setting ``network`` selects the network.
        resume: ``auto`` continues after the last finished epoch of an earlier run; ``no`` starts a new one.
        without: data sets to exclude from the training of the small network, so that it can be tested on
            them; they become part of the run's name.

    Raises:
        ConfigurationError: the file cannot be read or has an unknown setting, or ``resume`` or ``without``
            is invalid.
        SourceError: the training data is missing.
    """
    if resume not in ("auto", "no"):
        raise ConfigurationError(f"resume must be auto or no, got {resume}")
    values = read_yaml(Path(config_path))
    network = values.get("network", "small")
    if network == "small":
        return train_small(without_sets(train_settings(values), without), resume)
    if network != "reference":
        raise ConfigurationError(f"network must be small or reference, got {network}")
    if without:
        raise ConfigurationError("without is supported for the small network only")
    return train_reference(reference_settings(values), resume)


def train_small(settings: TrainSettings, resume: str) -> Path:
    """Train the small network on the still faces and return the file with its weights."""
    torch.set_num_threads(settings.threads)
    lightning.seed_everything(settings.seed, verbose=False)
    folder = Path(settings.output) / settings.name
    faces = training_faces(settings.sets, Path(settings.cache))
    if settings.teacher.trust > 0:
        teacher = SmileNetwork(NetworkConfig(channels=settings.teacher.channels))
        _train_on_stills(teacher, faces, settings, folder / "teacher", resume)
        calibrate(teacher, faces)
        faces = distill_targets(faces, teacher, settings.teacher.trust)
    lightning.seed_everything(settings.seed, verbose=False)  # the same state with and without a teacher
    network = SmileNetwork()
    _train_on_stills(network, faces, settings, folder, resume)
    _run_stage(network, folder / "memory", settings, resume, partial(train_memory, network, faces))
    calibrate(network, faces)
    path = folder / f"smile_{settings.name}.safetensors"
    save_network(network, path, asdict(settings))
    print(f"weights written to {path}")
    return path


def _train_on_stills(
    network: SmileNetwork, faces: TrainingFaces, settings: TrainSettings, folder: Path, resume: str
) -> None:
    """Pre-train and fine-tune the network in place."""
    for name, stage in (("pretrain", settings.pretrain), ("finetune", settings.finetune)):
        _run_stage(network, folder / name, settings, resume, partial(train_still, network, faces, stage))


def _run_stage(
    network: SmileNetwork, folder: Path, settings: TrainSettings, resume: str, train: Stage
) -> None:
    """Run one stage, or load its result if an earlier run finished it."""
    finished = folder / "finished.safetensors"
    if resume == "auto" and finished.is_file():
        network.load_state_dict(load_file(finished))
        print(f"{folder}: loaded from {finished}")
        return
    print(f"{folder}: started")
    lightning.seed_everything(settings.seed, verbose=False)
    train(settings, folder, resume)
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, finished)


def train_still(
    network: SmileNetwork,
    faces: TrainingFaces,
    stage: StillSettings,
    settings: TrainSettings,
    folder: Path,
    resume: str,
) -> None:
    """Train one stage on single images; the network is changed in place."""
    loader = still_loader(faces, stage, settings.seed)
    module = StillTraining(network, stage, steps=stage.epochs * len(loader))
    module.to(memory_format=torch.channels_last)
    trainer = _trainer(
        settings,
        stage.epochs,
        folder,
        EMAWeightAveraging(decay=stage.ema_decay, use_buffers=True),
        EarlyStopping("valid/auc", mode="max", patience=stage.patience),
    )
    valid = validation_loader(read_stills(VALIDATION_SET, Path(settings.cache)))
    trainer.fit(module, loader, valid, ckpt_path=resume_checkpoint(folder, resume), weights_only=True)


class MemoryTraining(lightning.LightningModule):
    """Trains the GRU on chained feature sequences; all frames have the same weight in the loss."""

    def __init__(self, network: SmileNetwork, settings: MemorySettings, steps: int) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.steps = steps

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        features, above = batch
        logits = self.network.over_time(features)[0]
        loss = functional.binary_cross_entropy_with_logits(logits, above)
        self.log("train/memory_loss", loss, prog_bar=True)
        with torch.no_grad():
            single_frame = self.network.head(self.network.score_now(features))
            self.log(
                "train/loss_without_memory",
                functional.binary_cross_entropy_with_logits(single_frame, above),
                prog_bar=True,
            )
        return loss

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        network, settings = self.network, self.settings
        trained = [*network.memory.parameters(), *network.score_memory.parameters()]
        optimizer = torch.optim.AdamW(trained, settings.learning_rate, weight_decay=settings.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, settings.learning_rate, total_steps=self.steps
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def train_memory(
    network: SmileNetwork, faces: TrainingFaces, settings: TrainSettings, folder: Path, resume: str
) -> None:
    """Train the memory on sequences; the CNN and the single-frame score are frozen."""
    loader = _memory_loader(network, faces, settings.memory, settings.seed, Path(settings.cache))
    module = MemoryTraining(network, settings.memory, steps=settings.memory.epochs * len(loader))
    trainer = _trainer(settings, settings.memory.epochs, folder)
    trainer.fit(module, loader, ckpt_path=resume_checkpoint(folder, resume), weights_only=True)


def _memory_loader(
    network: SmileNetwork, faces: TrainingFaces, settings: MemorySettings, seed: int, cache: Path
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Return batches of chained feature sequences, rendered and encoded once."""
    clips = clip_faces(cache) if settings.clip_share else None
    sequences = feature_sequences(network, faces, settings, seed, clips)
    return DataLoader(
        ChainedSequences(sequences, CHAIN_LENGTH, seed), settings.batch, shuffle=True, drop_last=True
    )


def _trainer(
    settings: TrainSettings, epochs: int, folder: Path, *callbacks: lightning.Callback
) -> lightning.Trainer:
    newest = ModelCheckpoint(folder, filename="{epoch}", save_last=True)
    return lightning.Trainer(
        max_epochs=epochs,
        precision=settings.precision if folder.name != "memory" else "32-true",  # type: ignore[arg-type]
        accelerator="auto",
        devices=settings.devices,
        callbacks=[newest, LearningRateMonitor("step"), TQDMProgressBar(refresh_rate=20), *callbacks],
        logger=TensorBoardLogger(folder.parent, name="", version=folder.name),
        gradient_clip_val=1.0,
        num_sanity_val_steps=0,
        enable_model_summary=False,
    )
