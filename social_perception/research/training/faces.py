"""The training faces: the data sets combined, and how batches are sampled from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset, Sampler

from social_perception.core.types import Box, ImageArray
from social_perception.perception.smile.crop import crop_faces
from social_perception.perception.smile.networks import Aligner
from social_perception.research.training.alignment import gray_crops, tight_stills
from social_perception.research.training.augmentation import (
    SIDE,
    Augmentation,
    GrayImage,
    cover_half,
    cover_mouth,
    occlude,
    render,
    sample_augmentation,
)
from social_perception.research.training.labels import EMOTIONS, FloatArray, Targets, make_targets
from social_perception.research.training.morph import Expression, canvas_box, morph_face
from social_perception.research.training.settings import StillSettings
from social_perception.research.training.stills import TIGHT_SETS, Stills, read_stills, to_gray, to_rgb
from social_perception.research.training.talking import TALKING, TalkingFaces

COVERED_SHARE = 0.08
"""Share of the faces whose mouth is covered."""
HALF_SHARE = 0.5
"""Share of these of which half of the face is covered."""
MORPHS = 4
"""Amounts of smile of a morphed face: none, full and two between."""
SMILING_CLIPS = 3


@dataclass(frozen=True, slots=True, eq=False)
class TrainingFaces:
    """N faces of all sets: gray images (H, W) uint8, boxes (N, 4) in px and their targets.

    ``moving`` (N,) marks frames of clips; ``names`` are those of the images, or of the clips.
    """

    images: tuple[GrayImage, ...]
    boxes: FloatArray
    targets: Targets
    moving: npt.NDArray[np.bool_]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


def training_faces(sets: Sequence[str], cache: Path, aligner: Aligner) -> TrainingFaces:
    """Read the sets without held-out faces and images without a face, and print the counts.

    Args:
        sets: names of the data sets, see :func:`~social_perception.research.training.stills.read_stills`.
        cache: folder for the face boxes.
        aligner: finds the face in the images that are cropped around one; searching them with the detector
            takes an hour.

    Raises:
        SourceError: the data is missing.
    """
    images: list[GrayImage] = []
    boxes, targets, names = [], [], []
    for name in (each for each in sets if each != TALKING):
        stills = tight_stills(name, aligner) if name in TIGHT_SETS else read_stills(name, cache)
        set_targets = make_targets(name, stills.table)
        detected = ~np.isnan(stills.boxes[:, 0])
        keep = np.flatnonzero(detected & ~set_targets.held_out & (set_targets.weight[:, 0] > 0))
        images += [to_gray(stills.images[i]) for i in keep]
        names += [stills.table["name"][i] for i in keep]
        boxes.append(stills.boxes[keep])
        targets.append(_select(set_targets, keep))
        print(
            f"{name}: {len(keep)} faces, {set_targets.rated[keep].sum()} of them rated; dropped: "
            f"{set_targets.held_out.sum()} for evaluation, {(~detected).sum()} without a face"
        )
    moving = np.zeros(len(images), bool)
    return TrainingFaces(tuple(images), np.concatenate(boxes), _concatenate(targets), moving, tuple(names))


def with_talking(faces: TrainingFaces, talking: TalkingFaces) -> TrainingFaces:
    """Add the rated frames of the talking clips to the faces."""
    rows = np.flatnonzero(~np.isnan(talking.above[:, 0]))
    count = len(rows)
    targets = Targets(
        talking.above[rows],
        np.ones((count, 3), np.float32),
        np.zeros((count, len(EMOTIONS)), np.float32),
        np.zeros(count, bool),
        np.zeros(count, bool),
    )
    return TrainingFaces(
        (*faces.images, *talking.canvases[rows]),
        np.concatenate([faces.boxes, np.tile(canvas_box(), (count, 1))]),
        _concatenate([faces.targets, targets]),
        np.concatenate([faces.moving, np.ones(count, bool)]),
        (*faces.names, *map(str, talking.clip[rows])),
    )


def still_crops(stills: Stills) -> ImageArray:
    """Crop a set as the pipeline does, (N, 96, 96, 3) uint8; undetected faces are black."""
    crops = np.zeros((len(stills), 96, 96, 3), np.uint8)
    for i in np.flatnonzero(~np.isnan(stills.boxes[:, 0])):
        crops[i] = crop_faces(to_rgb(stills.images[i]), [Box(*map(float, stills.boxes[i]))])[0]
    return crops


def gray_input(crops: torch.Tensor) -> torch.Tensor:
    """Convert gray crops (N, 96, 96) uint8 to network input (N, 3, 96, 96) in [-1, 1]."""
    return gray_crops(crops).expand(-1, 3, -1, -1)


def clean_and_mirrored(faces: TrainingFaces, rows: Sequence[int] | npt.NDArray[np.int64]) -> torch.Tensor:
    """Return N faces without augmentation, then flipped horizontally, as network input (2 N, 3, 96, 96)."""
    rng = np.random.default_rng(0)  # not used without augmentation
    clean = np.stack([render(faces.images[i], faces.boxes[i], Augmentation(), rng) for i in rows])
    return gray_input(torch.from_numpy(np.concatenate([clean, clean[:, :, ::-1]])))


class AugmentedFaces(Dataset[tuple[torch.Tensor, ...]]):
    """Faces with a new augmentation at each access.

    An item is (crop (96, 96) uint8, above (3,), weight (3,), emotion (8,), visible (), smiling (A, 96, 96)
    uint8, amounts (A,)). ``visible`` is 0 where the mouth is covered. ``smiling`` is the face with the smile
    morphed by the amounts, in a share of the items; elsewhere the amounts are NaN.
    """

    def __init__(self, faces: TrainingFaces, settings: StillSettings, seed: int) -> None:
        self._faces = faces
        self._settings = settings
        self._seed = seed

    def __len__(self) -> int:
        return len(self._faces)

    def __getitem__(self, draw: tuple[int, int]) -> tuple[torch.Tensor, ...]:
        """Return the item of a draw (face index, draw number); the same draw gives the same crop."""
        index, number = draw
        rng = np.random.default_rng((self._seed, number))
        faces, targets, settings = self._faces, self._faces.targets, self._settings
        image, box, params = faces.images[index], faces.boxes[index], sample_augmentation(rng)
        covered, acts, morphs = rng.random(3) < (COVERED_SHARE, settings.acted_share, settings.morphed_share)
        if covered:
            cover = cover_half if rng.random() < HALF_SHARE else cover_mouth
            crop = render(cover(image, box, rng), box, params, rng)
        elif acts and not faces.moving[index]:
            crop = morph_face(image, box).render(talk(rng), params, rng)
        else:
            crop = render(image, box, params, rng)
        crop = occlude(crop[:, ::-1].copy() if rng.random() < 0.5 else crop, rng)
        amounts = np.full(MORPHS, np.nan, np.float32)
        smiling = np.zeros((MORPHS, SIDE, SIDE), np.uint8)
        if morphs:
            amounts[:] = [0.0, 1.0, *rng.uniform(0.0, 1.0, MORPHS - 2)]
            smiling = _smiling(image, box, amounts, rng)
        known = (targets.above[index], targets.weight[index], targets.emotion[index])
        visible = torch.tensor(0.0 if covered else 1.0)
        return (
            torch.from_numpy(crop),
            *map(torch.from_numpy, known),
            visible,
            *map(torch.from_numpy, (smiling, amounts)),
        )


def talk(rng: np.random.Generator) -> Expression:
    """Sample a mouth that talks without a smile."""
    return Expression(
        jaw=float(rng.uniform(0, 1)), pucker=float(rng.uniform(0, 1)), teeth=float(rng.random())
    )


def _smiling(
    image: GrayImage, box: FloatArray, amounts: FloatArray, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Render a face with smiles of the amounts (A,), (A, 96, 96); half of the faces talk while they smile."""
    face, params = morph_face(image, box), sample_augmentation(rng)
    talks, parting, teeth = rng.random() < 0.5, float(rng.random()), float(rng.random())
    return np.stack(
        [
            face.render(
                replace(talk(rng) if talks else Expression(), smile=float(a), parting=parting, teeth=teeth),
                params,
                rng,
            )
            for a in amounts
        ]
    )


class RatedShareSampler(Sampler[tuple[int, int]]):
    """Samples epochs with given shares of rated faces and of clips; call ``set_epoch`` before each epoch.

    Frames of clips with a smile are drawn SMILING_CLIPS times as often as others: most people who talk don't
    smile.
    """

    def __init__(self, faces: TrainingFaces, settings: StillSettings, seed: int) -> None:
        rated, moving = faces.targets.rated, faces.moving
        smiles = np.flatnonzero(moving & (faces.targets.above[:, 0] > 0))
        self._pools = (
            (np.flatnonzero(rated), settings.rated_share),
            (
                np.concatenate([np.flatnonzero(moving), np.repeat(smiles, SMILING_CLIPS - 1)]),
                settings.moving_share,
            ),
            (np.flatnonzero(~rated & ~moving), 1.0),
        )
        self._draws = settings.draws
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __len__(self) -> int:
        return self._draws

    def __iter__(self) -> Iterator[tuple[int, int]]:
        rng = np.random.default_rng((self._seed, self._epoch))
        drawn: list[npt.NDArray[np.int64]] = []
        for pool, share in self._pools:  # the last one fills the rest
            count = min(round(share * self._draws), self._draws - sum(map(len, drawn)))
            drawn.append(_shuffled_repeats(pool, count, rng))
        order = rng.permutation(np.concatenate(drawn))
        first = self._epoch * self._draws
        return iter([(int(index), first + place) for place, index in enumerate(order)])


def _shuffled_repeats(
    indices: npt.NDArray[np.int64], count: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return ``count`` of the indices in random order; how often they occur differs by at most one."""
    if not count or not len(indices):
        return indices[:0]
    rounds = -(-count // len(indices))
    return np.concatenate([rng.permutation(indices) for _ in range(rounds)])[:count]


def _select(targets: Targets, rows: npt.NDArray[np.int64]) -> Targets:
    return Targets(*(getattr(targets, name)[rows] for name in Targets.__slots__))


def _concatenate(parts: Sequence[Targets]) -> Targets:
    return Targets(*(np.concatenate([getattr(part, name) for part in parts]) for name in Targets.__slots__))
