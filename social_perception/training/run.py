"""``social-perception train CONFIG``: from the data sets to a file of weights."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import (
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
    TQDMProgressBar,
)
from lightning.pytorch.loggers import TensorBoardLogger

from social_perception.core.errors import ConfigurationError
from social_perception.smile.networks import SmileNetwork
from social_perception.smile.weights import save_network
from social_perception.training.calibration import calibrate
from social_perception.training.faces import TrainingFaces, training_faces
from social_perception.training.memory_training import MemoryTraining, memory_loader
from social_perception.training.reference_settings import reference_settings
from social_perception.training.reference_training import train_reference
from social_perception.training.settings import StillSettings, TrainSettings, read_yaml, train_settings
from social_perception.training.still_training import StillTraining, still_loader, validation_loader
from social_perception.training.stills import read_stills

VALIDATION_SET = "ferplus_valid"


def main(config_path: Path | str, resume: str = "no") -> Path:
    """Train the network that a YAML file describes and return the file with its weights.

    Args:
        config_path: a file like ``config/train_small.yaml`` or ``config/train_reference.yaml``; its
            setting ``network`` says which network it is about.
        resume: ``auto`` goes on after the last epoch that an earlier run finished; ``no`` starts anew.

    Raises:
        ConfigurationError: the file cannot be read, has an unknown setting, or ``resume`` is another word.
        SourceError: the training data is missing.
    """
    if resume not in ("auto", "no"):
        raise ConfigurationError(f"resume must be auto or no, got {resume}")
    values = read_yaml(Path(config_path))
    network = values.get("network", "small")
    if network == "reference":
        return train_reference(reference_settings(values), resume)
    if network != "small":
        raise ConfigurationError(f"network must be small or reference, got {network}")
    return train_small(train_settings(values), resume)


def train_small(settings: TrainSettings, resume: str) -> Path:
    """Train the small network on the still faces and return the file with its weights."""
    torch.set_num_threads(settings.threads)
    folder = Path(settings.output) / settings.name
    faces = training_faces(settings.sets, Path(settings.cache))
    network = SmileNetwork()
    for stage in ("pretrain", "finetune", "memory"):
        _run_stage(network, faces, settings, folder / stage, resume)
    calibrate(network, faces)
    path = folder / f"smile_{settings.name}.safetensors"
    save_network(network, path, asdict(settings))
    print(f"weights written to {path}")
    return path


def _run_stage(
    network: SmileNetwork, faces: TrainingFaces, settings: TrainSettings, folder: Path, resume: str
) -> None:
    """Run one stage, or take its result over from an earlier run that finished it."""
    finished = folder / "finished.pt"
    if resume == "auto" and finished.is_file():
        network.load_state_dict(torch.load(finished, weights_only=True))
        print(f"{folder.name}: taken from {finished}")
        return
    lightning.seed_everything(settings.seed, verbose=False)
    train = train_memory if folder.name == "memory" else train_still
    train(network, faces, settings, folder, resume)
    torch.save(network.state_dict(), finished)


def train_still(
    network: SmileNetwork, faces: TrainingFaces, settings: TrainSettings, folder: Path, resume: str
) -> None:
    """One stage on single pictures; the stage is named by its folder. The network is changed in place."""
    stage: StillSettings = getattr(settings, folder.name)
    loader = still_loader(faces, stage, settings.seed)
    module = StillTraining(network, stage, steps=stage.epochs * len(loader))
    module.to(memory_format=torch.channels_last)
    trainer = _trainer(
        settings, stage.epochs, folder, EMAWeightAveraging(decay=stage.ema_decay, use_buffers=True)
    )
    valid = validation_loader(read_stills(VALIDATION_SET, Path(settings.cache)))
    trainer.fit(module, loader, valid, ckpt_path=_last(folder, resume), weights_only=False)


def train_memory(
    network: SmileNetwork, faces: TrainingFaces, settings: TrainSettings, folder: Path, resume: str
) -> None:
    """The stage on sequences; the CNN and the single-frame score stay as they are."""
    loader = memory_loader(network, faces, settings.memory, settings.seed)
    module = MemoryTraining(network, settings.memory, steps=settings.memory.epochs * len(loader))
    trainer = _trainer(settings, settings.memory.epochs, folder)
    trainer.fit(module, loader, ckpt_path=_last(folder, resume), weights_only=False)


def _trainer(
    settings: TrainSettings, epochs: int, folder: Path, *callbacks: lightning.Callback
) -> lightning.Trainer:
    kept = ModelCheckpoint(folder, filename="{epoch}", save_last=True)  # the newest only
    return lightning.Trainer(
        max_epochs=epochs,
        precision=settings.precision if folder.name != "memory" else "32-true",  # type: ignore[arg-type]
        accelerator="auto",
        callbacks=[kept, LearningRateMonitor("step"), TQDMProgressBar(refresh_rate=20), *callbacks],
        logger=TensorBoardLogger(folder.parent, name="", version=folder.name),
        gradient_clip_val=1.0,
        num_sanity_val_steps=0,
        enable_model_summary=False,
    )


def _last(folder: Path, resume: str) -> Path | None:
    last = folder / "last.ckpt"
    return last if resume == "auto" and last.is_file() else None
