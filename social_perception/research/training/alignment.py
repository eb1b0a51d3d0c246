"""Trains the alignment of the smile network: five points of a face in a crop of any roll.

The points of the training faces come from a table ``NAME.csv`` per data set, made with any landmark detector:
``name`` and x and y in px of the image of both eyes (left and right in the image), the tip of the nose and
both corners of the mouth; faces without points are not in the table. Each draw crops the face anew, as a
detector would with a poor box, and turned by up to MAX_ROLL_DEG.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from social_perception.core.errors import SourceError
from social_perception.perception.smile.networks import Aligner
from social_perception.research.tables import read_table
from social_perception.research.training.augmentation import (
    SIDE,
    Augmentation,
    GrayImage,
    crop_matrix,
    occlude,
    render,
    sample_augmentation,
)
from social_perception.research.training.labels import FloatArray, is_held_out
from social_perception.research.training.schedules import one_cycle
from social_perception.research.training.settings import AlignerSettings
from social_perception.research.training.stills import Stills, read_images, to_gray

COLUMNS = ("left_eye", "right_eye", "nose", "left_corner", "right_corner")
MIRRORED = (1, 0, 2, 4, 3)
"""The points of the mirror image."""

BOX_POINTS = np.array(
    [(0.293, 0.368), (0.707, 0.368), (0.5, 0.630), (0.311, 0.788), (0.689, 0.788)], np.float32
)
"""Mean places of the points in the detector's box, in widths and heights of it."""

TIGHT_BOX = (0.475, 0.515, 0.86)
"""Mean center (relative to width and height) and side (to the shorter side) of the box in images that are
cropped around one face.
"""
TIGHT_ROUNDS = 3

MAX_ROLL_DEG = 55.0
MIN_EYES_PX = 6.0
"""Smaller distances between the eyes are errors of the landmark detector."""


@dataclass(frozen=True, slots=True, eq=False)
class LandmarkFaces:
    """N gray images (H, W) uint8 and the points of one face in each, (N, 5, 2) in px."""

    images: tuple[GrayImage, ...]
    points: FloatArray

    def __len__(self) -> int:
        return len(self.images)


def landmark_faces(sets: Sequence[str], folder: Path) -> LandmarkFaces:
    """Read the faces of the data sets that have points and are not held out.

    Args:
        sets: names of the data sets.
        folder: of the tables of points.

    Raises:
        SourceError: the data or a table is missing.
    """
    images: list[GrayImage] = []
    points = []
    columns = [f"{name}_{axis}" for name in COLUMNS for axis in "xy"]
    for name in sets:
        path = folder / f"{name}.csv"
        if not path.is_file():
            raise SourceError(f"no points of {name}: {path} does not exist")
        table = read_table(path, ["name", *columns])
        # A name that two images share belongs to neither.
        table = table.drop_duplicates("name", keep=False).set_index("name")
        images_of_set, labels = read_images(name)
        for image_name, image in zip(labels["name"], images_of_set):
            if image_name in table.index:
                each = table.loc[image_name, columns].to_numpy(np.float32).reshape(5, 2)
                if not is_held_out(image_name) and np.hypot(*(each[1] - each[0])) >= MIN_EYES_PX:
                    images.append(to_gray(image))
                    points.append(each)
    return LandmarkFaces(tuple(images), np.array(points, np.float32))


def box_of_points(points: FloatArray) -> FloatArray:
    """Return the box (4,) left, top, width, height that a detector would give a face with these points (5,
    2).
    """
    source, target = BOX_POINTS - BOX_POINTS.mean(axis=0), points - points.mean(axis=0)
    side = math.sqrt(float((target**2).sum() / (source**2).sum()))
    # The box of a turned face is upright, around the center of the face.
    angle = math.atan2(
        float((source[:, 0] * target[:, 1] - source[:, 1] * target[:, 0]).sum()),
        float((source * target).sum()),
    )
    down = side * (0.5 - BOX_POINTS.mean(axis=0)[1])
    center = points.mean(axis=0) + down * np.array([-math.sin(angle), math.cos(angle)])
    return np.array([*(center - side / 2), side, side], np.float32)


def tight_stills(name: str, aligner: Aligner) -> Stills:
    """Read a data set of images that are cropped around one face; the points define the boxes.

    Args:
        name: file name in data/ without ``.parquet``.
        aligner: in evaluation mode, on the CPU.
    """
    images, labels = read_images(name)
    gray = [to_gray(image) for image in images]
    sizes = np.array([[image.shape[1], image.shape[0]] for image in gray], np.float32)
    side = TIGHT_BOX[2] * sizes.min(axis=1, keepdims=True)
    boxes = np.hstack([sizes * TIGHT_BOX[:2] - side / 2, side, side])
    for _ in range(TIGHT_ROUNDS):
        points = find_points(aligner, gray, boxes)
        boxes = np.array([box_of_points(each) for each in points], np.float32)
    return Stills(name, images, boxes, labels)


def find_points(aligner: Aligner, images: Sequence[GrayImage], boxes: FloatArray) -> FloatArray:
    """Find the points (N, 5, 2) in px of the gray images (H, W), whose faces are in the boxes (N, 4)."""
    rng = np.random.default_rng(0)  # not used without augmentation
    found = []
    for start in range(0, len(images), 256):
        rows = range(start, min(start + 256, len(images)))
        crops = np.stack([render(images[i], boxes[i], Augmentation(), rng) for i in rows])
        with torch.inference_mode():
            found.append(aligner.points(gray_crops(torch.from_numpy(crops))).numpy())
    at = (np.concatenate(found) + 1) * SIDE / 2 - 0.5  # px of the crop, centers at integers
    matrices = np.stack([crop_matrix(box, Augmentation()) for box in boxes])
    scale = matrices[:, 0, 0, None, None]  # neither turned nor stretched
    return ((at - matrices[:, None, :, 2]) / scale + 0.5).astype(np.float32)


def gray_crops(crops: Tensor) -> Tensor:
    """Convert gray crops (N, 96, 96) uint8 to (N, 1, 96, 96) in [-1, 1]."""
    return crops.unsqueeze(1).float().div(127.5).sub(1.0)


class RolledFaces(Dataset[tuple[Tensor, Tensor]]):
    """Crops (96, 96) uint8 of randomly turned faces, and their points (5, 2) in [-1, 1]."""

    def __init__(self, faces: LandmarkFaces, draws: int, seed: int) -> None:
        self._faces = faces
        self._draws = draws
        self._seed = seed

    def __len__(self) -> int:
        return self._draws

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self._seed, number, int(torch.randint(2**31, ()))))
        index = int(rng.integers(len(self._faces)))
        image, points = self._faces.images[index], self._faces.points[index]
        box = box_of_points(points)
        params = sample_augmentation(rng)
        if rng.random() < 0.6:
            params = replace(params, rotation_deg=float(rng.uniform(-MAX_ROLL_DEG, MAX_ROLL_DEG)))
        params = replace(params, shift_x=1.5 * params.shift_x, shift_y=1.5 * params.shift_y)
        crop = render(image, box, params, rng)
        matrix = crop_matrix(box, params)
        at = (points - 0.5) @ matrix[:, :2].T + matrix[:, 2]  # px, centers at integers
        at = (2 * at + 1) / SIDE - 1
        if rng.random() < 0.5:
            crop, at = crop[:, ::-1].copy(), at[list(MIRRORED)] * (-1, 1)
        return torch.from_numpy(occlude(crop, rng)), torch.from_numpy(at.astype(np.float32))


class AlignerTraining(lightning.LightningModule):
    """Trains the points by the smooth L1 loss."""

    def __init__(self, aligner: Aligner, settings: AlignerSettings, steps: int) -> None:
        super().__init__()
        self.aligner = aligner
        self.settings = settings
        self.steps = steps

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        crops, points = batch
        found = self.aligner.points(gray_crops(crops)).float()
        loss = functional.smooth_l1_loss(found, points, beta=0.02)
        self.log("train/points_loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        return one_cycle(self.parameters(), self.settings, self.steps)
