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
)
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional
from torch.utils.data import ConcatDataset, DataLoader, Dataset, TensorDataset

from social_perception.core.errors import ConfigurationError
from social_perception.perception.smile.networks import Aligner, NetworkConfig, SmileNetwork
from social_perception.perception.smile.weights import load_aligner, load_network, save_network, shipped_path
from social_perception.research.evaluation.speakers import train_speakers
from social_perception.research.social_mae import train as social_mae
from social_perception.research.training.alignment import AlignerTraining, RolledFaces, landmark_faces
from social_perception.research.training.checkpoints import resume_checkpoint
from social_perception.research.training.clip_sequences import clip_faces
from social_perception.research.training.faces import TrainingFaces, training_faces, with_talking
from social_perception.research.training.laughter_training import laughter_settings, train_laughter
from social_perception.research.training.mouth_training import train_mouth
from social_perception.research.training.reference_settings import reference_settings
from social_perception.research.training.reference_training import train_reference
from social_perception.research.training.scene_training import scene_settings, train_scene
from social_perception.research.training.schedules import one_cycle
from social_perception.research.training.sequences import (
    ChainedSequences,
    feature_sequences,
    talking_sequences,
)
from social_perception.research.training.settings import (
    AlignerSettings,
    MemorySettings,
    StillSettings,
    TrainSettings,
    aligner_settings,
    read_yaml,
    train_settings,
    with_changes,
    without_sets,
)
from social_perception.research.training.still_training import (
    StillTraining,
    calibrate,
    distill_targets,
    mix_targets,
    read_outputs,
    still_loader,
    validation_loader,
)
from social_perception.research.training.stills import read_stills
from social_perception.research.training.talking import TALKING, TalkingFaces, talking_faces
from social_perception.research.training.trainers import make_trainer

Stage = Callable[[TrainSettings, Path, str], None]
"""Trains one stage: settings, folder, ``resume``."""

VALIDATION_SET = "ferplus_valid"
SHIPPED = "shipped"
CHAIN_LENGTH = 3
"""Sequences chained into one example for the memory."""


def main(
    config_path: Path | str, resume: str = "no", without: Sequence[str] = (), changes: Sequence[str] = ()
) -> Path:
    """Train the network that a YAML file describes and return the file with its weights.

    Args:
        config_path: a file like ``config/train_small.yaml``; its setting ``network`` selects the network:
            ``small``, ``aligner``, ``reference``, ``laughter``, ``scene``, ``speakers``, or one of the
            Social-MAE, :data:`social_perception.research.social_mae.train.NETWORKS`.
        resume: ``auto`` continues after the last finished epoch of an earlier run; ``no`` starts a new one.
        without: data sets to exclude from the training of the small network, so that it can be tested on
            them; they become part of the run's name.
        changes: ``NAME=VALUE``, settings that replace those of the file.

    Raises:
        ConfigurationError: the file cannot be read or has an unknown setting, or ``resume`` or ``without``
            is invalid.
        SourceError: the training data is missing.
    """
    if resume not in ("auto", "no"):
        raise ConfigurationError(f"resume must be auto or no, got {resume}")
    values = with_changes(read_yaml(Path(config_path)), changes)
    network = values.get("network", "small")
    if network == "small":
        return train_small(without_sets(train_settings(values), without), resume)
    networks = ("small", "aligner", "reference", "laughter", "scene", "speakers", *social_mae.NETWORKS)
    if network not in networks:
        raise ConfigurationError(f"network must be one of {', '.join(networks)}, got {network}")
    if without:
        raise ConfigurationError("without is supported for the small network only")
    if network == "aligner":
        return train_aligner(aligner_settings(values), resume)
    if network == "laughter":
        return train_laughter(laughter_settings(values), resume)
    if network == "scene":
        return train_scene(scene_settings(values), resume)
    if network == "speakers":
        return train_speakers(Path(values.get("output", "runs")))
    if network in social_mae.NETWORKS:
        return social_mae.train(network, values, resume)
    return train_reference(reference_settings(values), resume)


def train_aligner(settings: AlignerSettings, resume: str) -> Path:
    """Train the alignment of the small network and return the file with its weights."""
    torch.set_num_threads(settings.threads)
    lightning.seed_everything(settings.seed, verbose=False)
    faces = landmark_faces(settings.sets, Path(settings.points))
    crops = RolledFaces(faces, settings.draws, settings.seed)
    loader = DataLoader(crops, settings.batch, num_workers=1, drop_last=True, persistent_workers=True)
    module = AlignerTraining(Aligner(), settings, steps=settings.epochs * len(loader))
    folder = Path(settings.output) / settings.name
    trainer = make_trainer(folder, settings.epochs, settings.precision, devices=settings.devices)
    trainer.fit(module, loader, ckpt_path=resume_checkpoint(folder, resume), weights_only=True)
    path = folder / f"{settings.name}.safetensors"
    save_file({name: each.contiguous() for name, each in module.aligner.state_dict().items()}, path)
    print(f"weights written to {path}")
    return path


def train_small(settings: TrainSettings, resume: str) -> Path:
    """Train the small network on the still faces and return the file with its weights."""
    torch.set_num_threads(settings.threads)
    lightning.seed_everything(settings.seed, verbose=False)
    folder = Path(settings.output) / settings.name
    cache = Path(settings.cache)
    aligner = load_aligner(Path(settings.aligner).expanduser() if settings.aligner else shipped_path())
    faces = training_faces(settings.sets, cache, aligner)
    talking = talking_faces(cache, settings.without_clips) if TALKING in settings.sets else None
    if talking is not None:
        faces = with_talking(faces, talking)
    network = starting_network(settings.start) if settings.start else _new_network(aligner)
    on_stills = not settings.start or settings.finetune.epochs > 0
    if on_stills:
        if settings.start:
            faces = distill_targets(faces, network, settings.teacher.trust)
        else:
            faces = _with_teacher(faces, aligner, settings, folder / "teacher", resume)
        lightning.seed_everything(settings.seed, verbose=False)  # the same state with and without a teacher
        _train_on_stills(network, faces, settings, folder, resume)
    if settings.memory.epochs:
        memory = partial(train_memory, network, faces, talking)
        _run_stage(network, folder / "memory", settings, resume, memory)
    if settings.mouth.draws:
        train_mouth(network, faces, settings.mouth, settings.seed)
    if on_stills:
        calibrate(network, faces)
    path = folder / f"smile_{settings.name}.safetensors"
    clips = [] if talking is None else sorted(set(map(str, talking.clip)))
    save_network(network, path, {**asdict(settings), "clips": clips})
    print(f"weights written to {path}")
    return path


def starting_network(file: str) -> SmileNetwork:
    """Load the network that a run starts from, to be trained except for its alignment.

    Raises:
        ModelError: the file is missing or damaged.
        ConfigurationError: it is another network.
    """
    network = load_network(shipped_path() if file == SHIPPED else Path(file).expanduser())
    if not isinstance(network, SmileNetwork):
        raise ConfigurationError(f"start must be a file of the small network, got {file}")
    network.requires_grad_(True)
    network.encoder.aligner.requires_grad_(False)
    return network


def _with_teacher(
    faces: TrainingFaces, aligner: Aligner, settings: TrainSettings, folder: Path, resume: str
) -> TrainingFaces:
    """Mix the outputs of the teacher, which is trained first, into the targets."""
    if settings.teacher.trust == 0:
        return faces
    if settings.teacher.outputs:
        outputs = read_outputs(Path(settings.teacher.outputs), faces)
        return mix_targets(faces, outputs, settings.teacher.trust)
    teacher = _new_network(aligner, NetworkConfig(channels=settings.teacher.channels))
    _train_on_stills(teacher, faces, settings, folder, resume)
    calibrate(teacher, faces)
    return distill_targets(faces, teacher, settings.teacher.trust)


def _new_network(aligner: Aligner, config: NetworkConfig | None = None) -> SmileNetwork:
    """Return an untrained network with a trained alignment, which stays as it is."""
    network = SmileNetwork(config)
    network.encoder.aligner = aligner.requires_grad_(False)
    return network


def _train_on_stills(
    network: SmileNetwork, faces: TrainingFaces, settings: TrainSettings, folder: Path, resume: str
) -> None:
    """Pre-train the network, unless it is a trained one, and fine-tune it, in place."""
    stages = {"pretrain": settings.pretrain, "finetune": settings.finetune}
    if settings.start:
        del stages["pretrain"]
    for name, stage in stages.items():
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
    module = StillTraining(network.train(), stage, steps=stage.epochs * len(loader))
    module.to(memory_format=torch.channels_last)
    trainer = make_trainer(
        folder,
        stage.epochs,
        settings.precision,
        EMAWeightAveraging(decay=stage.ema_decay, use_buffers=True),
        EarlyStopping("valid/auc", mode="max", patience=stage.patience),
        devices=settings.devices,
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
        network = self.network
        memory, _ = network.memory(functional.dropout(features, self.settings.dropout))
        logits = network.head(network.score_now(features) + network.score_memory(memory))
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
        trained = [*self.network.memory.parameters(), *self.network.score_memory.parameters()]
        return one_cycle(trained, self.settings, self.steps)


def train_memory(
    network: SmileNetwork,
    faces: TrainingFaces,
    talking: TalkingFaces | None,
    settings: TrainSettings,
    folder: Path,
    resume: str,
) -> None:
    """Train the memory on sequences; the CNN and the single-frame score are frozen."""
    loader = _memory_loader(network, faces, talking, settings.memory, settings.seed, Path(settings.cache))
    module = MemoryTraining(network, settings.memory, steps=settings.memory.epochs * len(loader))
    trainer = make_trainer(folder, settings.memory.epochs, "32-true", devices=settings.devices)
    trainer.fit(module, loader, ckpt_path=resume_checkpoint(folder, resume), weights_only=True)


def _memory_loader(
    network: SmileNetwork,
    faces: TrainingFaces,
    talking: TalkingFaces | None,
    settings: MemorySettings,
    seed: int,
    cache: Path,
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Return batches of chained feature sequences, rendered and encoded once."""
    clips = clip_faces(cache) if settings.clip_share else None
    sequences = feature_sequences(network, faces, settings, seed, clips)
    chains: Dataset[tuple[Tensor, Tensor]] = ChainedSequences(sequences, CHAIN_LENGTH, seed)
    if talking is not None:
        length = CHAIN_LENGTH * settings.length
        count = round(settings.sequences * settings.moving_share / (1 - settings.moving_share))
        moving = talking_sequences(network, talking, length, count, seed)
        chains = ConcatDataset([chains, TensorDataset(moving.features, moving.above)])
    return DataLoader(chains, settings.batch, shuffle=True, drop_last=True)
