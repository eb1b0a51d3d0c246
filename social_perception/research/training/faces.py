"""The training faces: the data sets combined, and how batches are sampled from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset, Sampler

from social_perception.core.types import Box, ImageArray
from social_perception.perception.smile.crop import crop_faces
from social_perception.perception.smile.networks import to_input
from social_perception.research.training.augmentation import (
    Augmentation,
    GrayImage,
    occlude,
    render,
    sample_augmentation,
)
from social_perception.research.training.labels import FloatArray, Targets, make_targets
from social_perception.research.training.stills import Stills, read_stills, to_rgb


@dataclass(frozen=True, slots=True, eq=False)
class TrainingFaces:
    """N faces of all sets: gray images (H, W) uint8, boxes (N, 4) in px and their targets."""

    images: tuple[GrayImage, ...]
    boxes: FloatArray
    targets: Targets

    def __len__(self) -> int:
        return len(self.images)


def training_faces(sets: Sequence[str], cache: Path) -> TrainingFaces:
    """Read the sets without held-out faces and images without a face, and print the counts.

    Args:
        sets: names of the data sets, see :func:`~social_perception.research.training.stills.read_stills`.
        cache: folder for the face boxes.

    Raises:
        SourceError: the data is missing.
    """
    images: list[GrayImage] = []
    boxes, targets = [], []
    for name in sets:
        stills = read_stills(name, cache)
        set_targets = make_targets(name, stills.table)
        detected = ~np.isnan(stills.boxes[:, 0])
        keep = np.flatnonzero(detected & ~set_targets.held_out & (set_targets.weight[:, 0] > 0))
        images += [_gray(stills.images[i]) for i in keep]
        boxes.append(stills.boxes[keep])
        targets.append(_select(set_targets, keep))
        print(
            f"{name}: {len(keep)} faces, {set_targets.rated[keep].sum()} of them rated; dropped: "
            f"{set_targets.held_out.sum()} for evaluation, {(~detected).sum()} without a face"
        )
    return TrainingFaces(tuple(images), np.concatenate(boxes), _concatenate(targets))


def still_crops(stills: Stills) -> ImageArray:
    """Crop a set as the pipeline does, (N, 96, 96, 3) uint8; undetected faces are black."""
    crops = np.zeros((len(stills), 96, 96, 3), np.uint8)
    for i in np.flatnonzero(~np.isnan(stills.boxes[:, 0])):
        crops[i] = crop_faces(to_rgb(stills.images[i]), [Box(*map(float, stills.boxes[i]))])[0]
    return crops


def gray_input(crops: torch.Tensor) -> torch.Tensor:
    """Convert gray crops (N, 96, 96) uint8 to network input (N, 3, 96, 96) in [-1, 1]."""
    return to_input(crops.unsqueeze(-1)).expand(-1, 3, -1, -1)


def clean_and_mirrored(faces: TrainingFaces, rows: Sequence[int] | npt.NDArray[np.int64]) -> torch.Tensor:
    """Return N faces without augmentation, then flipped horizontally, as network input (2 N, 3, 96, 96)."""
    rng = np.random.default_rng(0)  # not used without augmentation
    clean = np.stack([render(faces.images[i], faces.boxes[i], Augmentation(), rng) for i in rows])
    return gray_input(torch.from_numpy(np.concatenate([clean, clean[:, :, ::-1]])))


class AugmentedFaces(Dataset[tuple[torch.Tensor, ...]]):
    """Faces with a new augmentation at each access.

    An item is (crop (96, 96) uint8, above (3,), weight (3,), emotion (8,)).
    """

    def __init__(self, faces: TrainingFaces, seed: int) -> None:
        self._faces = faces
        self._seed = seed

    def __len__(self) -> int:
        return len(self._faces)

    def __getitem__(self, draw: tuple[int, int]) -> tuple[torch.Tensor, ...]:
        """Return the item of a draw (face index, draw number); the same draw gives the same crop."""
        index, number = draw
        rng = np.random.default_rng((self._seed, number))
        faces, targets = self._faces, self._faces.targets
        crop = render(faces.images[index], faces.boxes[index], sample_augmentation(rng), rng)
        crop = occlude(crop[:, ::-1].copy() if rng.random() < 0.5 else crop, rng)
        known = (targets.above[index], targets.weight[index], targets.emotion[index])
        return torch.from_numpy(crop), *map(torch.from_numpy, known)


class RatedShareSampler(Sampler[tuple[int, int]]):
    """Samples epochs with a given share of rated faces; call ``set_epoch`` before each epoch."""

    def __init__(self, rated: npt.NDArray[np.bool_], rated_share: float, draws: int, seed: int) -> None:
        self._rated, self._weak = np.flatnonzero(rated), np.flatnonzero(~rated)
        self._rated_draws = round(draws * rated_share)
        self._draws = draws
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __len__(self) -> int:
        return self._draws

    def __iter__(self) -> Iterator[tuple[int, int]]:
        rng = np.random.default_rng((self._seed, self._epoch))
        rated = _shuffled_repeats(self._rated, self._rated_draws, rng)
        weak = _shuffled_repeats(self._weak, self._draws - self._rated_draws, rng)
        order = rng.permutation(np.concatenate([rated, weak]))
        first = self._epoch * self._draws
        return iter([(int(index), first + place) for place, index in enumerate(order)])


def _shuffled_repeats(
    indices: npt.NDArray[np.int64], count: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return ``count`` of the indices in random order; how often they occur differs by at most one."""
    if not count:
        return indices[:0]
    rounds = -(-count // len(indices))
    return np.concatenate([rng.permutation(indices) for _ in range(rounds)])[:count]


def _gray(image: npt.NDArray[np.uint8]) -> GrayImage:
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def _select(targets: Targets, rows: npt.NDArray[np.int64]) -> Targets:
    return Targets(*(getattr(targets, name)[rows] for name in Targets.__slots__))


def _concatenate(parts: Sequence[Targets]) -> Targets:
    return Targets(*(np.concatenate([getattr(part, name) for part in parts]) for name in Targets.__slots__))
