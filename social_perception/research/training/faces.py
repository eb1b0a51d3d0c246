"""The faces to train on: several data sets put together, and how batches are drawn from them."""

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
from social_perception.research.training.augmentation import GrayImage, Look, draw_look, occlude, render
from social_perception.research.training.labels import FloatArray, Targets, targets_of
from social_perception.research.training.stills import Stills, read_stills, rgb


@dataclass(frozen=True, slots=True, eq=False)
class TrainingFaces:
    """N faces of all sets together: gray pictures, boxes (N, 4) and their targets."""

    images: tuple[GrayImage, ...]
    boxes: FloatArray
    targets: Targets

    def __len__(self) -> int:
        return len(self.images)


def training_faces(sets: Sequence[str], cache: Path) -> TrainingFaces:
    """Read the sets, without the held-out faces and those where no face was found; both are counted."""
    images: list[GrayImage] = []
    boxes, targets = [], []
    for name in sets:
        stills = read_stills(name, cache)
        of_set = targets_of(name, stills.table)
        found = ~np.isnan(stills.boxes[:, 0])
        keep = np.flatnonzero(found & ~of_set.held_out & (of_set.weight[:, 0] > 0))
        images += [_gray(stills.images[i]) for i in keep]
        boxes.append(stills.boxes[keep])
        targets.append(_taken(of_set, keep))
        print(
            f"{name}: {len(keep)} faces, {of_set.rated[keep].sum()} of them rated; left out: "
            f"{of_set.held_out.sum()} for evaluation, {(~found).sum()} without a face"
        )
    return TrainingFaces(tuple(images), np.concatenate(boxes), _joined(targets))


def still_crops(stills: Stills) -> ImageArray:
    """The crops of a set as the pipeline makes them, (N, 96, 96, 3) uint8; faces not found are black."""
    crops = np.zeros((len(stills), 96, 96, 3), np.uint8)
    for i in np.flatnonzero(~np.isnan(stills.boxes[:, 0])):
        crops[i] = crop_faces(rgb(stills.images[i]), [Box(*map(float, stills.boxes[i]))])[0]
    return crops


def gray_input(crops: torch.Tensor) -> torch.Tensor:
    """Gray crops (N, 96, 96) uint8 -> (N, 3, 96, 96) in [-1, 1]."""
    return to_input(crops.unsqueeze(-1)).expand(-1, 3, -1, -1)


def clean_and_mirrored(faces: TrainingFaces, rows: Sequence[int] | npt.NDArray[np.int64]) -> torch.Tensor:
    """N undisturbed faces and then their mirror images, as a network's input: (2 N, 3, 96, 96)."""
    rng = np.random.default_rng(0)  # an undisturbed look draws nothing
    clean = np.stack([render(faces.images[i], faces.boxes[i], Look(), rng) for i in rows])
    return gray_input(torch.from_numpy(np.concatenate([clean, clean[:, :, ::-1]])))


class AugmentedFaces(Dataset):  # type: ignore[type-arg]
    """Each face under a new look each time it is asked for.

    An item is (crop (96, 96) uint8, above (3,), weight (3,), emotion (8,)).
    """

    def __init__(self, faces: TrainingFaces, seed: int) -> None:
        self._faces = faces
        self._seed = seed

    def __len__(self) -> int:
        return len(self._faces)

    def __getitem__(self, draw: tuple[int, int]) -> tuple[torch.Tensor, ...]:
        """``draw`` is (which face, number of the draw); the same draw gives the same picture."""
        index, number = draw
        rng = np.random.default_rng((self._seed, number))
        faces, targets = self._faces, self._faces.targets
        crop = render(faces.images[index], faces.boxes[index], draw_look(rng), rng)
        crop = occlude(crop[:, ::-1].copy() if rng.random() < 0.5 else crop, rng)
        known = (targets.above[index], targets.weight[index], targets.emotion[index])
        return torch.from_numpy(crop), *map(torch.from_numpy, known)


class RatedShareSampler(Sampler[tuple[int, int]]):
    """Draws an epoch in which rated faces have a given share; call ``set_epoch`` before each epoch."""

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
        rated = _cycled(self._rated, self._rated_draws, rng)
        weak = _cycled(self._weak, self._draws - self._rated_draws, rng)
        order = rng.permutation(np.concatenate([rated, weak]))
        first = self._epoch * self._draws
        return iter([(int(index), first + place) for place, index in enumerate(order)])


def _cycled(indices: npt.NDArray[np.int64], count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """``count`` of the indices, all of them equally often up to one."""
    if not count:
        return indices[:0]
    rounds = -(-count // len(indices))
    return np.concatenate([rng.permutation(indices) for _ in range(rounds)])[:count]


def _gray(image: npt.NDArray[np.uint8]) -> GrayImage:
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def _taken(targets: Targets, rows: npt.NDArray[np.int64]) -> Targets:
    return Targets(*(getattr(targets, name)[rows] for name in Targets.__slots__))


def _joined(parts: Sequence[Targets]) -> Targets:
    return Targets(*(np.concatenate([getattr(part, name) for part in parts]) for name in Targets.__slots__))
