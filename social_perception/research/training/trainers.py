"""The trainer of the small networks' runs: a checkpoint per epoch, and a log for TensorBoard."""

from __future__ import annotations

from pathlib import Path

import lightning
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger


def make_trainer(
    folder: Path, epochs: int, precision: str, *callbacks: lightning.Callback, devices: str | int = 1
) -> lightning.Trainer:
    """Return a trainer that writes a checkpoint per epoch to a folder, and its log for TensorBoard beside it.

    Args:
        folder: of the run.
        epochs: of the run.
        precision: as Lightning names it.
        callbacks: further ones.
        devices: how many GPUs or processes, or ``auto``.
    """
    newest = ModelCheckpoint(folder, filename="{epoch}", save_last=True)
    return lightning.Trainer(
        max_epochs=epochs,
        precision=precision,  # type: ignore[arg-type]
        accelerator="auto",
        devices=devices,
        callbacks=[newest, LearningRateMonitor("step"), TQDMProgressBar(refresh_rate=20), *callbacks],
        logger=TensorBoardLogger(folder.parent, name="", version=folder.name),
        gradient_clip_val=1.0,
        num_sanity_val_steps=0,
        enable_model_summary=False,
    )
