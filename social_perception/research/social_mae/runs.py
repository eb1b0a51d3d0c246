"""One training run of the Social-MAE: its batches, and Lightning's trainer, on one process or many."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader, Dataset, IterableDataset

from social_perception.core.errors import ConfigurationError
from social_perception.research.social_mae.examples import Example, collate
from social_perception.research.social_mae.recordings import TRAIN, VALIDATION
from social_perception.research.social_mae.settings import RAY, RunSettings
from social_perception.research.social_mae.shard_files import read_index
from social_perception.research.social_mae.streaming import ShardLoader, ShardStream
from social_perception.research.training.checkpoints import resume_checkpoint

if TYPE_CHECKING:
    from lightning.fabric.plugins import ClusterEnvironment
    from lightning.pytorch.strategies import Strategy

Examples = Dataset[Example] | IterableDataset[Example] | Sequence[Example]


@dataclass(frozen=True, slots=True)
class Loaders:
    """Batches for training and for validation; ``valid`` is None where no people are held out for it."""

    train: DataLoader[Any]
    valid: DataLoader[Any] | None

    def steps(self, settings: RunSettings) -> int:
        """Steps of the whole training."""
        return settings.epochs * math.ceil(len(self.train) / settings.accumulate)


def batches(train: Examples, valid: Examples | None, settings: RunSettings) -> Loaders:
    """Make batches of examples.

    Raises:
        ConfigurationError: there are not enough examples for one batch.
    """

    def loader(examples: Examples, shuffle: bool) -> DataLoader[Any]:
        shuffle = shuffle and not isinstance(examples, IterableDataset)  # a stream is in random order
        return DataLoader(
            examples,  # type: ignore[arg-type]
            settings.batch,
            shuffle=shuffle,
            drop_last=examples is train,
            num_workers=settings.workers,
            persistent_workers=settings.workers > 0,
            collate_fn=partial(collate, shape=settings.sizes.shape),
        )

    made = Loaders(loader(train, True), None if valid is None else loader(valid, False))
    if not len(made.train):
        raise ConfigurationError(f"batch must be at most the number of examples, got {settings.batch}")
    return made


def stream(settings: RunSettings) -> Loaders:
    """Batches of the shards; there is no validation where they have no people for it.

    Raises:
        SourceError: there are no shards.
    """
    folders = [Path(each).expanduser() for each in settings.shards]
    shape = settings.sizes.shape
    train = ShardStream(folders, TRAIN, shape.bins, settings.seed, settings.batch)
    has_valid = any(read_index(folder).count(VALIDATION) for folder in folders)
    valid = ShardStream(folders, VALIDATION, shape.bins, batch=settings.batch) if has_valid else None
    return Loaders(
        ShardLoader(train, shape, settings.workers),
        None if valid is None else ShardLoader(valid, shape, settings.workers),
    )


def start(settings: RunSettings) -> None:
    """Set the threads and the seed."""
    torch.set_num_threads(settings.threads)
    lightning.seed_everything(settings.seed, verbose=False)


def fit(
    module: lightning.LightningModule, data: Loaders, settings: RunSettings, resume: str, best: str = ""
) -> Path:
    """Train and return the folder of the run, with ``last.ckpt``.

    Args:
        module: what is trained, in place.
        data: its batches.
        settings: of the run.
        resume: ``auto``: go on after the last epoch of an earlier run.
        best: a figure of the validation; the weights of the epoch in which it is highest are kept.
    """
    folder = Path(settings.output) / settings.name
    newest = ModelCheckpoint(folder, filename="{epoch}", save_last=True)
    keeper = ModelCheckpoint(folder / "best", monitor=best or None, mode="max")
    keeps_best = bool(best and data.valid)
    strategy, plugins = _strategy(settings)
    trainer = lightning.Trainer(
        max_epochs=settings.epochs,
        precision=settings.precision,  # type: ignore[arg-type]
        accelerator="auto",
        devices="auto" if settings.engine == RAY else settings.devices,
        num_nodes=settings.nodes,
        strategy=strategy,
        plugins=[*plugins],
        accumulate_grad_batches=settings.accumulate,
        callbacks=[
            newest,
            LearningRateMonitor(),
            TQDMProgressBar(refresh_rate=20),
            *([keeper] if keeps_best else []),
        ],
        logger=TensorBoardLogger(folder.parent, name="", version=folder.name),
        gradient_clip_val=1.0,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        enable_model_summary=False,
    )
    if isinstance(data.train, ShardLoader):
        data.train.epoch = lambda: trainer.current_epoch
    trainer.fit(
        module, data.train, data.valid, ckpt_path=resume_checkpoint(folder, resume), weights_only=True
    )
    if keeps_best and keeper.best_model_path:
        state = torch.load(keeper.best_model_path, map_location=module.device, weights_only=True)
        module.load_state_dict(state["state_dict"])
    return folder


def _strategy(settings: RunSettings) -> tuple[Strategy | str, list[ClusterEnvironment]]:
    if settings.engine == RAY:
        from ray.train.lightning import RayDDPStrategy, RayLightningEnvironment

        return RayDDPStrategy(find_unused_parameters=True), [RayLightningEnvironment()]
    # A batch may have no video, or no sound.
    return "ddp_find_unused_parameters_true" if _processes(settings) > 1 else "auto", []


def _processes(settings: RunSettings) -> int:
    each = torch.cuda.device_count() if settings.devices == "auto" else int(settings.devices)
    return max(each * settings.nodes, int(os.environ.get("WORLD_SIZE", "1")))
