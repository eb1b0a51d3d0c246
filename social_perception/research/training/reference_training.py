"""Trains the reference network on annotated videos as in the reference publication (a Lightning module)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassF1Score

from social_perception.core.errors import SourceError
from social_perception.perception.smile.networks import to_input
from social_perception.perception.smile.reference_network import LEVELS, ReferenceNetwork
from social_perception.perception.smile.vgg_face import load_vgg_face
from social_perception.perception.smile.weights import save_network
from social_perception.research.training.checkpoints import read_checkpoint, resume_checkpoint
from social_perception.research.training.elan_tiers import LEVEL_NAMES
from social_perception.research.training.reference_settings import ReferenceSettings
from social_perception.research.training.video_corpus import (
    FrameSequences,
    PersonFrames,
    class_balance,
    read_corpus,
    split_by_video,
)


class ReferenceTraining(lightning.LightningModule):
    """Cross-entropy over every frame of a sequence."""

    def __init__(self, network: ReferenceNetwork, settings: ReferenceSettings) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.f1 = MulticlassF1Score(LEVELS, average="macro")
        self.accuracy = MulticlassAccuracy(LEVELS, average="micro")
        self.confusion = MulticlassConfusionMatrix(LEVELS)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        loss = self._loss(batch)[0]
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        loss, levels = self._loss(batch)
        self.f1(levels, batch[1].flatten())
        self.log("valid/loss", loss, prog_bar=True, sync_dist=True)
        self.log("valid/f1", self.f1, prog_bar=True)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        loss, levels = self._loss(batch)
        for metric in (self.f1, self.accuracy, self.confusion):
            metric.update(levels, batch[1].flatten())
        self.log("test/loss", loss, sync_dist=True)
        self.log("test/f1", self.f1)
        self.log("test/accuracy", self.accuracy)

    def on_test_epoch_end(self) -> None:
        matrix = self.confusion.compute().tolist()
        rows = [
            f"{word:>8}" + "".join(f"{count:>8}" for count in row) for word, row in zip(LEVEL_NAMES, matrix)
        ]
        heading = " " * 8 + "".join(f"{word:>8}" for word in LEVEL_NAMES)
        self.print("\n".join(["test, annotated (rows) and predicted levels:", heading, *rows]))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer = torch.optim.Adam(self.parameters(), self.settings.learning_rate)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, self.settings.decay)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "epoch"}}

    def _loss(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        crops, levels = batch  # (B, T, 96, 96, 3), (B, T)
        logits, _ = self.network.level_logits(to_input(crops))
        logits = logits.float().flatten(0, 1)  # (B * T, 4)
        return functional.cross_entropy(logits, levels.flatten()), logits.argmax(dim=-1)


def train_reference(settings: ReferenceSettings, resume: str) -> Path:
    """Train the network and write the weights of the epoch with the lowest validation loss.

    Args:
        settings: the run.
        resume: ``auto`` resumes an earlier run, ``no`` starts a new one.

    Returns:
        The file with the weights.

    Raises:
        SourceError: the videos are missing or cannot be read, or a split has no sequence.
        ModelError: the VGG-Face weights or the checkpoint to resume from cannot be read.
    """
    torch.set_num_threads(settings.threads)
    lightning.seed_everything(settings.seed, verbose=False)
    network = ReferenceNetwork(settings.sizes)
    if settings.vgg_face:
        report = load_vgg_face(
            network,
            Path(settings.vgg_face).expanduser(),
            settings.vgg_face_input,
            settings.vgg_face_sha256,
        )
        print(report)
    train, validation, test = _loaders(settings)
    folder = Path(settings.output) / settings.name
    module = ReferenceTraining(network, settings)
    trainer, best = _trainer(settings, folder)
    checkpoint = resume_checkpoint(folder, resume)
    trainer.fit(module, train, validation, ckpt_path=checkpoint, weights_only=True)
    module.load_state_dict(read_checkpoint(Path(best.best_model_path))["state_dict"])
    if test is not None:
        trainer.test(module, test)
    path = folder / f"smile_{settings.name}.safetensors"
    save_network(network, path, asdict(settings))
    print(f"weights of the best epoch written to {path}")
    return path


Loader = DataLoader[tuple[Tensor, Tensor]]


def _loaders(settings: ReferenceSettings) -> tuple[Loader, Loader, Loader | None]:
    corpus = read_corpus(settings.videos, Path(settings.cache))
    split = split_by_video([person.video for person in corpus], settings.videos.shares, settings.seed)
    splits = {name: [p for p in corpus if p.video in getattr(split, name)] for name in split.__slots__}
    print(class_balance(splits))
    train, validation = (_loader(name, splits[name], settings) for name in ("train", "validation"))
    return train, validation, _loader("test", splits["test"], settings) if splits["test"] else None


def _loader(name: str, people: Sequence[PersonFrames], settings: ReferenceSettings) -> Loader:
    sequences = FrameSequences(people, settings.sequence, settings.videos.max_gap_s)
    if not len(sequences):
        raise SourceError(f"the {name} videos have no {settings.sequence} consecutive frames with a face")
    at_once = min(settings.at_once, settings.batch)
    return DataLoader(sequences, at_once, shuffle=name == "train", num_workers=settings.workers)


def _trainer(settings: ReferenceSettings, folder: Path) -> tuple[lightning.Trainer, ModelCheckpoint]:
    best = ModelCheckpoint(folder, "best", monitor="valid/loss", enable_version_counter=False)
    trainer = lightning.Trainer(
        max_epochs=settings.epochs,
        precision=settings.precision,  # type: ignore[arg-type]
        accelerator="auto",
        devices=settings.devices,
        accumulate_grad_batches=max(1, settings.batch // settings.at_once),
        callbacks=[
            best,
            ModelCheckpoint(folder, "last", enable_version_counter=False),  # for resuming
            EarlyStopping("valid/loss", mode="min", patience=settings.patience),
            EarlyStopping("valid/f1", mode="max", patience=settings.patience),
            LearningRateMonitor("epoch"),
            TQDMProgressBar(refresh_rate=1),
        ],
        logger=TensorBoardLogger(folder.parent, name="", version=folder.name),
        num_sanity_val_steps=0,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    return trainer, best
