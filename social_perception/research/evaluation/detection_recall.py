"""``social-perception evaluate --detector``: recall of the face detector by face size.

Annotated photos measure the recall against annotators. Downscaled clips measure the loss with decreasing
size: the detections in the original, upsampled frames are the ground truth of the downscaled frames. They are
also rotated; portraits that are turned aside show the recall by yaw, images of objects the false positives.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from social_perception.core.config import DetectionConfig
from social_perception.core.errors import ImageError, SourceError
from social_perception.core.types import Box, Face, ImageArray
from social_perception.perception.detection.factory import make_detector
from social_perception.perception.detection.schedule import Detector, PartwiseDetector
from social_perception.research.tables import read_table
from social_perception.research.training.stills import data_folder
from social_perception.sources.images import decode_image, read_image
from social_perception.sources.video import VideoSource

SIZE_BINS_PX = (20, 30, 40, 50, 60, 80, 100, 150, 300)
"""Edges of the bins of face width, px."""

MIN_OVERLAP = 0.4
"""Minimum intersection over union of a detection and its annotation; annotators draw boxes differently."""

MIN_REFERENCE_CONFIDENCE = 0.3
"""Minimum confidence of a detection in an original frame to be ground truth for the downscaled ones."""

CLIPS = ("single_face", "talker_d0", "talker_d3", "talker_d6", "talker_d9", "talker_d18")
"""Clips with one near face, whose frames are downscaled."""

FRAMES = (0, 30)
WIDTHS_PX = (30, 40, 45, 55, 70, 90, 120)
CANVAS = (480, 360)

ROLLS_DEG = (15, 30, 45)
ROLLED_WIDTHS_PX = (40, 55, 90)

YAWS_DEG = (0, 10, 20, 30, 60)
"""Edges of the bins of yaw of the portraits of GENKI-4K, degrees."""

PORTRAITS = 24
"""Number of portraits of each bin."""

WITHOUT_FACES = (
    "brick", "checkerboard", "chelsea", "clock", "coffee", "coins", "colorwheel", "grass", "gravel", "horse",
    "hubble_deep_field", "immunohistochemistry", "moon", "page", "retina", "rocket", "text",
)  # fmt: skip
"""Images of scikit-image without human faces."""

_MMOD = DetectionConfig(backend="mmod-torch")

DETECTORS = (
    ("mmod-torch, stills", _MMOD, False),
    ("mmod-torch, video", _MMOD, True),
    ("cascade, stills", DetectionConfig(), False),
    ("cascade, video", DetectionConfig(), True),
)
"""Name, settings and whether the detector is the one for video."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """An image (H, W, 3) uint8 RGB with its annotated faces."""

    image: ImageArray
    faces: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class SizeRecall:
    """The detected faces of a width in [low_px, high_px).

    Attributes:
        low_px: minimum width.
        high_px: exclusive maximum width.
        faces: number of annotated faces.
        found_after: number of detected faces after the first search, the second, and so on.
    """

    low_px: int
    high_px: int
    faces: int
    found_after: tuple[int, ...]

    @property
    def recall(self) -> float:
        """The share detected by all searches together; NaN without faces."""
        return self.found_after[-1] / self.faces if self.faces else float("nan")


@dataclass(frozen=True, slots=True)
class DetectionRecall:
    """Recall by size, and the number of false positives of all searches."""

    sizes: tuple[SizeRecall, ...]
    false_positives: int


def measure_recall(
    detector: Detector, examples: Iterable[Example], bins_px: Sequence[int] = SIZE_BINS_PX
) -> DetectionRecall:
    """Return the recall of a detector by face size.

    A detector that splits its search (one for video) runs all parts on each image, in the order of the first
    frames of a video; others run one search.

    Args:
        detector: from :func:`social_perception.perception.detection.factory.make_detector`.
        examples: images with their faces; may be empty.
        bins_px: increasing edges of the bins of width; faces outside are not counted.

    Raises:
        DetectionError: the detector failed on an image.
    """
    first_found: list[tuple[float, int | None]] = []
    searches, false_positives = 1, 0
    for example in examples:
        results = list(_searches(detector, example.image))
        searches = max(searches, len(results))
        for truth in example.faces:
            hits = (number for number, faces in enumerate(results) if _contains(faces, truth))
            first_found.append((truth.width, next(hits, None)))
        boxes = [face.box for faces in results for face in faces]
        false_positives += sum(all(box.iou(truth) < MIN_OVERLAP for truth in example.faces) for box in boxes)
    sizes = (_count(low, high, first_found, searches) for low, high in itertools.pairwise(bins_px))
    return DetectionRecall(tuple(sizes), false_positives)


def photo_examples(folder: Path) -> Iterator[Example]:
    """Yield the annotated photos of a folder with ``boxes.csv`` (image, left, top, width, height).

    Raises:
        SourceError: a photo or the table cannot be read.
    """
    path, sides = folder / "boxes.csv", ["left", "top", "width", "height"]
    table = read_table(path, ["image", *sides], dtype={"image": str})
    try:
        boxes = [Box(*row) for row in table[sides].astype(float).to_numpy()]
    except ValueError as error:
        raise SourceError(f"{path} is not a table of boxes: {error}") from error
    for name, rows in table.groupby("image", sort=False).indices.items():
        yield Example(_photo(folder / str(name)), tuple(boxes[row] for row in rows))


def _photo(path: Path) -> ImageArray:
    try:
        return read_image(path)
    except ImageError as error:
        raise SourceError(str(error)) from error


def scaled_examples(
    frames: Iterable[ImageArray],
    reference: Detector,
    widths_px: Sequence[float],
    canvas: tuple[int, int],
    roll_deg: float = 0.0,
) -> Iterator[Example]:
    """Yield downscaled frames in which the largest face has each of the given widths.

    Args:
        frames: (H, W, 3) uint8 RGB; frames without a confident detection are skipped.
        reference: detects the faces at the original size.
        widths_px: target widths of the largest face; frames are never upscaled.
        canvas: width and height in px of the gray image in whose center the scaled frame is put; larger
            frames are skipped.
        roll_deg: angle by which the image is rotated about the center of the largest face.
    """
    for frame in frames:
        truth = [face.box for face in reference.detect(frame) if face.confidence >= MIN_REFERENCE_CONFIDENCE]
        largest = max((box.width for box in truth), default=0.0)
        for width_px in widths_px:
            if largest >= width_px:
                example = _scaled(frame, truth, width_px / largest, canvas)
                if example is not None:
                    yield _rolled(example, roll_deg) if roll_deg else example


def _scaled(frame: ImageArray, truth: Sequence[Box], scale: float, canvas: tuple[int, int]) -> Example | None:
    small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    height, width = small.shape[:2]
    if width > canvas[0] or height > canvas[1]:
        return None
    left, top = (canvas[0] - width) // 2, (canvas[1] - height) // 2
    right, bottom = canvas[0] - width - left, canvas[1] - height - top
    gray = (128, 128, 128)
    image = cv2.copyMakeBorder(small, top, bottom, left, right, cv2.BORDER_CONSTANT, value=gray)
    boxes = (
        Box(box.left * scale + left, box.top * scale + top, box.width * scale, box.height * scale)
        for box in truth
    )
    return Example(image, tuple(boxes))


def _rolled(example: Example, roll_deg: float) -> Example:
    largest = max(example.faces, key=lambda box: box.width)
    matrix = cv2.getRotationMatrix2D(largest.center, roll_deg, 1.0)
    size = example.image.shape[1], example.image.shape[0]
    image = cv2.warpAffine(example.image, matrix, size, borderValue=(128, 128, 128))
    centers = (matrix @ (*box.center, 1.0) for box in example.faces)
    boxes = (
        Box(x - box.width / 2, y - box.height / 2, box.width, box.height)
        for box, (x, y) in zip(example.faces, centers)
    )
    return Example(image, tuple(boxes))


def portraits(folder: Path, low_deg: float, high_deg: float, count: int) -> Iterator[ImageArray]:
    """Yield the first portraits of GENKI-4K with a yaw in a range, with a border as wide as half of them.

    Raises:
        SourceError: the data set cannot be read.
    """
    try:
        table = pd.read_parquet(folder / "data" / "genki_train.parquet", columns=["image", "yaw"])
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot read genki_train.parquet: {error}") from error
    yaw = np.degrees(table["yaw"].abs())
    for data in table["image"][(yaw >= low_deg) & (yaw < high_deg)][:count]:
        image = decode_image(data, "a portrait of GENKI-4K")
        side = max(image.shape[:2]) // 2
        yield cv2.copyMakeBorder(image, side, side, side, side, cv2.BORDER_CONSTANT, value=(128, 128, 128))


def objects() -> Iterator[Example]:
    """Yield images without faces, in their size and twice as large; none without scikit-image."""
    try:
        from skimage import data
    except ImportError:
        return
    for name in WITHOUT_FACES:
        image = np.asarray(getattr(data, name)())
        if image.dtype == np.bool_:
            image = image.astype(np.uint8) * 255
        image = np.ascontiguousarray(np.dstack([image] * 3) if image.ndim == 2 else image[:, :, :3])
        for scale in (1.0, 2.0):
            yield Example(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), ())


def _searches(detector: Detector, image: ImageArray) -> Iterator[tuple[Face, ...]]:
    if isinstance(detector, PartwiseDetector) and (parts := detector.parts(image.shape[1], image.shape[0])):
        yield from (detector.detect_part(image, part) for part in parts)
    else:
        yield detector.detect(image)


def _contains(faces: Sequence[Face], truth: Box) -> bool:
    return any(face.box.iou(truth) >= MIN_OVERLAP for face in faces)


def _count(
    low_px: int, high_px: int, first_found: Sequence[tuple[float, int | None]], searches: int
) -> SizeRecall:
    numbers = [number for width, number in first_found if low_px <= width < high_px]
    after = [sum(number is not None and number <= step for number in numbers) for step in range(searches)]
    return SizeRecall(low_px, high_px, len(numbers), tuple(after))


@dataclass(frozen=True, slots=True)
class Row:
    """The recall of one detector on one set of images, and its CPU time in s for the whole set."""

    detector: str
    images: str
    recall: DetectionRecall
    seconds: float


def main() -> tuple[Row, ...]:
    """Measure, print and return the recall by face size, roll and yaw, and the false positives.

    Raises:
        SourceError: the data is missing.
    """
    folder = data_folder()
    reference = make_detector(DetectionConfig(backend="mmod-torch", min_face_px=80))
    frames = list(_frames(folder / "clips"))
    sets: dict[str, Iterable[Example]] = {
        "photos": photo_examples(folder / "photos"),
        "clips": scaled_examples(frames, reference, WIDTHS_PX, CANVAS),
    }
    for roll in ROLLS_DEG:
        sets[f"roll {roll}"] = scaled_examples(frames, reference, ROLLED_WIDTHS_PX, CANVAS, roll)
    for low, high in itertools.pairwise(YAWS_DEG):
        turned = portraits(folder, low, high, PORTRAITS)
        sets[f"yaw {low}-{high}"] = scaled_examples(turned, reference, ROLLED_WIDTHS_PX, CANVAS)
    sets["objects"] = objects()
    rows = []
    for images, found in sets.items():
        examples = list(found)
        for name, config, video in DETECTORS:
            row = _measure(name, config, examples, images, video=video)
            print(format_row(row), flush=True)
            rows.append(row)
    return tuple(rows)


def format_row(row: Row) -> str:
    """Format a row: detected / annotated faces of each bin with faces, after each search."""
    recall = "  ".join(
        f"{size.low_px}-{size.high_px} px {' then '.join(map(str, size.found_after))} / {size.faces}"
        for size in row.recall.sizes
        if size.faces
    )
    return (
        f"{row.images:<9} {row.detector:<18} {recall}  "
        f"false positives {row.recall.false_positives}  cpu {row.seconds:.1f} s"
    )


def _measure(
    name: str, config: DetectionConfig, examples: Sequence[Example], images: str, *, video: bool
) -> Row:
    detector = make_detector(config, video=video)
    start = time.process_time()
    recall = measure_recall(detector, examples)
    return Row(name, images, recall, time.process_time() - start)


def _frames(folder: Path) -> Iterator[ImageArray]:
    for clip in CLIPS:
        with VideoSource(folder / f"{clip}.mp4") as source:
            for frame in itertools.islice(source, max(FRAMES) + 1):
                if frame.index in FRAMES:
                    yield frame.image
