"""Trains the scene network: its encoders on single faces and sounds, then all of it on synthetic scenes.

Two decoders are trained beside it and dropped afterwards, as in VE-MD: from the maps of the images they
predict where faces are, and the emotion of those at each place. What they predict is never an input of the
network. The features of the frames are kept near N(0, 1) by their maximum mean discrepancy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import (
    EMAWeightAveraging,
)
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, Sampler

from social_perception.core.errors import ConfigurationError
from social_perception.perception.scene.estimator import FEATURES
from social_perception.perception.scene.network import MAP_CHANNELS, SceneNetwork
from social_perception.perception.scene.reduction import LONG_SIDE_PX
from social_perception.perception.scene.weights import load_scene_network, save_scene_network
from social_perception.research.training.checkpoints import resume_checkpoint
from social_perception.research.training.scene_drawing import CANVASES, draw_tile
from social_perception.research.training.scene_material import NEUTRAL, Material, read_material
from social_perception.research.training.scene_plans import Kind, Plan, Shares, SoundKind, draw_plan
from social_perception.research.training.scene_synthesis import Scene, SceneComposer, mix_sound
from social_perception.research.training.schedules import one_cycle
from social_perception.research.training.settings import from_mapping
from social_perception.research.training.trainers import make_trainer
from social_perception.research.training.ve_md import discrepancy

Batch = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
"""Images (N, F, h, w), maps of faces (N, F, 3, h / 4, w / 4), sound (N, 300, 64), whether there is any (N,),
the sound's emotion (N,), label (N,).
"""

_SEVERAL = 0.5
"""Share of the batches whose scenes may have several images."""

_RISE = 0.1
"""Share of the steps in which the learning rate rises; the encoders are trained already."""

MODALITIES = ("fusion", "sound", "images")


@dataclass(frozen=True, slots=True)
class SceneSettings:
    """A complete run, as in ``config/train_scene.yaml``."""

    name: str = "tiny"
    seed: int = 1
    backgrounds: tuple[str, ...] = ("backgrounds",)
    """Folders of images without people."""
    bursts: str = "sounds/emogator"
    """Folder of EmoGator's recordings; empty: those of the development data."""
    image_px: int = LONG_SIDE_PX
    """Long side of the reduced images."""
    shares: Shares = field(default_factory=lambda: Shares(bursts=0.6, fitting=0.35))
    modalities: str = "fusion"
    """What the network uses: ``fusion``, or ``sound`` or ``images`` alone."""
    pooling: bool = True
    """Whether frames and sound are pooled by attention; else by their mean."""
    places_weight: float = 10.0
    """Weight of the decoder of where faces are; 0: none."""
    emotions_weight: float = 2.0
    """Weight of the decoder of the emotion of the faces at each place; 0: none."""
    sound_weight: float = 0.5
    """Weight of the decoder of the sound's emotion; 0: none."""
    mmd_weight: float = 0.1
    """Weight of the maximum mean discrepancy; 0: none."""
    frames: int = 2
    """Images of a scene at most; most batches have one."""
    start: str = "scene_160.safetensors"
    """File of a scene network to start from; empty: its encoders are trained first."""
    encoder_epochs: int = 8
    epochs: int = 24
    steps: int = 250
    """Batches per epoch."""
    batch: int = 8
    """Scenes in a batch."""
    tiles: int = 320
    """Faces in a batch of the encoders' training."""
    sounds: int = 32
    """Sounds in a batch of the encoders' training."""
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.02
    ema_decay: float = 0.998
    threads: int = 1
    precision: str = "bf16-mixed"
    workers: int = 0
    cache: str = ".cache"
    output: str = "runs"

    def __post_init__(self) -> None:
        if self.modalities not in MODALITIES:
            raise ConfigurationError(
                f"modalities must be one of {', '.join(MODALITIES)}, got {self.modalities}"
            )
        for name in ("frames", "encoder_epochs", "epochs", "steps", "batch", "tiles", "sounds", "threads"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be at least 1, got {getattr(self, name)}")


def scene_settings(values: Mapping[str, Any]) -> SceneSettings:
    """Build the settings from the content of a YAML file.

    Raises:
        ConfigurationError: a setting is unknown or invalid.
    """
    shares = from_mapping(Shares, values.get("shares", {}))
    given = {name: value for name, value in values.items() if name not in ("network", "shares")}
    return from_mapping(SceneSettings, {**given, "shares": shares})


class SceneBatches(Dataset[Batch]):
    """Batches of new scenes; a number always gives the same batch."""

    def __init__(self, composer: SceneComposer, settings: SceneSettings) -> None:
        self._composer, self._settings = composer, settings

    def __len__(self) -> int:
        return self._settings.steps

    def __getitem__(self, number: int) -> Batch:
        draw = np.random.default_rng((self._settings.seed, number))
        size = CANVASES[int(draw.choice(len(CANVASES), p=(0.5, 0.35, 0.15)))]
        frames = int(draw.integers(1, self._settings.frames + 1)) if draw.random() < _SEVERAL else 1
        plans = [draw_plan(draw, self._settings.shares) for _ in range(self._settings.batch)]
        return to_batch([self._composer.compose(plan, size, frames, draw) for plan in plans])


def to_batch(scenes: list[Scene]) -> Batch:
    """Stack scenes of one size."""
    return (
        torch.from_numpy(np.stack([each.images for each in scenes])),
        torch.from_numpy(np.stack([each.places for each in scenes])),
        torch.from_numpy(np.stack([each.mel for each in scenes])),
        torch.tensor([float(each.plan.sound_kind is not SoundKind.NOTHING) for each in scenes]),
        torch.tensor([each.plan.sound for each in scenes]),
        torch.tensor([each.plan.label for each in scenes]),
    )


class Numbers(Sampler[int]):
    """The numbers of an epoch's batches; no batch comes twice."""

    def __init__(self, steps: int) -> None:
        self._steps, self._epoch = steps, 0

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._epoch * self._steps, (self._epoch + 1) * self._steps))


class SceneTraining(lightning.LightningModule):
    """Cross-entropy of the scene's emotion, two decoders and the discrepancy of the features."""

    def __init__(self, network: SceneNetwork, settings: SceneSettings) -> None:
        super().__init__()
        self.network, self.settings = network, settings
        self.places, self.emotions = PlaceDecoder(1), PlaceDecoder(3)
        self.of_sound = nn.Linear(FEATURES, 3)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, places, mel, has_sound, sound, label = batch
        network, settings = self.network, self.settings
        images, has_sound = only(settings.modalities, images, has_sound)
        maps = network.images(images.flatten(0, 1).float())
        frames = network.images.pool(maps)
        tokens = network.sound(mel)
        logits = network.fuse_tokens(frames.unflatten(0, images.shape[:2]), tokens, has_sound).float()
        loss = functional.cross_entropy(logits, label)
        self.log("train/scene_loss", loss, prog_bar=True)
        if settings.modalities != "sound":
            loss = loss + self.structure_loss(maps, places.flatten(0, 1))
        if settings.modalities != "images" and settings.sound_weight:
            error = functional.cross_entropy(self.of_sound(tokens.mean(1)).float(), sound)
            self.log("train/sound_loss", error, prog_bar=True)
            loss = loss + settings.sound_weight * error
        if settings.mmd_weight:
            loss = loss + settings.mmd_weight * discrepancy(frames.float())
        return loss

    def structure_loss(self, maps: Tensor, by_emotion: Tensor) -> Tensor:
        """The loss of both decoders: where faces are, and their emotion there."""
        settings, loss = self.settings, maps.new_zeros((), dtype=torch.float32)
        anywhere, emotion = by_emotion.max(1)
        if settings.places_weight:
            error = functional.mse_loss(self.places(maps).float()[:, 0], anywhere)
            self.log("train/places_loss", error)
            loss = loss + settings.places_weight * error
        if settings.emotions_weight:
            errors = functional.cross_entropy(self.emotions(maps).float(), emotion, reduction="none")
            error = (anywhere * errors).sum() / anywhere.sum().clamp(min=1.0)
            self.log("train/emotions_loss", error, prog_bar=True)
            loss = loss + settings.emotions_weight * error
        return loss

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        return one_cycle(self.parameters(), self.settings, self.settings.epochs * self.settings.steps, _RISE)


class EncoderBatches(Dataset[tuple[Tensor, Tensor, Tensor, Tensor]]):
    """Batches of small faces (N, 24, 24) and sounds (M, 300, 64), with the emotions of both."""

    def __init__(self, material: Material, settings: SceneSettings) -> None:
        self._material, self._settings = material, settings
        self._faces = [material.cutouts.of(emotion) for emotion in range(3)]

    def __len__(self) -> int:
        return self._settings.steps

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        draw = np.random.default_rng((self._settings.seed, 1, number))
        cutouts, settings = self._material.cutouts, self._settings
        # Large faces first: the expressions of small ones are hardly visible.
        smallest = 7.0 + 6.0 * max(0.0, 1.0 - 2.0 * number / (settings.encoder_epochs * settings.steps))
        emotion = draw.integers(0, 3, settings.tiles)
        chosen = [int(draw.choice(self._faces[each])) for each in emotion]
        widths = np.exp(draw.uniform(np.log(smallest), np.log(22.0), len(chosen))) / cutouts.width[chosen]
        tiles = [
            draw_tile(cutouts.images[i], float(w), settings.image_px, draw) for i, w in zip(chosen, widths)
        ]
        kinds = [
            SoundKind.BURSTS if draw.random() < 0.8 else SoundKind.BACKGROUND for _ in range(settings.sounds)
        ]
        plans = [
            Plan(Kind.EMPTY, None, kind, int(draw.integers(3)) if kind is SoundKind.BURSTS else NEUTRAL)
            for kind in kinds
        ]
        sounds = [mix_sound(plan, self._material.sounds, draw) for plan in plans]
        return (
            torch.from_numpy(np.stack(tiles)),
            torch.from_numpy(emotion),
            torch.from_numpy(np.stack(sounds)),
            torch.tensor([plan.sound for plan in plans]),
        )


class EncoderTraining(lightning.LightningModule):
    """Trains the layers of both encoders on the emotions of single faces and of sounds."""

    def __init__(self, network: SceneNetwork, settings: SceneSettings) -> None:
        super().__init__()
        self.network, self.settings = network, settings
        self.of_face, self.of_sound = nn.Linear(MAP_CHANNELS, 3), nn.Linear(FEATURES, 3)

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor, Tensor], batch_idx: int) -> Tensor:
        tiles, emotion, mel, sound = batch
        faces = self.of_face(self.network.images(tiles.float()).amax((2, 3))).float()
        sounds = self.of_sound(self.network.sound(mel).mean(1)).float()
        losses = functional.cross_entropy(faces, emotion), functional.cross_entropy(sounds, sound)
        self.log("train/faces_loss", losses[0], prog_bar=True)
        self.log("train/sounds_loss", losses[1], prog_bar=True)
        return losses[0] + losses[1]

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        steps = self.settings.encoder_epochs * self.settings.steps
        return one_cycle(self.parameters(), self.settings, steps)


class PlaceDecoder(nn.Module):
    """Predicts maps at a quarter of the image's size from the network's maps at an eighth."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(MAP_CHANNELS, 4 * channels, 1), nn.PixelShuffle(2))

    def forward(self, maps: Tensor) -> Tensor:
        """Return (N, channels, h / 4, w / 4) for maps (N, 128, h / 8, w / 8)."""
        return self.layers(maps)


def only(modalities: str, images: Tensor, has_sound: Tensor) -> tuple[Tensor, Tensor]:
    """Blank the images, or the sound, of a network that uses the other alone."""
    if modalities == "sound":
        return torch.zeros_like(images), has_sound
    return images, torch.zeros_like(has_sound) if modalities == "images" else has_sound


def train_scene(settings: SceneSettings, resume: str) -> Path:
    """Train the network and return the file with its weights.

    Raises:
        SourceError: data is missing.
    """
    torch.set_num_threads(settings.threads)
    lightning.seed_everything(settings.seed, verbose=False)
    folder = Path(settings.output) / f"scene_{settings.name}"
    material = read_material("train", settings.backgrounds, Path(settings.cache), bursts=settings.bursts)
    network = SceneNetwork(settings.pooling)
    encoders = Path(settings.start).expanduser() if settings.start else folder / "encoders.safetensors"
    if settings.start or (resume == "auto" and encoders.is_file()):
        # A network without attention pooling lacks its weights.
        network.load_state_dict(load_scene_network(encoders).state_dict(), strict=False)
    else:
        pretraining = EncoderTraining(network, settings)
        _fit(
            pretraining,
            EncoderBatches(material, settings),
            settings,
            settings.encoder_epochs,
            folder / "encoders",
            resume,
        )
        save_scene_network(network, encoders, asdict(settings))
    module = SceneTraining(network, settings)
    _fit(
        module,
        SceneBatches(SceneComposer(material, settings.image_px), settings),
        settings,
        settings.epochs,
        folder,
        resume,
    )
    path = folder / f"scene_{settings.name}.safetensors"
    save_scene_network(network, path, asdict(settings))
    print(f"weights written to {path}")
    return path


def _fit(
    module: lightning.LightningModule,
    batches: Dataset[Any],
    settings: SceneSettings,
    epochs: int,
    folder: Path,
    resume: str,
) -> None:
    module.to(memory_format=torch.channels_last)
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=Numbers(settings.steps),
        num_workers=settings.workers,
        persistent_workers=settings.workers > 0,
    )
    average = EMAWeightAveraging(decay=settings.ema_decay, use_buffers=True)
    trainer = make_trainer(folder, epochs, settings.precision, average)
    trainer.fit(module, loader, ckpt_path=resume_checkpoint(folder, resume), weights_only=True)
