"""Recall of a face detector by the size of the faces, for whole searches and for those in parts.

Photos with annotated boxes tell what is found of faces that people see. Clips tell what is lost as
faces become smaller: what is found in frames at their original size, exactly and enlarged, is the
truth for the same frames scaled down.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2

from social_perception.core.errors import ImageError, SourceError
from social_perception.core.files import read_limited
from social_perception.core.types import Box, Face, ImageArray
from social_perception.perception.detection.schedule import Detector, PartwiseDetector
from social_perception.sources.images import read_image

SIZE_BINS_PX = (20, 30, 40, 50, 60, 80, 100, 150, 300)
"""Limits of the face widths that are counted together."""

MIN_OVERLAP = 0.4
"""Intersection over union from which a found box is the annotated one; annotators draw differently."""

_MAX_TABLE_BYTES = 2**28

SURE_FACE = 0.3
"""Score from which a face found in an original frame is taken for the truth of scaled ones."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A picture (H, W, 3) uint8, RGB, and the faces in it."""

    image: ImageArray
    faces: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class SizeRecall:
    """What was found of the faces of a width in [low_px, high_px).

    Attributes:
        low_px: least width.
        high_px: the width that is too large.
        faces: how many there were.
        found_after: how many had been found after the first search, the second, and so on.
    """

    low_px: int
    high_px: int
    faces: int
    found_after: tuple[int, ...]

    @property
    def recall(self) -> float:
        """The share found by all searches together; NaN without faces."""
        return self.found_after[-1] / self.faces if self.faces else float("nan")


@dataclass(frozen=True, slots=True)
class DetectionRecall:
    """Recall by size, and how many boxes found were no annotated face (in the whole, by all searches)."""

    sizes: tuple[SizeRecall, ...]
    extra: int


def measure_recall(
    detector: Detector, examples: Iterable[Example], bins_px: Sequence[int] = SIZE_BINS_PX
) -> DetectionRecall:
    """Return the recall of a detector by face size.

    A detector that shares out its search (one for video) makes all its parts of each picture, in the
    order of a video's begin; others make one search.

    Args:
        detector: from :func:`social_perception.perception.detection.factory.make_detector`.
        examples: pictures with their faces; may be none.
        bins_px: rising limits of the widths; faces outside of them are not counted.

    Raises:
        DetectionError: the detector failed on a picture.
    """
    first_found: list[tuple[float, int | None]] = []
    searches, extra = 1, 0
    for example in examples:
        answers = list(_searches(detector, example.image))
        searches = max(searches, len(answers))
        for truth in example.faces:
            hits = (number for number, faces in enumerate(answers) if _holds(faces, truth))
            first_found.append((truth.width, next(hits, None)))
        found = [face.box for faces in answers for face in faces]
        extra += sum(all(box.iou(truth) < MIN_OVERLAP for truth in example.faces) for box in found)
    sizes = (_counted(low, high, first_found, searches) for low, high in pairwise(bins_px))
    return DetectionRecall(tuple(sizes), extra)


def photo_examples(folder: Path) -> Iterator[Example]:
    """Yield the annotated photos of a folder with ``boxes.csv`` (image, left, top, width, height).

    Raises:
        SourceError: a photo or the table cannot be read.
    """
    boxes: dict[str, list[Box]] = {}
    try:
        table = read_limited(folder / "boxes.csv", _MAX_TABLE_BYTES).decode("utf-8")
        for row in csv.DictReader(io.StringIO(table, newline="")):
            sides = [float(row[side]) for side in ("left", "top", "width", "height")]
            boxes.setdefault(row["image"], []).append(Box(*sides))
    except (OSError, KeyError, ValueError) as error:
        raise SourceError(f"{folder / 'boxes.csv'} is no table of boxes: {error}") from error
    for name, faces in boxes.items():
        yield Example(_photo(folder / name), tuple(faces))


def _photo(path: Path) -> ImageArray:
    try:
        return read_image(path)
    except ImageError as error:
        raise SourceError(str(error)) from error


def scaled_examples(
    frames: Iterable[ImageArray], reference: Detector, widths_px: Sequence[float], canvas: tuple[int, int]
) -> Iterator[Example]:
    """Yield frames scaled down so that their largest face has each of some widths.

    Args:
        frames: (H, W, 3) uint8, RGB; those in which the reference finds no sure face are left out.
        reference: says where the faces are in the original size.
        widths_px: the widths that the largest face gets; none is enlarged.
        canvas: width and height in px of the gray picture that the scaled frame is put on, in the
            middle; a larger frame is left out.
    """
    for frame in frames:
        truth = [face.box for face in reference.detect(frame) if face.confidence >= SURE_FACE]
        largest = max((box.width for box in truth), default=0.0)
        for width_px in widths_px:
            if largest >= width_px:
                example = _scaled(frame, truth, width_px / largest, canvas)
                if example is not None:
                    yield example


def _scaled(frame: ImageArray, truth: Sequence[Box], scale: float, canvas: tuple[int, int]) -> Example | None:
    small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    height, width = small.shape[:2]
    if width > canvas[0] or height > canvas[1]:
        return None
    left, top = (canvas[0] - width) // 2, (canvas[1] - height) // 2
    right, bottom = canvas[0] - width - left, canvas[1] - height - top
    gray = (128, 128, 128)
    image = cv2.copyMakeBorder(small, top, bottom, left, right, cv2.BORDER_CONSTANT, value=gray)
    moved = (
        Box(box.left * scale + left, box.top * scale + top, box.width * scale, box.height * scale)
        for box in truth
    )
    return Example(image, tuple(moved))  # type: ignore[arg-type]


def _searches(detector: Detector, image: ImageArray) -> Iterator[tuple[Face, ...]]:
    parts = ()
    if isinstance(detector, PartwiseDetector):
        parts = detector.parts(image.shape[1], image.shape[0])
    if not parts or not isinstance(detector, PartwiseDetector):
        yield detector.detect(image)
        return
    for part in parts:
        yield detector.detect_part(image, part)


def _holds(faces: Sequence[Face], truth: Box) -> bool:
    return any(face.box.iou(truth) >= MIN_OVERLAP for face in faces)


def _counted(
    low_px: int, high_px: int, first_found: Sequence[tuple[float, int | None]], searches: int
) -> SizeRecall:
    numbers = [number for width, number in first_found if low_px <= width < high_px]
    after = [sum(number is not None and number <= step for number in numbers) for step in range(searches)]
    return SizeRecall(low_px, high_px, len(numbers), tuple(after))
