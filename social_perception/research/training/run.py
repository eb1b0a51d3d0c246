"""``social-perception train CONFIG``: from the data sets to a file of weights."""

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
from safetensors.torch import load_file, save_file

from social_perception.core.errors import ConfigurationError
from social_perception.perception.smile.networks import NetworkConfig, SmileNetwork
from social_perception.perception.smile.weights import save_network
from social_perception.research.training.calibration import calibrate
from social_perception.research.training.checkpoints import to_go_on_from
from social_perception.research.training.distillation import taught
from social_perception.research.training.faces import TrainingFaces, training_faces
from social_perception.research.training.memory_training import MemoryTraining, memory_loader
from social_perception.research.training.reference_settings import reference_settings
from social_perception.research.training.reference_training import train_reference
from social_perception.research.training.settings import (
    StillSettings,
    TrainSettings,
    read_yaml,
    train_settings,
    without_sets,
)
from social_perception.research.training.still_training import StillTraining, still_loader, validation_loader
from social_perception.research.training.stills import read_stills

Stage = Callable[[TrainSettings, Path, str], None]
"""What trains: settings, folder, whether to resume."""

VALIDATION_SET = "ferplus_valid"


def main(config_path: Path | str, resume: str = "no", without: Sequence[str] = ()) -> Path:
    """Train the network that a YAML file describes and return the file with its weights.

    Args:
        config_path: a file like ``config/train_small.yaml`` or ``config/train_reference.yaml``; its
            setting ``network`` says which network it is about.
        resume: ``auto`` goes on after the last epoch that an earlier run finished; ``no`` starts anew.
        without: data sets to leave out of the training of the small network, so that they measure it;
            the run's name tells them.

    Raises:
        ConfigurationError: the file cannot be read, has an unknown setting, or ``resume`` or ``without``
            is another word.
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
        raise ConfigurationError("only the sets of the small network can be left out")
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
        faces = taught(faces, teacher, settings.teacher.trust)
    lightning.seed_everything(settings.seed, verbose=False)  # whether or not a teacher came before
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
    """Pre-training and fine-tuning; the network is changed in place."""
    for name, stage in (("pretrain", settings.pretrain), ("finetune", settings.finetune)):
        _run_stage(network, folder / name, settings, resume, partial(train_still, network, faces, stage))


def _run_stage(
    network: SmileNetwork, folder: Path, settings: TrainSettings, resume: str, train: Stage
) -> None:
    """Run one stage, or take its result over from an earlier run that finished it."""
    finished = folder / "finished.safetensors"
    if resume == "auto" and finished.is_file():
        network.load_state_dict(load_file(finished))
        print(f"{folder}: taken from {finished}")
        return
    print(f"{folder}: begins")
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
    """One stage on single pictures. The network is changed in place."""
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
    trainer.fit(module, loader, valid, ckpt_path=to_go_on_from(folder, resume), weights_only=True)


def train_memory(
    network: SmileNetwork, faces: TrainingFaces, settings: TrainSettings, folder: Path, resume: str
) -> None:
    """The stage on sequences; the CNN and the single-frame score stay as they are."""
    loader = memory_loader(network, faces, settings.memory, settings.seed, Path(settings.cache))
    module = MemoryTraining(network, settings.memory, steps=settings.memory.epochs * len(loader))
    trainer = _trainer(settings, settings.memory.epochs, folder)
    trainer.fit(module, loader, ckpt_path=to_go_on_from(folder, resume), weights_only=True)


def _trainer(
    settings: TrainSettings, epochs: int, folder: Path, *callbacks: lightning.Callback
) -> lightning.Trainer:
    kept = ModelCheckpoint(folder, filename="{epoch}", save_last=True)  # the newest only
    return lightning.Trainer(
        max_epochs=epochs,
        precision=settings.precision if folder.name != "memory" else "32-true",  # type: ignore[arg-type]
        accelerator="auto",
        devices=settings.devices,
        callbacks=[kept, LearningRateMonitor("step"), TQDMProgressBar(refresh_rate=20), *callbacks],
        logger=TensorBoardLogger(folder.parent, name="", version=folder.name),
        gradient_clip_val=1.0,
        num_sanity_val_steps=0,
        enable_model_summary=False,
    )
