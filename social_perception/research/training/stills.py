"""Reads the data sets of still faces: images, labels and face boxes."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from social_perception.core.config import DetectionConfig
from social_perception.core.errors import ImageError, SourceError
from social_perception.core.types import ImageArray
from social_perception.perception.detection.factory import make_detector
from social_perception.perception.detection.still import detect_in_still
from social_perception.sources.images import decode_image

TIGHT_SETS = ("ferplus_train", "ferplus_valid", "ferplus_test", "smilesmiled", "muxspace")
"""Sets of images cropped around one face: an undetected face gets the median box of the others."""

REPOSITORY = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True, eq=False)
class Stills:
    """One data set in memory.

    ``images`` are uint8, (H, W) gray or (H, W, 3) RGB, of various sizes; ``boxes`` is (N, 4) float32
    with left, top, width, height in px, NaN where no face was detected; ``table`` holds the N rows of
    labels, with the column ``name``.
    """

    name: str
    images: tuple[npt.NDArray[np.uint8], ...]
    boxes: npt.NDArray[np.float32]
    table: pd.DataFrame

    def __len__(self) -> int:
        return len(self.images)

    def select(self, names: Collection[str]) -> Stills:
        """Return the images with the given names, in the order of the table."""
        rows = np.flatnonzero(self.table["name"].isin(list(names)))
        images = tuple(self.images[row] for row in rows)
        return Stills(self.name, images, self.boxes[rows], self.table.iloc[rows].reset_index(drop=True))


def data_folder() -> Path:
    """Return the folder with data/ and clips/: $SOCIAL_PERCEPTION_DATA, else ``../shared`` of the repository.

    Raises:
        SourceError: there is no such folder.
    """
    folder = Path(os.environ.get("SOCIAL_PERCEPTION_DATA", REPOSITORY.parent / "shared"))
    if not (folder / "data").is_dir():
        raise SourceError(
            f"no training data in {folder}; set SOCIAL_PERCEPTION_DATA to the folder above data/"
        )
    return folder


def read_stills(name: str, cache: Path, only: Collection[str] | None = None) -> Stills:
    """Read a data set with its face boxes, which are detected once and then cached.

    Args:
        name: file name in data/ without ``.parquet``.
        cache: folder for the boxes, created if missing.
        only: names of the images to read; None: all of them. Without cached boxes, only theirs are detected,
            and not cached.

    Raises:
        SourceError: the data is missing.
    """
    table = _read_table(name)
    rows = np.arange(len(table)) if only is None else np.flatnonzero(table["name"].isin(list(only)))
    path = cache / f"boxes_{name}.npy"
    cached = np.load(path) if path.is_file() else np.empty((0, 4), np.float32)
    images = tuple(_decode(data) for data in table["image"].iloc[rows])
    if len(cached) == len(table):
        boxes = cached[rows]
    else:
        boxes = _detect_boxes(name, images)
        if only is None:
            cache.mkdir(parents=True, exist_ok=True)
            np.save(path, boxes)
    table = table.iloc[rows]
    if name in TIGHT_SETS:
        boxes = fill_missing_boxes(boxes, images)
    return Stills(name, images, boxes, table.drop(columns="image").reset_index(drop=True))


def read_images(name: str) -> tuple[tuple[npt.NDArray[np.uint8], ...], pd.DataFrame]:
    """Return the images of a data set, gray (H, W) or RGB (H, W, 3), and its labels, with the column
    ``name``.
    """
    table = _read_table(name)
    return tuple(_decode(data) for data in table["image"]), table.drop(columns="image")


def _read_table(name: str) -> pd.DataFrame:
    return pd.read_parquet(data_folder() / "data" / f"{name}.parquet")


def fill_missing_boxes(
    boxes: npt.NDArray[np.float32], images: Sequence[npt.NDArray[np.uint8]]
) -> npt.NDArray[np.float32]:
    """Replace missing boxes (N, 4) by the median of the others, relative to the image size."""
    sizes = np.array([[image.shape[1], image.shape[0]] * 2 for image in images], np.float32)
    median = np.nanmedian(boxes / sizes, axis=0)
    return np.where(np.isnan(boxes), median * sizes, boxes).astype(np.float32)


def to_rgb(image: npt.NDArray[np.uint8]) -> ImageArray:
    """Convert a gray (H, W) or RGB image to (H, W, 3)."""
    return image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)


def to_gray(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Convert a gray (H, W) or RGB image to (H, W)."""
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def _decode(data: bytes) -> npt.NDArray[np.uint8]:
    try:
        image = decode_image(data, "an image of the data set")
    except ImageError as error:
        raise SourceError(str(error)) from error
    is_gray = bool((image == image[:, :, :1]).all())
    return np.ascontiguousarray(image[:, :, 0]) if is_gray else image


def _detect_boxes(name: str, images: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float32]:
    """Return the largest face of each image, (N, 4); detected as ``social-perception score`` does."""
    # detect_in_still upsamples the stills; upsampling them twice would only cost time.
    detector = make_detector(DetectionConfig(min_face_px=80))

    def largest(image: npt.NDArray[np.uint8]) -> tuple[float, float, float, float]:
        faces = detect_in_still(detector, to_rgb(image))
        if not faces:
            return (np.nan,) * 4
        box = max(faces, key=lambda face: face.box.area).box
        return box.left, box.top, box.width, box.height

    largest_boxes = [largest(image) for image in tqdm(images, desc=f"faces of {name}", mininterval=5)]
    boxes = np.array(largest_boxes, np.float32).reshape(-1, 4)
    missing = int(np.isnan(boxes[:, 0]).sum())
    print(
        f"{name}: {len(boxes) - missing} faces detected, {missing} not detected ({missing / len(boxes):.1%})"
    )
    return boxes
