"""Finds and cuts the faces of a video once, and keeps them in the cache folder.

The crops of an hour are gigabytes, so they stay in a file and are mapped into memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from social_perception.core.types import CROP_SIZE_PX, Box, Frame, ImageArray
from social_perception.perception.detection.schedule import Detector
from social_perception.perception.smile.crop import CROP_MARGIN, crop_faces
from social_perception.sources.video import VideoSource

MIN_OVERLAP = 0.3
"""Intersection over union from which the faces of two searches are one and the same."""


@dataclass(frozen=True, slots=True, eq=False)
class VideoFaces:
    """The F faces found in a video of N frames, frame after frame.

    ``stamps_s`` (N,) are the frames' times; ``frame`` (F,) says in which frame a face is, ``box``
    (F, 4) where: left, top, width, height in px; ``crops`` is (F, 96, 96, 3) uint8, RGB.
    """

    stamps_s: npt.NDArray[np.float64]
    frame: npt.NDArray[np.int64]
    box: npt.NDArray[np.float32]
    crops: ImageArray


def video_faces(video: Path, detector: Detector, every: int, cache: Path) -> VideoFaces:
    """The faces of a video, from the cache if they were found before.

    Args:
        video: the file.
        detector: looks for the faces.
        every: it looks in each ``every``-th frame; in between, boxes go straight from one to the next.
        cache: folder for the faces, made if missing.

    Raises:
        SourceError: the video cannot be read.
    """
    folder = cache / "videos" / _key(video, every)
    index = folder / "index.npz"
    if not index.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _find(video, detector, every, folder)
    with np.load(index) as kept:
        stamps_s, frame, box = kept["stamps_s"], kept["frame"], kept["box"]
    shape = (len(frame), CROP_SIZE_PX, CROP_SIZE_PX, 3)
    crops = (
        np.memmap(folder / "crops.u8", np.uint8, "r", shape=shape)
        if len(frame)
        else np.zeros(shape, np.uint8)
    )
    return VideoFaces(stamps_s, frame, box, crops)


def people_of(faces: VideoFaces, people: int) -> npt.NDArray[np.int64]:
    """Which of the people each face is, (F,), -1 for nobody; people are counted from left to right.

    One person is the largest face of each frame. Of several, where all are seen the largest faces
    are taken in order of place; where some are hidden, a face is the person who was there last.
    """
    person = np.full(len(faces.frame), -1)
    last_x = np.full(people, np.nan)
    for rows in np.split(np.arange(len(faces.frame)), np.flatnonzero(np.diff(faces.frame)) + 1):
        largest = rows[np.argsort(-faces.box[rows, 2] * faces.box[rows, 3], kind="stable")[:people]]
        x = faces.box[largest, 0] + faces.box[largest, 2] / 2
        if len(largest) == people:
            person[largest[np.argsort(x, kind="stable")]] = np.arange(people)
            last_x[:] = np.sort(x)
            continue
        for row, center in sorted(zip(largest, x), key=lambda face: face[1]):
            distance = np.abs(last_x - center)
            if np.isnan(distance).all() or np.nanmin(distance) > faces.box[row, 2]:
                continue
            nearest = int(np.nanargmin(distance))
            if nearest not in person[rows]:
                person[row], last_x[nearest] = nearest, center
    return person


def _key(video: Path, every: int) -> str:
    """Changes with the file and with what the crops depend on."""
    state = video.stat()
    facts = f"{video.resolve()} {state.st_size} {state.st_mtime_ns} {every} {CROP_MARGIN} {CROP_SIZE_PX}"
    return f"{video.stem}-{hashlib.sha1(facts.encode(), usedforsecurity=False).hexdigest()[:12]}"


def _find(video: Path, detector: Detector, every: int, folder: Path) -> None:
    stamps_s, frame, box = [], [], []
    with VideoSource(video) as source, (folder / "crops.u8").open("wb") as crops:
        frames = tqdm(source, desc=f"faces of {video.name}", total=source.frame_count, mininterval=5)
        for picture, boxes in _boxed(frames, detector, every):
            boxes = sorted(boxes, key=lambda each: each.left)
            stamps_s.append(picture.stamp_s)
            frame += [len(stamps_s) - 1] * len(boxes)
            box += [(each.left, each.top, each.width, each.height) for each in boxes]
            crops.write(crop_faces(picture.image, boxes).tobytes())
    # Written last: with the index, the cache is whole.
    np.savez(
        folder / "index.npz",
        stamps_s=np.array(stamps_s, float),
        frame=np.array(frame, np.int64),
        box=np.array(box, np.float32).reshape(-1, 4),
    )


def _boxed(frames: Iterable[Frame], detector: Detector, every: int) -> Iterator[tuple[Frame, Sequence[Box]]]:
    """Each frame with its boxes, in order."""
    before: Sequence[Box] = ()
    waiting: list[Frame] = []
    for frame in frames:
        if frame.index % every:
            waiting.append(frame)
            continue
        boxes = [face.box for face in detector.detect(frame.image)]
        for place, between in enumerate(waiting, start=1):
            yield between, _between(before, boxes, place / (len(waiting) + 1))
        waiting.clear()
        yield frame, boxes
        before = boxes
    for frame in waiting:
        yield frame, before


def _between(before: Sequence[Box], after: Sequence[Box], share: float) -> list[Box]:
    """The boxes a share of the way from one search to the next, of the faces that both found."""
    pairs = sorted(
        ((one.iou(two), i, j) for i, one in enumerate(before) for j, two in enumerate(after)), reverse=True
    )
    taken: list[tuple[int, int]] = []
    for overlap, i, j in pairs:
        if overlap >= MIN_OVERLAP and all(i != one and j != two for one, two in taken):
            taken.append((i, j))
    return [_mixed(before[i], after[j], share) for i, j in taken]


def _mixed(one: Box, two: Box, share: float) -> Box:
    sides = ("left", "top", "width", "height")
    return Box(*((1 - share) * getattr(one, side) + share * getattr(two, side) for side in sides))
